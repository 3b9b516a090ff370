// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/command"
)

// TestReferenceIsCurrent: the reference has the texts of the program.
func TestReferenceIsCurrent(t *testing.T) {
	stored, err := os.ReadFile("../../docs/cli-reference.md")
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := render(command.Root(command.Config{}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(rendered), string(stored)); diff != "" {
		t.Errorf("docs/cli-reference.md is not current, run make generate (-program +page):\n%s", diff)
	}
}
