// SPDX-License-Identifier: Apache-2.0

package group

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

func TestRemainingAndSources(t *testing.T) {
	r := &run{
		Config: Config{Plan: &contract.Plan{
			Tasks:  []contract.PlanTask{{NodeID: 1}, {NodeID: 2}, {NodeID: 3}},
			Inputs: map[contract.NodeID]string{0: "file:///0"},
		}},
		earlier: earlier{completed: map[contract.NodeID]takenOver{1: {}, 9: {}}},
		outputs: map[contract.NodeID]output{1: {uri: "file:///a1/1/output"}},
	}
	if diff := cmp.Diff([]contract.PlanTask{{NodeID: 2}, {NodeID: 3}}, r.remaining()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[contract.NodeID]string{0: "file:///0", 1: "file:///a1/1/output"}, r.sources()); diff != "" {
		t.Error(diff)
	}
	r.unusable = new(failed(contract.ReasonInputInvalid, "changed"))
	if got := r.remaining(); got != nil {
		t.Errorf("tasks to prepare where none can run: %+v", got)
	}
}

func TestAttemptOf(t *testing.T) {
	tests := map[string]struct {
		outputs, stdout string
		want            int32
	}{
		"of the last attempt":     {"s3://b/u/a12", "s3://b/u/a11/3/stdout", 11},
		"taken over before":       {"s3://b/u/a12", "s3://b/u/a3/3/stdout", 3},
		"elsewhere":               {"s3://b/u/a12", "s3://other/u/a3/3/stdout", 11},
		"no number":               {"s3://b/u/a12", "s3://b/u/ax/3/stdout", 11},
		"no streams":              {"s3://b/u/a12", "", 11},
		"outputs without attempt": {"s3://b", "s3://b/u/a3/3/stdout", 11},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := &run{Config: Config{Plan: &contract.Plan{Attempt: 12, Outputs: test.outputs}}}
			record := contract.TaskRecord{Assets: map[contract.AssetKey]contract.Asset{contract.AssetStdout: {URI: test.stdout}}}
			if got := r.attemptOf(&takenOver{record, 11}); got != test.want {
				t.Errorf("attempt %d, want %d", got, test.want)
			}
		})
	}
}

func TestManifestThatTheStoreNeverDelivers(t *testing.T) {
	r := &run{Config: Config{Plan: &contract.Plan{}, Store: hangs{}, WorkDir: t.TempDir()}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, bad := r.readPrevious(ctx, &contract.ManifestReference{URI: "s3://b/m"}); bad == nil || bad.reason != contract.ReasonInputUnavailable {
		t.Errorf("outcome %+v", bad)
	}
}

func TestPythonIsStartedForWhatRemains(t *testing.T) {
	r := &run{
		Config:  Config{Plan: &contract.Plan{Tasks: []contract.PlanTask{{NodeID: 1, Function: "file:///f"}, {NodeID: 2, Command: []string{"true"}}}}},
		earlier: earlier{completed: map[contract.NodeID]takenOver{1: {}}},
	}
	p := newInterpreter(t.Context(), r)
	<-p.ready
	if p.starts != 0 {
		t.Error("Python was started, and no function remains")
	}
}
