// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/layout"
)

// List finds the clusters whose folders are in parent: by their folders, and,
// where those were lost, by their run folders.
func List(parent string) ([]layout.Layout, error) {
	return list(parent, layout.RunRoot)
}

func list(parent, runRoot string) ([]layout.Layout, error) {
	stateFiles, err := filepath.Glob(filepath.Join(parent, "*", "cluster.json"))
	if err != nil {
		return nil, fmt.Errorf("listing the clusters in %s: %w", parent, err)
	}
	owners, err := filepath.Glob(ownerFile(filepath.Join(runRoot, "*")))
	if err != nil {
		return nil, fmt.Errorf("listing the run folders of clusters: %w", err)
	}
	var dirs []string
	for _, file := range stateFiles {
		dirs = append(dirs, filepath.Dir(file))
	}
	for _, owner := range owners {
		data, err := os.ReadFile(owner)
		if err == nil && filepath.Dir(strings.TrimSpace(string(data))) == parent {
			dirs = append(dirs, strings.TrimSpace(string(data)))
		}
	}
	seen := map[string]bool{}
	var found []layout.Layout
	for _, dir := range dirs {
		l, err := layout.New(filepath.Base(dir), dir)
		if err != nil || seen[l.Dir] {
			continue
		}
		seen[l.Dir] = true
		found = append(found, l)
	}
	return found, nil
}
