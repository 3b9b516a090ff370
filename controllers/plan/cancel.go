// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// cancelled stops a group that a user or the dispatcher cancelled: by spec.cancel,
// or by deleting its Job. The result is Cancelled unless the attempt had terminated
// by itself before (invariant I7).
func cancelled(o *Observed, now time.Time) *Plan {
	status := &o.TaskGroup.Status
	cancelling := status.Reason() == v1alpha1.ReasonCancelling
	if !o.TaskGroup.Spec.Cancel && !cancelling && !o.jobIsDeleting() && !o.jobWasDeleted() && !o.previousWasDeletedByUser() {
		return nil
	}
	if !cancelling && (isCompleting(status) || kindOf(o.TaskGroup).terminatedByItself(o)) {
		return nil
	}
	return cancel(o, o.attemptPod(), now)
}

// isCompleting reports whether all tasks are completed and only leftover
// containers are being removed.
func isCompleting(status *v1alpha1.TaskGroupStatus) bool {
	last := LastJob(status)
	return status.Reason() == v1alpha1.ReasonStopping && last != nil && last.Reason == v1alpha1.ReasonCompleted
}

// cancel stops what may still run. It reports the group as Cancelled only if no Job
// can start a pod and no pod runs (I5).
func cancel(o *Observed, pod *corev1.Pod, now time.Time) *Plan {
	const deleting = "Its Job is being deleted"
	switch {
	case o.jobIsDeleting():
		return &Plan{Status: cancellingStatus(o, o, deleting, now)}
	case o.jobIsOurs() && !jobFinished(o.Job):
		return &Plan{DeleteJob: o.Job, Status: cancellingStatus(o, o, deleting, now)}
	case o.previousIsLive():
		p := &Plan{Status: cancellingStatus(o, o, deleting, now)}
		if LastJob(&o.TaskGroup.Status).Reason == v1alpha1.ReasonSuspended {
			// The results of a failed attempt were recorded when it failed; those of a
			// suspended one still have to be.
			p.Status = cancellingStatus(o, o.ofPrevious(), deleting, now)
		}
		if o.Previous.DeletionTimestamp == nil {
			p.DeleteJob = o.Previous
		}
		return p
	}
	if live := o.livePod(); live != nil {
		return &Plan{Status: cancellingStatus(o, o, fmt.Sprintf("Pod %s has not terminated yet", live.Name), now)}
	}
	return &Plan{Status: cancelledStatus(o, pod, now), Claim: ClaimStopped}
}

// cancellingStatus keeps what the terminated pods of the attempt in source report,
// because they will be deleted before the group is Cancelled.
func cancellingStatus(o, source *Observed, message string, now time.Time) *v1alpha1.TaskGroupStatus {
	pod := source.attemptPod()
	status := progressed(o, pod)
	if pod != nil && (PodEnded(pod) || o.TaskGroup.Spec.Execution == v1alpha1.Parallel) {
		kindOf(o.TaskGroup).cancelled(status, source, pod)
	}
	unfinished(status, v1alpha1.ReasonCancelling, message, now)
	return status
}

func cancelledStatus(o *Observed, pod *corev1.Pod, now time.Time) *v1alpha1.TaskGroupStatus {
	status := progressed(o, pod)
	kindOf(o.TaskGroup).cancelled(status, o, pod)
	if len(status.Tasks) == 0 {
		status.Tasks = kindOf(o.TaskGroup).tasks(o, v1alpha1.TaskCancelled)
	}
	cancelOpen(status.Tasks)
	message := "Cancelled by deleting its Job"
	if o.TaskGroup.Spec.Cancel {
		message = "Cancelled through spec.cancel"
	}
	complete(status, verdict{reason: v1alpha1.ReasonCancelled, message: message}, o.TaskGroup.Generation, now)
	return status
}
