// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestCreateFillsTheCPUSetOfV1(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "cpuset/cpuset.cpus"), "0-1\n")
	write(t, filepath.Join(root, "cpuset/cpuset.mems"), "0\n")
	write(t, filepath.Join(root, "memory/cgroup.procs"), "")

	if err := (Hierarchies{Root: root}).Create("/tgc-1"); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(root, "cpuset/tgc-1/cpuset.cpus")); err != nil || string(got) != "0-1\n" {
		t.Errorf("cpuset.cpus = %q, %v; want the parent's", got, err)
	}
	if _, err := os.Stat(filepath.Join(root, "memory/tgc-1")); err != nil {
		t.Errorf("the memory hierarchy has no cgroup: %v", err)
	}
}

func TestProcessesLooksBelowAndCountsOnce(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "memory/tgc-1/pod/cgroup.procs"), "7\n8\n")
	write(t, filepath.Join(root, "pids/tgc-1/pod/cgroup.procs"), "8\n9\n")
	write(t, filepath.Join(root, "pids/tgc-2/cgroup.procs"), "10\n")

	got, err := Hierarchies{Root: root}.Processes("/tgc-1")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if diff := cmp.Diff([]int{7, 8, 9}, got); diff != "" {
		t.Errorf("Processes (-want +got):\n%s", diff)
	}
}

func TestRemoveTakesTheWholeTreeAndNothingElse(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"memory/tgc-1/pod/container", "memory/tgc-2"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h := Hierarchies{Root: root}
	for range 2 {
		if err := h.Remove("/tgc-1", time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "memory/tgc-1")); !os.IsNotExist(err) {
		t.Errorf("tgc-1 is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(root, "memory/tgc-2")); err != nil {
		t.Errorf("tgc-2: %v, want it untouched", err)
	}
}
