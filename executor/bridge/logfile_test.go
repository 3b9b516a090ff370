// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestLogFile: two bridges write to one file, which is rotated, removed, and replaced by a
// folder.
func TestLogFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bridge.log")
	var fallback bytes.Buffer
	var logs [2]*LogFile
	for i := range logs {
		logs[i] = &LogFile{Path: path, Fallback: &fallback, limit: 40}
		defer func() { _ = logs[i].Close() }()
	}
	write := func(n int) {
		t.Helper()
		if _, err := fmt.Fprintf(logs[n%2], "line %04d\n", n); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(name, want string) {
		t.Helper()
		raw, err := os.ReadFile(name)
		if err != nil || string(raw) != want {
			t.Errorf("%s has %q, %v; want %q", filepath.Base(name), raw, err, want)
		}
	}
	for n := range 10 {
		write(n)
	}
	expect(path+".1", "line 0004\nline 0005\nline 0006\nline 0007\n")
	expect(path, "line 0008\nline 0009\n")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(10)
	expect(path, "line 0010\n")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path+".1/", 0o700); err == nil {
		t.Fatal("the rotated file is missing")
	}
	write(11)
	if fallback.String() != "line 0011\n" {
		t.Errorf("the fallback has %q", fallback.String())
	}
}
