// SPDX-License-Identifier: Apache-2.0

package jobspec

import (
	"cmp"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// runnerPlan is the plan of one attempt for the runner.
func runnerPlan(tg *v1alpha1.TaskGroup, attempt Attempt, defaults contract.RunnerSettings) *contract.Plan {
	assets := tg.Spec.Assets
	if assets == nil {
		assets = &v1alpha1.Assets{}
	}
	p := &contract.Plan{
		Version:    contract.PlanVersion,
		DispatchID: tg.Spec.DispatchID,
		Namespace:  tg.Namespace,
		Name:       tg.Name,
		UID:        string(tg.UID),
		Attempt:    attempt.Number,
		Outputs:    AttemptURI(tg, attempt.Number),
		Previous:   attempt.Previous,
		Parallel:   tg.Spec.Execution == v1alpha1.Parallel,

		Uncommitted: attempt.Uncommitted,
		Settings:    settings(tg.Spec.Runner, defaults),
	}
	if t := tg.Spec.Timeouts; t != nil {
		p.RunningSeconds = valueOr(t.RunningSeconds, 0)
		p.TaskSeconds = valueOr(t.TaskSeconds, 0)
	}
	if tg.Spec.TaskGroupID != nil {
		p.TaskGroupID = *tg.Spec.TaskGroupID
	}
	tasks := attempt.Tasks(tg)
	for i := range tasks {
		p.Tasks = append(p.Tasks, planTask(&tasks[i], assets))
	}
	p.Inputs = usedInputs(p.Tasks, assets)
	if index := assets.Index; index != nil {
		p.Version = contract.IndexedPlanVersion
		p.Index = &contract.ObjectReference{URI: string(index.URI), Size: index.Size, SHA256: index.SHA256}
	}
	return p
}

// settings returns the settings of the group over those of the operator.
func settings(options *v1alpha1.RunnerOptions, defaults contract.RunnerSettings) contract.RunnerSettings {
	if options == nil {
		return defaults
	}
	return contract.RunnerSettings{
		Python:            cmp.Or(options.Python, defaults.Python),
		Preload:           options.Preload,
		FlushSeconds:      valueOr(options.FlushSeconds, defaults.FlushSeconds),
		StreamLimitBytes:  valueOr(options.StreamLimitBytes, defaults.StreamLimitBytes),
		StoreRetrySeconds: valueOr(options.StoreRetrySeconds, defaults.StoreRetrySeconds),
		StoreStallSeconds: valueOr(options.StoreStallSeconds, defaults.StoreStallSeconds),
	}
}

func planTask(task *v1alpha1.TaskSpec, assets *v1alpha1.Assets) contract.PlanTask {
	key := task.NodeID.String()
	p := contract.PlanTask{
		NodeID:   contract.NodeID(task.NodeID),
		Command:  task.Command,
		Function: string(assets.Functions[key]),
		Hooks:    string(assets.Hooks[key]),
	}
	for _, node := range task.Args {
		p.Args = append(p.Args, contract.NodeID(node))
	}
	for name, node := range task.Kwargs {
		if p.Kwargs == nil {
			p.Kwargs = make(map[string]contract.NodeID, len(task.Kwargs))
		}
		p.Kwargs[name] = contract.NodeID(node)
	}
	return p
}

// usedInputs omits the inputs that no task uses: an input that only orders the nodes of
// a dispatch need not be staged.
func usedInputs(tasks []contract.PlanTask, assets *v1alpha1.Assets) map[contract.NodeID]string {
	var used map[contract.NodeID]string
	add := func(node contract.NodeID) {
		uri, ok := assets.Inputs[node.String()]
		if !ok {
			return
		}
		if used == nil {
			used = make(map[contract.NodeID]string)
		}
		used[node] = string(uri)
	}
	for _, task := range tasks {
		for _, node := range task.Args {
			add(node)
		}
		for _, node := range task.Kwargs {
			add(node)
		}
	}
	return used
}

// AttemptURI is the prefix of the results of one attempt; empty for a group without
// outputs.
func AttemptURI(tg *v1alpha1.TaskGroup, attempt int32) string {
	if tg.Spec.Assets == nil || tg.Spec.Assets.Outputs == "" {
		return ""
	}
	return contract.AttemptURI(string(tg.Spec.Assets.Outputs), string(tg.UID), attempt)
}

func valueOr[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
