// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// taskPod starts the pod of a task in an attempt of a Parallel group.
func (l *life) taskPod(attempt int32, index int) *testkit.PodBuilder {
	l.t.Helper()
	return testkit.Pod(l.jobs[attempt]).Index(index, l.nodes(attempt))
}

// nodes is the annotation of the pods of an attempt.
func (l *life) nodes(attempt int32) string {
	a := plan.AttemptOf(l.tg, attempt)
	tasks := a.Tasks(l.tg)
	if len(tasks) == len(l.tg.Spec.Tasks) {
		return ""
	}
	var ids []string
	for i := range tasks {
		ids = append(ids, tasks[i].NodeID.String())
	}
	return strings.Join(ids, ",")
}

// completed is the pod of a task that completed.
func (l *life) completed(attempt int32, index int) *corev1.Pod {
	return l.taskPod(attempt, index).Ended(0, "Completed", record(l.t, "C", nil)).Obj()
}

// raised is the pod of a task whose function raised an exception.
func (l *life) raised(attempt int32, index int) *corev1.Pod {
	node := contract.NodeID(index)
	return l.taskPod(attempt, index).Ended(1, "Error", record(l.t, "F", &contract.Failure{NodeID: &node, Reason: contract.ReasonTaskError, Message: "boom"})).Obj()
}

// interrupted is the pod of a task that received SIGTERM.
func (l *life) interrupted(attempt int32, index int) *corev1.Pod {
	return l.taskPod(attempt, index).Ended(143, "Error", record(l.t, "X", &contract.Failure{Reason: contract.ReasonTerminated, Message: "stopped"})).Obj()
}

// finishJob sets the Job of an attempt to Failed, with these pods.
func (l *life) finishJob(attempt int32, pods ...*corev1.Pod) {
	l.pods = pods
	l.jobs[attempt].Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue}}
}

// wantTasks compares state, reason and attempt of all tasks.
func (l *life) wantTasks(want ...string) {
	l.t.Helper()
	var got []string
	for i := range l.tg.Status.Tasks {
		task := &l.tg.Status.Tasks[i]
		s := string(task.State)
		if task.Reason != "" {
			s += " " + string(task.Reason)
		}
		if task.Attempt != 0 {
			s += " a" + strconv.Itoa(int(task.Attempt))
		}
		got = append(got, s)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		l.t.Errorf("tasks (-want +got):\n%s", diff)
	}
}

// tasksOf are the node IDs that an attempt runs.
func (l *life) tasksOf(attempt int32) []v1alpha1.NodeID {
	a := plan.AttemptOf(l.tg, attempt)
	var ids []v1alpha1.NodeID
	for _, task := range a.Tasks(l.tg) {
		ids = append(ids, task.NodeID)
	}
	return ids
}

// TestParallelBudgetsArePerTask checks that the eviction of a task does not run a
// sibling again that failed permanently, and that the sibling's failure is kept.
func TestParallelBudgetsArePerTask(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(3).Parallel().Outputs("file:///out").Retries(0, 3).Obj())
	l.begin(1)
	l.finishJob(1, l.raised(1, 0), l.taskPod(1, 1).Refused("Evicted", "disk").Obj(), l.completed(1, 2))
	l.decide()
	l.wantReason(v1alpha1.ReasonRetrying)
	l.wantTasks("FAILED TaskError a1", "PENDING", "COMPLETED a1")
	if diff := cmp.Diff([]v1alpha1.NodeID{1}, l.tasksOf(2)); diff != "" {
		t.Fatalf("the second attempt runs (-want +got):\n%s", diff)
	}
	l.now = l.now.Add(time.Minute)
	l.begin(2)
	l.pods = []*corev1.Pod{l.completed(2, 0)}
	l.decide()
	l.wantReason(v1alpha1.ReasonTaskError)
	l.wantTasks("FAILED TaskError a1", "COMPLETED a2", "COMPLETED a1")
	if got, want := l.tg.Status.Message(), "Task 0: boom"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
}

// TestParallelBudgetIsSpentByEachTask lets one task fail until its budget is spent.
func TestParallelBudgetIsSpentByEachTask(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(2).Parallel().Retries(1, 0).Obj())
	l.begin(1)
	l.finishJob(1, l.raised(1, 0), l.completed(1, 1))
	l.decide()
	l.wantReason(v1alpha1.ReasonRetrying)
	if got := l.tg.Status.Tasks[0].Retries; got == nil || got.User != 1 {
		t.Errorf("task 0 has spent %+v, want 1 of the user's budget", got)
	}
	l.now = l.now.Add(time.Minute)
	l.begin(2)
	l.finishJob(2, l.raised(2, 0))
	l.decide()
	l.wantReason(v1alpha1.ReasonTaskError)
	if got := l.tg.Status.Tasks[0].Retries; got != nil {
		t.Errorf("the finished group still has the budget %+v", got)
	}
}

// TestParallelSuspendKeepsResults checks failures, completions and interruptions
// across a suspension, with and without a progress write before it.
func TestParallelSuspendKeepsResults(t *testing.T) {
	for name, progressed := range map[string]bool{"after a progress write": true, "before a progress write": false} {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, testkit.TaskGroup("g").Commands(3).Parallel().Outputs("file:///out").Retries(0, 0).Obj())
			l.begin(1)
			failed, done := l.raised(1, 0), l.completed(1, 1)
			l.pods = []*corev1.Pod{failed, done, l.taskPod(1, 2).Running().Obj()}
			if progressed {
				l.decide()
			}
			l.tg.Spec.Suspend = true
			l.decide()
			l.wantReason(v1alpha1.ReasonSuspending)
			l.decide()
			l.pods = []*corev1.Pod{failed, done, l.interrupted(1, 2)}
			delete(l.jobs, 1)
			for range 3 {
				l.decide()
			}
			l.wantReason(v1alpha1.ReasonSuspended)
			l.wantTasks("FAILED TaskError a1", "COMPLETED a1", "PENDING")
			if l.tg.Status.Retries != nil {
				t.Errorf("the suspension spent %+v", l.tg.Status.Retries)
			}
			l.tg.Spec.Suspend = false
			if diff := cmp.Diff([]v1alpha1.NodeID{2}, l.tasksOf(2)); diff != "" {
				t.Fatalf("the second attempt runs (-want +got):\n%s", diff)
			}
			l.begin(2)
			l.pods = []*corev1.Pod{l.completed(2, 0)}
			l.decide()
			l.wantReason(v1alpha1.ReasonTaskError)
			l.wantTasks("FAILED TaskError a1", "COMPLETED a1", "COMPLETED a2")
		})
	}
}

// TestParallelOOMIsCounted checks that memory grows although another task is the
// first failure.
func TestParallelOOMIsCounted(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(2).Parallel().Retries(5, 3).Obj()
	tg.Spec.Retries.OOMMemoryFactor = "2"
	l := newLife(t, tg)
	l.begin(1)
	l.finishJob(1, l.raised(1, 0), l.taskPod(1, 1).MemoryLimit("96Mi").Ended(137, "OOMKilled", "").Obj())
	l.decide()
	l.wantReason(v1alpha1.ReasonRetrying)
	got := plan.AttemptOf(l.tg, 2)
	if got.OOMs != 1 {
		t.Errorf("the second attempt counts %d OOM kills, want 1", got.OOMs)
	}
	if got.MemoryLimit == nil || got.MemoryLimit.String() != "96Mi" {
		t.Errorf("the second attempt grows from %v, want the effective limit of 96Mi", got.MemoryLimit)
	}
}

// stopped lets the operator stop attempt 1, whose pods are then as given.
func (l *life) stopped(pods ...*corev1.Pod) {
	l.t.Helper()
	l.decide()
	l.wantReason(v1alpha1.ReasonStopping)
	if p := l.decide(); p.DeleteJob == nil {
		l.t.Fatalf("the Job is not deleted: %+v", outcomeOf(p))
	}
	delete(l.jobs, 1)
	l.pods = pods
	if p := l.decide(); p.Claim != plan.ClaimPods {
		l.t.Errorf("the result claims %d, want ClaimPods", p.Claim)
	}
}

// TestParallelStuckPods stops a group of which nothing can run. Each task keeps its
// own result.
func TestParallelStuckPods(t *testing.T) {
	timeouts := v1alpha1.Timeouts{QueuedSeconds: new(int64(60)), StartingSeconds: new(int64(60))}
	cases := map[string]struct {
		infrastructure int32
		stuck          func(*testkit.PodBuilder) *testkit.PodBuilder
		// gone is the stuck pod after its deletion; nil if it never ran.
		gone   func(*life) *corev1.Pod
		reason v1alpha1.Reason
		tasks  []string
	}{
		"an image that cannot be pulled": {
			stuck:  func(b *testkit.PodBuilder) *testkit.PodBuilder { return b.Waiting("ErrImageNeverPull", "x") },
			reason: v1alpha1.ReasonTaskError, tasks: []string{"FAILED TaskError", "COMPLETED a1", "FAILED ImagePullFailed"},
		},
		"a permanent error spends no budget": {
			infrastructure: 3,
			stuck:          func(b *testkit.PodBuilder) *testkit.PodBuilder { return b.Waiting("InvalidImageName", "x") },
			reason:         v1alpha1.ReasonTaskError, tasks: []string{"FAILED TaskError", "COMPLETED a1", "FAILED ImagePullFailed"},
		},
		"a transient error is retried": {
			infrastructure: 1,
			stuck:          func(b *testkit.PodBuilder) *testkit.PodBuilder { return b.Waiting("ImagePullBackOff", "x") },
			reason:         v1alpha1.ReasonRetrying, tasks: []string{"FAILED TaskError a1", "COMPLETED a1", "PENDING"},
		},
		"a pod that is not scheduled": {
			infrastructure: 3,
			stuck:          func(b *testkit.PodBuilder) *testkit.PodBuilder { return b.Unplaced("Unschedulable", "no GPU") },
			reason:         v1alpha1.ReasonTaskError, tasks: []string{"FAILED TaskError", "COMPLETED a1", "FAILED Unschedulable"},
		},
		"a pod that started while it was stopped": {
			stuck:  func(b *testkit.PodBuilder) *testkit.PodBuilder { return b.Unplaced("Unschedulable", "no GPU") },
			gone:   func(l *life) *corev1.Pod { return l.interrupted(1, 2) },
			reason: v1alpha1.ReasonTaskError, tasks: []string{"FAILED TaskError", "COMPLETED a1", "FAILED Unschedulable"},
		},
		"a pod that completed while it was stopped": {
			stuck:  func(b *testkit.PodBuilder) *testkit.PodBuilder { return b.Unplaced("Unschedulable", "no GPU") },
			gone:   func(l *life) *corev1.Pod { return l.completed(1, 2) },
			reason: v1alpha1.ReasonTaskError, tasks: []string{"FAILED TaskError", "COMPLETED a1", "COMPLETED a1"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, testkit.TaskGroup("g").Commands(3).Parallel().Retries(0, tc.infrastructure).Timeouts(timeouts).Obj())
			l.begin(1)
			failed, done := l.raised(1, 0), l.completed(1, 1)
			l.pods = []*corev1.Pod{failed, done, tc.stuck(l.taskPod(1, 2)).Obj()}
			l.now = l.now.Add(time.Hour)
			remaining := []*corev1.Pod{failed, done}
			if tc.gone != nil {
				remaining = append(remaining, tc.gone(l))
			}
			l.stopped(remaining...)
			l.wantReason(tc.reason)
			l.wantTasks(tc.tasks...)
			if l.tg.Status.Manifest != nil {
				t.Errorf("a Parallel group names the manifest %+v", l.tg.Status.Manifest)
			}
		})
	}
}

// TestParallelStuckPodWaitsForOthers: a pod whose timeout has expired is reported, and
// stopped after the last running task.
func TestParallelStuckPodWaitsForOthers(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(2).Parallel().Timeouts(v1alpha1.Timeouts{QueuedSeconds: new(int64(60))}).Obj())
	l.begin(1)
	stuck := l.taskPod(1, 1).Unplaced("Unschedulable", "no GPU").Obj()
	l.pods = []*corev1.Pod{l.taskPod(1, 0).Running().Obj(), stuck}
	p := l.decide()
	if want := "1 running, 1 waiting: Pod " + stuck.Name + " is not scheduled: Unschedulable: no GPU"; outcomeOf(p).Message != want {
		t.Errorf("message %q, want %q", outcomeOf(p).Message, want)
	}
	l.now = l.now.Add(48 * time.Hour)
	l.decide()
	l.wantReason(v1alpha1.ReasonRunning)
	l.pods = []*corev1.Pod{l.completed(1, 0), stuck}
	l.stopped(l.completed(1, 0))
	l.wantReason(v1alpha1.ReasonUnschedulable)
	l.wantTasks("COMPLETED a1", "FAILED Unschedulable")
}

// TestParallelStuckPodsDoNotFailWaitingTasks: with parallelism 1, the pods behind a
// stuck one were never created. They run in the next attempt.
func TestParallelStuckPodsDoNotFailWaitingTasks(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(3).Parallel().Retries(0, 0).Timeouts(v1alpha1.Timeouts{QueuedSeconds: new(int64(60))}).Obj()
	tg.Spec.Parallelism = new(int32(1))
	l := newLife(t, tg)
	l.begin(1)
	l.pods = []*corev1.Pod{l.taskPod(1, 0).Unplaced("Unschedulable", "no GPU").Obj()}
	l.now = l.now.Add(time.Hour)
	l.stopped()
	l.wantReason(v1alpha1.ReasonRetrying)
	l.wantTasks("FAILED Unschedulable a1", "PENDING", "PENDING")
	if diff := cmp.Diff([]v1alpha1.NodeID{1, 2}, l.tasksOf(2)); diff != "" {
		t.Errorf("the second attempt runs (-want +got):\n%s", diff)
	}
}

// TestParallelPodOfAnotherTask: a pod whose completion index was overridden does not
// complete the task of its index.
func TestParallelPodOfAnotherTask(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(2).Parallel().Obj())
	l.begin(1)
	wrong := l.taskPod(1, 1).Ended(0, "Completed", `{"v":1,"node":0,"states":"C"}`).Obj()
	l.finishJob(1, l.completed(1, 0), wrong)
	l.decide()
	l.wantReason(v1alpha1.ReasonPlanInvalid)
	l.wantTasks("COMPLETED a1", "FAILED PlanInvalid")
}

// TestParallelMissingPods reports how many pods the Job should have created.
func TestParallelMissingPods(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(3).Parallel().Obj()
	tg.Spec.Parallelism = new(int32(2))
	job := testkit.Job(tg).Obj()
	pod := func(i int) *testkit.PodBuilder { return testkit.Pod(job).Index(i, "") }
	for name, tc := range map[string]struct {
		pods []*corev1.Pod
		want bool
	}{
		"no pods":                  {nil, true},
		"one of two":               {[]*corev1.Pod{pod(0).Running().Obj()}, true},
		"as many as may run":       {[]*corev1.Pod{pod(0).Running().Obj(), pod(1).Running().Obj()}, false},
		"one terminated, one runs": {[]*corev1.Pod{pod(0).Ended(0, "Completed", record(t, "C", nil)).Obj(), pod(1).Running().Obj()}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := observe(tg, job, tc.pods...).AwaitsPods(); got != tc.want {
				t.Errorf("awaits pods: %v, want %v", got, tc.want)
			}
		})
	}
	if observe(tg, testkit.Job(tg).Held().Obj()).AwaitsPods() {
		t.Error("a Job that its queue holds awaits pods")
	}
}
