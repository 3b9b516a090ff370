// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// newTasks returns all tasks of the group in one state.
func newTasks(tg *v1alpha1.TaskGroup, state v1alpha1.TaskState) []v1alpha1.TaskStatus {
	tasks := make([]v1alpha1.TaskStatus, len(tg.Spec.Tasks))
	for i := range tasks {
		tasks[i] = v1alpha1.TaskStatus{NodeID: tg.Spec.Tasks[i].NodeID, State: state}
	}
	return tasks
}

// pendingTasks are the tasks of a Sequential group between two attempts: the tasks
// that the record, or an earlier one, reports as completed are not run again.
func pendingTasks(o *Observed, record *contract.TerminationMessage) []v1alpha1.TaskStatus {
	tasks := kindOf(o.TaskGroup).tasks(o, v1alpha1.TaskPending)
	if record == nil || len(record.States) != len(tasks) || (record.ManifestSHA256 == "" && o.ManifestURI != "") {
		return tasks
	}
	if record.ManifestSHA256 == "" && !allCompleted(record) {
		// Without a manifest the next attempt starts with the first task.
		return tasks
	}
	for i := range tasks {
		if record.States[i] == contract.TaskCompleted {
			completeTask(&tasks[i], o.Attempt)
		}
	}
	return tasks
}

// completeTask sets a task to COMPLETED, and the attempt unless an earlier one
// completed it.
func completeTask(task *v1alpha1.TaskStatus, attempt int32) {
	if task.State != v1alpha1.TaskCompleted {
		*task = v1alpha1.TaskStatus{NodeID: task.NodeID, State: v1alpha1.TaskCompleted, Attempt: attempt}
	}
}

// finalTasks gives every task a terminal state: from the record if there is one,
// else the state of the group.
func finalTasks(o *Observed, v verdict) []v1alpha1.TaskStatus {
	if v.record == nil || len(v.record.States) != len(o.TaskGroup.Spec.Tasks) {
		return unrecordedTasks(o, v)
	}
	tasks := kindOf(o.TaskGroup).tasks(o, v1alpha1.TaskCancelled)
	for i := range tasks {
		switch state := v.record.States[i]; {
		case state == contract.TaskCompleted:
			completeTask(&tasks[i], o.Attempt)
		case state.IsTerminal():
			tasks[i].State = v1alpha1.TaskState(state)
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
		tasks := kindOf(o.TaskGroup).tasks(o, v1alpha1.TaskPending)
		for i := range tasks {
			completeTask(&tasks[i], o.Attempt)
		}
		return tasks
	}
	tasks := kindOf(o.TaskGroup).tasks(o, v1alpha1.TaskFailed)
	for i := range tasks {
		if tasks[i].State == v1alpha1.TaskFailed {
			tasks[i].Reason = v.reason
		}
	}
	return tasks
}

// cancelOpen cancels the tasks that have not terminated.
func cancelOpen(tasks []v1alpha1.TaskStatus) {
	for i := range tasks {
		if !tasks[i].State.IsTerminal() {
			tasks[i] = v1alpha1.TaskStatus{NodeID: tasks[i].NodeID, State: v1alpha1.TaskCancelled}
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
