// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus/testutil"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// TestGroupDeletedWhileItIsReported: a deleted group has no readers, so it is
// no error, and nothing follows it.
func TestGroupDeletedWhileItIsReported(t *testing.T) {
	r := newRig(t, testkit.TaskGroup("g").Commands(1).Obj())
	job := r.begin()
	r.createPod(testkit.Pod(job).Ended(0, "Completed", `{"v":1,"states":"C"}`))
	finished := testutil.ToFloat64(groupsFinished.WithLabelValues(string(v1alpha1.ReasonCompleted)))
	r.failWith["update"] = apierrors.NewNotFound(schema.GroupResource{Resource: "taskgroups"}, "g")
	if err := r.reconcile(); err != nil {
		t.Errorf("got %v, want no error", err)
	}
	if got := len(r.events.Events); got != 0 {
		t.Errorf("%d events about a result that was not written", got)
	}
	if got := testutil.ToFloat64(groupsFinished.WithLabelValues(string(v1alpha1.ReasonCompleted))) - finished; got != 0 {
		t.Errorf("%v results are counted that were not written", got)
	}
}

// traced are the groups whose spans are exported.
type traced struct{ groups []*v1alpha1.TaskGroup }

// Finished implements Traces.
func (t *traced) Finished(tg *v1alpha1.TaskGroup) { t.groups = append(t.groups, tg) }

// TestFinishedGroupIsTraced requires one export, with the metadata and the spec of which the
// cache may have dropped a part, and none for a status that was not written.
func TestFinishedGroupIsTraced(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(1).Obj()
	tg.Annotations, tg.Spec.DispatchID = map[string]string{v1alpha1.TraceparentAnnotation: "parent"}, "dispatch"
	r, traces := newRig(t, tg), &traced{}
	r.Traces = traces
	job := r.begin()
	r.createPod(testkit.Pod(job).Ended(0, "Completed", `{"v":1,"states":"C"}`))
	r.failWith["update"] = apierrors.NewConflict(schema.GroupResource{Resource: "taskgroups"}, "g", nil)
	r.mustReconcile()
	if len(traces.groups) > 0 {
		t.Errorf("traced %d groups before the status was written", len(traces.groups))
	}
	r.failWith["update"] = nil
	r.mustReconcile()
	r.mustReconcile()
	if len(traces.groups) != 1 {
		t.Fatalf("traced %d times", len(traces.groups))
	}
	if got := traces.groups[0]; !got.Status.IsFinished() || got.Spec.DispatchID != "dispatch" || got.Annotations[v1alpha1.TraceparentAnnotation] != "parent" || got.CreationTimestamp.IsZero() {
		t.Errorf("traced %+v", got)
	}
}

// strippedGroups is the operator's cache of TaskGroups.
type strippedGroups struct{ client.Client }

func (c strippedGroups) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if err := c.Client.Get(ctx, key, obj, opts...); err != nil {
		return err
	}
	_, err := stripTaskGroup(obj)
	return err
}

// TestFollowGeneration: of a finished group, the cache contains only a part of the
// status. Nothing but observedGeneration changes in the stored one.
func TestFollowGeneration(t *testing.T) {
	r := newRig(t, testkit.TaskGroup("g").Commands(2).Outputs("file:///out").TTL(1e6).Obj())
	job := r.begin()
	r.createPod(testkit.Pod(job).Ended(1, "Error", `{"v":1,"states":"CF","failure":{"reason":"TaskError","message":"boom"}}`))
	r.mustReconcile()
	r.wantReason(v1alpha1.ReasonTaskError)
	r.mustReconcile()
	final, events, writes := r.taskGroup(), len(r.events.Events), r.writes
	edited := final.DeepCopy()
	edited.Generation = 7
	if err := r.Client.Update(t.Context(), edited); err != nil {
		t.Fatal(err)
	}
	stored := r.Client
	r.Client = strippedGroups{stored}
	r.mustReconcile()
	r.mustReconcile()
	r.Client = stored
	got := r.taskGroup()
	if got.Status.ObservedGeneration != 7 {
		t.Errorf("observedGeneration is %d, want 7", got.Status.ObservedGeneration)
	}
	if diff := cmp.Diff(final.Status, got.Status, cmpopts.IgnoreFields(v1alpha1.TaskGroupStatus{}, "ObservedGeneration")); diff != "" {
		t.Errorf("the final status changed (-want +got):\n%s", diff)
	}
	if len(r.events.Events) != events || r.writes != writes+1 {
		t.Errorf("%d events and %d writes, want none and one", len(r.events.Events)-events, r.writes-writes)
	}
}
