// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// result settles the attempt when every task has a result and every pod has
// terminated, when the Job has finished, or when a queue stopped the pods.
func (p parallel) result(o *Observed, now time.Time) *Plan {
	view := p.view(o)
	preempted := view.preempted() && o.livePod() == nil
	if view.open > 0 && !jobFinished(o.Job) && !preempted {
		return nil
	}
	if o.livePod() != nil {
		if view.open > 0 {
			return &Plan{}
		}
		return p.release(o, view, now)
	}
	claim := ClaimNothing
	for i := range view.tasks {
		t := &view.tasks[i]
		if t.verdict != nil || isSettled(&t.status, o.Attempt) {
			continue
		}
		claim = ClaimPods
		if preempted {
			// The task is run in the next attempt.
			continue
		}
		// The pod was never created, or deleted before its result was read.
		v := jobVerdict(o)
		t.verdict, t.status = &v, taskOfVerdict(&t.status, o.Attempt, v)
	}
	return withClaim(p.settle(o, view, now), claim)
}

// release stops pods whose tasks have all terminated while other containers keep
// running.
func (p parallel) release(o *Observed, view *parallelView, now time.Time) *Plan {
	stuck, wait := p.stuck(o, view, now)
	if stuck == nil {
		return &Plan{RequeueAfter: wait}
	}
	return p.stop(o, view, *stuck, now)
}

// expired stops an attempt of which nothing runs and every remaining pod is stuck:
// it cannot start, its timeout has expired, or only leftover containers run. While
// a task runs, the stuck ones are reported and given the chance to start.
func (p parallel) expired(o *Observed, now time.Time) *Plan {
	view := p.view(o)
	stuck, _ := p.stuck(o, view, now)
	if stuck == nil {
		return nil
	}
	return withClaim(p.stop(o, view, *stuck, now), ClaimPods)
}

// stuck returns the verdict about an attempt in which nothing can proceed, and
// records for each stuck task why; nil if something runs or may still start. wait is
// when a leftover container will count as stuck; 0 for never.
func (p parallel) stuck(o *Observed, view *parallelView, now time.Time) (first *verdict, wait time.Duration) {
	live := 0
	for i := range view.tasks {
		t := &view.tasks[i]
		if t.pod == nil || PodEnded(t.pod) {
			continue
		}
		live++
		v, left := stuckPod(o, t, now)
		if v == nil {
			return nil, left
		}
		if first == nil || (first.succeeded && !v.succeeded) {
			first = v
		}
	}
	missing := p.missingPods(o)
	if missing == 0 {
		return first, 0
	}
	// The Job controller will create more pods unless they are refused.
	v := expiry(o, nil, now)
	if v == nil {
		return nil, 0
	}
	recordRefused(view, missing, v)
	if first == nil {
		first = v
	}
	return first, 0
}

// recordRefused notes on the next tasks without a pod that their pods are refused.
func recordRefused(view *parallelView, missing int, v *verdict) {
	for i := range view.tasks {
		if t := &view.tasks[i]; missing > 0 && t.pod == nil && t.verdict == nil && !t.status.State.IsTerminal() {
			recordStuck(t, v)
			missing--
		}
	}
}

// stuckPod returns the verdict about a pod that has not terminated and cannot
// proceed, and records it on the task; nil if the pod may proceed.
func stuckPod(o *Observed, t *taskView, now time.Time) (v *verdict, wait time.Duration) {
	if t.verdict != nil {
		name := leftoverContainer(t.pod)
		if name == "" {
			return nil, 0
		}
		if left := sidecarWait(t.pod, now); left > 0 {
			return nil, left
		}
		leftover := *t.verdict
		leftover.message = fmt.Sprintf("%s; container %s of pod %s kept running", leftover.message, name, t.pod.Name)
		return &leftover, 0
	}
	if !isPending(t.pod) {
		return nil, 0
	}
	if v = expiry(o, t.pod, now); v != nil {
		v.message = fmt.Sprintf("Task %s: %s", t.status.NodeID, v.message)
		recordStuck(t, v)
	}
	return v, 0
}

// recordStuck notes on a pending task why it cannot start.
func recordStuck(t *taskView, v *verdict) {
	t.status.Reason, t.status.Permanent = v.reason, v.permanent
	t.status.Message = contract.Truncate(oneLine(v.message), maxParallelMessage)
}

// stop closes the attempt. Its Job is deleted after the status was written. Stuck
// tasks stay PENDING with the reason until their pods are deleted: one may start in
// between and complete.
func (parallel) stop(o *Observed, view *parallelView, v verdict, now time.Time) *Plan {
	pod := o.attemptPod()
	status := progressed(o, pod)
	if pod != nil {
		started(status, pod, nil)
	}
	v.record = nil
	closeAttempt(status, v, now)
	LastJob(status).Stopped = true
	status.Tasks = view.statuses()
	for i := range status.Tasks {
		if status.Tasks[i].State == v1alpha1.TaskRunning {
			status.Tasks[i].State = v1alpha1.TaskPending
		}
	}
	reason := v1alpha1.ReasonStopping
	if v.reason == v1alpha1.ReasonSuspended {
		reason = v1alpha1.ReasonSuspending
	}
	unfinished(status, reason, fmt.Sprintf("%s: %s", v.reason, v.message), now)
	return &Plan{Status: status, SwitchDelivery: v.redeliver}
}

func (p parallel) suspend(o *Observed, v verdict, now time.Time) *Plan {
	return p.stop(o, p.view(o), v, now)
}

// stopped settles the tasks of an attempt that the operator stopped. What it
// interrupted is run again without spending a budget.
func (p parallel) stopped(o *Observed, now time.Time) *Plan {
	previous := o.ofPrevious()
	view := p.view(previous)
	for i := range view.tasks {
		t := &view.tasks[i]
		known := &v1alpha1.TaskStatus{}
		if i < len(o.TaskGroup.Status.Tasks) {
			known = &o.TaskGroup.Status.Tasks[i]
		}
		// A result in the status is from before the Job was deleted.
		recorded := known.State.IsTerminal() && known.Attempt == previous.Attempt
		wasInterrupted := t.verdict == nil || (!recorded && t.pod != nil && interrupted(t.pod, t.verdict))
		switch {
		case !wasInterrupted, isSettled(&t.status, previous.Attempt):
		case known.State == v1alpha1.TaskPending && known.Reason != "":
			v := verdict{reason: known.Reason, message: known.Message, permanent: known.Permanent}
			t.verdict, t.status = &v, taskOfVerdict(&t.status, previous.Attempt, v)
		default:
			t.verdict = nil
			t.status = v1alpha1.TaskStatus{NodeID: t.status.NodeID, State: v1alpha1.TaskPending, Retries: known.Retries}
		}
	}
	return p.settle(previous, view, now)
}

// settle decides for each task of a terminated attempt whether it is run again. The
// group finishes when no task is left to run.
func (p parallel) settle(o *Observed, view *parallelView, now time.Time) *Plan {
	spent, open, redeliver := v1alpha1.RetryCounts{}, 0, false
	var failures []verdict
	for i := range view.tasks {
		t := &view.tasks[i]
		v := t.verdict
		if v == nil && t.status.State.IsTerminal() && t.status.State != v1alpha1.TaskCompleted {
			v = recordedTask(&t.status)
			v.permanent = true
		}
		switch {
		case v == nil && t.status.State == v1alpha1.TaskCompleted, v != nil && v.succeeded:
			continue
		case v == nil:
			open++
			continue
		}
		failures = append(failures, *v)
		if mayRetry(o.TaskGroup, taskSpent(&t.status), *v) {
			open++
			redeliver = redeliver || v.redeliver
			t.status = retriedTask(&t.status, *v)
			add(&spent, *v)
		}
	}
	result := attemptVerdict(failures, view)
	if open == 0 {
		return p.finish(o, view, result, now)
	}
	return &Plan{Status: p.again(o, view, spent, result, now), SwitchDelivery: redeliver}
}

// attemptVerdict is the result of an attempt: the first failure in the order of the
// tasks, and how many there are.
func attemptVerdict(failures []verdict, view *parallelView) verdict {
	tasks := len(view.tasks)
	if len(failures) == 0 {
		v := verdict{succeeded: true, reason: v1alpha1.ReasonCompleted, message: completedMessage(tasks)}
		unseen := func(t taskView) bool { return t.verdict != nil && t.verdict.unverified }
		if slices.ContainsFunc(view.tasks, unseen) {
			v.message += unreadMessage
		}
		return v
	}
	first := verdict{reason: failures[0].reason, message: failures[0].message}
	for i := range failures {
		first.memoryLimit = cmp.Or(failures[i].memoryLimit, first.memoryLimit)
	}
	if len(failures) > 1 {
		first.message = fmt.Sprintf("%d of %d tasks failed; the first: %s", len(failures), tasks, first.message)
	}
	return first
}

// retriedTask is a task that is run again, with what it has spent. Reason and
// message of its failure are in status.jobs.
func retriedTask(task *v1alpha1.TaskStatus, v verdict) v1alpha1.TaskStatus {
	retried := v1alpha1.TaskStatus{NodeID: task.NodeID, State: v1alpha1.TaskPending, Retries: task.Retries}
	if !v.unspent {
		spent := taskSpent(task)
		add(&spent, v)
		retried.Retries = &spent
	}
	return retried
}

func taskSpent(task *v1alpha1.TaskStatus) v1alpha1.RetryCounts {
	if task.Retries == nil {
		return v1alpha1.RetryCounts{}
	}
	return *task.Retries
}

// again closes the attempt; another one follows, or the group is suspended.
func (parallel) again(o *Observed, view *parallelView, spent v1alpha1.RetryCounts, v verdict, now time.Time) *v1alpha1.TaskGroupStatus {
	status := progressed(o, o.attemptPod())
	closeAttempt(status, v, now)
	if jobIsHeld(o.Job) {
		// The Job does not finish while it is suspended: without a deletion the next
		// attempt would wait for it, and its queue would resume it.
		LastJob(status).Stopped = true
	}
	if spent != (v1alpha1.RetryCounts{}) {
		// The group counts attempts, whatever the number of tasks that failed in one.
		counts := spentBy(status)
		counts.User += min(spent.User, 1)
		counts.Infrastructure += min(spent.Infrastructure, 1)
		counts.OOM += min(spent.OOM, 1)
		status.Retries = &counts
	}
	status.Tasks = view.statuses()
	if LastJob(status).Reason == v1alpha1.ReasonSuspended {
		unfinished(status, v1alpha1.ReasonSuspended, "Suspended by spec.suspend", now)
		return status
	}
	if v.succeeded {
		// Nothing failed: pods that had not started were in the way of no one.
		v = verdict{reason: LastJob(status).Reason, message: LastJob(status).Message}
	}
	unfinished(status, v1alpha1.ReasonRetrying, retryMessage(o, status, v), now)
	return status
}

func (parallel) finish(o *Observed, view *parallelView, v verdict, now time.Time) *Plan {
	pod := o.attemptPod()
	status := progressed(o, pod)
	started(status, pod, nil)
	status.Tasks = view.statuses()
	for i := range status.Tasks {
		// The budgets of a finished group have no meaning. The attempt of 256 failed
		// tasks would take 3 KiB.
		t := &status.Tasks[i]
		t.Retries, t.Permanent = nil, false
		if t.State != v1alpha1.TaskCompleted && t.Attempt == status.Attempt {
			t.Attempt = 0
		}
	}
	closeAttempt(status, v, now)
	complete(status, v, o.TaskGroup.Generation, now)
	return &Plan{Status: status}
}

// nothingLeft finishes a group whose last task completed while its attempt was
// being stopped.
func (p parallel) nothingLeft(o *Observed, now time.Time) *Plan {
	view := p.view(o)
	if view.open > 0 || len(view.tasks) == 0 {
		return nil
	}
	return p.settle(o, view, now)
}
