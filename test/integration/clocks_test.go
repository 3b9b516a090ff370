//go:build integration

package integration

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// TestClocksStopWhileSuspended suspends two groups for longer than their clocks
// would have let them wait, which a third one's end tells; each has all of its time
// when it is resumed.
func TestClocksStopWhileSuspended(t *testing.T) {
	ns, free := namespace(t), namespace(t)
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "no-jobs"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/jobs.batch": resource.MustParse("0")}},
	}
	if err := cluster.Client.Create(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	awaitQuota(t, quota)
	const seconds = 6
	patient := func(namespace, name string) *v1alpha1.TaskGroup {
		tg := commands(namespace, name, 1)
		tg.Spec.Timeouts = &v1alpha1.Timeouts{QueuedSeconds: new(int64(seconds))}
		return tg
	}
	refused := create(t, patient(ns, "refused"), rig.Behaviour{})
	unplaced := create(t, patient(free, "unplaced"), rig.Behaviour{Unplaced: true})
	awaitReason(t, refused, v1alpha1.ReasonQueued)
	awaitReason(t, unplaced, v1alpha1.ReasonQueued)
	patchSpec(t, refused, `{"suspend":true}`)
	patchSpec(t, unplaced, `{"suspend":true}`)
	awaitReason(t, refused, v1alpha1.ReasonSuspended)
	awaitReason(t, unplaced, v1alpha1.ReasonSuspended)
	awaitReason(t, create(t, patient(ns, "third"), rig.Behaviour{}), v1alpha1.ReasonQuotaExceeded)
	patchSpec(t, refused, `{"suspend":false}`)
	patchSpec(t, unplaced, `{"suspend":false}`)
	awaitReason(t, refused, v1alpha1.ReasonQueued)
	awaitReason(t, unplaced, v1alpha1.ReasonQueued)
	awaitReason(t, refused, v1alpha1.ReasonQuotaExceeded)
	awaitReason(t, unplaced, v1alpha1.ReasonUnschedulable)
}
