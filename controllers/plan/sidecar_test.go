// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// withProxy adds a container to a pod whose tasks terminated 10 s after Created, and
// sets the pod's phase.
func withProxy(pod *corev1.Pod, phase corev1.PodPhase, state corev1.ContainerState) *corev1.Pod {
	pod.Status.Phase = phase
	pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{Name: "istio-proxy", State: state})
	return pod
}

var proxyRuns = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}

// TestTheRecordDecides checks that nothing that happens to a pod after its tasks were
// completed and committed changes the result (invariant I42).
func TestTheRecordDecides(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(2).Outputs("file:///out").Retries(0, 0).Obj()
	job := testkit.Job(tg).Obj()
	done := func() *testkit.PodBuilder { return testkit.Pod(job).Ended(0, "Completed", record(t, "CC", nil)) }
	late := done().Obj()
	late.Status.Phase, late.Status.Reason, late.Status.Message = corev1.PodFailed, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline"
	drained := done().Disrupted("EvictionByEvictionAPI", "drain").Obj()
	drained.Status.Phase = corev1.PodFailed
	for name, pod := range map[string]*corev1.Pod{
		"another container failed": withProxy(done().Obj(), corev1.PodFailed, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}}),
		"the pod's deadline":       late,
		"a drain":                  drained,
	} {
		t.Run(name, func(t *testing.T) {
			p := plan.Decide(known(observe(tg, job, pod), job.UID), now)
			if got := outcomeOf(p); got.Reason != v1alpha1.ReasonCompleted || got.Done != "2/2" || got.Manifest != digest {
				t.Errorf("got %+v", got)
			}
		})
	}
	uncommitted := testkit.Pod(job).Ended(0, "Completed", `{"v":1,"states":"CC"}`).Disrupted("EvictionByEvictionAPI", "drain").Obj()
	uncommitted.Status.Phase = corev1.PodFailed
	if got := outcomeOf(plan.Decide(known(observe(tg, job, uncommitted), job.UID), now)); got.Reason != v1alpha1.ReasonEvicted {
		t.Errorf("without a committed manifest: %+v", got)
	}
}

// TestALeftoverContainerIsRemoved follows groups whose pod keeps running after the
// tasks have terminated.
func TestALeftoverContainerIsRemoved(t *testing.T) {
	failure := &contract.Failure{Reason: contract.ReasonTaskError, Message: "boom"}
	for name, tc := range map[string]struct {
		outputs  v1alpha1.AssetURI
		exitCode int32
		record   string
		want     outcome
	}{
		"completed, with outputs": {"file:///out", 0, record(t, "CC", nil),
			outcome{Reason: v1alpha1.ReasonCompleted, Done: "2/2", States: "CC", Manifest: digest}},
		"completed, without outputs": {"", 0, `{"v":1,"states":"CC"}`,
			outcome{Reason: v1alpha1.ReasonCompleted, Done: "2/2", States: "CC"}},
		"failed": {"file:///out", 1, record(t, "CF", failure),
			outcome{Reason: v1alpha1.ReasonTaskError, Done: "1/2", States: "CF", Manifest: digest}},
	} {
		for restart, forgotten := range map[string]bool{"": false, ", and its pod is deleted unseen": true} {
			t.Run(name+restart, func(t *testing.T) {
				l := newLife(t, testkit.TaskGroup("g").Commands(2).Outputs(tc.outputs).Retries(0, 0).Obj())
				if tc.outputs == "" {
					l.tg.Spec.Assets = nil
				}
				l.begin(1)
				l.pods = []*corev1.Pod{withProxy(testkit.Pod(l.jobs[1]).Ended(tc.exitCode, "x", tc.record).Obj(), corev1.PodRunning, proxyRuns)}
				l.now = testkit.Created.Add(12 * time.Second)
				if p := l.decide(); p.Status != nil || p.RequeueAfter != 3*time.Second {
					t.Errorf("within the grace period: %+v", outcomeOf(p))
				}
				l.now = testkit.Created.Add(15 * time.Second)
				l.decide()
				l.wantReason(v1alpha1.ReasonStopping)
				if got := l.tg.Status.Message(); !strings.Contains(got, "container istio-proxy kept running") {
					t.Errorf("message %q", got)
				}
				l.tg.Spec.Cancel = tc.want.Reason == v1alpha1.ReasonCompleted
				if p := l.decide(); p.DeleteJob == nil {
					t.Fatalf("the Job is not deleted: %+v", outcomeOf(p))
				}
				delete(l.jobs, 1)
				l.pods[0].Status.Phase = corev1.PodFailed
				if forgotten {
					l.pods = nil
				}
				l.decide()
				got, want := outcomeOf(plan.Plan{Status: &l.tg.Status}), tc.want
				if got.Reason != want.Reason || got.States != want.States || got.Manifest != want.Manifest || !got.Terminal {
					t.Errorf("got %+v, want %+v", got, want)
				}
				if got := l.tg.Status.Message(); strings.Contains(got, "is still running") {
					t.Errorf("the pod has terminated, and the message is %q", got)
				}
			})
		}
	}
}

// TestParallelLeftoverContainers: the pods of a Parallel group keep their slots while
// a proxy runs.
func TestParallelLeftoverContainers(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(3).Parallel().Retries(0, 0).Obj()
	tg.Spec.Parallelism = new(int32(2))
	l := newLife(t, tg)
	l.begin(1)
	l.pods = []*corev1.Pod{
		withProxy(l.completed(1, 0), corev1.PodRunning, proxyRuns),
		withProxy(l.raised(1, 1), corev1.PodRunning, proxyRuns),
	}
	l.now = testkit.Created.Add(time.Minute)
	pods := []*corev1.Pod{l.completed(1, 0), l.raised(1, 1)}
	l.stopped(pods...)
	l.wantReason(v1alpha1.ReasonRetrying)
	l.wantTasks("COMPLETED a1", "FAILED TaskError a1", "PENDING")
	l.now = l.now.Add(time.Minute)
	l.begin(2)
	l.pods = []*corev1.Pod{withProxy(l.completed(2, 0), corev1.PodRunning, proxyRuns)}
	l.now = l.now.Add(time.Minute)
	l.decide()
	l.wantReason(v1alpha1.ReasonStopping)
	delete(l.jobs, 2)
	l.pods = nil
	l.decide()
	l.wantReason(v1alpha1.ReasonTaskError)
	l.wantTasks("COMPLETED a1", "FAILED TaskError a1", "COMPLETED a2")
}

// TestParallelLeftoverContainersAndRetries: a task that failed is retried, while its
// terminated pod is still in the cache after the attempt was settled.
func TestParallelLeftoverContainersAndRetries(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(2).Parallel().Retries(1, 0).Obj())
	l.begin(1)
	l.pods = []*corev1.Pod{
		withProxy(l.completed(1, 0), corev1.PodRunning, proxyRuns),
		withProxy(l.raised(1, 1), corev1.PodRunning, proxyRuns),
	}
	l.now = testkit.Created.Add(time.Minute)
	l.stopped(l.completed(1, 0), l.raised(1, 1))
	l.wantReason(v1alpha1.ReasonRetrying)
	l.wantTasks("COMPLETED a1", "PENDING")
	for range 3 {
		l.decide()
		l.wantReason(v1alpha1.ReasonRetrying)
		l.wantTasks("COMPLETED a1", "PENDING")
	}
	l.now = l.now.Add(time.Minute)
	l.begin(2)
	l.pods = []*corev1.Pod{l.completed(2, 0)}
	l.finishJob(2, l.pods...)
	l.decide()
	l.wantReason(v1alpha1.ReasonCompleted)
	l.wantTasks("COMPLETED a1", "COMPLETED a2")
}
