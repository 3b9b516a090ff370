// SPDX-License-Identifier: Apache-2.0

package jobspec_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// TestRunnerSettings: a field of the group replaces the flag of the operator.
func TestRunnerSettings(t *testing.T) {
	flags := contract.RunnerSettings{Python: "python3.11", FlushSeconds: 10, StreamLimitBytes: 1 << 20, StoreRetrySeconds: 300, StoreStallSeconds: 60}
	tests := map[string]struct {
		options *v1alpha1.RunnerOptions
		want    contract.RunnerSettings
	}{
		"the flags": {nil, flags},
		"one field": {&v1alpha1.RunnerOptions{FlushSeconds: new(int64(1))}, contract.RunnerSettings{
			Python: "python3.11", FlushSeconds: 1, StreamLimitBytes: 1 << 20, StoreRetrySeconds: 300, StoreStallSeconds: 60,
		}},
		"all fields": {&v1alpha1.RunnerOptions{
			Python: "/opt/python", Preload: []string{"numpy"}, FlushSeconds: new(int64(1)), StreamLimitBytes: new(int64(4096)),
			StoreRetrySeconds: new(int64(2)), StoreStallSeconds: new(int64(3)),
		}, contract.RunnerSettings{
			Python: "/opt/python", Preload: []string{"numpy"}, FlushSeconds: 1, StreamLimitBytes: 4096, StoreRetrySeconds: 2, StoreStallSeconds: 3,
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tg := testkit.TaskGroup("g").Commands(1).Obj()
			tg.Spec.Runner = test.options
			job, err := jobspec.Job(tg, jobspec.Attempt{Number: 1}, jobspec.Config{DefaultImage: "i", RunnerImage: "r", Delivery: jobspec.ImageVolume, Runner: flags})
			if err != nil {
				t.Fatal(err)
			}
			for _, env := range job.Spec.Template.Spec.Containers[0].Env {
				if env.Name != contract.PlanEnv {
					continue
				}
				plan, err := contract.DecodePlan(env.Value)
				if diff := cmp.Diff(test.want, plan.Settings); err != nil || diff != "" {
					t.Errorf("%v (-want +got):\n%s", err, diff)
				}
				return
			}
			t.Error("the Job has no plan")
		})
	}
}
