// SPDX-License-Identifier: Apache-2.0

package tunables

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheFirstSaveIsWhatIsRestored(t *testing.T) {
	root := t.TempDir()
	setting := filepath.Join(root, "vm/overcommit_memory")
	if err := os.MkdirAll(filepath.Dir(setting), 0o755); err != nil {
		t.Fatal(err)
	}
	set := func(value string) {
		t.Helper()
		if err := os.WriteFile(setting, []byte(value), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	store := Store{File: filepath.Join(t.TempDir(), "kept.json"), Root: root}

	set("0\n")
	if err := store.Save(); err != nil {
		t.Fatal(err)
	}
	set("1\n")
	if err := store.Save(); err != nil {
		t.Fatal(err)
	}
	if err := store.Restore(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(setting); err != nil || string(got) != "0" {
		t.Errorf("the setting is %q, %v; want what it was before the first cluster", got, err)
	}
	set("1\n")
	if err := store.Restore(); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(setting); string(got) != "1\n" {
		t.Errorf("the setting is %q; want Restore to do nothing when nothing is kept", got)
	}
}
