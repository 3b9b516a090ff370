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
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// phases are the phases of a group other than running. Each entry makes a group, in a
// namespace of its own, that stays in the phase.
var phases = map[string]struct {
	behaviour rig.Behaviour
	change    func(*v1alpha1.TaskGroup)
	until     v1alpha1.Reason
	then      func(*testing.T, client.ObjectKey)
}{
	"refused by a quota on Jobs": {until: v1alpha1.ReasonQueued},
	"refused by a quota on pods": {until: v1alpha1.ReasonQueued},
	"held by a queue":            {behaviour: rig.Behaviour{Unplaced: true}, until: v1alpha1.ReasonQueued, then: holdJob},
	"suspended":                  {change: func(tg *v1alpha1.TaskGroup) { tg.Spec.Suspend = true }, until: v1alpha1.ReasonSuspended},
	"waiting for its retry": {
		behaviour: rig.Behaviour{End: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: failureRecord(1)}},
		change:    func(tg *v1alpha1.TaskGroup) { tg.Spec.Retries.Limit = 9 }, until: v1alpha1.ReasonRetrying,
	},
	"waiting for an image": {behaviour: rig.Behaviour{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull"}}, until: v1alpha1.ReasonStarting},
	"suspending": {behaviour: rig.Behaviour{Runs: true}, until: v1alpha1.ReasonRunning, then: func(t *testing.T, key client.ObjectKey) {
		behave(t, key, rig.Behaviour{Untouched: true})
		patchSpec(t, key, `{"suspend":true}`)
		awaitReason(t, key, v1alpha1.ReasonSuspending)
	}},
}

// inPhase makes a group that is in a phase.
func inPhase(t *testing.T, k kind, name string) client.ObjectKey {
	t.Helper()
	ns, phase := namespace(t), phases[name]
	for quota, hard := range map[string]corev1.ResourceName{"refused by a quota on Jobs": "count/jobs.batch", "refused by a quota on pods": "pods"} {
		if quota != name {
			continue
		}
		full := &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "full"},
			Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{hard: resource.MustParse("0")}},
		}
		if err := cluster.Client.Create(t.Context(), full); err != nil {
			t.Fatal(err)
		}
		awaitQuota(t, full)
	}
	tg := k.commands(ns, "g", 1)
	if phase.change != nil {
		phase.change(tg)
	}
	key := create(t, tg, phase.behaviour)
	awaitReason(t, key, phase.until)
	if phase.then != nil {
		phase.then(t, key)
	}
	return key
}

// holdJob suspends a group's Job, as a queue does.
func holdJob(t *testing.T, key client.ObjectKey) {
	t.Helper()
	job := jobsOf(t, key)["1"]
	if err := cluster.Client.Patch(t.Context(), job, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"suspend":true}}`))); err != nil {
		t.Fatal(err)
	}
	awaitMessage(t, key, "is held by its queue")
}

// TestDeletingTheJobCancelsWhileRetrying is the way to cancel that needs nothing but
// kubectl, in the phase in which the group has no active Job.
func TestDeletingTheJobCancelsWhileRetrying(t *testing.T) {
	forBothKinds(t, func(t *testing.T, k kind) {
		key := inPhase(t, k, "waiting for its retry")
		deleteJob(metav1.DeletePropagationBackground)(t, key)
		awaitReason(t, key, v1alpha1.ReasonCancelled)
	})
}

// TestCancelInEveryPhase: the end is Cancelled, and all is quiet (I5).
func TestCancelInEveryPhase(t *testing.T) {
	for name := range phases {
		t.Run(name, func(t *testing.T) {
			forBothKinds(t, func(t *testing.T, k kind) {
				key := inPhase(t, k, name)
				cancel(t, key)
				if name == "suspending" {
					awaitReason(t, key, v1alpha1.ReasonCancelling)
					behave(t, key, rig.Behaviour{Runs: true})
				}
				tg := awaitReason(t, key, v1alpha1.ReasonCancelled)
				var jobs batchv1.JobList
				if err := cluster.Client.List(t.Context(), &jobs, client.InNamespace(key.Namespace)); err != nil {
					t.Fatal(err)
				}
				for i := range jobs.Items {
					// A Job that had failed before stays, and with it the pod's log.
					if c := jobs.Items[i].Status.Conditions; len(c) == 0 {
						t.Errorf("the group is Cancelled and Job %s is there", jobs.Items[i].Name)
					}
				}
				for _, task := range tg.Status.Tasks {
					if task.State != v1alpha1.TaskCancelled {
						t.Errorf("task %d is %s", task.NodeID, task.State)
					}
				}
			})
		})
	}
}

// TestDeleteInEveryPhase: nothing of the group is left, and nothing hangs (I13, I14).
func TestDeleteInEveryPhase(t *testing.T) {
	for name := range phases {
		t.Run(name, func(t *testing.T) {
			forBothKinds(t, func(t *testing.T, k kind) {
				key := inPhase(t, k, name)
				if err := cluster.Client.Delete(t.Context(), &v1alpha1.TaskGroup{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}); err != nil {
					t.Fatal(err)
				}
				behave(t, key, rig.Behaviour{})
				awaitGone(t, key)
			})
		})
	}
}

// TestNamespaceDeletion deletes everything at once, in any order: the operator must
// neither delay the deletion nor create anything in the namespace.
func TestNamespaceDeletion(t *testing.T) { forBothKinds(t, testNamespaceDeletion) }

func testNamespaceDeletion(t *testing.T, k kind) {
	ns := namespace(t)
	retried := k.commands(ns, "retried", 1)
	retried.Spec.Retries.Limit = 9
	suspended := k.commands(ns, "suspended", 1)
	suspended.Spec.Suspend = true
	for tg, b := range map[*v1alpha1.TaskGroup]rig.Behaviour{
		k.commands(ns, "running", 1):  {Runs: true},
		k.commands(ns, "unplaced", 1): {Unplaced: true},
		k.commands(ns, "ended", 1):    {},
		retried:                       {End: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: failureRecord(1)}},
		suspended:                     {},
	} {
		create(t, tg, b)
	}
	for name, reason := range map[string]v1alpha1.Reason{
		"running": v1alpha1.ReasonRunning, "unplaced": v1alpha1.ReasonQueued, "ended": v1alpha1.ReasonCompleted, "retried": v1alpha1.ReasonRetrying, "suspended": v1alpha1.ReasonSuspended,
	} {
		awaitReason(t, client.ObjectKey{Namespace: ns, Name: name}, reason)
	}
	doomed := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}
	if err := cluster.Client.Delete(t.Context(), doomed); err != nil {
		t.Fatal(err)
	}
	err := rig.Await(t.Context(), "the namespace to go", func(ctx context.Context) (bool, string, error) {
		err := cluster.Client.Get(ctx, client.ObjectKeyFromObject(doomed), doomed)
		return apierrors.IsNotFound(err), fmt.Sprintf("%+v", doomed.Status.Conditions), client.IgnoreNotFound(err)
	})
	if err != nil {
		t.Error(err)
	}
}
