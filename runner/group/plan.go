package group

import (
	"errors"
	"fmt"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// ErrPlan is a plan that no runner can run.
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
			return fmt.Errorf("%w: task %d is a function, and there is no place for its result", ErrPlan, t.NodeID)
		}
		seen[t.NodeID] = true
	}
	switch {
	case len(seen) == 0:
		return fmt.Errorf("%w: no tasks", ErrPlan)
	case plan.RunningSeconds < 0 || plan.TaskSeconds < 0:
		return fmt.Errorf("%w: a timeout is below 0", ErrPlan)
	case plan.Parallel && plan.Previous != nil:
		return fmt.Errorf("%w: a parallel group resumes no earlier attempt", ErrPlan)
	}
	return nil
}

// share is the part of a plan that is this pod's: all of it, or one task.
func share(plan *contract.Plan, index int) (*contract.Plan, error) {
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

// assets are the URIs that tasks read, in the order of need.
func assets(tasks []contract.PlanTask, inputs map[contract.NodeID]string) []string {
	var uris []string
	for _, t := range tasks {
		uris = append(uris, t.Function, t.Hooks)
		for _, node := range t.Args {
			uris = append(uris, inputs[node])
		}
		for _, node := range t.Kwargs {
			uris = append(uris, inputs[node])
		}
	}
	return uris
}
