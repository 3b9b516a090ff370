// SPDX-License-Identifier: Apache-2.0

package volume_test

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/gateway/volume"
)

// mount mounts a file system in memory of 1 MiB, until the test ends.
func mount(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a file system needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mounting a file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmounting: %v", err)
		}
	})
	return dir
}

// TestFullVolume fills a volume. Other objects are not harmed, and a write succeeds
// when there is space again.
func TestFullVolume(t *testing.T) {
	dir := mount(t)
	v, err := volume.Open(volume.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = v.Close() }()
	create(t, v, result("7/output"), "data")
	before, usage := files(t, dir), v.Usage()
	large := func() error {
		_, err := v.Create(result("8/output"), 700<<10, io.LimitReader(zeros{}, 700<<10))
		return err
	}
	filler, err := os.Create(dir + "/filler")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := filler.Write(make([]byte, 600<<10)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := large(); !errors.Is(err, volume.ErrFull) {
			t.Fatalf("error %v", err)
		}
	}
	if got, err := read(v, result("7/output")); got != "data" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	create(t, v, result("9/output"), "small")
	if err := errors.Join(filler.Close(), os.Remove(filler.Name())); err != nil {
		t.Fatal(err)
	}
	if removed := files(t, dir); !cmp.Equal(removed, append(before, "namespaces/a/groups/uid/a1/9/output")) {
		t.Errorf("files %q", removed)
	}
	if got := v.Usage()["a"] - usage["a"]; got != 4096 {
		t.Errorf("usage grew by %d", got)
	}
	if err := large(); err != nil {
		t.Errorf("with space: %v", err)
	}
}

// TestReadOnlyVolume makes a volume read-only and writable again.
func TestReadOnlyVolume(t *testing.T) {
	dir := mount(t)
	v, err := volume.Open(volume.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	create(t, v, result("7/output"), "data")
	// A file that is open for writing, as the lock is, prevents a remount.
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	remount := func(flags uintptr) {
		t.Helper()
		if err := syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	remount(syscall.MS_RDONLY)
	if v, err = volume.Open(volume.Config{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = v.Close() }()
	if got, err := read(v, result("7/output")); got != "data" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if _, err := v.Create(result("8/output"), 1, strings.NewReader("x")); !errors.Is(err, volume.ErrReadOnly) {
		t.Errorf("error %v", err)
	}
	remount(0)
	create(t, v, result("8/output"), "x")
}

// TestUnmountedVolume unmounts the file system below the gateway, and mounts it again. The
// gateway continues with the file system that it opened, and writes nothing to the folder
// below the mount point: no object is missing, neither meanwhile nor afterwards.
func TestUnmountedVolume(t *testing.T) {
	disk, dir := mount(t), t.TempDir()
	bind := func() {
		t.Helper()
		if err := syscall.Mount(disk, dir, "", syscall.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
	}
	unbind := func() {
		t.Helper()
		// As a mount is lost: files that are open do not keep it.
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Fatal(err)
		}
	}
	bind()
	v, err := volume.Open(volume.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = v.Close() }()
	create(t, v, result("7/output"), "data")
	unbind()
	if got, err := read(v, result("7/output")); got != "data" || err != nil {
		t.Errorf("unmounted: read %q, %v", got, err)
	}
	create(t, v, result("8/output"), "x")
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("files below the mount point: %q", left)
	}
	bind()
	defer unbind()
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if v, err = volume.Open(volume.Config{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"7/output": "data", "8/output": "x"} {
		if got, err := read(v, result(name)); got != want || err != nil {
			t.Errorf("mounted again: read %q, %v", got, err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
