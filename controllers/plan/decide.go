package plan

import (
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// step is one rule of Decide: it returns nil where it has nothing to say.
type step func(o *Observed, now time.Time) *Plan

// steps are asked in this order; the first that answers decides.
//
//  1. settled: a group that is being deleted is left alone, and so is one that
//     has ended, until its time to live is over.
//  2. conflict: a Job of our name that is not ours ends the group.
//  3. cancelled: what was asked to end ends, unless it has ended by itself.
//  4. stopping: an attempt that was given up is removed before anything follows.
//  5. suspended: what was asked to wait stops and waits.
//  6. backingOff: a retry waits for its time.
//  7. create: an attempt without a Job gets one.
//  8. ended: a pod that has ended tells the result.
//  9. vanished: a Job that has ended without a pod tells less.
//  10. overdue: a pod that cannot start, or not in time, is given up.
//  11. running, starting: progress.
var steps = []step{settled, conflict, cancelled, stopping, suspended, backingOff, create, ended, vanished, overdue, running, starting}

// Decide says what the group needs next. It never changes what it observed.
func Decide(o *Observed, now time.Time) Plan {
	for _, s := range steps {
		if p := s(o, now); p != nil {
			return withSilence(o, *p, now)
		}
	}
	return Plan{}
}

// Reject is the plan for a group whose Job can never be created.
func Reject(o *Observed, reason v1alpha1.Reason, message string, now time.Time) Plan {
	return finish(o, verdict{reason: reason, message: message}, now)
}

func settled(o *Observed, now time.Time) *Plan {
	if o.TaskGroup.DeletionTimestamp != nil {
		return &Plan{}
	}
	if !o.TaskGroup.Status.IsFinished() {
		return nil
	}
	ttl := o.TaskGroup.Spec.TTLSecondsAfterFinished
	if ttl == nil || o.TaskGroup.Status.CompletionTime == nil {
		return &Plan{}
	}
	left := o.TaskGroup.Status.CompletionTime.Add(time.Duration(*ttl) * time.Second).Sub(now)
	if left > 0 {
		return &Plan{RequeueAfter: left}
	}
	return &Plan{DeleteGroup: true}
}

func conflict(o *Observed, now time.Time) *Plan {
	if o.Job == nil || o.JobUID != "" || o.jobIsOurs() {
		return nil
	}
	p := Reject(o, v1alpha1.ReasonNameConflict, fmt.Sprintf(
		"Job %s exists and does not belong to this TaskGroup: delete that Job, then create the TaskGroup anew", o.JobName), now)
	return &p
}

// cancelled ends a group that a person or the dispatcher wants to end: by
// spec.cancel, or by deleting its Job. The end is Cancelled unless the pod had
// ended by itself before (invariant I7).
func cancelled(o *Observed, now time.Time) *Plan {
	cancelling := isCancelling(&o.TaskGroup.Status)
	if !o.TaskGroup.Spec.Cancel && !cancelling && !o.jobIsDeleting() && !o.jobWasDeleted() {
		return nil
	}
	pod := o.attemptPod()
	if !cancelling && endedBeforeCancel(o, pod) {
		return nil
	}
	return cancel(o, pod, now)
}

// cancel stops what may still run, and tells of the end only when no Job can
// start a pod and no pod runs (I5).
func cancel(o *Observed, pod *corev1.Pod, now time.Time) *Plan {
	const deleting = "Its Job is being deleted"
	switch {
	case o.jobIsDeleting():
		return &Plan{Status: cancellingStatus(o, pod, deleting, now)}
	case o.jobIsOurs() && !jobFinished(o.Job):
		return &Plan{DeleteJob: o.Job, Status: cancellingStatus(o, pod, deleting, now)}
	case o.formerIsLive():
		var stopped *corev1.Pod
		if LastJob(&o.TaskGroup.Status).Reason == suspendedAttempt {
			// Its last words are still to be kept; those of one that failed were, and
			// what it did not complete was to run again.
			stopped = o.podOf(o.Former.UID)
		}
		p := &Plan{Status: cancellingStatus(o, stopped, deleting, now)}
		if o.Former.DeletionTimestamp == nil {
			p.DeleteJob = o.Former
		}
		return p
	}
	if live := o.livePod(); live != nil {
		return &Plan{Status: cancellingStatus(o, pod, fmt.Sprintf("Pod %s has not ended yet", live.Name), now)}
	}
	return &Plan{Status: cancelledStatus(o, pod, now)}
}

// endedBeforeCancel says whether the pod's own verdict stands. A pod that
// ended after its Job's deletion began was stopped, or might have been: object
// timestamps have one second's resolution, so a tie goes to the cancellation.
func endedBeforeCancel(o *Observed, pod *corev1.Pod) bool {
	if o.Job == nil || !o.jobIsOurs() {
		return false
	}
	if isParallel(o) {
		return jobFinished(o.Job) && o.Job.DeletionTimestamp == nil
	}
	if pod == nil || !PodEnded(pod) {
		return pod == nil && jobFinished(o.Job) && o.Job.DeletionTimestamp == nil
	}
	if o.Job.DeletionTimestamp == nil {
		return true
	}
	state := tasksState(pod)
	return state != nil && state.FinishedAt.Before(o.Job.DeletionTimestamp)
}

// stopping removes an attempt that was given up: its Job first, then its pods.
// Only then may another attempt begin (I2), or the end be told.
func stopping(o *Observed, now time.Time) *Plan {
	last := LastJob(&o.TaskGroup.Status)
	if last == nil || last.Reason == "" || o.Job != nil {
		return nil
	}
	if o.formerIsLive() || o.livePod() != nil {
		p := &Plan{Status: lastWordsStatus(o, last.UID)}
		if o.formerIsLive() && o.Former.DeletionTimestamp == nil && !o.formerHasEnded() {
			p.DeleteJob = o.Former
		}
		return p
	}
	if o.TaskGroup.Status.Reason() != v1alpha1.ReasonStopping {
		if status := lastWordsStatus(o, last.UID); status != nil {
			return &Plan{Status: status}
		}
		return nil
	}
	v := verdict{reason: last.Reason, message: last.Message}
	if pod := o.podOf(last.UID); pod != nil {
		v.record, v.pod = recordOf(o, pod), pod
	}
	p := finish(o, v, now)
	return &p
}

// suspended stops a pod that runs and keeps one from starting. A pod that has
// ended by itself has ended.
func suspended(o *Observed, now time.Time) *Plan {
	if !o.TaskGroup.Spec.Suspend {
		return nil
	}
	if o.Job == nil {
		return &Plan{Status: suspendedStatus(o, now)}
	}
	if pod := o.attemptPod(); jobFinished(o.Job) || (!isParallel(o) && pod != nil && PodEnded(pod)) {
		return nil
	}
	return giveUp(o, verdict{reason: v1alpha1.ReasonSuspended, message: "spec.suspend asked for it"}, now)
}

func backingOff(o *Observed, now time.Time) *Plan {
	if o.Job != nil || o.TaskGroup.Status.Reason() != v1alpha1.ReasonRetrying {
		return nil
	}
	left := retryAt(o.TaskGroup.UID, &o.TaskGroup.Status).Sub(now)
	if left <= 0 || left > maxBackoff {
		// No backoff is longer: the attempt's end was written by a clock that was wrong.
		return nil
	}
	return &Plan{RequeueAfter: left}
}

func create(o *Observed, now time.Time) *Plan {
	if o.Job != nil {
		return nil
	}
	if isParallel(o) {
		// A pod may complete the last task while its attempt is being stopped.
		if tasks, _, open := parallelTasks(o); open == 0 {
			return parallelFinish(o, tasks, allCompleted(tasks), now)
		}
	}
	return &Plan{CreateJob: true}
}

func ended(o *Observed, now time.Time) *Plan {
	if isParallel(o) {
		return parallelEnded(o, now)
	}
	pod := o.attemptPod()
	if pod == nil || !PodEnded(pod) {
		return nil
	}
	return conclude(o, podVerdict(o, pod), now)
}

// vanished reads the Job's own word where its pod was removed before anyone
// read its end: PodGC does that, and so may a person.
func vanished(o *Observed, now time.Time) *Plan {
	if isParallel(o) || o.attemptPod() != nil || !jobFinished(o.Job) {
		return nil
	}
	return conclude(o, jobVerdict(o), now)
}

// conclude ends an attempt, and the group with it unless it is tried again. The
// end is kept back while any pod of the group still runs.
func conclude(o *Observed, v verdict, now time.Time) *Plan {
	if o.livePod() != nil {
		return &Plan{}
	}
	if !v.succeeded && mayRetry(o.TaskGroup, v.reason) {
		return &Plan{Status: retryingStatus(o, v, now)}
	}
	p := finish(o, v, now)
	return &p
}

// giveUp ends an attempt whose Job has not ended. The status says so first, and
// the Job is deleted when that is written: a Job that is being deleted for no
// reason that the status knows was deleted by a person, which means cancel.
func giveUp(o *Observed, v verdict, now time.Time) *Plan {
	switch {
	case v.reason == v1alpha1.ReasonSuspended:
		return &Plan{Status: givenUpStatus(o, v, v1alpha1.ReasonSuspending, now)}
	case mayRetry(o.TaskGroup, v.reason):
		return &Plan{Status: retryingStatus(o, v, now)}
	default:
		return &Plan{Status: givenUpStatus(o, v, v1alpha1.ReasonStopping, now)}
	}
}

func running(o *Observed, now time.Time) *Plan {
	pod := o.attemptPod()
	if pod == nil || pod.Status.Phase != corev1.PodRunning {
		return nil
	}
	if began := beganAt(pod); began != nil {
		// A node whose clock is ahead gets no grace: it might never be over.
		if age := now.Sub(began.Time); age >= 0 && age < runningGrace && o.TaskGroup.Status.Reason() != v1alpha1.ReasonRunning {
			return &Plan{RequeueAfter: runningGrace - age}
		}
	}
	return &Plan{Status: runningStatus(o, pod, now), Progress: true}
}

func starting(o *Observed, now time.Time) *Plan {
	pod := o.attemptPod()
	if pod != nil && pod.Status.Phase != corev1.PodPending && pod.Status.Phase != "" {
		// Unknown: the node is silent. What was said before still stands.
		return &Plan{}
	}
	next := nextClock(o, pod, now)
	if wait := startingGrace(o, pod) - now.Sub(o.Job.CreationTimestamp.Time); wait > 0 {
		wait = min(wait, StartingGrace)
		if next > 0 {
			wait = min(wait, next)
		}
		return &Plan{RequeueAfter: wait}
	}
	p := &Plan{Status: startingStatus(o, pod, now), Progress: true, RequeueAfter: next}
	if pod == nil {
		// Nothing tells when a quota has room; the Job's events are read again.
		p.RequeueAfter = refusalInterval
	}
	return p
}

// jobFinished says whether the Job will start no further pod.
func jobFinished(job *batchv1.Job) bool {
	return jobCondition(job, batchv1.JobComplete) != nil || jobCondition(job, batchv1.JobFailed) != nil
}
