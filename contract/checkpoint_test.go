// SPDX-License-Identifier: Apache-2.0

package contract_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

func TestCheckpoint(t *testing.T) {
	completed := func(node contract.NodeID) contract.TaskRecord {
		return contract.TaskRecord{NodeID: node, State: contract.TaskCompleted}
	}
	tests := map[string]struct {
		change func(*contract.Checkpoint)
		// want is a part of the error; empty if the checkpoint is valid.
		want string
	}{
		"valid":           {func(*contract.Checkpoint) {}, ""},
		"another group":   {func(c *contract.Checkpoint) { c.UID = "uid-2" }, "of attempt 3 of uid-2"},
		"another attempt": {func(c *contract.Checkpoint) { c.Attempt = 2 }, "of attempt 2"},
		"another number":  {func(c *contract.Checkpoint) { c.Number = 8 }, "number 8"},
		"a failed task":   {func(c *contract.Checkpoint) { c.Tasks[1].State = contract.TaskFailed }, "task 8 is FAILED"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			written := &contract.Checkpoint{UID: "uid-1", Attempt: 3, Python: &contract.PythonVersions{Version: "3.11.2"}, Number: 7, Tasks: []contract.TaskRecord{completed(7), completed(8)}}
			test.change(written)
			raw, err := contract.EncodeCheckpoint(written)
			if err != nil {
				t.Fatal(err)
			}
			read, err := contract.DecodeCheckpoint(raw, "uid-1", 3, 7)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v, want %q", err, test.want)
				}
				return
			}
			written.Version = 1
			if diff := cmp.Diff(written, read); err != nil || diff != "" {
				t.Error(err, diff)
			}
		})
	}
}

func TestCheckpointsThatCannotBeRead(t *testing.T) {
	for raw, want := range map[string]string{
		"":              "unexpected end of JSON input",
		"{}":            "version 0",
		`{"version":9}`: "version 9, this release supports 1",
		strings.Repeat(" ", contract.MaxCheckpoint+1): "at most 4194304",
	} {
		if _, err := contract.DecodeCheckpoint([]byte(raw), "uid-1", 3, 7); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: error %v, want %q", raw, err, want)
		}
	}
}
