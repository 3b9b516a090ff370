// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// TestGraces proves what is not worth a write, and for how long.
func TestGraces(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(1).Obj()
	job := testkit.Job(tg).Obj()
	started := func(after time.Duration) *corev1.Pod {
		pod := testkit.Pod(job).Running().Obj()
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: jobspec.TaskContainer, State: corev1.ContainerState{
			Running: &corev1.ContainerStateRunning{StartedAt: metav1.Time{Time: testkit.Created.Add(after)}},
		}}}
		return pod
	}
	quota := observe(tg, job)
	quota.PodRefusal = "exceeded quota"
	hurried := testkit.TaskGroup("g").Commands(1).Timeouts(v1alpha1.Timeouts{QueuedSeconds: new(int64(7))}).Obj()
	inTime := testkit.Job(hurried).Obj()
	inTime.Status.StartTime = &metav1.Time{Time: testkit.Created}
	cases := map[string]struct {
		observed *plan.Observed
		after    time.Duration
		// reason is empty where nothing is written.
		reason  v1alpha1.Reason
		requeue time.Duration
	}{
		"a pod that began a moment ago":            {observe(tg, job, started(3*time.Second)), 4 * time.Second, "", time.Second},
		"a pod that has run for a while":           {observe(tg, job, started(3*time.Second)), 5 * time.Second, v1alpha1.ReasonRunning, 0},
		"a node whose clock is ahead":              {observe(tg, job, started(time.Hour)), 5 * time.Second, v1alpha1.ReasonRunning, 0},
		"a pod with nothing in its way":            {observe(tg, job, testkit.Pod(job).Obj()), 4 * time.Second, "", time.Second},
		"a pod with nothing in its way, in time":   {observe(tg, job, testkit.Pod(job).Obj()), 5 * time.Second, v1alpha1.ReasonStarting, 0},
		"a Job whose pod is on its way":            {observe(tg, job), 4 * time.Second, "", time.Second},
		"a quota that is full, at once":            {quota, time.Second, "", time.Second},
		"a quota that is full, in time":            {quota, 2 * time.Second, v1alpha1.ReasonQueued, 0},
		"an image that is not there, in time":      {observe(tg, job, testkit.Pod(job).Waiting("ErrImagePull", "x").Obj()), 2 * time.Second, v1alpha1.ReasonStarting, 298 * time.Second},
		"a clock that runs out before the moments": {observe(hurried, inTime), 4 * time.Second, "", time.Second},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := plan.Decide(tc.observed, testkit.Created.Add(tc.after))
			var reason v1alpha1.Reason
			if p.Status != nil {
				reason = p.Status.Reason()
			}
			if reason != tc.reason || p.RequeueAfter != tc.requeue {
				t.Errorf("got %q, again after %s; want %q, %s", reason, p.RequeueAfter, tc.reason, tc.requeue)
			}
		})
	}
}

// TestAPodThatNoSchedulerReports checks that the message names what the pod depends on.
func TestAPodThatNoSchedulerReports(t *testing.T) {
	for name, tc := range map[string]struct {
		options v1alpha1.PodOptions
		want    string
	}{
		"the default scheduler": {v1alpha1.PodOptions{}, "its scheduler has not reported why"},
		"a scheduler that may not run": {
			v1alpha1.PodOptions{SchedulerName: "batch-scheduler"}, "scheduler batch-scheduler has not reported why",
		},
		"claims that may not exist": {
			v1alpha1.PodOptions{ResourceClaims: []corev1.PodResourceClaim{
				{Name: "gpu", ResourceClaimName: new("shared-gpu")}, {Name: "nic", ResourceClaimTemplateName: new("fast-nic")},
			}},
			"its scheduler has not reported why; check that these exist: ResourceClaim shared-gpu, ResourceClaimTemplate fast-nic",
		},
	} {
		t.Run(name, func(t *testing.T) {
			tg := testkit.TaskGroup("g").Commands(1).Pod(tc.options).Obj()
			job := testkit.Job(tg).Obj()
			pod := testkit.Pod(job).Obj()
			pod.Spec.NodeName = ""
			p := plan.Decide(observe(tg, job, pod), testkit.Created.Add(time.Minute))
			if want := "Pod " + pod.Name + " waits for a node: " + tc.want; p.Status == nil || p.Status.Message() != want {
				t.Errorf("got %+v, want %q", outcomeOf(p), want)
			}
		})
	}
}

// TestStartTime keeps the time that the node reports, also where the group finishes
// before the status reported that it runs.
func TestStartTime(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(1).Obj()
	job := testkit.Job(tg).Condition(batchv1.JobComplete, "", "").Obj()
	pod := testkit.Pod(job).Ended(0, "Completed", record(t, "C", nil)).Obj()
	began := metav1.Time{Time: testkit.Created.Add(2 * time.Second)}
	pod.Status.ContainerStatuses[0].State.Terminated.StartedAt = began
	p := plan.Decide(observe(tg, job, pod), now)
	if p.Status == nil || !p.Status.StartTime.Equal(&began) {
		t.Errorf("got %v, want a status with startTime %s", p.Status, began)
	}
}
