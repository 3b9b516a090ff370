// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor/results"
)

// Setup prepares a Run (covalent/executor/base.py, setup): the folder for its
// objects below Options.Assets, which has to be a file:// URI of a volume that pods
// and this machine share.
func (e *Executor) Setup(_ context.Context, task contract.TaskMetadata) error {
	dir, err := e.runDir(task)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return errorf(ErrConfiguration, "making the folder for the objects of a run: set assets to a folder that can be written: %w", err)
	}
	return nil
}

// Teardown removes what Setup made (covalent/executor/base.py, teardown). The
// TaskGroup stays until its TTL, so that a user can look at it.
func (e *Executor) Teardown(_ context.Context, task contract.TaskMetadata) error {
	dir, err := e.runDir(task)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the objects of a run: %w", err)
	}
	return nil
}

// runGroup is the group of a node that runs by itself.
func runGroup(task contract.TaskMetadata) contract.TaskGroupMetadata {
	return contract.TaskGroupMetadata{DispatchID: task.DispatchID, NodeIDs: []contract.NodeID{task.NodeID}, TaskGroupID: int64(task.NodeID)}
}

// runDir is the folder for the objects of a run, on this machine.
func (e *Executor) runDir(task contract.TaskMetadata) (string, error) {
	dir, err := results.FilePath(e.options.Assets)
	if err != nil {
		return "", errorf(ErrInvalid, "running a function needs assets, a file:// URI of a volume that pods share with this machine: %w", err)
	}
	group := runGroup(task)
	return filepath.Join(e.files().Local(dir), Name(group.DispatchID, group.TaskGroupID)), nil
}
