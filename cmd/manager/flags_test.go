// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"flag"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/test/docs"
)

var update = flag.Bool("update", false, "write the table of the flags")

// TestFlagTable compares the flags with docs/operations.md.
func TestFlagTable(t *testing.T) {
	var help bytes.Buffer
	if _, err := parseOptions([]string{"--help"}, &help); !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	flags := docs.HelpFlags(help.String())
	if len(flags) < 15 {
		t.Fatalf("the help has %d flags:\n%s", len(flags), help.String())
	}
	if err := docs.CompareFlags("../../docs/operations.md", "manager", flags, *update); err != nil {
		t.Error(err)
	}
}
