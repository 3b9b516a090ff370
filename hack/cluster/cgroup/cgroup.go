// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Hierarchies is the set of mounted cgroup hierarchies.
type Hierarchies struct {
	// Root is where they are mounted.
	Root string
}

// Host is the hierarchies of this machine.
var Host = Hierarchies{Root: "/sys/fs/cgroup"}

// isUnified reports that there is only cgroup v2.
func (h Hierarchies) isUnified() bool {
	_, err := os.Stat(filepath.Join(h.Root, "cgroup.controllers"))
	return err == nil
}

// roots lists the root of every hierarchy, each once: controllers that share
// one are also there as links ("cpu" beside "cpu,cpuacct").
func (h Hierarchies) roots() ([]string, error) {
	if h.isUnified() {
		return []string{h.Root}, nil
	}
	entries, err := os.ReadDir(h.Root)
	if err != nil {
		return nil, fmt.Errorf("listing the cgroup hierarchies: %w", err)
	}
	var roots []string
	for _, entry := range entries {
		if entry.IsDir() {
			roots = append(roots, filepath.Join(h.Root, entry.Name()))
		}
	}
	return roots, nil
}

// Create makes the cgroup in every hierarchy.
func (h Hierarchies) Create(path string) error {
	roots, err := h.roots()
	if err != nil {
		return err
	}
	for _, root := range roots {
		dir := filepath.Join(root, path)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("making the cgroup %s: %w", dir, err)
		}
		if err := inheritCPUSet(root, dir); err != nil {
			return err
		}
	}
	if h.isUnified() {
		return delegate(h.Root, path)
	}
	return nil
}

// inheritCPUSet copies the CPUs and memory nodes: on v1 a new cpuset is empty,
// and no process can enter an empty one.
func inheritCPUSet(root, dir string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(root, file))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading %s of %s: %w", file, root, err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), value, 0o644); err != nil {
			return fmt.Errorf("setting %s of %s: %w", file, dir, err)
		}
	}
	return nil
}

// delegate turns on, for the children of the cgroup, all controllers that v2 has.
func delegate(root, path string) error {
	controllers, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("reading the cgroup controllers: %w", err)
	}
	for _, dir := range []string{root, filepath.Join(root, path)} {
		for controller := range strings.FieldsSeq(string(controllers)) {
			err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
			if err != nil {
				return fmt.Errorf("turning on the %s controller in %s: %w", controller, dir, err)
			}
		}
	}
	return nil
}

// Processes lists the pids in the cgroup and below it, in all hierarchies.
func (h Hierarchies) Processes(path string) ([]int, error) {
	roots, err := h.roots()
	if err != nil {
		return nil, err
	}
	seen := map[int]bool{}
	var pids []int
	for _, root := range roots {
		for _, dir := range tree(filepath.Join(root, path)) {
			// A cgroup may go away while we look; then it has no processes.
			data, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
			for field := range strings.FieldsSeq(string(data)) {
				if pid, err := strconv.Atoi(field); err == nil && !seen[pid] {
					seen[pid] = true
					pids = append(pids, pid)
				}
			}
		}
	}
	return pids, nil
}

// Remove removes the cgroup and all below it. The kernel lets a cgroup go only
// some time after its last process terminated, so it is tried until the timeout.
func (h Hierarchies) Remove(path string, timeout time.Duration) error {
	roots, err := h.roots()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(timeout)
	for _, root := range roots {
		dirs := tree(filepath.Join(root, path))
		for _, dir := range slices.Backward(dirs) {
			for {
				err := os.Remove(dir)
				if err == nil || errors.Is(err, fs.ErrNotExist) {
					break
				}
				if time.Now().After(deadline) {
					return fmt.Errorf("removing the cgroup %s: %w", dir, err)
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
	}
	return nil
}

// tree lists a folder and all folders below it, parents first; none if it does not exist.
func tree(dir string) []string {
	var dirs []string
	// Whatever vanishes during the walk is what the callers want to be gone.
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	return dirs
}
