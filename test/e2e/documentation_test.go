// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/test/docs"
)

// first is the page that creates the namespace of the others.
const first = "docs/get-started.md"

// TestCommandsOfTheDocumentation runs each block of shell commands of the documentation
// that has no marker, as a user with the kubeconfig of an administrator.
func TestCommandsOfTheDocumentation(t *testing.T) {
	t.Parallel()
	blocks, err := docs.Blocks(cluster.Root, "sh")
	if err != nil {
		t.Fatal(err)
	}
	rank := func(block docs.Block) int {
		if block.Page == first {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(blocks, func(a, b docs.Block) int { return rank(a) - rank(b) })
	path := t.TempDir()
	for name, target := range map[string]string{"kubectl": cluster.Kubectl, "taskgroup": filepath.Join(cluster.Root, "bin", "taskgroup")} {
		if err := os.Symlink(target, filepath.Join(path, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, block := range blocks {
		if block.NotRun != "" {
			continue
		}
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", block.Text)
		cmd.Dir = cluster.Root
		cmd.Env = append(os.Environ(), "KUBECONFIG="+cluster.Kubeconfig, "PATH="+path+":"+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", block, err, out)
		}
	}
}
