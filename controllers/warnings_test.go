// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// countedReader counts the requests to the API server by kind.
type countedReader struct {
	client.Reader
	events, others int
}

func (c *countedReader) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	c.others++
	return c.Reader.Get(ctx, key, obj, opts...)
}

func (c *countedReader) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if _, ok := list.(*corev1.EventList); ok {
		c.events++
	} else {
		c.others++
	}
	return c.Reader.List(ctx, list, opts...)
}

func (r *rig) countReads() *countedReader {
	counted := &countedReader{Reader: r.APIReader}
	r.readLive(counted)
	return counted
}

// warning is an event about an object.
func warning(name, kind string, object types.UID, reason, message string) *corev1.Event {
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: testkit.Namespace, Name: name},
		InvolvedObject: corev1.ObjectReference{Kind: kind, UID: object},
		Type:           corev1.EventTypeWarning, Reason: reason, Message: message,
	}
}

// TestOneListOfWarningsForManyGroups: 100 groups wait for the pods of their Jobs.
func TestOneListOfWarningsForManyGroups(t *testing.T) {
	var objects []client.Object
	var groups []types.NamespacedName
	for i := range 100 {
		tg := testkit.TaskGroup(fmt.Sprintf("g-%03d", i)).Commands(1).Obj()
		job := testkit.Job(tg).Obj()
		objects = append(objects, tg, job, warning("e-"+tg.Name, "Job", job.UID, "FailedCreate", "Error creating: exceeded quota: q"))
		groups = append(groups, client.ObjectKeyFromObject(tg))
	}
	r := newRig(t, objects...)
	reads := r.countReads()
	const span = 20 * time.Second
	for end := r.clock.Now().Add(span); r.clock.Now().Before(end); r.clock.Step(time.Second) {
		for _, group := range groups {
			if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: group}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if most := int(span / listInterval); reads.events > most || reads.events == 0 {
		t.Errorf("100 groups listed the events %d times in %s, want at most %d", reads.events, span, most)
	}
	if reads.others != 0 {
		t.Errorf("%d other reads", reads.others)
	}
	for _, group := range groups {
		r.group = group
		if status := r.taskGroup().Status; status.Reason() != v1alpha1.ReasonQueued || !strings.Contains(status.Message(), "exceeded quota: q") {
			t.Fatalf("group %s is %s: %s", group.Name, status.Reason(), status.Message())
		}
	}
}

// TestWarningsAreReadALimitedNumberOfTimes: a group that waits is at rest after a few
// minutes (I40).
func TestWarningsAreReadALimitedNumberOfTimes(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(1).Obj()
	job := testkit.Job(tg).Obj()
	cases := map[string][]client.Object{
		"a Job without a pod":   {tg, job, warning("e", "Job", job.UID, "FailedCreate", "Error creating: exceeded quota: q")},
		"a Job without events":  {tg, job},
		"a pod without volumes": {tg, job, testkit.Pod(job).Placed(testkit.Created).Obj()},
	}
	for name, objects := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, objects...)
			reads := r.countReads()
			passes := 0
			for next := time.Nanosecond; next > 0; passes++ {
				if passes > 10*maxLookups {
					t.Fatalf("after %d passes, another one follows in %s", passes, next)
				}
				r.clock.Step(next)
				result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: r.group})
				if err != nil {
					t.Fatal(err)
				}
				next = result.RequeueAfter
				if reads.events == maxLookups && next != 0 {
					t.Fatalf("another pass follows the last read in %s", next)
				}
			}
			if reads.events != maxLookups {
				t.Errorf("the events were listed %d times, want %d", reads.events, maxLookups)
			}
			writes := r.writes
			r.clock.Step(10 * time.Hour)
			r.mustReconcile()
			if reads.events != maxLookups || reads.others != 0 || r.writes != writes {
				t.Errorf("at rest: %d lists of events, %d other reads, %d writes", reads.events-maxLookups, reads.others, r.writes-writes)
			}
		})
	}
}

// TestWaitingIsAtRest: a group whose Job a queue holds, and a suspended one, cause no
// request and no pass (I40).
func TestWaitingIsAtRest(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(1).Timeouts(v1alpha1.Timeouts{QueuedSeconds: new(int64(60))}).Obj()
	suspended := testkit.TaskGroup("g").Commands(1).Suspended(true).Obj()
	for name, objects := range map[string][]client.Object{
		"held by a queue": {tg, testkit.Job(tg).Held().Obj()},
		"suspended":       {suspended},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, objects...)
			r.readLive(unread{r.APIReader})
			r.mustReconcile()
			writes := r.writes
			for range 20 {
				r.clock.Step(time.Hour)
				result, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: r.group})
				if err != nil || result.RequeueAfter != 0 {
					t.Fatalf("got %+v, %v; want no further pass", result, err)
				}
			}
			if r.writes != writes {
				t.Errorf("%d writes at rest", r.writes-writes)
			}
		})
	}
}

// TestWarningAboutAVolume is in the message, and expires after the grace period of a
// start error.
func TestWarningAboutAVolume(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(1).Obj()
	job := testkit.Job(tg).Obj()
	pod := testkit.Pod(job).Placed(testkit.Created).Obj()
	r := newRig(t, tg, job, pod, warning("e", "Pod", pod.UID, "FailedMount", `secret "typo" not found`))
	r.mustReconcile()
	if got := r.taskGroup().Status.Message(); !strings.Contains(got, `FailedMount: secret "typo" not found`) {
		t.Errorf("the message is %q", got)
	}
}

// TestWarningAboutALaterAttempt: the pods of an earlier attempt do not hide that the
// pod of this one is refused.
func TestWarningAboutALaterAttempt(t *testing.T) {
	r := newRig(t, testkit.TaskGroup("g").Commands(1).Retries(1, 0).Obj())
	job := r.begin()
	r.createPod(testkit.Pod(job).Ended(1, "Error", `{"v":1,"states":"F","failure":{"reason":"TaskError"}}`))
	r.mustReconcile()
	finishJob(r, 1)
	r.clock.Step(time.Hour)
	r.mustReconcile()
	second := testkit.JobOfAttempt(r.taskGroup(), 2).Obj()
	if err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(second), second); err != nil {
		t.Fatal(err)
	}
	if err := r.Client.Create(t.Context(), warning("e", "Job", second.UID, "FailedCreate", "Error creating: exceeded quota: q")); err != nil {
		t.Fatal(err)
	}
	r.clock.Step(time.Minute)
	r.mustReconcile()
	if got := r.taskGroup().Status.Message(); !strings.Contains(got, "exceeded quota: q") {
		t.Errorf("the message is %q", got)
	}
}

// TestWarningsArePolled follows a group whose pod does not start. No object changes,
// so only requeues let the operator read the warning event of the kubelet.
func TestWarningsArePolled(t *testing.T) {
	for name, tc := range map[string]struct {
		// scheduled and warned are the times, after the creation of the Job, when the
		// pod was scheduled and when the kubelet created the event.
		scheduled, warned time.Duration
		within            time.Duration
	}{
		"scheduled in the second of the Job's creation": {0, 0, 10 * time.Second},
		"scheduled a second later":                      {time.Second, 0, 10 * time.Second},
		"scheduled much later":                          {20 * time.Second, 0, 30 * time.Second},
		"by a scheduler whose clock is ahead":           {time.Minute, 0, 70 * time.Second},
		"warned of after the first read":                {time.Second, 8 * time.Second, 15 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			tg := testkit.TaskGroup("g").Commands(1).Obj()
			job := testkit.Job(tg).Obj()
			pod := testkit.Pod(job).Placed(testkit.Created.Add(tc.scheduled)).Obj()
			r := newRig(t, tg, job, pod)
			r.wantWarning(warning("e", "Pod", pod.UID, "FailedMount", `secret "typo" not found`), tc.warned, tc.within)
			r.wantReason(v1alpha1.ReasonStarting)
		})
	}
}

// TestWarningsOfAParallelJobArePolled is the same for a pod that is refused while
// another one runs.
func TestWarningsOfAParallelJobArePolled(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(2).Parallel().Obj()
	job := testkit.Job(tg).Obj()
	r := newRig(t, tg, job, testkit.Pod(job).Index(0, "").Running().Obj())
	r.wantWarning(warning("e", "Job", job.UID, "FailedCreate", "exceeded quota: q"), 3*time.Second, 10*time.Second)
	r.wantReason(v1alpha1.ReasonRunning)
}

// wantWarning reconciles when the operator requests it until the group's message
// contains the text of an event. The event is created some time after the Job, and has
// to be reported within a time.
func (r *rig) wantWarning(event *corev1.Event, created, within time.Duration) {
	r.t.Helper()
	r.clock.SetTime(testkit.Created.Add(2 * time.Second))
	for exists := false; ; {
		now := r.clock.Now().Sub(testkit.Created)
		if !exists && now >= created {
			exists = true
			if err := r.Client.Create(r.t.Context(), event); err != nil {
				r.t.Fatal(err)
			}
		}
		result, err := r.Reconcile(r.t.Context(), ctrl.Request{NamespacedName: r.group})
		if err != nil {
			r.t.Fatal(err)
		}
		status := r.taskGroup().Status
		if strings.Contains(status.Message(), event.Message) {
			return
		}
		if result.RequeueAfter == 0 || now+result.RequeueAfter > within {
			r.t.Fatalf("after %s, with the next pass in %s, the group is %s: %s", now, result.RequeueAfter, status.Reason(), status.Message())
		}
		r.clock.Step(result.RequeueAfter)
	}
}
