// SPDX-License-Identifier: Apache-2.0

package python_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/runner/python"
)

func TestReadReport(t *testing.T) {
	tests := map[string]struct {
		text string
		want *python.Report
		err  string
	}{
		"completed": {text: `{"outcome": "completed"}`, want: &python.Report{Outcome: "completed"}},
		"failed": {
			text: `{"outcome": "failed", "reason": "TaskError", "message": "ValueError: ü", "traceback": "t"}`,
			want: &python.Report{Outcome: "failed", Reason: contract.ReasonTaskError, Message: "ValueError: ü", Traceback: "t"},
		},
		"empty":           {text: "", err: "decoding the task's report: unexpected end of JSON input"},
		"forged reason":   {text: `{"outcome": "failed", "reason": "Evicted"}`, err: `decoding the task's report: unknown reason "Evicted"`},
		"unknown outcome": {text: `{"outcome": "?"}`, err: `decoding the task's report: unknown reason ""`},
		"huge":            {text: `{"message": "` + strings.Repeat("a", 2<<20) + `"}`, err: "decoding the task's report: unexpected end of JSON input"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "report.json")
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := python.ReadReport(path)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if (err == nil) != (test.err == "") || (err != nil && err.Error() != test.err) {
				t.Errorf("err = %v, want %s", err, test.err)
			}
		})
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := python.ReadReport(fifo); err == nil || err.Error() != "reading the task's report: it is not a regular file" {
		t.Errorf("a FIFO is read as %+v, %v", got, err)
	}
	if _, err := python.ReadReport(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, python.ErrNoReport) {
		t.Errorf("err = %v, want ErrNoReport", err)
	}
}
