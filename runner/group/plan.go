// SPDX-License-Identifier: Apache-2.0

package group

import (
	"errors"
	"fmt"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// ErrPlan is the error of a plan that no runner can run.
var ErrPlan = errors.New("invalid plan")

func validate(plan *contract.Plan) error {
	seen := map[contract.NodeID]bool{}
	for _, t := range plan.Tasks {
		switch {
		case seen[t.NodeID]:
			return fmt.Errorf("%w: node %d comes twice", ErrPlan, t.NodeID)
		case (len(t.Command) > 0) == (t.Function != ""):
			return fmt.Errorf("%w: task %d needs either a command or a function", ErrPlan, t.NodeID)
		case t.Function != "" && plan.Outputs == "":
			return fmt.Errorf("%w: task %d is a function, and the group has no location for its result", ErrPlan, t.NodeID)
		}
		seen[t.NodeID] = true
	}
	switch {
	case len(seen) == 0:
		return fmt.Errorf("%w: no tasks", ErrPlan)
	case plan.RunningSeconds < 0 || plan.TaskSeconds < 0:
		return fmt.Errorf("%w: a timeout is below 0", ErrPlan)
	case plan.Parallel && (plan.Previous != nil || len(plan.Uncommitted) > 0):
		return fmt.Errorf("%w: a parallel group resumes no earlier attempt", ErrPlan)
	}
	return nil
}

// podPlan returns the plan of this pod: all tasks, or the one of its index.
func podPlan(plan *contract.Plan, index int) (*contract.Plan, error) {
	if !plan.Parallel {
		return plan, nil
	}
	if index < 0 || index >= len(plan.Tasks) {
		return nil, fmt.Errorf("%w: this is pod %d of a group of %d tasks", ErrPlan, index, len(plan.Tasks))
	}
	own := *plan
	own.Tasks = plan.Tasks[index : index+1]
	return &own, nil
}

// assets returns the URIs that a task reads. Some may be empty.
func assets(task *contract.PlanTask, inputs map[contract.NodeID]string) []string {
	uris := []string{task.Function, task.Hooks}
	for _, node := range task.Args {
		uris = append(uris, inputs[node])
	}
	for _, node := range task.Kwargs {
		uris = append(uris, inputs[node])
	}
	return uris
}

// lastReaders returns the index of the last task that reads the output of each node.
func lastReaders(tasks []contract.PlanTask) map[contract.NodeID]int {
	last := map[contract.NodeID]int{}
	for i := range tasks {
		for _, node := range tasks[i].Args {
			last[node] = i
		}
		for _, node := range tasks[i].Kwargs {
			last[node] = i
		}
	}
	return last
}
