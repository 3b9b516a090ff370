// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// TestTimeoutsStopWhileSuspended: groups are suspended for longer than their timeouts,
// and have all of their time again when they are resumed. Another group shows that the
// timeout has passed.
func TestTimeoutsStopWhileSuspended(t *testing.T) { forBothKinds(t, testTimeoutsStopWhileSuspended) }

func testTimeoutsStopWhileSuspended(t *testing.T, k kind) {
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
		tg := k.commands(namespace, name, 1)
		tg.Spec.Timeouts = &v1alpha1.Timeouts{QueuedSeconds: new(int64(seconds))}
		return tg
	}
	refused := create(t, patient(ns, "refused"), rig.Behaviour{})
	unplaced := create(t, patient(free, "unplaced"), rig.Behaviour{Unplaced: true})
	awaitReason(t, refused, v1alpha1.ReasonQueued)
	patchSpec(t, refused, `{"suspend":true}`)
	awaitPods(t, free, 1)
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

// TestTheTimeIsTheServers: the operator takes the time from the API server, and ignores
// the clock of its own machine (invariant I24). The proxy changes the time that the
// operator sees.
func TestTheTimeIsTheServers(t *testing.T) {
	proxy, ns := operatorBehindProxy(t, func(proxy *rig.Proxy) { proxy.Ahead = time.Hour })
	for _, k := range kinds {
		tg := awaitReason(t, create(t, k.commands(ns, k.name("g"), 1), rig.Behaviour{}), v1alpha1.ReasonCompleted)
		if early := time.Until(tg.Status.CompletionTime.Time); (early - proxy.Ahead).Abs() > 10*time.Second {
			t.Errorf("by the clock of the operator, %s completed in %s, want %s", tg.Name, early, proxy.Ahead)
		}
	}
}
