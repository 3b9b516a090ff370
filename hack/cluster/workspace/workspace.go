// SPDX-License-Identifier: Apache-2.0

package workspace

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// marker is a path that only this repository has, relative to its root.
const marker = "hack/cluster/modules/kubernetes/go.mod"

// Workspace is a checkout of the repository.
type Workspace struct {
	// Root is the absolute path of the checkout, without symbolic links.
	Root string
}

// Find looks for the checkout upwards from the current directory, then upwards
// from the running binary, so that a binary in <repo>/bin works from anywhere.
func Find() (Workspace, error) {
	starts := make([]string, 0, 2)
	if cwd, err := os.Getwd(); err == nil {
		starts = append(starts, cwd)
	}
	if exe, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(exe))
	}
	for _, start := range starts {
		if root, err := findFrom(start); err == nil {
			return Workspace{Root: root}, nil
		}
	}
	return Workspace{}, errors.New("finding the repository: neither the current directory nor this binary is inside a checkout; change into one and try again")
}

// findFrom walks from start to the root of the file system.
func findFrom(start string) (string, error) {
	dir, err := filepath.EvalSymlinks(start)
	if err != nil {
		return "", fmt.Errorf("resolving %s: %w", start, err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, marker)); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("looking for %s above %s: %w", marker, start, os.ErrNotExist)
		}
		dir = parent
	}
}

// Hack is the Go module of these tools.
func (w Workspace) Hack() string { return filepath.Join(w.Root, "hack") }

// Modules is the folder of the pinned modules that the binaries are built from.
func (w Workspace) Modules() string { return filepath.Join(w.Root, "hack", "cluster", "modules") }

// Cache is the default folder of everything built.
func (w Workspace) Cache() string { return filepath.Join(w.Root, ".cache") }

// Clusters is the default folder of the clusters' state.
func (w Workspace) Clusters() string { return filepath.Join(w.Root, ".cluster") }
