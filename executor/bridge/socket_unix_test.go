// SPDX-License-Identifier: Apache-2.0

//go:build unix

package bridge

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bridge", "s")
	first, err := listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", info.Mode(), err)
	}
	if _, err := listen(path); err == nil || !strings.Contains(err.Error(), "another process serves") {
		t.Errorf("a second one: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := listen(path)
	if err != nil {
		t.Fatalf("after it ended: %v", err)
	}
	_ = again.Close()
}

// TestStaleSocket: a process that was killed leaves its socket behind.
func TestStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	_ = dead.Close()
	next, err := listen(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = next.Close()
}

// TestForeignSocket: one that a process without our lock serves is left alone, as is
// a file.
func TestForeignSocket(t *testing.T) {
	dir := t.TempDir()
	foreign, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, says := range map[string]string{"s": "another process serves", "f": "is no socket"} {
		if _, err := listen(filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "f")); string(raw) != "mine" {
		t.Errorf("the file has %q, %v", raw, err)
	}
}

func TestOptionsValidate(t *testing.T) {
	for listen, valid := range map[string]bool{
		"unix:///run/x": true, "unix://x": false, "/run/x": false, "tcp://0.0.0.0:80": false, "unix:///" + strings.Repeat("x", 120): false,
	} {
		if err := (&Options{Listen: listen}).Validate(); (err == nil) != valid {
			t.Errorf("%q: %v", listen, err)
		}
	}
	for host, valid := range map[string]bool{"dispatcher": true, "10.0.0.1:48008": true, "*": false, "http://x": false, "": false} {
		if err := (&Options{Listen: "unix:///x", CallbackHosts: []string{host}}).Validate(); (err == nil) != valid {
			t.Errorf("%q: %v", host, err)
		}
	}
}
