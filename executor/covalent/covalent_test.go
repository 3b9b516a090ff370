// SPDX-License-Identifier: Apache-2.0

package covalent_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/executor/covalent"
)

// dispatcher has the attributes that were recorded.
type dispatcher map[executor.Attribute]any

func (dispatcher) Get(context.Context, executor.Attribute) (json.RawMessage, error) {
	return json.RawMessage("null"), nil
}

func (d dispatcher) Put(_ context.Context, attribute executor.Attribute, value any) error {
	d[attribute] = value
	return nil
}

func TestJobStatus(t *testing.T) {
	d := dispatcher{}
	for state, want := range map[contract.TaskState]bool{contract.TaskRunning: true, contract.TaskCompleted: true, "NEW_OBJECT": false, "": false} {
		delete(d, executor.JobStatus)
		got, err := covalent.SetJobStatus(t.Context(), d, contract.Status{Status: state})
		if _, put := d[executor.JobStatus]; got != want || put != want || err != nil {
			t.Errorf("%q: %t, %v, recorded %t", state, got, err, put)
		}
	}
}

func TestWriteStreamsToFile(t *testing.T) {
	dir := t.TempDir()
	absolute := filepath.Join(dir, "elsewhere", "err.log")
	for range 2 {
		if err := covalent.WriteStreamsToFile([]string{"out\n", "err\n", "nowhere"}, []string{"a/out.log", absolute, ""}, "d1", dir); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{filepath.Join(dir, "d1", "a", "out.log"): "out\nout\n", absolute: "err\nerr\n"} {
		if got, err := os.ReadFile(path); string(got) != want {
			t.Errorf("%s has %q, %v; want %q", path, got, err, want)
		}
	}
	if err := covalent.WriteStreamsToFile([]string{"x"}, []string{"out.log"}, "../d1", dir); !cmp.Equal(err, executor.ErrInvalid, cmpopts.EquateErrors()) {
		t.Errorf("a dispatch that leads elsewhere: %v", err)
	}
}

func TestDispatchContext(t *testing.T) {
	ctx := covalent.GetDispatchContext(t.Context(), covalent.DispatchInfo{DispatchID: "d1"})
	if info, ok := covalent.DispatchOf(ctx); !ok || info.DispatchID != "d1" {
		t.Errorf("got %+v, %t", info, ok)
	}
	if _, ok := covalent.DispatchOf(t.Context()); ok {
		t.Error("a context without one has one")
	}
}
