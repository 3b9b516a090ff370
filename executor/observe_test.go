// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// TestObservedGroupsNameTheirDispatcher: callbacks are made only for groups of one
// dispatcher, and an observer gets a part of each group.
func TestObservedGroupsNameTheirDispatcher(t *testing.T) {
	t.Parallel()
	tg := ended(v1alpha1.ReasonCompleted, v1alpha1.TaskCompleted, 3)
	tg.Labels[v1alpha1.DispatcherLabel] = "lab"
	_, c := fakeCluster(t, interceptor.Funcs{}, tg)
	observed := make(chan *v1alpha1.TaskGroup, 10)
	cluster := executor.NewCluster(executor.ClusterConfig{Client: c, Namespace: "team", Observe: func(tg *v1alpha1.TaskGroup) { observed <- tg }})
	t.Cleanup(cluster.Close)
	cluster.StartWatch()
	got := <-observed
	if got.Labels[v1alpha1.DispatcherLabel] != "lab" || got.Spec.TaskGroupID == nil || *got.Spec.TaskGroupID != 3 {
		t.Errorf("observed %+v", got)
	}
}
