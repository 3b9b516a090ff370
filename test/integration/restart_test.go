//go:build integration

package integration

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// TestTwoOperators runs a second operator beside the first, kills it in the
// middle of things and starts it anew: neither must do what the other did
// (invariants I1, I6, I34).
func TestTwoOperators(t *testing.T) {
	second, err := cluster.StartOperator(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ns := namespace(t)
	var keys []client.ObjectKey
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		keys = append(keys, create(t, commands(ns, name, 1), rig.Behaviour{Runs: true}))
	}
	for _, key := range keys {
		awaitReason(t, key, v1alpha1.ReasonRunning)
	}
	second.Kill()
	for _, key := range keys {
		if err := node.Behave(t.Context(), key, rig.Behaviour{}); err != nil {
			t.Fatal(err)
		}
	}
	second, err = cluster.StartOperator(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Stop()
	ended := map[string]*v1alpha1.TaskGroup{}
	for _, key := range keys {
		ended[key.Name] = awaitReason(t, key, v1alpha1.ReasonCompleted)
	}
	var jobs batchv1.JobList
	if err := cluster.Client.List(t.Context(), &jobs, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	if len(jobs.Items) != len(keys) {
		t.Errorf("%d Jobs for %d groups", len(jobs.Items), len(keys))
	}
	// Something that passes through both operators after the end changes nothing.
	for _, key := range keys {
		cancel(t, key)
	}
	later := commands(ns, "later", 1)
	awaitReason(t, create(t, later, rig.Behaviour{}), v1alpha1.ReasonCompleted)
	for _, key := range keys {
		var tg v1alpha1.TaskGroup
		if err := cluster.Client.Get(t.Context(), key, &tg); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(ended[key.Name].Status, tg.Status); diff != "" {
			t.Errorf("group %s changed after its end:\n%s", key.Name, diff)
		}
	}
}
