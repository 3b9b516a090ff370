// SPDX-License-Identifier: Apache-2.0

package group

import (
	"context"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// writes is a store that keeps the URIs of what is put.
type writes struct {
	Store
	mu   sync.Mutex
	uris []string
}

func (w *writes) Put(_ context.Context, uri string, r io.Reader) (contract.Asset, error) {
	raw, err := io.ReadAll(r)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.uris = append(w.uris, uri)
	return contract.Asset{URI: uri, Size: int64(len(raw)), SHA256: "of the bytes"}, err
}

// TestEmptyStreams: the gateway gets no objects for them, and they are recorded all the same.
// Other stores, which others read too, do. The output of a command may be an empty file.
func TestEmptyStreams(t *testing.T) {
	for outputs, want := range map[string][]string{
		"gateway://a/groups/u/a1": {"gateway://a/groups/u/a1/3/output", "gateway://a/groups/u/a1/3/stdout"},
		"s3://b/u/a1":             {"s3://b/u/a1/3/output", "s3://b/u/a1/3/stderr", "s3://b/u/a1/3/stdout"},
	} {
		t.Run(outputs, func(t *testing.T) {
			files := filesIn(t.TempDir())
			for path, text := range map[string]string{files.output: "", files.stdout: "printed", files.stderr: ""} {
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			store := &writes{}
			r := &run{Config: Config{Plan: &contract.Plan{Outputs: outputs}, Store: store, Stderr: io.Discard}, probe: &probe{done: make(chan struct{})}}
			close(r.probe.done)
			record := &contract.TaskRecord{NodeID: 3, State: contract.TaskCompleted}
			r.keep(t.Context(), record, files, "")
			slices.Sort(store.uris)
			if diff := cmp.Diff(want, store.uris); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
			keys := slices.Sorted(maps.Keys(record.Assets))
			if diff := cmp.Diff([]contract.AssetKey{contract.AssetOutput, contract.AssetStderr, contract.AssetStdout}, keys); diff != "" {
				t.Errorf("recorded (-want +got):\n%s", diff)
			}
			if stream := record.Assets[contract.AssetStderr]; stream.Size != 0 || stream.URI != outputs+"/3/stderr" {
				t.Errorf("recorded %+v", stream)
			}
		})
	}
}
