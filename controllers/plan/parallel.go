// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
)

// parallel runs each task in a pod of its own, all pods of an attempt in one
// Indexed Job. Results, budgets, timeouts and attempts are per task:
//
//   - A task is settled when it is COMPLETED, or FAILED without budget for a retry.
//     A settled task is never run again.
//   - An attempt terminates when all of its pods have terminated, or when nothing of
//     it runs and every remaining pod is stuck. Then its tasks are settled or set to
//     PENDING, and the next attempt runs the pending ones (parallel_settle.go).
type parallel struct{}

func (parallel) podCount(o *Observed) int {
	attempt := AttemptOf(o.TaskGroup, o.Attempt)
	return len(attempt.Tasks(o.TaskGroup))
}

// missingPods counts the pods that spec.parallelism allows at this time.
func (p parallel) missingPods(o *Observed) int {
	live := 0
	for _, pod := range taskPods(o) {
		if !PodEnded(pod) {
			live++
		}
	}
	unstarted := 0
	for _, task := range p.view(o).tasks {
		if task.pod == nil && !task.status.State.IsTerminal() {
			unstarted++
		}
	}
	if limit := o.TaskGroup.Spec.Parallelism; limit != nil {
		return min(unstarted, max(0, int(*limit)-live))
	}
	return unstarted
}

func (parallel) recordSize(*v1alpha1.TaskGroup) int { return 1 }

// takeOver skips the settled tasks.
func (parallel) takeOver(tg *v1alpha1.TaskGroup, number int32) jobspec.Attempt {
	settled := map[v1alpha1.NodeID]bool{}
	for i := range tg.Status.Tasks {
		if task := &tg.Status.Tasks[i]; isSettled(task, number) {
			settled[task.NodeID] = true
		}
	}
	return jobspec.Attempt{Done: settled}
}

// isSettled reports whether a task was settled before an attempt. A FAILED task of
// the attempt itself may still be retried. Objects of earlier releases have no
// attempt on tasks that the newest attempt completed.
func isSettled(task *v1alpha1.TaskStatus, attempt int32) bool {
	switch task.State {
	case v1alpha1.TaskCompleted:
		return task.Attempt < attempt
	case v1alpha1.TaskFailed, v1alpha1.TaskCancelled:
		return task.Attempt > 0 && task.Attempt < attempt
	case v1alpha1.TaskPending, v1alpha1.TaskRunning:
	}
	return false
}

// tasks keeps the settled tasks, and what the others have spent of their budgets.
func (parallel) tasks(o *Observed, state v1alpha1.TaskState) []v1alpha1.TaskStatus {
	tasks := newTasks(o.TaskGroup, state)
	for i := range min(len(tasks), len(o.TaskGroup.Status.Tasks)) {
		known := &o.TaskGroup.Status.Tasks[i]
		if known.State == v1alpha1.TaskCompleted || isSettled(known, o.Attempt) {
			tasks[i] = *known
		} else {
			tasks[i].Retries = known.Retries
		}
	}
	return tasks
}

func (parallel) terminatedByItself(o *Observed) bool {
	return o.jobIsOurs() && jobFinished(o.Job) && o.Job.DeletionTimestamp == nil
}

// keep records the results of the tasks that terminated before the Job's deletion. The
// pods may be in the cache after the attempt was settled: a task that is PENDING then is
// retried or was interrupted, and only a completed one needs no other attempt.
func (p parallel) keep(status *v1alpha1.TaskGroupStatus, o *Observed) bool {
	reason := status.Reason()
	settled := reason != v1alpha1.ReasonStopping && reason != v1alpha1.ReasonSuspending
	changed := false
	for i, t := range p.view(o).tasks {
		if t.verdict == nil || t.pod == nil || interrupted(t.pod, t.verdict) || i >= len(status.Tasks) {
			continue
		}
		if settled && !t.verdict.succeeded {
			continue
		}
		if status.Tasks[i].State != t.status.State {
			status.Tasks[i], changed = t.status, true
		}
	}
	boundDetails(status.Tasks)
	return changed
}

// interrupted reports whether a task was stopped from outside before it terminated.
func interrupted(pod *corev1.Pod, v *verdict) bool {
	return v.reason == v1alpha1.ReasonTerminated || (v.record == nil && pod.DeletionTimestamp != nil && !v.succeeded)
}

// cancelled keeps the results of the tasks that terminated by themselves. A pod that
// was deleted and has no record was killed, or never started.
func (p parallel) cancelled(status *v1alpha1.TaskGroupStatus, o *Observed, _ *corev1.Pod) {
	source := *o
	source.TaskGroup = o.TaskGroup.DeepCopy()
	source.TaskGroup.Status = *status
	source.views = nil
	view := p.view(&source)
	for i := range view.tasks {
		t := &view.tasks[i]
		if t.pod != nil && t.verdict != nil && t.verdict.record == nil && interrupted(t.pod, t.verdict) {
			t.status = v1alpha1.TaskStatus{NodeID: t.status.NodeID, State: v1alpha1.TaskCancelled}
		}
	}
	status.Tasks = view.statuses()
	status.Summary = summaryOf(status.Tasks)
}

func (p parallel) progress(o *Observed, now time.Time) *Plan {
	view := p.view(o)
	c := countPods(o, view, now)
	waits := c.waits + p.missingPods(o)
	if c.running == 0 && c.waiting == nil {
		c.next = sooner(c.next, nextTimeout(o, nil, now))
	}
	pod := o.attemptPod()
	if c.running == 0 && !c.begun {
		return startingPlan(o, pod, c.next, now)
	}
	status := progressed(o, pod)
	started(status, pod, nowTime(now))
	status.Tasks = view.statuses()
	message := fmt.Sprintf("%d running", c.running)
	if waits > 0 {
		message = fmt.Sprintf("%d running, %d waiting: %s", c.running, waits, waitingFor(o, c.waiting))
	}
	unfinished(status, v1alpha1.ReasonRunning, message, now)
	return &Plan{Status: status, Progress: true, RequeueAfter: c.next}
}

// podCounts are the pods of an active attempt by what they do.
type podCounts struct {
	running, waits int
	// begun reports that a task of the attempt has a result.
	begun bool
	// waiting is the first pod with an obstacle, or else the first that waits.
	waiting *corev1.Pod
	// next is when the first timeout of a waiting pod expires; 0 for never.
	next time.Duration
}

func countPods(o *Observed, view *parallelView, now time.Time) podCounts {
	c := podCounts{}
	for i := range view.tasks {
		pod := view.tasks[i].pod
		switch {
		case pod == nil:
			// The pod of a recorded result was deleted.
			c.begun = c.begun || view.tasks[i].verdict != nil
		case tasksTerminated(pod):
			c.begun = true
		case pod.Status.Phase == corev1.PodRunning:
			c.running++
		default:
			c.waits++
			c.next = sooner(c.next, nextTimeout(o, pod, now))
			if c.waiting == nil || (obstacle(o, c.waiting) == "" && obstacle(o, pod) != "") {
				c.waiting = pod
			}
		}
	}
	return c
}
