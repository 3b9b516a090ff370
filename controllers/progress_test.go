package controllers

import (
	"testing"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/testkit"
)

// TestProgressMakesWay: with no room for it, progress is tried again and the end
// is written at once.
func TestProgressMakesWay(t *testing.T) {
	r := newRig(t, testkit.TaskGroup("g").Commands(1).Obj())
	r.mustReconcile()
	pod := testkit.Pod(r.job()).Running().Obj()
	if err := r.Client.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	for range cap(r.progress) {
		if !r.progress.enter() {
			t.Fatal("there is less room than was asked for")
		}
	}
	r.clock.Step(time.Minute)
	before := r.writes
	result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: r.group})
	if err != nil || r.writes != before || result.RequeueAfter != progressInterval {
		t.Errorf("without room: %d writes, again after %v, error %v; want none, again after %v", r.writes-before, result.RequeueAfter, err, progressInterval)
	}

	r.progress.leave()
	r.mustReconcile()
	r.wantReason(v1alpha1.ReasonRunning)
	if !r.progress.enter() {
		t.Error("a write that is over leaves no room")
	}

	ended := testkit.Pod(r.job()).Ended(0, "Completed", `{"v":1,"states":"C"}`).Obj()
	pod.Status = ended.Status
	if err := r.Client.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	r.mustReconcile()
	r.wantReason(v1alpha1.ReasonCompleted)
}
