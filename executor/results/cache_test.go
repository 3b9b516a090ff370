package results

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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

func TestErrorFilesArePruned(t *testing.T) {
	dir := t.TempDir()
	for i, age := range []time.Duration{25 * time.Hour, 20 * time.Hour, 3 * time.Hour, 2 * time.Hour, time.Minute, 0} {
		errorFile(t, dir, fmt.Sprintf("uid-%d", i), "error-3.txt", age)
	}
	errorFile(t, dir, "uid-0", "somebody-elses.txt", 25*time.Hour)
	pruneErrors(dir, time.Now(), 10)
	want := []string{"uid-0/somebody-elses.txt", "uid-1/error-3.txt", "uid-2/error-3.txt", "uid-3/error-3.txt", "uid-4/error-3.txt", "uid-5/error-3.txt"}
	if diff := cmp.Diff(want, files(t, dir)); diff != "" {
		t.Errorf("by their age (-want +got):\n%s", diff)
	}
	// More than there may be: the oldest go, but none of the last hour, in which the
	// first folder changed.
	pruneErrors(dir, time.Now(), 4)
	if diff := cmp.Diff([]string{"uid-0/somebody-elses.txt", "uid-3/error-3.txt", "uid-4/error-3.txt", "uid-5/error-3.txt"}, files(t, dir)); diff != "" {
		t.Errorf("by their number (-want +got):\n%s", diff)
	}
	pruneErrors(dir, time.Now(), 1)
	if diff := cmp.Diff([]string{"uid-0/somebody-elses.txt", "uid-4/error-3.txt", "uid-5/error-3.txt"}, files(t, dir)); diff != "" {
		t.Errorf("fresh ones (-want +got):\n%s", diff)
	}
	pruneErrors(filepath.Join(dir, "nowhere"), time.Now(), 1)
}
