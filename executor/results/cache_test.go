// SPDX-License-Identifier: Apache-2.0

package results

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

func TestErrorFilesArePruned(t *testing.T) {
	dir := t.TempDir()
	for i, age := range []time.Duration{25 * time.Hour, 20 * time.Hour, 3 * time.Hour, 2 * time.Hour, time.Minute, 0} {
		testkit.WriteAged(t, filepath.Join(dir, fmt.Sprintf("uid-%d", i), "error-3.txt"), age)
	}
	testkit.WriteAged(t, filepath.Join(dir, "uid-0", "somebody-elses.txt"), 25*time.Hour)
	pruneErrors(dir, time.Now(), 10)
	want := []string{"uid-0/somebody-elses.txt", "uid-1/error-3.txt", "uid-2/error-3.txt", "uid-3/error-3.txt", "uid-4/error-3.txt", "uid-5/error-3.txt"}
	if diff := cmp.Diff(want, testkit.Files(t, dir)); diff != "" {
		t.Errorf("by their age (-want +got):\n%s", diff)
	}
	// More than there may be: the oldest go, but none of the last hour, in which the
	// first folder changed.
	pruneErrors(dir, time.Now(), 4)
	if diff := cmp.Diff([]string{"uid-0/somebody-elses.txt", "uid-3/error-3.txt", "uid-4/error-3.txt", "uid-5/error-3.txt"}, testkit.Files(t, dir)); diff != "" {
		t.Errorf("by their number (-want +got):\n%s", diff)
	}
	pruneErrors(dir, time.Now(), 1)
	if diff := cmp.Diff([]string{"uid-0/somebody-elses.txt", "uid-4/error-3.txt", "uid-5/error-3.txt"}, testkit.Files(t, dir)); diff != "" {
		t.Errorf("fresh ones (-want +got):\n%s", diff)
	}
	pruneErrors(filepath.Join(dir, "nowhere"), time.Now(), 1)
}
