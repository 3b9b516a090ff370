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

// TestTheTimeIsTheServers moves the API server's clock, as an operator sees it,
// since this machine's is not the test's to move: what the operator writes is of
// that clock, and its own decides nothing (invariant I24).
func TestTheTimeIsTheServers(t *testing.T) {
	ns := namespace(t)
	proxy, err := cluster.StartProxy()
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Stop()
	proxy.Ahead = time.Hour
	stopOperator(t)
	ahead, err := cluster.StartOperatorWith(t.Context(), rig.OperatorOptions{Proxy: proxy, Namespaces: []string{ns}})
	if err != nil {
		t.Fatal(err)
	}
	defer ahead.Stop()
	tg := awaitReason(t, create(t, commands(ns, "g", 1), rig.Behaviour{}), v1alpha1.ReasonCompleted)
	if early := time.Until(tg.Status.CompletionTime.Time); (early - time.Hour).Abs() > 10*time.Second {
		t.Errorf("by the operator's clock it ended in %s, want an hour", early)
	}
}
