// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestLinkEntries(t *testing.T) {
	root, writable := t.TempDir(), filepath.Join(t.TempDir(), "work", "root")
	if err := os.MkdirAll(filepath.Join(root, "usr", "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"usr/bin/python3", "file"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := linkEntries(root, writable); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"usr/bin/python3", "file"} {
		if got, err := os.ReadFile(filepath.Join(writable, name)); err != nil || string(got) != name {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	if err := os.WriteFile(filepath.Join(writable, "product"), nil, 0o600); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(root); err != nil || len(entries) != 2 {
		t.Errorf("the directory has %d entries, %v", len(entries), err)
	}
	if err := linkEntries(filepath.Join(root, "absent"), writable); err == nil {
		t.Error("a directory that does not exist was linked")
	}
}
