// SPDX-License-Identifier: Apache-2.0

package local_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/local"
)

func TestRemove(t *testing.T) {
	s := store.New(map[string]store.Backend{"file": local.New()})
	folder := t.TempDir()
	path := filepath.Join(folder, "größe")
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Remove(t.Context(), local.URI(path)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("it still exists: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), local.URI(path)+"/below"); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("removing an object below a file: %v", err)
	}
}
