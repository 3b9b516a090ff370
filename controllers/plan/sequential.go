// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
)

// sequential runs all tasks in order in one pod. One record covers all of them, and
// the next attempt resumes from the newest manifest.
type sequential struct{}

func (sequential) podCount(*Observed) int { return 1 }

func (sequential) missingPods(o *Observed) int {
	if o.attemptPod() == nil {
		return 1
	}
	return 0
}

func (sequential) recordSize(tg *v1alpha1.TaskGroup) int { return len(tg.Spec.Tasks) }

func (sequential) takeOver(tg *v1alpha1.TaskGroup, number int32) jobspec.Attempt {
	attempt := jobspec.Attempt{}
	for _, job := range tg.Status.Jobs {
		switch {
		case job.Attempt >= number:
		case job.ManifestSHA256 == "":
			attempt.Uncommitted = append(attempt.Uncommitted, job.Attempt)
		default:
			// The newest manifest contains the records of the earlier attempts.
			attempt.Previous = &contract.ManifestReference{
				URI:    contract.ManifestURI(jobspec.AttemptURI(tg, job.Attempt)),
				SHA256: job.ManifestSHA256,
			}
			attempt.Uncommitted = nil
		}
	}
	if jobspec.AttemptURI(tg, number) == "" || len(tg.Spec.Tasks) == 1 {
		// There are no checkpoints.
		attempt.Uncommitted = nil
	}
	return attempt
}

// tasks keeps the tasks that a committed manifest of an earlier attempt reports as
// completed.
func (s sequential) tasks(o *Observed, state v1alpha1.TaskState) []v1alpha1.TaskStatus {
	tasks := newTasks(o.TaskGroup, state)
	if s.takeOver(o.TaskGroup, o.Attempt).Previous == nil {
		return tasks
	}
	for i := range min(len(tasks), len(o.TaskGroup.Status.Tasks)) {
		if o.TaskGroup.Status.Tasks[i].State == v1alpha1.TaskCompleted {
			tasks[i] = o.TaskGroup.Status.Tasks[i]
		}
	}
	return tasks
}

// terminatedByItself compares timestamps with a resolution of one second: a tie
// counts as a cancellation.
func (sequential) terminatedByItself(o *Observed) bool {
	if !o.jobIsOurs() {
		return false
	}
	pod := o.attemptPod()
	if pod == nil {
		return jobFinished(o.Job) && o.Job.DeletionTimestamp == nil
	}
	state := tasksState(pod)
	if !PodEnded(pod) && !isComplete(o, recordOf(o, pod)) {
		return false
	}
	if o.Job.DeletionTimestamp == nil {
		return true
	}
	return state != nil && state.FinishedAt.Before(o.Job.DeletionTimestamp)
}

func (sequential) result(o *Observed, now time.Time) *Plan {
	pod := o.attemptPod()
	switch {
	case pod == nil && jobFinished(o.Job):
		// The pod was deleted before its result was read: PodGC does that, and so may
		// a user. The Job's conditions are what remains.
		return withClaim(conclude(o, jobVerdict(o), now), ClaimPods)
	case pod == nil:
		return nil
	case PodEnded(pod):
		return conclude(o, podVerdict(o, pod), now)
	case tasksState(pod) != nil:
		return release(o, pod, now)
	}
	return nil
}

// conclude finishes an attempt, and the group unless it is retried. It waits for
// every other pod of the group.
func conclude(o *Observed, v verdict, now time.Time) *Plan {
	if o.livePod() != nil {
		return &Plan{}
	}
	if mayRetry(o.TaskGroup, spentBy(&o.TaskGroup.Status), v) {
		status := retryingStatus(o, v, now)
		// The Job of a reclaimed attempt has not failed: without a deletion its queue
		// would resume it.
		LastJob(status).Stopped = v.unspent
		return &Plan{Status: status, SwitchDelivery: v.redeliver}
	}
	p := finish(o, v, now)
	return &p
}

// release stops a pod whose tasks have terminated while other containers keep
// running, such as an injected proxy: the record decides (invariant I42).
func release(o *Observed, pod *corev1.Pod, now time.Time) *Plan {
	name := leftoverContainer(pod)
	if name == "" {
		return nil
	}
	if wait := sidecarWait(pod, now); wait > 0 {
		return &Plan{RequeueAfter: wait}
	}
	v := podVerdict(o, pod)
	v.pod = pod
	v.message = fmt.Sprintf("%s; container %s kept running", v.message, name)
	return stop(o, v, now)
}

func (sequential) expired(o *Observed, now time.Time) *Plan {
	pod := o.attemptPod()
	if pod != nil && !isPending(pod) {
		return nil
	}
	v := expiry(o, pod, now)
	if v == nil {
		return nil
	}
	return withClaim(stop(o, *v, now), ClaimPods)
}

func (sequential) suspend(o *Observed, v verdict, now time.Time) *Plan { return stop(o, v, now) }

func (s sequential) progress(o *Observed, now time.Time) *Plan {
	pod := o.attemptPod()
	switch {
	case pod == nil || isPending(pod):
		return startingPlan(o, pod, nextTimeout(o, pod, now), now)
	case pod.Status.Phase != corev1.PodRunning:
		// Unknown: the node does not respond. The last status remains correct.
		return &Plan{}
	}
	if wait := runningWait(o, pod, now); wait > 0 {
		return &Plan{RequeueAfter: wait}
	}
	status := progressed(o, pod)
	started(status, pod, nowTime(now))
	status.Tasks = s.tasks(o, v1alpha1.TaskRunning)
	unfinished(status, v1alpha1.ReasonRunning, fmt.Sprintf("Pod %s runs on node %s", pod.Name, pod.Spec.NodeName), now)
	return &Plan{Status: status, Progress: true}
}

// keep records the manifest that a stopped pod committed.
func (sequential) keep(status *v1alpha1.TaskGroupStatus, o *Observed) bool {
	pod := o.attemptPod()
	if pod == nil || tasksState(pod) == nil {
		return false
	}
	record := recordOf(o, pod)
	if record == nil || record.ManifestSHA256 == "" || LastJob(status).ManifestSHA256 != "" {
		return false
	}
	LastJob(status).ManifestSHA256 = record.ManifestSHA256
	status.Tasks = pendingTasks(o, record)
	return true
}

func (sequential) stopped(o *Observed, now time.Time) *Plan {
	last := LastJob(&o.TaskGroup.Status)
	pod := o.podOf(last.UID)
	if last.Reason == v1alpha1.ReasonSuspended {
		if status := keptStatus(o); status != nil {
			return &Plan{Status: status}
		}
		return &Plan{Status: suspendedStatus(o, now)}
	}
	v := verdict{succeeded: last.Reason == v1alpha1.ReasonCompleted, reason: last.Reason, message: last.Message}
	if pod != nil {
		v.record, v.pod = recordOf(o.ofPrevious(), pod), pod
	}
	if v.record == nil && v.succeeded {
		// The status has had the results since the attempt was closed.
		status := progressed(o, nil)
		complete(status, v, o.TaskGroup.Generation, now)
		return &Plan{Status: status}
	}
	p := finish(o.forStopped(pod), v, now)
	if v.record == nil {
		keepRecorded(p.Status, o, last)
	}
	return &p
}

// keepRecorded keeps the completed tasks and the manifest that the status has had
// since the attempt was closed. Its pod was deleted since.
func keepRecorded(status *v1alpha1.TaskGroupStatus, o *Observed, last *v1alpha1.JobReference) {
	for i := range min(len(status.Tasks), len(o.TaskGroup.Status.Tasks)) {
		if o.TaskGroup.Status.Tasks[i].State == v1alpha1.TaskCompleted {
			status.Tasks[i] = o.TaskGroup.Status.Tasks[i]
		}
	}
	status.Summary = summaryOf(status.Tasks)
	if last.ManifestSHA256 != "" {
		uri := contract.ManifestURI(jobspec.AttemptURI(o.TaskGroup, last.Attempt))
		status.Manifest = &v1alpha1.ManifestReference{URI: uri, SHA256: last.ManifestSHA256}
	}
}

// forStopped is the observation that the tasks of a stopped attempt are read with.
func (o *Observed) forStopped(pod *corev1.Pod) *Observed {
	stopped := *o
	stopped.Attempt = o.attemptOf(pod)
	if pod == nil {
		stopped.Attempt = LastJob(&o.TaskGroup.Status).Attempt
	}
	return &stopped
}

func (sequential) nothingLeft(*Observed, time.Time) *Plan { return nil }

// cancelled keeps the states and the manifest that the stopped pod committed.
func (sequential) cancelled(status *v1alpha1.TaskGroupStatus, o *Observed, pod *corev1.Pod) {
	switch {
	case pod == nil:
		if terminatedUnseen(o) {
			status.Manifest = manifestOf(o, verdict{unverified: true}, nil)
		}
		return
	case recordOf(o, pod) == nil:
		// It was killed, or never started. The states show it after the pod is deleted.
		cancelOpen(status.Tasks)
		return
	}
	v := verdict{record: recordOf(o, pod)}
	status.Tasks = finalTasks(o, v)
	status.Manifest = manifestOf(o, v, pod)
	status.Summary = summaryOf(status.Tasks)
}

// terminatedUnseen reports whether the pod of an attempt was seen running, and was
// deleted before its result was read: it may have committed a manifest.
func terminatedUnseen(o *Observed) bool {
	running := func(s v1alpha1.TaskStatus) bool { return s.State == v1alpha1.TaskRunning }
	return o.TaskGroup.Spec.Execution != v1alpha1.Parallel && o.attemptPod() == nil &&
		slices.ContainsFunc(o.TaskGroup.Status.Tasks, running)
}

func withClaim(p *Plan, claim Claim) *Plan {
	if p != nil && p.Status != nil {
		p.Claim = claim
	}
	return p
}
