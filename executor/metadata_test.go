// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

func TestMetadata(t *testing.T) {
	t.Parallel()
	cluster, c := fakeCluster(t, interceptor.Funcs{})
	e := newExecutor(t, cluster, func(c *executor.Config) {
		c.Options.Queue = "team-a"
		c.Options.Labels = map[string]string{"team": "vision", "project": "a", v1alpha1.QueuePriorityLabel: "high"}
		c.Options.Annotations = map[string]string{"example.com/owner": "o"}
		c.Options.Pod = &v1alpha1.PodOptions{Labels: map[string]string{"project": "b"}}
	})
	tasks, resources := functions(3)
	if _, err := e.Send(t.Context(), tasks, resources, groupOf(3)); err != nil {
		t.Fatal(err)
	}
	var tg v1alpha1.TaskGroup
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(running(3)), &tg); err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{
		v1alpha1.DispatchLabel: executor.DispatchLabel(dispatch), v1alpha1.QueueLabel: "team-a", v1alpha1.QueuePriorityLabel: "high",
		"team": "vision", "project": "a",
	}
	if diff := cmp.Diff(labels, tg.Labels); diff != "" {
		t.Errorf("labels of the TaskGroup (-want +got):\n%s", diff)
	}
	annotations := map[string]string{"example.com/owner": "o"}
	if got := tg.Annotations["example.com/owner"]; got != "o" {
		t.Errorf("annotations of the TaskGroup: %v", tg.Annotations)
	}
	// Pods cannot have labels of Kueue.
	pod := &v1alpha1.PodOptions{Labels: map[string]string{"team": "vision", "project": "b"}, Annotations: annotations}
	if diff := cmp.Diff(pod, tg.Spec.Pod); diff != "" {
		t.Errorf("pod (-want +got):\n%s", diff)
	}
}
