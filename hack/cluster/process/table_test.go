// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const boot = "11111111-2222-3333-4444-555555555555"

// fakeTable is a process table with one process, 42.
func fakeTable(t *testing.T, state string, startTicks uint64, environment string) Table {
	t.Helper()
	root := t.TempDir()
	write := func(name, content string) {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("42/stat", fmt.Sprintf("42 (a (strange) name) %s 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 %d 1 1", state, startTicks))
	write("42/environ", environment)
	write("sys/kernel/random/boot_id", boot+"\n")
	write("self/environ", environment)
	return Table{Root: root}
}

func TestIsRunningRefusesAReusedPID(t *testing.T) {
	recorded := Identity{PID: 42, StartTicks: 1000, Boot: boot}
	tests := map[string]struct {
		table Table
		id    Identity
		want  bool
	}{
		"the process that was recorded":      {fakeTable(t, "S", 1000, ""), recorded, true},
		"another process has the pid now":    {fakeTable(t, "S", 2000, ""), recorded, false},
		"it ended but nobody collected it":   {fakeTable(t, "Z", 1000, ""), recorded, false},
		"the machine was started in between": {fakeTable(t, "S", 1000, ""), Identity{42, 1000, "other"}, false},
		"no process has the pid":             {fakeTable(t, "S", 1000, ""), Identity{43, 1000, boot}, false},
		"a record cut short by a crash":      {fakeTable(t, "S", 1000, ""), Identity{}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.table.IsRunning(test.id); got != test.want {
				t.Errorf("IsRunning(%+v) = %v, want %v", test.id, got, test.want)
			}
		})
	}
}

func TestIdentifyReportsWhatIsGone(t *testing.T) {
	if _, err := fakeTable(t, "S", 1, "").Identify(7); !errors.Is(err, ErrGone) {
		t.Errorf("Identify(no such pid) = %v, want ErrGone", err)
	}
}

func TestWithEnvironmentWantsTheWholeVariable(t *testing.T) {
	table := fakeTable(t, "S", 1000, "A=1\x00CLUSTER=/x/a\x00B=2\x00")
	tests := map[string]struct {
		variable string
		want     []Identity
	}{
		"the same folder":                  {"CLUSTER=/x/a", []Identity{{42, 1000, boot}}},
		"a folder whose name starts alike": {"CLUSTER=/x/", nil},
		"a variable that ends alike":       {"LUSTER=/x/a", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := table.WithEnvironment(test.variable)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("WithEnvironment(%q) (-want +got):\n%s", test.variable, diff)
			}
		})
	}
}
