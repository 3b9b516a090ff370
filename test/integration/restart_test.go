// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// TestJobDeletedBetweenOperators kills the operator after it created a Job and before
// the status names it. The Job is deleted before the next operator starts, which means
// to cancel: the work must not run a second time (invariants I1, I22).
func TestJobDeletedBetweenOperators(t *testing.T) {
	stopOperator(t)
	for _, k := range kinds {
		t.Run(string(k), func(t *testing.T) {
			lost := startOperator(t)
			key := create(t, k.commands(namespace(t), "g", 1), rig.Behaviour{Unplaced: true})
			awaitPods(t, key.Namespace, 1)
			lost.Kill()
			var tg v1alpha1.TaskGroup
			if err := cluster.Client.Get(t.Context(), key, &tg); err != nil {
				t.Fatal(err)
			}
			if len(tg.Status.Jobs) != 0 {
				t.Fatalf("the status names the Job %s already", tg.Status.Jobs[0].Name)
			}
			err := cluster.Client.DeleteAllOf(t.Context(), &batchv1.Job{}, client.InNamespace(key.Namespace), client.PropagationPolicy(metav1.DeletePropagationForeground))
			if err != nil {
				t.Fatal(err)
			}
			awaitPods(t, key.Namespace, 0)
			next := startOperator(t)
			defer next.Stop()
			awaitReason(t, key, v1alpha1.ReasonCancelled)
		})
	}
}

func startOperator(t *testing.T) *rig.Operator {
	t.Helper()
	started, err := cluster.StartOperator(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return started
}

func awaitPods(t *testing.T, namespace string, n int) {
	t.Helper()
	err := rig.Await(t.Context(), strconv.Itoa(n)+" pods", func(ctx context.Context) (bool, string, error) {
		var pods corev1.PodList
		err := cluster.Client.List(ctx, &pods, client.InNamespace(namespace))
		return len(pods.Items) == n, strconv.Itoa(len(pods.Items)), err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestTwoOperators runs a second operator beside the first, kills it while groups run,
// and starts it again: neither may repeat what the other did (invariants I1, I6, I34).
func TestTwoOperators(t *testing.T) {
	second, err := cluster.StartOperator(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ns := namespace(t)
	var keys []client.ObjectKey
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		for _, k := range kinds {
			keys = append(keys, create(t, k.commands(ns, k.name(name), 1), rig.Behaviour{Runs: true}))
		}
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
	// An edit after the end passes through both operators, and changes nothing but
	// observedGeneration.
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
		if diff := cmp.Diff(ended[key.Name].Status, tg.Status, cmpopts.IgnoreFields(v1alpha1.TaskGroupStatus{}, "ObservedGeneration")); diff != "" {
			t.Errorf("group %s changed after its end:\n%s", key.Name, diff)
		}
	}
}
