// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNewRefusesBadNames(t *testing.T) {
	for _, name := range []string{"", "A", "a_b", "-a", "a-", "a/b", strings.Repeat("a", 41)} {
		if _, err := New(name, "/tmp/x"); err == nil {
			t.Errorf("New(%q) succeeded, want an error", name)
		}
	}
}

func TestNamesFitTheKernelsLimits(t *testing.T) {
	l, err := New("a", "/"+strings.Repeat("long/", 60)+"a")
	if err != nil {
		t.Fatal(err)
	}
	if got := len(l.HostLink()); got > 15 {
		t.Errorf("HostLink is %d bytes, want at most 15", got)
	}
	if got := len(l.ContainerdSocket() + ".ttrpc"); got >= 108 {
		t.Errorf("containerd's socket is %d bytes, want less than 108", got)
	}
}

func TestSameFolderThroughASymlinkIsTheSameCluster(t *testing.T) {
	real := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	direct, err := New("a", filepath.Join(real, "not-there-yet", "a"))
	if err != nil {
		t.Fatal(err)
	}
	linked, err := New("a", filepath.Join(link, "not-there-yet", "a"))
	if err != nil {
		t.Fatal(err)
	}
	if direct != linked {
		t.Errorf("layouts differ: %+v and %+v", direct, linked)
	}
}

func TestLockSurvivesTheRemovalOfItsFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	unlock, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan error, 1)
	go func() {
		unlockSecond, err := Lock(dir)
		if err == nil {
			_, err = os.Stat(dir)
			unlockSecond()
		}
		second <- err
	}()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	unlock()
	if err := <-second; err != nil {
		t.Errorf("the second Lock: %v", err)
	}
}
