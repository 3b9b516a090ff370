// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/evidence"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// jobs counts the Jobs there are.
func (r *rig) jobs() int {
	r.t.Helper()
	var jobs batchv1.JobList
	if err := r.Client.List(r.t.Context(), &jobs); err != nil {
		r.t.Fatal(err)
	}
	return len(jobs.Items)
}

// newGroup records in the reconciler that its group was created a moment ago.
func (r *rig) created() {
	r.createdGroups().Create(event.CreateEvent{Object: r.taskGroup()})
}

// unread is an API server that must receive no requests.
type unread struct{ client.Reader }

var errAsked = errors.New("the API server was asked")

func (unread) List(context.Context, client.ObjectList, ...client.ListOption) error { return errAsked }

func (unread) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errAsked
}

// TestAJobOfAFormerProcessIsNotCreatedAgain: the operator died before the status
// named the Job, and a user deleted the Job before the next one began.
func TestAJobOfAFormerProcessIsNotCreatedAgain(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(1).Obj()
	former := testkit.Job(tg).Obj()
	r := newRig(t, tg, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: tg.Namespace, Name: "e"},
		InvolvedObject: corev1.ObjectReference{Kind: "Job", Name: former.Name, UID: former.UID},
		Reason:         "SuccessfulCreate",
	})
	r.mustReconcile()
	r.settle()
	r.wantReason(v1alpha1.ReasonCancelled)
	if got := r.jobs(); got != 0 {
		t.Errorf("%d Jobs were created, want none", got)
	}
}

// TestAStaleGroupGetsNoJob: what the cache shows of the group is not what is stored.
func TestAStaleGroupGetsNoJob(t *testing.T) {
	r := newRig(t, testkit.TaskGroup("g").Commands(1).Obj())
	stored := r.taskGroup()
	stored.Spec.Cancel = true
	stored.ResourceVersion = "4711"
	r.readLive(storedGroup{r.APIReader, stored})
	r.mustReconcile()
	if got := r.jobs(); got != 0 {
		t.Errorf("%d Jobs were created, want none", got)
	}
}

type storedGroup struct {
	client.Reader
	group *v1alpha1.TaskGroup
}

func (s storedGroup) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if groups, ok := list.(*v1alpha1.TaskGroupList); ok {
		groups.Items = []v1alpha1.TaskGroup{*s.group}
		return nil
	}
	return s.Reader.List(ctx, list, opts...)
}

// TestWhoIsAskedAbout: a group whose creation the operator observed costs no read,
// unless something came between.
func TestWhoIsAskedAbout(t *testing.T) {
	tests := map[string]struct {
		between func(r *rig)
		asked   bool
	}{
		"created before its eyes": {func(r *rig) { r.created() }, false},
		"there when the operator began": {func(r *rig) {
			r.createdGroups().Create(event.CreateEvent{Object: r.taskGroup(), IsInInitialList: true})
		}, true},
		"the process ran all the time": {func(r *rig) {
			r.created()
			for range 100 {
				r.clock.Step(evidence.BeatInterval)
				r.epochs.Beat(r.clock.Now())
			}
		}, false},
		"the process stood still since": {func(r *rig) {
			r.created()
			r.epochs.Beat(r.clock.Now())
			r.clock.Step(evidence.StallAfter + time.Millisecond)
		}, true},
		"it stood still, and beats again": {func(r *rig) {
			r.created()
			r.epochs.Beat(r.clock.Now())
			r.clock.Step(evidence.StallAfter + time.Millisecond)
			r.epochs.Beat(r.clock.Now())
		}, true},
		"created while it stood still": {func(r *rig) {
			r.epochs.Beat(r.clock.Now())
			r.clock.Step(evidence.StallAfter + time.Millisecond)
			r.created()
		}, true},
		"created when it had caught up": {func(r *rig) {
			r.epochs.Beat(r.clock.Now())
			r.clock.Step(evidence.StallAfter + time.Millisecond)
			r.epochs.Beat(r.clock.Now())
			for range int(evidence.CatchUpTime / evidence.BeatInterval) {
				r.clock.Step(evidence.BeatInterval)
				r.epochs.Beat(r.clock.Now())
			}
			r.created()
		}, false},
		"another operator was met": {func(r *rig) {
			r.created()
			r.epochs.DetectOther(r.clock.Now())
		}, true},
		"another operator was met long ago": {func(r *rig) {
			r.created()
			r.epochs.DetectOther(r.clock.Now())
			r.clock.Step(evidence.OtherOperatorTime)
		}, false},
		"a create got no answer": {func(r *rig) {
			r.created()
			r.failWith["create"] = context.DeadlineExceeded
			_ = r.reconcile()
			delete(r.failWith, "create")
		}, true},
		"a create was refused": {func(r *rig) {
			r.created()
			r.failWith["create"] = apierrors.NewTooManyRequests("later", 1)
			_ = r.reconcile()
			delete(r.failWith, "create")
		}, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, testkit.TaskGroup("g").Commands(1).Obj())
			r.readLive(unread{r.APIReader})
			tc.between(r)
			if err := r.reconcile(); errors.Is(err, errAsked) != tc.asked {
				t.Errorf("got %v, want asked %v", err, tc.asked)
			}
		})
	}
}

// TestARivalIsMet: the Job that is in the way is one that only another active
// operator can have made.
func TestARivalIsMet(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(1).Obj()
	for name, vouched := range map[string]bool{"of a group created before its eyes": true, "of a former process": false} {
		t.Run(name, func(t *testing.T) {
			job := testkit.Job(tg).Obj()
			r := newRig(t, tg, job)
			if vouched {
				r.created()
			}
			r.Client = withoutJobs{r.Client}
			r.mustReconcile()
			r.mustReconcile()
			if got, _ := r.ledger.Recall(tg, 1); got != job.UID {
				t.Errorf("remembers Job %q, want %q", got, job.UID)
			}
			if got := r.epochs.HasOther(r.clock.Now()); got != vouched {
				t.Errorf("a rival is known: %v, want %v", got, vouched)
			}
		})
	}
}

// withoutJobs is a cache that no Job has reached yet.
type withoutJobs struct{ client.Client }

func (c withoutJobs) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if _, ok := obj.(*batchv1.Job); ok {
		return apierrors.NewNotFound(batchv1.Resource("jobs"), key.Name)
	}
	return c.Client.Get(ctx, key, obj, opts...)
}

// TestAPodAfterTheEndIsTold, once, and only of the group that has finished.
func TestAPodAfterTheEndIsTold(t *testing.T) {
	r := newRig(t, testkit.TaskGroup("g").Commands(1).Cancelled().Obj())
	pod := testkit.Pod(testkit.Job(r.taskGroup()).Obj()).Obj()
	pod.Annotations = map[string]string{v1alpha1.NameAnnotation: "g"}
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	defer queue.ShutDown()
	begin := testutil.ToFloat64(podsAfterEnd)
	create := func(initial bool) float64 {
		r.podHandler().Create(t.Context(), event.CreateEvent{Object: pod, IsInInitialList: initial}, queue)
		return testutil.ToFloat64(podsAfterEnd) - begin
	}
	if got := create(false); got != 0 {
		t.Errorf("%v told of a group that has not ended, want 0", got)
	}
	r.settle()
	r.wantReason(v1alpha1.ReasonCancelled)
	if got := create(true); got != 0 {
		t.Errorf("%v told of a pod that was there when the operator began, want 0", got)
	}
	if got := create(false); got != 1 {
		t.Errorf("%v told, want 1", got)
	}
	if got := len(r.events.Events); got != 2 {
		t.Errorf("%d events, want the end's and the alert", got)
	}
}

// TestCancelledBeforeItsJob: another operator, not met so far, may have been about
// to create the Job when the group was cancelled.
func TestCancelledBeforeItsJob(t *testing.T) {
	r := newRig(t, testkit.TaskGroup("g").Commands(1).Cancelled().Obj())
	r.mustReconcile()
	r.wantReason(v1alpha1.ReasonPending)
	job := testkit.Job(r.taskGroup()).Obj()
	if err := r.Client.Create(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	r.clock.Step(evidence.SettleTime)
	hidden := r.Client
	r.Client = blind{r.Client, job.Name}
	r.mustReconcile()
	r.wantReason(v1alpha1.ReasonPending)
	r.Client = hidden
	r.settle()
	r.settle()
	r.wantReason(v1alpha1.ReasonCancelled)
	if len(r.deletes) != 1 {
		t.Errorf("%d deletions of the Job, want 1", len(r.deletes))
	}
}

// blind is a cache that does not show a Job yet.
type blind struct {
	client.Client
	job string
}

func (b blind) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if _, isJob := obj.(*batchv1.Job); isJob && key.Name == b.job {
		return apierrors.NewNotFound(schema.GroupResource{Group: "batch", Resource: "jobs"}, key.Name)
	}
	return b.Client.Get(ctx, key, obj, opts...)
}

// slowReader is an API server that takes three seconds for each list.
type slowReader struct {
	client.Reader
	rig *rig
}

func (s slowReader) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	s.rig.clock.Step(3 * time.Second)
	return s.Reader.List(ctx, list, opts...)
}

// TestSlowReadsDelayAndDoNotBlock: the evidence is as old as its collection's end, so a
// slow API server delays a create, and never prevents it.
func TestSlowReadsDelayAndDoNotBlock(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(1).Obj()
	r := newRig(t, tg)
	r.readLive(slowReader{r.APIReader, r})
	o, err := r.load(t.Context(), r.group)
	if err != nil {
		t.Fatal(err)
	}
	notAfter, err := r.confirm(t.Context(), o, plan.ClaimNoJob)
	if err != nil {
		t.Fatal(err)
	}
	if r.clock.Since(o.lookedAt) < 6*time.Second {
		t.Fatal("the evidence was collected without the slow reads")
	}
	if left := notAfter.Sub(r.clock.Now()); left != evidence.Lifetime {
		t.Errorf("the request may be sent for %s, want %s", left, evidence.Lifetime)
	}
}
