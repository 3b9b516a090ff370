// SPDX-License-Identifier: Apache-2.0

package contract

import "strconv"

// NodeID is Covalent's electron_id: the number of a node in the graph of one
// dispatch. In JSON maps it is a string, since JSON has no other keys.
type NodeID int64

// String returns the ID in decimal, which is part of the task's object keys.
func (n NodeID) String() string { return strconv.FormatInt(int64(n), 10) }

// TaskState is Covalent's vocabulary for the state of a task
// (covalent/_shared_files/util_classes.py, RESULT_STATUS).
type TaskState string

// The states of a task. The last three are terminal.
const (
	TaskPending   TaskState = "PENDING"
	TaskRunning   TaskState = "RUNNING"
	TaskCompleted TaskState = "COMPLETED"
	TaskFailed    TaskState = "FAILED"
	TaskCancelled TaskState = "CANCELLED"
)

// IsTerminal reports whether a task in this state never changes it again.
func (s TaskState) IsTerminal() bool {
	return s == TaskCompleted || s == TaskFailed || s == TaskCancelled
}

// Letter is the state's one-byte form in a termination message.
// CANCELLED is X, because C is COMPLETED.
func (s TaskState) Letter() byte {
	switch s {
	case TaskRunning:
		return 'R'
	case TaskCompleted:
		return 'C'
	case TaskFailed:
		return 'F'
	case TaskCancelled:
		return 'X'
	case TaskPending:
	}
	return 'P'
}

// taskStateOf is the inverse of Letter.
func taskStateOf(letter byte) (TaskState, bool) {
	for _, s := range []TaskState{TaskPending, TaskRunning, TaskCompleted, TaskFailed, TaskCancelled} {
		if s.Letter() == letter {
			return s, true
		}
	}
	return "", false
}

// Reason is one CamelCase word for why a task, and with it its group, failed.
type Reason string

// The reasons that a runner gives. Those that only the cluster can know
// (Evicted, ImagePullFailed, ...) are in api/v1alpha1.
const (
	// ReasonTaskError is an exception that left the function.
	ReasonTaskError Reason = "TaskError"
	// ReasonExitCode is a process that ended by itself with a code other than
	// 0, by a signal, or before its function returned.
	ReasonExitCode Reason = "ExitCode"
	// ReasonOOMKilled is a process that the kernel ended because the container
	// reached its memory limit while the runner survived.
	ReasonOOMKilled Reason = "OOMKilled"
	// ReasonInputUnavailable is an asset that could not be read.
	ReasonInputUnavailable Reason = "InputUnavailable"
	// ReasonInputInvalid is an asset that was read and could not be loaded: no
	// TransportableObject, a corrupt pickle, a module that the image lacks.
	ReasonInputInvalid Reason = "InputInvalid"
	// ReasonOutputInvalid is a result that cannot be pickled.
	ReasonOutputInvalid Reason = "OutputInvalid"
	// ReasonOutputUploadFailed is a result, stream or manifest that the store
	// did not take.
	ReasonOutputUploadFailed Reason = "OutputUploadFailed"
	// ReasonHookFailed is a bash, pip, call_before or call_after hook that failed.
	ReasonHookFailed Reason = "HookFailed"
	// ReasonPythonVersionMismatch is a pickle made by another minor version of
	// Python than the image has.
	ReasonPythonVersionMismatch Reason = "PythonVersionMismatch"
	// ReasonPythonUnavailable is an image without a Python that the harness can
	// run on: 3.9 or newer with cloudpickle.
	ReasonPythonUnavailable Reason = "PythonUnavailable"
	// ReasonDeadlineExceeded is a task that took longer than a task may, or that
	// was running when the group's time was over.
	ReasonDeadlineExceeded Reason = "DeadlineExceeded"
	// ReasonTerminated is a task that was stopped because its pod received SIGTERM,
	// whatever its exit code is.
	ReasonTerminated Reason = "Terminated"
	// ReasonNotStarted is a task that never ran, since one before it failed or
	// the pod received SIGTERM.
	ReasonNotStarted Reason = "NotStarted"
	// ReasonPlanInvalid is a plan that the runner could not read: the operator
	// and the runner image do not belong together.
	ReasonPlanInvalid Reason = "PlanInvalid"
)
