// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/executor/results"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// unwritable is a path below a file: no folder can be made there, not by root either.
func unwritable(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(file, "folder")
}

// TestReceiveFailsNoNodeForItsLog: the results exist, and only the log is missing.
func TestReceiveFailsNoNodeForItsLog(t *testing.T) {
	t.Parallel()
	l := leave(t, ended(v1alpha1.ReasonCompleted, v1alpha1.TaskCompleted, 3))
	l.task(3, contract.TaskCompleted, map[contract.AssetKey]string{"output": "result", "stdout": "hello", "stderr": "oh"})
	l.commit()
	if err := os.Remove(pathOf(t, contract.AssetURI(l.place(), 3, contract.AssetStderr))); err != nil {
		t.Fatal(err)
	}
	var warnings []string
	updates, err := l.receive(func(c *executor.Config) {
		c.Options.LogStdout = filepath.Join(unwritable(t), "out.log")
		c.Options.LogStderr = filepath.Join(t.TempDir(), "err.log")
		c.Warn = func(err error) { warnings = append(warnings, err.Error()) }
	})
	if err != nil || updates[0].Status.Status != contract.TaskCompleted || updates[0].Assets["output"].Size != 6 {
		t.Errorf("got %+v, %v", updates, err)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "copying the stdout of node 3") {
		t.Errorf("warnings %q", warnings)
	}
}

// TestReceiveReportsWhyWithoutACacheFolder: the reason of a failure does not depend on
// the folder for its file.
func TestReceiveReportsWhyWithoutACacheFolder(t *testing.T) {
	failed := func(t *testing.T, nodes ...contract.NodeID) *left {
		l := leave(t, ended(v1alpha1.ReasonOOMKilled, v1alpha1.TaskFailed, nodes...))
		l.tg.Status.Tasks[0].Reason, l.tg.Status.Tasks[0].Message = "OOMKilled", "the memory limit of 2Gi was reached"
		return l
	}
	nowhere := unwritable(t)
	withoutCache := func(c *executor.Config) { c.Options.CacheDir = nowhere }
	t.Run("a temporary folder replaces it", func(t *testing.T) {
		t.Setenv("TMPDIR", t.TempDir())
		updates, err := failed(t, 3).receive(withoutCache)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(pathOf(t, updates[0].Assets[contract.AssetError].RemoteURI))
		if err != nil || !strings.HasPrefix(string(text), "OOMKilled: the memory limit of 2Gi was reached\n") {
			t.Errorf("the error is %q, %v", text, err)
		}
	})
	t.Run("no folder can be written", func(t *testing.T) {
		l := failed(t, 3)
		t.Setenv("TMPDIR", nowhere)
		_, err := l.receive(withoutCache)
		if !errors.Is(err, executor.ErrTaskFailed) || !strings.HasPrefix(err.Error(), "OOMKilled: the memory limit of 2Gi was reached\n") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("another node completed", func(t *testing.T) {
		l := failed(t, 3, 4)
		l.task(4, contract.TaskCompleted, map[contract.AssetKey]string{"output": "result"})
		l.tg.Status.Tasks[1].State = v1alpha1.TaskCompleted
		l.commit()
		t.Setenv("TMPDIR", nowhere)
		updates, err := l.receive(withoutCache)
		if err != nil || updates[0].Status.Status != contract.TaskFailed || updates[1].Assets["output"].Size != 6 {
			t.Errorf("got %+v, %v", updates, err)
		}
	})
}

// TestReceiveFailsOnlyTheNodeThatIsInvalid: another node of the group has its results.
func TestReceiveFailsOnlyTheNodeThatIsInvalid(t *testing.T) {
	t.Parallel()
	l := leave(t, ended(v1alpha1.ReasonCompleted, v1alpha1.TaskCompleted, 3, 4))
	for _, node := range []contract.NodeID{3, 4} {
		l.task(node, contract.TaskCompleted, map[contract.AssetKey]string{"output": "result"})
	}
	l.commit()
	l.write(contract.AssetURI(l.place(), 3, contract.AssetOutput), []byte("other bytes"))
	updates, err := l.receive()
	if err != nil || updates[0].Status.Status != contract.TaskFailed || updates[1].Status.Status != contract.TaskCompleted {
		t.Fatalf("got %+v, %v", updates, err)
	}
	if text := l.read(updates[0].Assets[contract.AssetError].RemoteURI); !strings.Contains(string(text), "node 3: its output") {
		t.Errorf("the error is %q", text)
	}
}

// busyStore fails some reads before it opens files.
type busyStore struct {
	results.Files
	failures int
	err      error
}

func (b *busyStore) Open(ctx context.Context, location, uri string) (io.ReadCloser, int64, error) {
	if b.failures--; b.failures >= 0 {
		return nil, 0, b.err
	}
	return b.Files.Open(ctx, location, uri)
}

// TestReceiveOutlastsABusyStore: a thousand groups that finish at once are too many
// requests for a while.
func TestReceiveOutlastsABusyStore(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		busy busyStore
		want error
	}{
		"slow down":     {busy: busyStore{failures: 5, err: &store.StatusError{Code: 503, Text: "SlowDown"}}},
		"no connection": {busy: busyStore{failures: 5, err: io.ErrUnexpectedEOF}},
		"for too long":  {busy: busyStore{failures: 1 << 30, err: &store.StatusError{Code: 503}}, want: executor.ErrManifestUnavailable},
		"no permission": {busy: busyStore{failures: 1, err: &store.StatusError{Code: 403}}, want: executor.ErrManifestUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := leave(t, ended(v1alpha1.ReasonCompleted, v1alpha1.TaskCompleted, 3))
				l.task(3, contract.TaskCompleted, map[contract.AssetKey]string{"output": "result"})
				l.commit()
				updates, err := l.receive(func(c *executor.Config) { c.Objects = &test.busy })
				if !errors.Is(err, test.want) || test.want == nil && updates[0].Assets["output"].Size != 6 {
					t.Errorf("got %+v, %v; want %v", updates, err, test.want)
				}
			})
		})
	}
}
