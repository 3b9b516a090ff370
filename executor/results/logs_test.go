// SPDX-License-Identifier: Apache-2.0

package results_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor/results"
)

// streams are the contents of objects by their URIs.
type streams map[string]string

func (s streams) Open(_ context.Context, _, uri string) (io.ReadCloser, int64, error) {
	text, ok := s[uri]
	if !ok {
		return nil, 0, errors.New("there is no " + uri)
	}
	return io.NopCloser(strings.NewReader(text)), int64(len(text)), nil
}

// TestCopyStreams: streams are appended to their logs. One without bytes, of which the
// gateway has no object, leaves an empty log, and no warning.
func TestCopyStreams(t *testing.T) {
	dir := t.TempDir()
	stdout, stderr := filepath.Join(dir, "out.log"), filepath.Join(dir, "err.log")
	tg := &v1alpha1.TaskGroup{Spec: v1alpha1.TaskGroupSpec{Assets: &v1alpha1.Assets{Outputs: "gateway://a/groups"}}}
	reader := &results.Reader{
		Objects:  streams{"gateway://a/groups/u/a1/1/stdout": "printed\n"},
		CacheDir: func() (string, error) { return dir, nil },
		Warn:     func(err error) { t.Error(err) },
	}
	updates := []contract.TaskUpdate{{NodeID: 1, Assets: map[contract.AssetKey]contract.AssetUpdate{
		contract.AssetStdout: {RemoteURI: "gateway://a/groups/u/a1/1/stdout", Size: 8},
		contract.AssetStderr: {RemoteURI: "gateway://a/groups/u/a1/1/stderr"},
	}}}
	reader.CopyStreams(t.Context(), tg, results.Logs{DispatchID: "d", Stdout: stdout, Stderr: stderr}, updates)
	for path, want := range map[string]string{stdout: "printed\n", stderr: ""} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s has %q, %v", filepath.Base(path), got, err)
		}
	}
}
