package executor_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// errorFile puts a file into a group's folder, as of some time ago.
func errorFile(t *testing.T, dir, group, name string, age time.Duration) {
	t.Helper()
	path := filepath.Join(dir, group, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("why"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-age)
	for _, p := range []string{path, filepath.Dir(path)} {
		if err := os.Chtimes(p, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

// files are those of a folder and its folders.
func files(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range found {
		if found[i], err = filepath.Rel(dir, found[i]); err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// TestReceivePrunes at the first error that it writes, and not at each: nothing but
// what is its own in cache_dir.
func TestReceivePrunes(t *testing.T) {
	cache := t.TempDir()
	dir := filepath.Join(cache, "taskgroup-errors")
	errorFile(t, dir, "old", "error-1.txt", 48*time.Hour)
	errorFile(t, cache, "a-dispatch", "error-1.txt", 48*time.Hour)
	tg := ended(v1alpha1.ReasonOOMKilled, v1alpha1.TaskFailed, 3)
	cluster, _ := fakeCluster(t, interceptor.Funcs{}, tg)
	e := newExecutor(t, cluster, func(c *executor.Config) { c.Options.CacheDir = cache })
	receive := func() contract.AssetUpdate {
		updates, err := e.Receive(t.Context(), groupOf(3), &executor.Outcome{Handle: e.Handle(groupOf(3))})
		if err != nil {
			t.Fatal(err)
		}
		return updates[0].Assets[contract.AssetError]
	}
	written := receive()
	if diff := cmp.Diff([]string{string(tg.UID) + "/error-3.txt"}, files(t, dir)); diff != "" {
		t.Errorf("left are (-want +got):\n%s", diff)
	}
	if got := pathOf(t, written.RemoteURI); got != filepath.Join(dir, string(tg.UID), "error-3.txt") {
		t.Errorf("the error is %s", got)
	}
	if got := files(t, cache); len(got) != 2 || got[0] != "a-dispatch/error-1.txt" {
		t.Errorf("in cache_dir are %v", got)
	}
	errorFile(t, dir, "old", "error-1.txt", 48*time.Hour)
	receive()
	if got := files(t, dir); len(got) != 2 {
		t.Errorf("it was looked through again: %v", got)
	}
}
