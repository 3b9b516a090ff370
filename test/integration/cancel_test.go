// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"fmt"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// cancel sets spec.cancel.
func cancel(t *testing.T, key client.ObjectKey) {
	t.Helper()
	tg := &v1alpha1.TaskGroup{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"cancel":true}}`))
	if err := cluster.Client.Patch(t.Context(), tg, patch); err != nil {
		t.Fatal(err)
	}
}

// leftovers counts the Jobs, and the pods that have not finished, of a namespace.
func leftovers(ctx context.Context, namespace string) (string, error) {
	var jobs batchv1.JobList
	var pods corev1.PodList
	if err := cluster.Client.List(ctx, &jobs, client.InNamespace(namespace)); err != nil {
		return "", err
	}
	if err := cluster.Client.List(ctx, &pods, client.InNamespace(namespace)); err != nil {
		return "", err
	}
	live := 0
	for i := range pods.Items {
		if phase := pods.Items[i].Status.Phase; phase != corev1.PodSucceeded && phase != corev1.PodFailed {
			live++
		}
	}
	if len(jobs.Items)+live == 0 {
		return "", nil
	}
	return fmt.Sprintf("%d Jobs, %d live pods", len(jobs.Items), live), nil
}

// wantQuiet checks that a group that is called cancelled has stopped (invariant I5).
func wantQuiet(t *testing.T, namespace string) {
	t.Helper()
	left, err := leftovers(t.Context(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	if left != "" {
		t.Errorf("the group is Cancelled and there are %s", left)
	}
}

func TestCancel(t *testing.T) {
	cases := map[string]struct {
		behaviour rig.Behaviour
		until     v1alpha1.Reason
		do        func(*testing.T, client.ObjectKey)
		manifest  bool
	}{
		"by spec.cancel while it runs": {
			behaviour: rig.Behaviour{Runs: true}, until: v1alpha1.ReasonRunning, do: cancel, manifest: true,
		},
		"by spec.cancel while it waits for its image": {
			behaviour: rig.Behaviour{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull"}}, until: v1alpha1.ReasonStarting, do: cancel,
		},
		"by spec.cancel while it waits for a node": {
			behaviour: rig.Behaviour{Unplaced: true}, until: v1alpha1.ReasonQueued, do: cancel,
		},
		"by deleting its Job in the foreground": {
			behaviour: rig.Behaviour{Runs: true}, until: v1alpha1.ReasonRunning, do: deleteJob(metav1.DeletePropagationForeground), manifest: true,
		},
		"by deleting its Job as kubectl does": {
			behaviour: rig.Behaviour{Runs: true}, until: v1alpha1.ReasonRunning, do: deleteJob(metav1.DeletePropagationBackground), manifest: true,
		},
		"twice": {
			behaviour: rig.Behaviour{Runs: true}, until: v1alpha1.ReasonRunning, manifest: true,
			do: func(t *testing.T, key client.ObjectKey) {
				cancel(t, key)
				deleteJob(metav1.DeletePropagationForeground)(t, key)
				cancel(t, key)
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			forBothKinds(t, func(t *testing.T, k kind) {
				ns := namespace(t)
				key := create(t, k.commands(ns, "g", 2), tc.behaviour)
				awaitReason(t, key, tc.until)
				tc.do(t, key)
				tg := awaitReason(t, key, v1alpha1.ReasonCancelled)
				wantQuiet(t, ns)
				for _, task := range tg.Status.Tasks {
					if task.State != v1alpha1.TaskCancelled {
						t.Errorf("task %d is %s", task.NodeID, task.State)
					}
				}
				// The pods of a Parallel group have a manifest each.
				if got := tg.Status.Manifest != nil; got != (tc.manifest && k == kind(v1alpha1.Sequential)) {
					t.Errorf("has a manifest: %v, want %v", got, tc.manifest)
				}
			})
		})
	}
}

// deleteJob does what a user does, and does not mind if it no longer exists.
func deleteJob(propagation metav1.DeletionPropagation) func(*testing.T, client.ObjectKey) {
	return func(t *testing.T, key client.ObjectKey) {
		t.Helper()
		err := cluster.Client.DeleteAllOf(t.Context(), &batchv1.Job{}, client.InNamespace(key.Namespace),
			client.MatchingLabels{v1alpha1.NameLabel: key.Name}, client.PropagationPolicy(propagation))
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestCancelledBeforeItBegan(t *testing.T) {
	forBothKinds(t, func(t *testing.T, k kind) {
		ns := namespace(t)
		tg := k.commands(ns, "g", 1)
		tg.Spec.Cancel = true
		awaitReason(t, create(t, tg, rig.Behaviour{}), v1alpha1.ReasonCancelled)
		wantQuiet(t, ns)
	})
}

// TestOrphanedPodIsAwaited deletes the Job and leaves its pod running, which
// only a user can request.
func TestOrphanedPodIsAwaited(t *testing.T) {
	forBothKinds(t, func(t *testing.T, k kind) {
		ns := namespace(t)
		key := create(t, k.commands(ns, "g", 2), rig.Behaviour{Runs: true})
		awaitReason(t, key, v1alpha1.ReasonRunning)
		deleteJob(metav1.DeletePropagationOrphan)(t, key)
		awaitReason(t, key, v1alpha1.ReasonCancelling)
		behave(t, key, rig.Behaviour{})
		awaitReason(t, key, v1alpha1.ReasonCancelled)
		wantQuiet(t, ns)
	})
}

// TestDeletingTheGroupLeavesNothing: owner references do it, without a finalizer
// that could hang.
func TestDeletingTheGroupLeavesNothing(t *testing.T) {
	for name, behaviour := range map[string]rig.Behaviour{"while it runs": {Runs: true}, "after its end": {}} {
		t.Run(name, func(t *testing.T) {
			forBothKinds(t, func(t *testing.T, k kind) {
				ns := namespace(t)
				key := create(t, k.commands(ns, "g", 2), behaviour)
				tg := awaitReason(t, key, v1alpha1.ReasonRunning, v1alpha1.ReasonCompleted)
				if err := cluster.Client.Delete(t.Context(), tg); err != nil {
					t.Fatal(err)
				}
				err := rig.Await(t.Context(), "the Job and the pods to go", func(ctx context.Context) (bool, string, error) {
					left, err := leftovers(ctx, ns)
					return left == "", left, err
				})
				if err != nil {
					t.Error(err)
				}
				if err := cluster.Client.Get(t.Context(), key, tg); !apierrors.IsNotFound(err) {
					t.Errorf("reading the deleted group: %v", err)
				}
			})
		})
	}
}
