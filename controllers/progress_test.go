// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

func named(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "n", Name: name}}
}

// fill takes all the room.
func (r *rig) fill() {
	r.t.Helper()
	for range DefaultConcurrency / progressShare {
		if !r.progress.acquire(named("other")) {
			r.t.Fatal("there is less room than was asked for")
		}
	}
}

// TestProgressMakesWay: progress that finds no room is written when there is some
// again, and an end is written at once.
func TestProgressMakesWay(t *testing.T) {
	r := newRig(t, testkit.TaskGroup("g").Commands(1).Obj())
	r.mustReconcile()
	pod := testkit.Pod(r.job()).Running().Obj()
	if err := r.Client.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	r.fill()
	r.clock.Step(time.Minute)
	before := r.writes
	r.mustReconcile()
	r.mustReconcile()
	if r.writes != before || len(r.enqueued()) != 0 {
		t.Errorf("without room: %d writes, and %v are to be reconciled", r.writes-before, r.enqueued())
	}

	r.progress.release()
	r.admitProgress()
	r.admitProgress()
	if !slices.Equal(r.enqueued(), []reconcile.Request{{NamespacedName: r.group}}) {
		t.Errorf("with room again %v are reconciled, want the group, once", r.enqueued())
	}
	r.mustReconcile()
	r.wantReason(v1alpha1.ReasonRunning)

	if !r.progress.acquire(named("other")) {
		t.Error("a write that is over leaves no room")
	}
	pod.Status = testkit.Pod(r.job()).Ended(0, "Completed", `{"v":1,"states":"C"}`).Obj().Status
	if err := r.Client.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	r.mustReconcile()
	r.wantReason(v1alpha1.ReasonCompleted)
}

// TestProgressLine: who came first is next, a turn that is not used is passed on, and
// the callback is not called while there is no room.
func TestProgressLine(t *testing.T) {
	r := newRig(t, testkit.TaskGroup("g").Commands(1).Obj())
	r.fill()
	for _, name := range []string{"a", "b", "a", "gone", "c"} {
		if r.progress.acquire(named(name)) {
			t.Fatal("there is more room than was asked for")
		}
	}
	r.admitProgress()
	if len(r.enqueued()) != 0 {
		t.Errorf("%v are called without room", r.enqueued())
	}
	r.progress.release()
	// Each pass of a group that has nothing to report, as for a deleted group.
	for range 6 {
		if _, err := r.Reconcile(t.Context(), named("gone")); err != nil {
			t.Fatal(err)
		}
	}
	if want := []reconcile.Request{named("a"), named("b"), named("gone"), named("c")}; !slices.Equal(r.enqueued(), want) {
		t.Errorf("called %v, want %v", r.enqueued(), want)
	}
}
