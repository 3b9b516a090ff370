// SPDX-License-Identifier: Apache-2.0

package workspace

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFindFrom(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	deep := filepath.Join(root, "some", "folder")
	for _, dir := range []string{deep, filepath.Join(root, filepath.Dir(marker))} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, marker), nil, 0o644); err != nil {
		t.Fatal(err)
	}

	got, err := findFrom(deep)
	if err != nil || got != root {
		t.Errorf("findFrom(a folder of the checkout) = %q, %v; want %q", got, err, root)
	}
	if got, err := findFrom(t.TempDir()); err == nil {
		t.Errorf("findFrom(a folder elsewhere) = %q, want an error", got)
	}
}
