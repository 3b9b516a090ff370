// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// TestPollFindsTheResultsOfDeletedGroups by the options of the executor that sent each
// group: the groups of a poll have different ones.
func TestPollFindsTheResultsOfDeletedGroups(t *testing.T) {
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	text := `{"apiVersion":"v1","kind":"Config","current-context":"x","contexts":[{"name":"x","context":{"cluster":"c","user":"u"}}],
	"clusters":[{"name":"c","cluster":{"server":"http://127.0.0.1:1"}}],"users":[{"name":"u","user":{}}]}`
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	manifest := contract.Manifest{
		Version: contract.ManifestVersion, DispatchID: "d", TaskGroupID: 3, UID: "u", Attempt: 2,
		Tasks: []contract.TaskRecord{{NodeID: 3, State: contract.TaskCompleted}},
	}
	raw, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	attempt := filepath.Join(dir, "assets", "results", "u", "a2")
	if err := os.MkdirAll(attempt, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(attempt, "manifest.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	s := newServer(&Options{}, logr.Discard())
	defer s.clusters.close()
	completed := executor.Handle{Namespace: "team", Name: executor.Name("d", 3), UID: "u"}
	other := executor.Handle{Namespace: "team", Name: executor.Name("d", 4), UID: "v"}
	unknown := executor.Handle{Namespace: "team", Name: executor.Name("d", 5), UID: "w"}
	request := &PollRequest{
		Executor: executor.Options{Kubeconfig: kubeconfig, Namespace: "team"},
		Handles: []PollHandle{
			{Handle: completed, Executor: &executor.Options{Assets: "file:///srv", LocalPaths: map[string]string{"/srv": filepath.Join(dir, "assets")}}},
			{Handle: other, Executor: &executor.Options{Assets: "file://" + dir}},
			{Handle: unknown},
		},
	}
	var results []executor.Result
	for _, handle := range []executor.Handle{completed, other, unknown} {
		results = append(results, executor.Result{Outcome: executor.Outcome{Handle: handle}, Err: executor.ErrCancelled, Deleted: true})
	}
	results = s.findCompleted(t.Context(), request, results)
	if len(results) != 3 {
		t.Fatalf("%d results", len(results))
	}
	if got := results[0]; got.Err != nil || got.Reason != "Completed" || got.Handle != completed {
		t.Errorf("the completed group: %+v", got)
	}
	for _, got := range results[1:] {
		if got.Err == nil || got.Reason != "" {
			t.Errorf("a deleted group: %+v", got)
		}
	}
}
