// SPDX-License-Identifier: Apache-2.0

package group

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

func TestShare(t *testing.T) {
	tasks := []contract.PlanTask{{NodeID: 5}, {NodeID: 6}, {NodeID: 7}}
	tests := map[string]struct {
		parallel bool
		index    int
		want     []contract.PlanTask
	}{
		"one pod for all": {false, 9, tasks},
		"the first":       {true, 0, tasks[:1]},
		"the last":        {true, 2, tasks[2:]},
		"below 0":         {true, -1, nil},
		"beyond the last": {true, 3, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			plan := &contract.Plan{Tasks: tasks, Parallel: test.parallel}
			got, err := podPlan(plan, test.index)
			if (test.want == nil) != errors.Is(err, ErrPlan) {
				t.Fatalf("error %v", err)
			}
			if got != nil && !cmp.Equal(got.Tasks, test.want) {
				t.Errorf("tasks %+v, want %+v", got.Tasks, test.want)
			}
			if len(plan.Tasks) != len(tasks) {
				t.Error("the plan itself was changed")
			}
		})
	}
}

func TestAssetsAndLastReaders(t *testing.T) {
	tasks := []contract.PlanTask{
		{NodeID: 1, Function: "f1", Hooks: "h1", Args: []contract.NodeID{4, 9}, Kwargs: map[string]contract.NodeID{"k": 5}},
		{NodeID: 2, Function: "f2"},
		{NodeID: 3, Command: []string{"true"}, Args: []contract.NodeID{5, 1}},
	}
	inputs := map[contract.NodeID]string{4: "i4", 5: "i5"}
	for i, want := range [][]string{{"f1", "h1", "i4", "i5"}, {"f2"}, {"i5"}} {
		got := slices.DeleteFunc(assets(&tasks[i], inputs), func(uri string) bool { return uri == "" })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("task %d: %s", i, diff)
		}
	}
	if diff := cmp.Diff(map[contract.NodeID]int{4: 0, 9: 0, 5: 2, 1: 2}, lastReaders(tasks)); diff != "" {
		t.Error(diff)
	}
}
