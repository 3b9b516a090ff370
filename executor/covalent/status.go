// SPDX-License-Identifier: Apache-2.0

package covalent

import (
	"context"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// ValidateStatus reports whether a state may be recorded for a job: a state of Covalent
// with at most the 24 characters of its table
// (covalent_dispatcher/_db/models.py, Job).
func ValidateStatus(status contract.Status) bool {
	switch status.Status {
	case contract.TaskPending, contract.TaskRunning, contract.TaskCompleted, contract.TaskFailed, contract.TaskCancelled:
		return true
	}
	return false
}

// SetJobStatus records the state of the job with its dispatcher. It returns false if the
// state is not legal, as covalent/executor/base.py does.
func SetJobStatus(ctx context.Context, dispatcher executor.Dispatcher, status contract.Status) (bool, error) {
	if !ValidateStatus(status) {
		return false, nil
	}
	if dispatcher == nil {
		return true, nil
	}
	err := dispatcher.Put(ctx, executor.JobStatus, status)
	return err == nil, err
}
