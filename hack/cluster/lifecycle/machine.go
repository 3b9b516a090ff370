// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/layout"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/node"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/tunables"
)

func ownerFile(runDir string) string { return filepath.Join(runDir, "owner") }

// enterMachine makes the cluster one of those with a node on this machine. Its
// run folder names its owner, for when the state is lost.
func enterMachine(l layout.Layout) error {
	unlock, err := layout.Lock(layout.RunRoot)
	if err != nil {
		return err
	}
	defer unlock()
	if err := tunables.Host(layout.RunRoot).Save(); err != nil {
		return err
	}
	if err := os.MkdirAll(l.RunDir(), 0o711); err != nil {
		return fmt.Errorf("making the run folder: %w", err)
	}
	if err := os.WriteFile(ownerFile(l.RunDir()), []byte(l.Dir), 0o644); err != nil {
		return fmt.Errorf("marking the run folder: %w", err)
	}
	return nil
}

// leaveMachine removes the run folder. The last cluster that leaves also puts
// back what clusters changed together.
func leaveMachine(l layout.Layout) error {
	if _, err := os.Stat(l.RunDir()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	unlock, err := layout.Lock(layout.RunRoot)
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.RemoveAll(l.RunDir()); err != nil {
		return fmt.Errorf("removing the run folder: %w", err)
	}
	others, err := filepath.Glob(ownerFile(filepath.Join(layout.RunRoot, "*")))
	if err != nil || len(others) > 0 {
		return err
	}
	if err := tunables.Host(layout.RunRoot).Restore(); err != nil {
		return err
	}
	node.RemoveSharedPlaces()
	// The process that waits for the lock makes the folder again.
	_ = os.Remove(layout.RunRoot)
	return nil
}
