// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// rule returns a plan, or nil if it does not apply.
type rule func(o *Observed, now time.Time) *Plan

// rules are evaluated in this order. The first rule that applies decides.
//
//  1. deleted: the Job of a group that is being deleted is deleted.
//  2. finished: a finished group is left alone until its TTL expires.
//  3. conflict: a Job of our name that is not ours fails the group.
//  4. cancelled: a cancelled group is stopped, unless it terminated by itself.
//  5. stopping: an attempt that was stopped is removed before anything follows.
//  6. suspended: a suspended group is stopped and waits.
//  7. backingOff: a retry waits for its backoff.
//  8. create: an attempt without a Job gets one.
//  9. terminated: pods that have terminated determine the result.
//  10. expired: an attempt that cannot start, or not in time, is stopped.
//  11. active: progress is reported.
var rules = []rule{deleted, finished, conflict, cancelled, stopping, suspended, backingOff, create, terminated, expired, active}

// Decide returns what the group needs next. It never changes what it observed.
func Decide(o *Observed, now time.Time) Plan {
	observed := *o
	observed.views = map[int32]*parallelView{}
	for _, r := range rules {
		if p := r(&observed, now); p != nil {
			return withSilence(&observed, *p, now)
		}
	}
	return Plan{}
}

// Reject returns the plan for a group whose Job can never be created.
func Reject(o *Observed, reason v1alpha1.Reason, message string, now time.Time) Plan {
	return finish(o, verdict{reason: reason, message: message}, now)
}

// deleted stops the pods of a group that is being deleted. Without a finalizer the
// object no longer exists, and the garbage collector deletes its Jobs; with one,
// the pods would keep running for as long as the finalizer remains (invariant I14).
func deleted(o *Observed, _ time.Time) *Plan {
	if o.TaskGroup.DeletionTimestamp == nil {
		return nil
	}
	switch {
	case o.jobIsOurs() && !jobFinished(o.Job) && o.Job.DeletionTimestamp == nil:
		return &Plan{DeleteJob: o.Job}
	case o.previousIsLive() && o.Previous.DeletionTimestamp == nil:
		return &Plan{DeleteJob: o.Previous}
	}
	return &Plan{}
}

func finished(o *Observed, now time.Time) *Plan {
	tg := o.TaskGroup
	if !tg.Status.IsFinished() {
		return nil
	}
	p := &Plan{}
	if tg.Generation > tg.Status.ObservedGeneration {
		// kstatus reports InProgress until the status follows the object.
		p.Status = tg.Status.DeepCopy()
		p.Status.ObservedGeneration = tg.Generation
	}
	ttl := tg.Spec.TTLSecondsAfterFinished
	if ttl == nil || tg.Status.CompletionTime == nil {
		return p
	}
	left := tg.Status.CompletionTime.Add(seconds(int64(*ttl))).Sub(now)
	if left > 0 {
		p.RequeueAfter = left
		return p
	}
	return &Plan{DeleteGroup: true}
}

func conflict(o *Observed, now time.Time) *Plan {
	if o.Job == nil || o.JobUID != "" || o.jobIsOurs() {
		return nil
	}
	p := Reject(o, v1alpha1.ReasonNameConflict, NameConflictMessage(o.JobName), now)
	return &p
}

// NameConflictMessage is the message of a group whose Job's name is taken.
func NameConflictMessage(job string) string {
	return fmt.Sprintf("Job %s exists and does not belong to this TaskGroup: delete that Job, then recreate the TaskGroup", job)
}

// stopping removes an attempt that was closed: its Job first, then its pods. Only
// then may another attempt start (I2), or the result be reported.
func stopping(o *Observed, now time.Time) *Plan {
	last := LastJob(&o.TaskGroup.Status)
	if last == nil || last.Reason == "" || o.Job != nil {
		return nil
	}
	if o.previousIsLive() || o.livePod() != nil {
		return removePrevious(o, last)
	}
	switch o.TaskGroup.Status.Reason() {
	case v1alpha1.ReasonStopping, v1alpha1.ReasonSuspending:
		p := kindOf(o.TaskGroup).stopped(o, now)
		p.Claim = ClaimPods
		return p
	default:
		if status := keptStatus(o); status != nil {
			return &Plan{Status: status}
		}
		return nil
	}
}

// removePrevious deletes the Job of the previous attempt if the operator stopped it,
// and keeps the results of its pods. The Job of another attempt is about to finish by
// itself, unless its pods were removed behind the back of the Job controller, which
// then replaces them: such an attempt is stopped, too. The status reports it first,
// because deleting the Job of an attempt that was not stopped cancels the group.
func removePrevious(o *Observed, last *v1alpha1.JobReference) *Plan {
	p := &Plan{Status: keptStatus(o)}
	if !o.previousIsLive() || o.Previous.DeletionTimestamp != nil {
		return p
	}
	switch {
	case last.Stopped:
		p.DeleteJob = o.Previous
	case !o.previousPodsTerminated():
		p.Status = progressed(o, nil)
		LastJob(p.Status).Stopped = true
		p.Claim = ClaimPods
	}
	return p
}

// keptStatus is the status with what the terminated pods of the previous attempt
// report; nil if that is nothing new.
func keptStatus(o *Observed) *v1alpha1.TaskGroupStatus {
	status := progressed(o, nil)
	if !LastJob(status).Stopped || !kindOf(o.TaskGroup).keep(status, o.ofPrevious()) {
		return nil
	}
	status.Summary = summaryOf(status.Tasks)
	return status
}

// suspended stops the pods of a suspended group and prevents others. An attempt
// that has terminated by itself has its own result.
func suspended(o *Observed, now time.Time) *Plan {
	if !o.TaskGroup.Spec.Suspend {
		return nil
	}
	if o.Job == nil {
		return &Plan{Status: suspendedStatus(o, now)}
	}
	if kindOf(o.TaskGroup).terminatedByItself(o) {
		return nil
	}
	return kindOf(o.TaskGroup).suspend(o, verdict{reason: v1alpha1.ReasonSuspended, message: "Suspended by spec.suspend"}, now)
}

func backingOff(o *Observed, now time.Time) *Plan {
	if o.Job != nil || o.TaskGroup.Status.Reason() != v1alpha1.ReasonRetrying {
		return nil
	}
	left := retryAt(o.TaskGroup.UID, &o.TaskGroup.Status).Sub(now)
	if left <= 0 || left > maxBackoff {
		// No backoff is longer: the attempt's completion time is from a wrong clock.
		return nil
	}
	return &Plan{RequeueAfter: left}
}

func create(o *Observed, now time.Time) *Plan {
	if o.Job != nil {
		return nil
	}
	if p := kindOf(o.TaskGroup).nothingLeft(o, now); p != nil {
		return p
	}
	return &Plan{CreateJob: true, Claim: ClaimNoJob}
}

func terminated(o *Observed, now time.Time) *Plan { return kindOf(o.TaskGroup).result(o, now) }

func expired(o *Observed, now time.Time) *Plan { return kindOf(o.TaskGroup).expired(o, now) }

func active(o *Observed, now time.Time) *Plan { return kindOf(o.TaskGroup).progress(o, now) }

// stop closes an attempt whose Job has not finished. The status states the cause
// first, and the Job is deleted after that was written: a Job that is deleted for
// no reason in the status was deleted by a user, which cancels the group.
func stop(o *Observed, v verdict, now time.Time) *Plan {
	switch {
	case v.reason == v1alpha1.ReasonSuspended:
		return &Plan{Status: stoppedStatus(o, v, v1alpha1.ReasonSuspending, now)}
	case mayRetry(o.TaskGroup, spentBy(&o.TaskGroup.Status), v):
		status := retryingStatus(o, v, now)
		LastJob(status).Stopped = true
		return &Plan{Status: status, SwitchDelivery: v.redeliver}
	default:
		return &Plan{Status: stoppedStatus(o, v, v1alpha1.ReasonStopping, now)}
	}
}

// startingPlan is the plan for an attempt of which no pod has run yet; pod is its
// most informative pod, or nil.
func startingPlan(o *Observed, pod *corev1.Pod, next time.Duration, now time.Time) *Plan {
	if wait := startingGrace(o, pod) - now.Sub(o.Job.CreationTimestamp.Time); wait > 0 {
		return &Plan{RequeueAfter: sooner(min(wait, StartingGrace), next)}
	}
	return &Plan{Status: startingStatus(o, pod, now), Progress: true, RequeueAfter: next}
}

// sooner returns the shorter of two waits, of which 0 is forever.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}
