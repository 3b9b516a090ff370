// SPDX-License-Identifier: Apache-2.0

package command

import (
	"testing"

	"github.com/spf13/pflag"

	"github.com/taskgroup-operator/taskgroup-operator/test/docs"
)

// TestFlagTable compares the flags of the bridge with docs/operations.md.
func TestFlagTable(t *testing.T) {
	bridge, _, err := Root(Config{}).Find([]string{"executor"})
	if err != nil {
		t.Fatal(err)
	}
	var flags []docs.Flag
	add := func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value := f.DefValue
		if value == "[]" || value == "false" {
			value = ""
		}
		flags = append(flags, docs.Flag{Name: f.Name, Default: value, Usage: f.Usage})
	}
	bridge.LocalFlags().VisitAll(add)
	bridge.InheritedFlags().VisitAll(add)
	if err := docs.CompareFlags("../../../docs/operations.md", "taskgroup executor", flags, *update); err != nil {
		t.Error(err)
	}
}
