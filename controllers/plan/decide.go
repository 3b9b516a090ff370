package plan

import (
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// StartingGrace is how long a pod may take to run before the status says what
// it waits for. Most pods run within it, and cost one write less.
const StartingGrace = 2 * time.Second

// step is one rule of Decide: it returns nil where it has nothing to say.
type step func(o *Observed, now time.Time) *Plan

// steps are asked in this order; the first that answers decides.
//
//  1. settled: a group that has ended, or is being deleted, is left alone.
//  2. conflict: a Job of our name that is not ours ends the group.
//  3. cancelled: what was asked to end ends, unless it has ended by itself.
//  4. create: a group without a Job gets one.
//  5. ended: a pod that has ended tells the result.
//  6. vanished: a Job that has ended without a pod tells less.
//  7. running, starting: progress.
var steps = []step{settled, conflict, cancelled, create, ended, vanished, running, starting}

// Decide says what the group needs next. It never changes what it observed.
func Decide(o *Observed, now time.Time) Plan {
	for _, s := range steps {
		if p := s(o, now); p != nil {
			return *p
		}
	}
	return Plan{}
}

// Reject is the plan for a group whose Job cannot be created, now or ever.
func Reject(o *Observed, reason v1alpha1.Reason, message string, now time.Time) Plan {
	return finish(o, verdict{reason: reason, message: message}, now)
}

func settled(o *Observed, _ time.Time) *Plan {
	if o.TaskGroup.DeletionTimestamp != nil || IsTerminal(&o.TaskGroup.Status) {
		return &Plan{}
	}
	return nil
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
	if o.jobIsDeleting() {
		return &Plan{Status: cancellingStatus(o, pod, deleting, now)}
	}
	if o.jobIsOurs() && !jobFinished(o.Job) {
		return &Plan{DeleteJob: o.Job.UID, Status: cancellingStatus(o, pod, deleting, now)}
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
	if pod == nil || !PodEnded(pod) {
		return pod == nil && jobFinished(o.Job) && o.Job.DeletionTimestamp == nil
	}
	if o.Job.DeletionTimestamp == nil {
		return true
	}
	state := tasksState(pod)
	return state != nil && state.FinishedAt.Before(o.Job.DeletionTimestamp)
}

func create(o *Observed, _ time.Time) *Plan {
	if o.Job != nil {
		return nil
	}
	return &Plan{CreateJob: true}
}

func ended(o *Observed, now time.Time) *Plan {
	pod := o.attemptPod()
	if pod == nil || !PodEnded(pod) {
		return nil
	}
	return finishWhenQuiet(o, podVerdict(o, pod), now)
}

// vanished reads the Job's own word where its pod was removed before anyone
// read its end: PodGC does that, and so may a person.
func vanished(o *Observed, now time.Time) *Plan {
	if o.attemptPod() != nil || !jobFinished(o.Job) {
		return nil
	}
	return finishWhenQuiet(o, jobVerdict(o), now)
}

// finishWhenQuiet keeps the end back while any pod of the group still runs.
func finishWhenQuiet(o *Observed, v verdict, now time.Time) *Plan {
	if o.livePod() != nil {
		return &Plan{}
	}
	p := finish(o, v, now)
	return &p
}

func running(o *Observed, now time.Time) *Plan {
	pod := o.attemptPod()
	if pod == nil || pod.Status.Phase != corev1.PodRunning {
		return nil
	}
	return &Plan{Status: runningStatus(o, pod, now)}
}

func starting(o *Observed, now time.Time) *Plan {
	pod := o.attemptPod()
	if pod != nil && pod.Status.Phase != corev1.PodPending && pod.Status.Phase != "" {
		// Unknown: the node is silent. What was said before still stands.
		return &Plan{}
	}
	if wait := StartingGrace - now.Sub(o.Job.CreationTimestamp.Time); wait > 0 {
		return &Plan{RequeueAfter: min(wait, StartingGrace)}
	}
	return &Plan{Status: startingStatus(o, pod, now)}
}

// jobFinished says whether the Job will start no further pod.
func jobFinished(job *batchv1.Job) bool {
	return jobCondition(job, batchv1.JobComplete) != nil || jobCondition(job, batchv1.JobFailed) != nil
}
