// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// TestNormalLifeIsThreeWrites counts what one group costs the API server.
func TestNormalLifeIsThreeWrites(t *testing.T) {
	r := newRig(t, testkit.TaskGroup("g").Commands(1).Obj())
	r.mustReconcile()
	job := r.job()
	pod := testkit.Pod(job).Running().Obj()
	if err := r.Client.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	r.writes--
	r.mustReconcile()
	r.wantReason(v1alpha1.ReasonRunning)
	r.mustReconcile()

	pod.Status = testkit.Pod(job).Ended(0, "Completed", `{"v":1,"states":"C"}`).Obj().Status
	if err := r.Client.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	r.mustReconcile()
	r.wantReason(v1alpha1.ReasonCompleted)
	for range 3 {
		r.mustReconcile()
	}
	if r.writes != 3 {
		t.Errorf("a normal life took %d writes, want 3", r.writes)
	}
	if got := len(r.events.Events); got != 1 {
		t.Errorf("a normal life emitted %d events, want 1", got)
	}
}

func TestAJobInTheWay(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(1).Obj()
	t.Run("of somebody else ends the group", func(t *testing.T) {
		r := newRig(t, tg, testkit.Job(tg).Foreign().Obj())
		r.mustReconcile()
		r.wantReason(v1alpha1.ReasonNameConflict)
		r.job()
	})
	t.Run("of the group's former life ends the group", func(t *testing.T) {
		former := testkit.TaskGroup("g").Obj()
		former.UID = "former"
		job := testkit.Job(tg).Obj()
		job.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(former, v1alpha1.GroupVersion.WithKind("TaskGroup"))}
		r := newRig(t, tg, job)
		r.mustReconcile()
		r.wantReason(v1alpha1.ReasonNameConflict)
	})
	t.Run("that the cache does not show yet is the group's own", func(t *testing.T) {
		job := testkit.Job(tg).Obj()
		r := newRig(t, tg, job)
		r.failWith["create"] = apierrors.NewAlreadyExists(schema.GroupResource{Resource: "jobs"}, job.Name)
		if err := r.createJob(t.Context(), &plan.Observed{TaskGroup: tg, Attempt: 1, JobName: job.Name}); err != nil {
			t.Fatal(err)
		}
		if got, _ := r.ledger.Recall(tg, 1); got != job.UID {
			t.Errorf("remembers Job %q, want %q", got, job.UID)
		}
		if len(r.enqueued()) != 1 {
			t.Errorf("enqueued %v, want the group: no event need tell of such a Job", r.enqueued())
		}
	})
	t.Run("that is gone again may have been the group's own", func(t *testing.T) {
		r := newRig(t, tg)
		r.ledger.MarkCertain(r.group, tg.UID, r.epochs.Current(r.clock.Now()))
		r.failWith["create"] = apierrors.NewAlreadyExists(schema.GroupResource{Resource: "jobs"}, "g")
		if err := r.reconcile(); err == nil {
			t.Error("want an error, to be tried again")
		}
		if got := r.ledger.Certain(tg); got != 0 {
			t.Errorf("still vouches in epoch %d that there was no Job", got)
		}
	})
	t.Run("that no event tells of is looked at again", func(t *testing.T) {
		job := testkit.Job(tg).Obj()
		r := newRig(t, tg, job)
		r.ledger.RecordJob(tg, 1, job.UID)
		r.Client = withoutJobs{r.Client}
		result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: r.group})
		if err != nil || result.RequeueAfter == 0 || result.RequeueAfter > confirmInterval {
			t.Errorf("got %+v, %v; want to be asked again within %s", result, err, confirmInterval)
		}
	})
}

func TestRefusedJobs(t *testing.T) {
	gr := schema.GroupResource{Group: "batch", Resource: "jobs"}
	t.Run("invalid is for ever", func(t *testing.T) {
		r := newRig(t, testkit.TaskGroup("g").Commands(1).Obj())
		r.failWith["create"] = apierrors.NewInvalid(schema.GroupKind{Kind: "Job"}, "g", nil)
		r.mustReconcile()
		r.wantReason(v1alpha1.ReasonJobRejected)
	})
	t.Run("forbidden is tried again", func(t *testing.T) {
		r := newRig(t, testkit.TaskGroup("g").Commands(1).Obj())
		r.failWith["create"] = apierrors.NewForbidden(gr, "g", errors.New("exceeded quota: few"))
		result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: r.group})
		if err != nil || result.RequeueAfter == 0 {
			t.Errorf("got %+v, %v; want to be asked again", result, err)
		}
		r.wantReason(v1alpha1.ReasonQueued)
		delete(r.failWith, "create")
		r.clock.Step(result.RequeueAfter)
		r.mustReconcile()
		r.job()
	})
	t.Run("forbidden for longer than the group may queue is for ever", func(t *testing.T) {
		r := newRig(t, testkit.TaskGroup("g").Commands(1).Timeouts(v1alpha1.Timeouts{QueuedSeconds: new(int64(30))}).Obj())
		r.failWith["create"] = apierrors.NewForbidden(gr, "g", errors.New("exceeded quota: few"))
		r.mustReconcile()
		r.wantReason(v1alpha1.ReasonQueued)
		r.clock.Step(30 * time.Second)
		r.mustReconcile()
		r.wantReason(v1alpha1.ReasonQuotaExceeded)
	})
	t.Run("a namespace that is going is an error", func(t *testing.T) {
		r := newRig(t, testkit.TaskGroup("g").Commands(1).Obj())
		forbidden := apierrors.NewForbidden(gr, "g", errors.New("it is being terminated"))
		forbidden.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
		r.failWith["create"] = forbidden
		if err := r.reconcile(); !apierrors.IsForbidden(err) {
			t.Errorf("got %v, want the refusal", err)
		}
	})
}

// TestCancelDeletesOnlyItsJob checks what a bare delete would get wrong: the
// pods orphaned, or another Job of the same name gone (invariant I15).
func TestCancelDeletesOnlyItsJob(t *testing.T) {
	r := newRig(t, testkit.TaskGroup("g").Commands(1).Obj())
	r.mustReconcile()
	uid := r.job().UID
	tg := r.taskGroup()
	tg.Spec.Cancel = true
	if err := r.Client.Update(t.Context(), tg); err != nil {
		t.Fatal(err)
	}
	r.mustReconcile()
	r.wantReason(v1alpha1.ReasonCancelling)
	if len(r.deletes) != 1 {
		t.Fatalf("%d deletes, want 1", len(r.deletes))
	}
	opts := r.deletes[0]
	if opts.PropagationPolicy == nil || *opts.PropagationPolicy != metav1.DeletePropagationForeground {
		t.Errorf("propagation is %v, want Foreground", opts.PropagationPolicy)
	}
	if opts.Preconditions == nil || opts.Preconditions.UID == nil || *opts.Preconditions.UID != uid {
		t.Errorf("preconditions are %v, want UID %s", opts.Preconditions, uid)
	}
	r.settle()
	r.wantReason(v1alpha1.ReasonCancelled)
}

// TestADeletedJobIsNotCreatedAgain: the status has not named the Job yet, so
// only this process's memory has that there was one (invariant I1).
func TestADeletedJobIsNotCreatedAgain(t *testing.T) {
	r := newRig(t, testkit.TaskGroup("g").Commands(1).Obj())
	r.mustReconcile()
	if err := r.Client.Delete(t.Context(), r.job()); err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.wantReason(v1alpha1.ReasonCancelled)
	var jobs batchv1.JobList
	if err := r.Client.List(t.Context(), &jobs); err != nil || len(jobs.Items) != 0 {
		t.Errorf("Jobs: %v, %v; want none", jobs.Items, err)
	}
}

// TestAPodOvertakesItsJob: the events of a pod may come before its Job's. That is
// no reason for a request, nor to take the Job for deleted.
func TestAPodOvertakesItsJob(t *testing.T) {
	r := newRig(t, testkit.TaskGroup("g").Commands(1).Obj())
	r.mustReconcile()
	if err := r.Client.Create(t.Context(), testkit.Pod(r.job()).Running().Obj()); err != nil {
		t.Fatal(err)
	}
	r.Client = withoutJobs{r.Client}
	r.readLive(unread{r.APIReader})
	result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: r.group})
	if err != nil || result.RequeueAfter != cacheLag {
		t.Errorf("got %v, %v; want to look again", result, err)
	}
	r.wantReason(v1alpha1.ReasonPending)
	r.Client = r.Client.(withoutJobs).Client
	r.mustReconcile()
	r.wantReason(v1alpha1.ReasonRunning)
}

// TestRebirth deletes a group and creates it again under its name: the memory of
// the previous one must not speak for the later (invariant I12).
func TestRebirth(t *testing.T) {
	r := newRig(t, testkit.TaskGroup("g").Commands(1).Obj())
	r.mustReconcile()
	if err := errors.Join(r.Client.Delete(t.Context(), r.job()), r.Client.Delete(t.Context(), r.taskGroup())); err != nil {
		t.Fatal(err)
	}
	later := testkit.TaskGroup("g").Commands(1).Obj()
	later.ResourceVersion, later.UID = "", "another"
	if err := r.Client.Create(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	r.mustReconcile()
	if !metav1.IsControlledBy(r.job(), r.taskGroup()) {
		t.Error("the later group has no Job of its own")
	}
}

// TestLastWords: a stopped pod goes right after its runner wrote its record,
// before a pass saw it.
func TestLastWords(t *testing.T) {
	r := newRig(t, testkit.TaskGroup("g").Commands(2).Outputs("file:///out").Obj())
	r.mustReconcile()
	job := r.job()
	digest := strings.Repeat("ab", 32)
	pod := testkit.Pod(job).Ended(143, "Error", `{"v":1,"states":"CX","manifest":"`+digest+`","failure":{"reason":"Terminated"}}`).Obj()
	pod.Annotations = map[string]string{v1alpha1.NameAnnotation: "g"}
	if err := r.Client.Delete(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	defer queue.ShutDown()
	r.clock.Step(cacheLag)
	r.podHandler().Delete(t.Context(), event.DeleteEvent{Object: pod}, queue)
	if queue.Len() != 1 {
		t.Errorf("%d groups to reconcile, want 1", queue.Len())
	}
	r.mustReconcile()
	r.wantReason(v1alpha1.ReasonCancelled)
	status := r.taskGroup().Status
	if status.Summary != "1/2" || status.Manifest == nil || status.Manifest.SHA256 != digest {
		t.Errorf("the pod's last words are lost: %+v", status)
	}
	r.mustReconcile()
	if r.ledger.Len() != 0 {
		t.Errorf("still remembers %d groups that have ended", r.ledger.Len())
	}
}

// TestProgressIsWrittenOnceASecond: the pods of a Parallel group end by and by.
func TestProgressIsWrittenOnceASecond(t *testing.T) {
	r := newRig(t, testkit.TaskGroup("g").Commands(100).Parallel().Obj())
	r.mustReconcile()
	job := r.job()
	begin := r.writes
	for i := range 99 {
		pod := testkit.Pod(job).Index(i, "").Ended(0, "Completed", `{"v":1,"states":"C"}`).Obj()
		if err := r.Client.Create(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		r.mustReconcile()
		r.clock.Step(100 * time.Millisecond)
	}
	if writes := r.writes - begin - 99; writes > 12 {
		t.Errorf("10 s of progress took %d writes, want one a second", writes)
	}
}

// TestMetrics: every end and retry is counted once, and nothing that a container
// made up becomes a label.
func TestMetrics(t *testing.T) {
	r := newRig(t, testkit.TaskGroup("g").Commands(1).Retries(1, 0).Obj())
	retried := testutil.ToFloat64(retries.WithLabelValues("User", "Other"))
	finished := testutil.ToFloat64(groupsFinished.WithLabelValues("Other"))
	for attempt := int32(1); attempt <= 2; attempt++ {
		r.clock.SetTime(testkit.Created.Add(time.Duration(attempt) * time.Hour))
		r.mustReconcile()
		pod := testkit.Pod(testkit.JobOfAttempt(r.taskGroup(), attempt).Obj()).Ended(1, "Error",
			`{"v":1,"states":"F","failure":{"reason":"MadeUpByAContainer","message":"x"}}`).Obj()
		if err := r.Client.Create(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		r.mustReconcile()
		finishJob(r, attempt)
	}
	r.mustReconcile()
	r.wantReason("MadeUpByAContainer")
	if got := testutil.ToFloat64(retries.WithLabelValues("User", "Other")) - retried; got != 1 {
		t.Errorf("%v retries counted, want 1", got)
	}
	if got := testutil.ToFloat64(groupsFinished.WithLabelValues("Other")) - finished; got != 1 {
		t.Errorf("%v ends counted, want 1", got)
	}
}

// finishJob plays the Job controller at the end of an attempt.
func finishJob(r *rig, attempt int32) {
	r.t.Helper()
	job := testkit.JobOfAttempt(r.taskGroup(), attempt).Obj()
	if err := r.Client.Get(r.t.Context(), client.ObjectKeyFromObject(job), job); err != nil {
		r.t.Fatal(err)
	}
	job.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue}}
	if err := r.Client.Status().Update(r.t.Context(), job); err != nil {
		r.t.Fatal(err)
	}
}

// TestCancelledIsNotSaidOfARunningPod: the cache of pods is behind, and the API
// server has one that runs (invariant I5).
func TestCancelledIsNotSaidOfARunningPod(t *testing.T) {
	r := newRig(t, testkit.TaskGroup("g").Commands(1).Obj())
	r.mustReconcile()
	job := r.job()
	if err := errors.Join(r.Client.Delete(t.Context(), job), r.Client.Create(t.Context(), testkit.Pod(job).Running().Obj())); err != nil {
		t.Fatal(err)
	}
	r.clock.Step(cacheLag)
	r.Client = withoutPods{r.Client}
	r.mustReconcile()
	r.wantReason(v1alpha1.ReasonPending)
	r.Client = r.Client.(withoutPods).Client
	r.mustReconcile()
	r.wantReason(v1alpha1.ReasonCancelling)
}

// withoutPods is a cache that no pod has reached yet.
type withoutPods struct{ client.Client }

func (c withoutPods) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if _, ok := list.(*corev1.PodList); ok {
		return nil
	}
	return c.Client.List(ctx, list, opts...)
}

// TestOwnWritesAreRead: a pass on a cache that is behind the last write decides on
// what was written, and does not write again.
func TestOwnWritesAreRead(t *testing.T) {
	r := newRig(t, testkit.TaskGroup("g").Commands(1).Obj())
	stale := r.taskGroup()
	r.mustReconcile()
	if err := r.Client.Create(t.Context(), testkit.Pod(r.job()).Running().Obj()); err != nil {
		t.Fatal(err)
	}
	r.mustReconcile()
	r.wantReason(v1alpha1.ReasonRunning)
	if got := r.ledger.Newest(stale); got.Status.Reason() != v1alpha1.ReasonRunning {
		t.Errorf("a stale cache is believed: %s", got.Status.Reason())
	}
	fresh := r.taskGroup()
	if got := r.ledger.Newest(fresh); got != fresh {
		t.Error("the cache is not believed when it has caught up")
	}
	if got := r.ledger.Newest(stale); got != stale {
		t.Error("what the cache has is still remembered")
	}
}

// TestConflictIsQuiet: another client wrote first; the next event repeats the pass.
func TestConflictIsQuiet(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(1).Cancelled().Obj()
	r := newRig(t, tg)
	r.failWith["update"] = apierrors.NewConflict(schema.GroupResource{Resource: "taskgroups"}, "g", errors.New("stale"))
	r.settle()
	if got := len(r.events.Events); got != 0 {
		t.Errorf("told of %d ends that were not written", got)
	}
	delete(r.failWith, "update")
	r.mustReconcile()
	r.wantReason(v1alpha1.ReasonCancelled)
}

// TestAConflictOverAQuotaIsTriedAgain: nothing that the group watches changes when
// the quota is free again, so only an error brings another pass.
func TestAConflictOverAQuotaIsTriedAgain(t *testing.T) {
	r := newRig(t, testkit.TaskGroup("g").Commands(1).Obj())
	r.failWith["create"] = apierrors.NewConflict(schema.GroupResource{Resource: "resourcequotas"}, "q", errors.New("the object has been modified"))
	if err := r.reconcile(); err == nil {
		t.Fatal("nobody will try again")
	}
	delete(r.failWith, "create")
	r.mustReconcile()
	if r.job() == nil {
		t.Error("there is no Job")
	}
}
