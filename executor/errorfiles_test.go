// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// TestReceivePrunes at the first error that it writes, and not at each: nothing but
// what is its own in cache_dir.
func TestReceivePrunes(t *testing.T) {
	cache := t.TempDir()
	dir := filepath.Join(cache, "taskgroup-errors")
	testkit.WriteAged(t, filepath.Join(dir, "old", "error-1.txt"), 48*time.Hour)
	testkit.WriteAged(t, filepath.Join(cache, "a-dispatch", "error-1.txt"), 48*time.Hour)
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
	if diff := cmp.Diff([]string{string(tg.UID) + "/error-3.txt"}, testkit.Files(t, dir)); diff != "" {
		t.Errorf("left are (-want +got):\n%s", diff)
	}
	if got := pathOf(t, written.RemoteURI); got != filepath.Join(dir, string(tg.UID), "error-3.txt") {
		t.Errorf("the error is %s", got)
	}
	if got := testkit.Files(t, cache); len(got) != 2 || got[0] != "a-dispatch/error-1.txt" {
		t.Errorf("in cache_dir are %v", got)
	}
	testkit.WriteAged(t, filepath.Join(dir, "old", "error-1.txt"), 48*time.Hour)
	receive()
	if got := testkit.Files(t, dir); len(got) != 2 {
		t.Errorf("it was looked through again: %v", got)
	}
}
