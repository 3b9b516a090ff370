// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/server"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/volume"
)

// mount mounts a file system in memory of 1 MiB. The returned function unmounts it, and
// is called at the end of the test at the latest.
func mount(t *testing.T, dir string) (unmount func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a file system needs root")
	}
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mounting a file system: %v", err)
	}
	isMounted := true
	unmount = func() {
		if !isMounted {
			return
		}
		isMounted = false
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmounting: %v", err)
		}
	}
	t.Cleanup(unmount)
	return unmount
}

// TestFullVolume requires a typed refusal, and success when there is space again.
func TestFullVolume(t *testing.T) {
	dir := t.TempDir()
	mount(t, dir)
	g := start(t, volume.Config{Dir: dir}, server.Config{})
	if got := g.do(t, "PUT", results+"7/output", "data", bearer); got.Code != 201 {
		t.Fatalf("%v", got)
	}
	if err := os.WriteFile(dir+"/filler", make([]byte, 600<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("x", 700<<10)
	for range 3 {
		if got := g.do(t, "PUT", results+"8/output", large, bearer); got.Code != 507 || got.Reason != contract.GatewayVolumeFull {
			t.Fatalf("%d %s", got.Code, got.Reason)
		}
	}
	if left, err := os.ReadDir(dir + "/temporary"); len(left) > 0 || err != nil {
		t.Errorf("temporary files %v, %v", left, err)
	}
	if got := g.do(t, "GET", results+"7/output", "", bearer); got.Body != "data" {
		t.Errorf("another object: %v", got)
	}
	if got := g.do(t, "PUT", results+"9/output", "small", bearer); got.Code != 201 {
		t.Errorf("a small object: %v", got)
	}
	if err := os.Remove(dir + "/filler"); err != nil {
		t.Fatal(err)
	}
	if got := g.do(t, "PUT", results+"8/output", large, bearer); got.Code != 201 {
		t.Errorf("with space: %d %s", got.Code, got.Reason)
	}
}

// TestReadOnlyVolume serves reads from a volume that is read-only.
func TestReadOnlyVolume(t *testing.T) {
	dir := t.TempDir()
	mount(t, dir)
	prepared, err := volume.Open(volume.Config{Dir: dir})
	if err = errors.Join(err, prepared.Close()); err != nil {
		t.Fatal(err)
	}
	remount := func(flags uintptr) {
		if err := syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	remount(syscall.MS_RDONLY)
	g := start(t, volume.Config{Dir: dir}, server.Config{})
	if got := g.do(t, "PUT", results+"7/output", "data", bearer); got.Code != 503 || got.Reason != contract.GatewayVolumeReadOnly {
		t.Errorf("%v", got)
	}
	if got := g.do(t, "GET", results+"7/output", "", bearer); got.Code != 404 {
		t.Errorf("%v", got)
	}
	remount(0)
	if got := g.do(t, "PUT", results+"7/output", "data", bearer); got.Code != 201 {
		t.Errorf("writable again: %v", got)
	}
}

// TestLostVolume requires that the objects of a lost volume are not reported as missing:
// a client would not retry.
func TestLostVolume(t *testing.T) {
	dir := t.TempDir()
	unmount := mount(t, dir)
	g := start(t, volume.Config{Dir: dir}, server.Config{})
	if got := g.do(t, "PUT", results+"7/output", "data", bearer); got.Code != 201 {
		t.Fatalf("%v", got)
	}
	for _, name := range []string{".taskgroup-gateway", "namespaces", "temporary"} {
		if err := os.Rename(dir+"/"+name, dir+"/lost-"+name); err != nil {
			t.Fatal(err)
		}
	}
	for _, method := range []string{"GET", "PUT"} {
		if got := g.do(t, method, results+"7/output", "", bearer); got.Code != 503 || got.Reason != contract.GatewayVolumeUnavailable {
			t.Errorf("%s: %v", method, got)
		}
	}
	for _, name := range []string{".taskgroup-gateway", "namespaces", "temporary"} {
		if err := os.Rename(dir+"/lost-"+name, dir+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	if got := g.do(t, "GET", results+"7/output", "", bearer); got.Body != "data" {
		t.Errorf("found again: %v", got)
	}
	unmount()
}

// TestClientWaitsForSpace requires that the store of a pod retries until there is space.
func TestClientWaitsForSpace(t *testing.T) {
	dir := t.TempDir()
	mount(t, dir)
	g := start(t, volume.Config{Dir: dir}, server.Config{})
	if err := os.WriteFile(dir+"/filler", make([]byte, 600<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	stored := make(chan error, 1)
	go func() {
		_, err := podStores(g.URL).Put(t.Context(), resultURI(1, "7/output"), strings.NewReader(strings.Repeat("x", 700<<10)))
		stored <- err
	}()
	for refused := 0; refused == 0; {
		families, err := g.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			if family.GetName() == "taskgroup_gateway_refusals_total" {
				refused++
			}
		}
	}
	if err := os.Remove(dir + "/filler"); err != nil {
		t.Fatal(err)
	}
	if err := <-stored; err != nil {
		t.Error(err)
	}
}
