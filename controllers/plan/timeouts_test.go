// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// The pods and Jobs of testkit are all created, and begun, at Created.
func TestClocks(t *testing.T) {
	clocks := v1alpha1.Timeouts{QueuedSeconds: new(int64(30)), StartingSeconds: new(int64(60))}
	at := func(seconds int) time.Time { return testkit.Created.Add(time.Duration(seconds) * time.Second) }
	unplaced := func(job *batchv1.Job) *corev1.Pod { return testkit.Pod(job).Unplaced("Unschedulable", "no room").Obj() }
	placed := func(job *batchv1.Job) *corev1.Pod { return testkit.Pod(job).Obj() }
	waits := func(reason string) func(*batchv1.Job) *corev1.Pod {
		return func(job *batchv1.Job) *corev1.Pod { return testkit.Pod(job).Waiting(reason, "x").Obj() }
	}
	none := v1alpha1.Timeouts{}
	cases := map[string]struct {
		timeouts v1alpha1.Timeouts
		pod      func(*batchv1.Job) *corev1.Pod
		refusal  string
		now      time.Time
		want     v1alpha1.Reason
		// attempt is why the attempt was given up; empty where it was not.
		attempt v1alpha1.Reason
	}{
		"queued, in time":                     {clocks, unplaced, "", at(29), v1alpha1.ReasonQueued, ""},
		"queued for too long":                 {clocks, unplaced, "", at(30), v1alpha1.ReasonStopping, v1alpha1.ReasonUnschedulable},
		"queued for ever, by default":         {none, unplaced, "", at(1e6), v1alpha1.ReasonQueued, ""},
		"a full quota, in time":               {clocks, nil, "exceeded quota: q", at(29), v1alpha1.ReasonQueued, ""},
		"a full quota for too long":           {clocks, nil, "exceeded quota: q", at(30), v1alpha1.ReasonStopping, v1alpha1.ReasonQuotaExceeded},
		"refused for too long":                {clocks, nil, "violates PodSecurity", at(30), v1alpha1.ReasonStopping, v1alpha1.ReasonJobRejected},
		"starting, in time":                   {clocks, placed, "", at(59), v1alpha1.ReasonStarting, ""},
		"starting for too long":               {clocks, placed, "", at(60), v1alpha1.ReasonRetrying, v1alpha1.ReasonDeadlineExceeded},
		"an image that may come":              {none, waits("ImagePullBackOff"), "", at(299), v1alpha1.ReasonStarting, ""},
		"an image that does not come":         {none, waits("ImagePullBackOff"), "", at(300), v1alpha1.ReasonRetrying, v1alpha1.ReasonImagePullFailed},
		"an image that comes too late":        {clocks, waits("ErrImagePull"), "", at(60), v1alpha1.ReasonRetrying, v1alpha1.ReasonImagePullFailed},
		"an image that can never come":        {none, waits("ErrImageNeverPull"), "", at(3), v1alpha1.ReasonStopping, v1alpha1.ReasonImagePullFailed},
		"an image whose name is none":         {none, waits("InvalidImageName"), "", at(3), v1alpha1.ReasonStopping, v1alpha1.ReasonImagePullFailed},
		"a Secret that may be made":           {none, waits("CreateContainerConfigError"), "", at(299), v1alpha1.ReasonStarting, ""},
		"a Secret that is not made":           {none, waits("CreateContainerConfigError"), "", at(300), v1alpha1.ReasonStopping, v1alpha1.ReasonContainerConfigError},
		"a word that nobody knows, by itself": {none, waits("SomethingNew"), "", at(1e6), v1alpha1.ReasonStarting, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tg := testkit.TaskGroup("g").Commands(1).Timeouts(tc.timeouts).Retries(1, 1).Obj()
			job := testkit.Job(tg).Obj()
			o := observe(tg, job)
			o.PodRefusal = tc.refusal
			if tc.pod != nil {
				o.Pods = append(o.Pods, tc.pod(job))
				o.ErrorSince = map[types.UID]time.Time{o.Pods[0].UID: testkit.Created}
			}
			p := plan.Decide(o, tc.now)
			if got := p.Status.Reason(); got != tc.want {
				t.Fatalf("it is %s, want %s: %+v", got, tc.want, outcomeOf(p))
			}
			if got := plan.LastJob(p.Status).Reason; got != tc.attempt {
				t.Errorf("the attempt ended as %q, want %q", got, tc.attempt)
			}
			if p.DeleteJob != nil {
				t.Error("the Job is deleted before the status says why")
			}
		})
	}
}

// TestGivenUp follows a group whose image does not exist to its end: nothing of
// it is left, and the reason is the one that counted.
func TestGivenUp(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(2).Obj())
	l.begin(1)
	l.pods[0] = testkit.Pod(l.jobs[1]).Waiting("InvalidImageName", "Couldn't parse image name").Obj()
	l.decide()
	l.wantReason(v1alpha1.ReasonStopping)
	if p := l.decide(); p.DeleteJob == nil || l.tg.Status.IsFinished() {
		t.Fatal("does not wait for the pod to go")
	}
	l.jobs[1] = testkit.Job(l.tg).Deleting(time.Minute).Obj()
	if p := l.decide(); p.DeleteJob != nil || p.Status != nil {
		t.Errorf("does not wait: %+v", p)
	}
	delete(l.jobs, 1)
	l.pods = nil
	got := outcomeOf(l.decide())
	if got.Reason != v1alpha1.ReasonImagePullFailed || !got.Terminal || got.States != "FF" || !strings.Contains(got.Message, "Couldn't parse image name") {
		t.Errorf("at the end: %+v", got)
	}
}

// TestClocksOfOtherMachines: what a scheduler or Job controller writes whose clock
// is a day behind is no reason to give up what was created a moment ago.
func TestClocksOfOtherMachines(t *testing.T) {
	yesterday := metav1.Time{Time: testkit.Created.Add(-24 * time.Hour)}
	tg := testkit.TaskGroup("g").Commands(1).Timeouts(v1alpha1.Timeouts{QueuedSeconds: new(int64(30)), StartingSeconds: new(int64(30))}).Obj()
	job := testkit.Job(tg).Obj()
	job.Status.StartTime = &yesterday
	placed := testkit.Pod(job).Obj()
	placed.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: yesterday}}
	for name, pod := range map[string]*corev1.Pod{"queued": testkit.Pod(job).Unplaced("Unschedulable", "no room").Obj(), "starting": placed} {
		if p := plan.Decide(observe(tg, job, pod), testkit.Created.Add(29*time.Second)); plan.LastJob(p.Status).Reason != "" {
			t.Errorf("%s: it is given up: %+v", name, outcomeOf(p))
		}
	}
}
