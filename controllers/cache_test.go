// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// TestStrippedObjectsDecideTheSame keeps the cache from dropping what a decision
// rests on.
func TestStrippedObjectsDecideTheSame(t *testing.T) {
	tg := testkit.TaskGroup("a").Commands(2).Outputs("file:///out").Obj()
	job := testkit.Job(tg).Obj()
	cases := map[string]*testkit.PodBuilder{
		"waits":             testkit.Pod(job).Waiting("ErrImagePull", "no such host"),
		"is not placed":     testkit.Pod(job).Unplaced("Unschedulable", "0/1 nodes"),
		"is prepared":       testkit.Pod(job).Placed(testkit.Created.Add(59 * time.Minute)),
		"runs":              testkit.Pod(job).Running(),
		"completed":         testkit.Pod(job).Ended(0, "Completed", ""),
		"ran out of memory": testkit.Pod(job).MemoryLimit("64Mi").Ended(137, "OOMKilled", ""),
		"was refused":       testkit.Pod(job).Refused("UnexpectedAdmissionError", "no device"),
		"was disrupted":     testkit.Pod(job).Ended(137, "Error", "").Disrupted("EvictionByEvictionAPI", "drained"),
	}
	for name, pod := range cases {
		t.Run(name, func(t *testing.T) {
			now := testkit.Created.Add(time.Hour)
			want := plan.Decide(observed(t, job, pod.Obj(), false), now)
			got := plan.Decide(observed(t, job, pod.Obj(), true), now)
			// A caller that deletes a Job needs no more of it than its name and UID.
			want.DeleteJob, got.DeleteJob = nil, nil
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("with stripped objects (-want +got):\n%s", diff)
			}
		})
	}
}

func observed(t *testing.T, job *batchv1.Job, pod *corev1.Pod, stripped bool) *plan.Observed {
	t.Helper()
	tg := testkit.TaskGroup("a").Commands(2).Outputs("file:///out").Obj()
	tg.Spec.Timeouts = &v1alpha1.Timeouts{StartingSeconds: new(int64(90))}
	job = job.DeepCopy()
	if stripped {
		for _, strip := range []func() (any, error){
			func() (any, error) { return stripTaskGroup(tg) },
			func() (any, error) { return stripJob(job) },
			func() (any, error) { return stripPod(pod) },
		} {
			if _, err := strip(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return &plan.Observed{TaskGroup: tg, Attempt: 1, JobName: jobspec.JobName(tg.Name, tg.UID, 1), Job: job, Pods: []*corev1.Pod{pod}}
}

// TestJobChanges: what the operator reads of a Job brings a pass, and nothing else.
func TestJobChanges(t *testing.T) {
	tg := testkit.TaskGroup("a").Commands(1).Obj()
	cases := map[string]struct {
		change func(*batchv1.Job)
		want   bool
	}{
		"a resync":         {func(*batchv1.Job) {}, true},
		"a pod that is up": {func(j *batchv1.Job) { j.ResourceVersion = "2"; j.Status.Active, j.Status.Ready = 1, new(int32(1)) }, false},
		"its template":     {func(j *batchv1.Job) { j.ResourceVersion = "2"; j.Spec.Template.Labels = map[string]string{"a": "b"} }, false},
		"a queue's hold":   {func(j *batchv1.Job) { j.ResourceVersion = "2"; j.Spec.Suspend = new(true) }, true},
		"its start": {func(j *batchv1.Job) {
			j.ResourceVersion = "2"
			j.Status.StartTime = &metav1.Time{Time: testkit.Created}
		}, true},
		"its deletion": {func(j *batchv1.Job) {
			j.ResourceVersion = "2"
			j.DeletionTimestamp = &metav1.Time{Time: testkit.Created}
		}, true},
		"its end": {func(j *batchv1.Job) {
			j.ResourceVersion = "2"
			j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
		}, true},
		"an owner it loses": {func(j *batchv1.Job) { j.ResourceVersion = "2"; j.OwnerReferences = nil }, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			before := testkit.Job(tg).Obj()
			before.ResourceVersion, before.Status.StartTime = "1", nil
			after := before.DeepCopy()
			tc.change(after)
			for _, job := range []*batchv1.Job{before, after} {
				if _, err := stripJob(job); err != nil {
					t.Fatal(err)
				}
			}
			if got := jobChanged(event.UpdateEvent{ObjectOld: before, ObjectNew: after}); got != tc.want {
				t.Errorf("it brings a pass: %t, want %t", got, tc.want)
			}
		})
	}
}

// TestPhase: a pod whose containers have succeeded has, whatever else it still is.
func TestPhase(t *testing.T) {
	ended := func(code int32) corev1.ContainerStatus {
		return corev1.ContainerStatus{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}}}
	}
	runs := corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	cases := map[string]struct {
		change func(*corev1.Pod)
		want   corev1.PodPhase
	}{
		"its container succeeded": {func(*corev1.Pod) {}, corev1.PodSucceeded},
		"it is not known to run":  {func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }, corev1.PodPending},
		"it has failed":           {func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }, corev1.PodFailed},
		"its container failed":    {func(p *corev1.Pod) { p.Status.ContainerStatuses[0] = ended(1) }, corev1.PodRunning},
		"its container runs":      {func(p *corev1.Pod) { p.Status.ContainerStatuses[0] = runs }, corev1.PodRunning},
		"nothing is known of it":  {func(p *corev1.Pod) { p.Status.ContainerStatuses = nil }, corev1.PodRunning},
		"a container beside it runs": {func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "injected"})
			p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, runs)
		}, corev1.PodRunning},
		"nothing is known of one beside it": {func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "injected"})
		}, corev1.PodRunning},
		"a sidecar runs":                {func(p *corev1.Pod) { p.Status.InitContainerStatuses = []corev1.ContainerStatus{runs} }, corev1.PodRunning},
		"an init container came before": {func(p *corev1.Pod) { p.Status.InitContainerStatuses = []corev1.ContainerStatus{ended(0)} }, corev1.PodSucceeded},
		"it would be started again":     {func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyOnFailure }, corev1.PodRunning},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{
				Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: jobspec.TaskContainer}}},
				Status: corev1.PodStatus{
					Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{ended(0)},
				},
			}
			tc.change(pod)
			if _, err := stripPod(pod); err != nil {
				t.Fatal(err)
			}
			if pod.Status.Phase != tc.want {
				t.Errorf("it is %s, want %s", pod.Status.Phase, tc.want)
			}
		})
	}
}
