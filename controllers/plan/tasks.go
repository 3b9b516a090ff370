package plan

import (
	"fmt"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// uniformTasks gives one state to all tasks but those that a committed manifest
// of an earlier attempt says are completed.
func uniformTasks(o *Observed, state v1alpha1.TaskState) []v1alpha1.TaskStatus {
	tasks := make([]v1alpha1.TaskStatus, len(o.TaskGroup.Spec.Tasks))
	resumed := isParallel(o) || AttemptOf(o.TaskGroup, o.Attempt).Previous != nil
	for i := range tasks {
		tasks[i] = v1alpha1.TaskStatus{NodeID: o.TaskGroup.Spec.Tasks[i].NodeID, State: state}
		if resumed && i < len(o.TaskGroup.Status.Tasks) && o.TaskGroup.Status.Tasks[i].State == v1alpha1.TaskCompleted {
			tasks[i] = o.TaskGroup.Status.Tasks[i]
		}
	}
	return tasks
}

// pendingTasks are the tasks between two attempts: those that the record, or an
// earlier one, has as completed need not run again.
func pendingTasks(o *Observed, record *contract.TerminationMessage) []v1alpha1.TaskStatus {
	tasks := uniformTasks(o, v1alpha1.TaskPending)
	if record == nil || record.ManifestSHA256 == "" || isParallel(o) {
		return tasks
	}
	for i := range tasks {
		if record.States[i] == contract.TaskCompleted {
			tasks[i].State = v1alpha1.TaskCompleted
		}
	}
	return tasks
}

// endedTasks gives every task a terminal state: from the record where there is
// one, else that of the whole.
func endedTasks(o *Observed, v verdict) []v1alpha1.TaskStatus {
	if v.record == nil {
		return unrecordedTasks(o, v)
	}
	tasks := uniformTasks(o, v1alpha1.TaskCancelled)
	for i := range tasks {
		if state := v1alpha1.TaskState(v.record.States[i]); v.record.States[i].IsTerminal() {
			tasks[i].State = state
		}
		if f := v.record.Failure; f != nil && f.NodeID != nil && v1alpha1.NodeID(*f.NodeID) == tasks[i].NodeID {
			tasks[i].Reason = v1alpha1.Reason(contract.Truncate(string(f.Reason), maxReason))
			tasks[i].Message = contract.Truncate(oneLine(f.Message), maxConditionMessage)
			tasks[i].ExitCode = f.ExitCode
		}
	}
	return tasks
}

func unrecordedTasks(o *Observed, v verdict) []v1alpha1.TaskStatus {
	if v.succeeded {
		return uniformTasks(o, v1alpha1.TaskCompleted)
	}
	tasks := uniformTasks(o, v1alpha1.TaskFailed)
	for i := range tasks {
		if tasks[i].State == v1alpha1.TaskFailed {
			tasks[i].Reason = v.reason
		}
	}
	return tasks
}

// cancelOpen cancels what has not ended.
func cancelOpen(tasks []v1alpha1.TaskStatus) {
	for i := range tasks {
		if !tasks[i].State.IsTerminal() {
			tasks[i].State = v1alpha1.TaskCancelled
		}
	}
}

func summaryOf(tasks []v1alpha1.TaskStatus) string {
	completed := 0
	for i := range tasks {
		if tasks[i].State == v1alpha1.TaskCompleted {
			completed++
		}
	}
	return fmt.Sprintf("%d/%d", completed, len(tasks))
}
