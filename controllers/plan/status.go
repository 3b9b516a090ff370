// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
)

// finish returns the plan that finishes a group with a verdict about all of its
// tasks. Parallel groups, whose tasks have verdicts of their own, use it only
// before any of their tasks was run.
func finish(o *Observed, v verdict, now time.Time) Plan {
	status := progressed(o, o.attemptPod())
	started(status, o.attemptPod(), nil)
	status.Tasks = finalTasks(o, v)
	status.Manifest = manifestOf(o, v, v.pod)
	closeAttempt(status, v, now)
	complete(status, v, o.TaskGroup.Generation, now)
	return Plan{Status: status}
}

// progressed copies the status and fills in what every status after the creation
// of the Job contains.
func progressed(o *Observed, pod *corev1.Pod) *v1alpha1.TaskGroupStatus {
	status := o.TaskGroup.Status.DeepCopy()
	status.ObservedGeneration = o.TaskGroup.Generation
	if o.jobIsOurs() {
		status.QueuedTime = nil
		if last := LastJob(status); last == nil || last.UID != o.Job.UID {
			status.Attempt = o.Attempt
			status.Jobs = appendJob(status.Jobs, v1alpha1.JobReference{Name: o.Job.Name, UID: o.Job.UID, Attempt: o.Attempt})
		}
	}
	if pod != nil && pod.Spec.NodeName != "" {
		status.NodeName = pod.Spec.NodeName
	}
	return status
}

// started records when the first pod started, as the kubelet reports it, or else
// the given time.
func started(status *v1alpha1.TaskGroupStatus, pod *corev1.Pod, otherwise *metav1.Time) {
	if status.StartTime != nil {
		return
	}
	status.StartTime = otherwise
	if pod != nil && startedAt(pod) != nil {
		status.StartTime = startedAt(pod).DeepCopy()
	}
}

func startingStatus(o *Observed, pod *corev1.Pod, now time.Time) *v1alpha1.TaskGroupStatus {
	status := progressed(o, pod)
	status.Tasks = kindOf(o.TaskGroup).tasks(o, v1alpha1.TaskPending)
	unfinished(status, waitingReason(pod), waitingFor(o, pod), now)
	return status
}

// queuedStatus is for a group whose Job the API server does not accept for now.
func queuedStatus(o *Observed, message string, now time.Time) *v1alpha1.TaskGroupStatus {
	status := progressed(o, nil)
	status.Tasks = kindOf(o.TaskGroup).tasks(o, v1alpha1.TaskPending)
	if status.QueuedTime == nil {
		status.QueuedTime = &metav1.Time{Time: now}
	}
	unfinished(status, v1alpha1.ReasonQueued, message, now)
	return status
}

// stoppedStatus closes an attempt whose Job and pods are still to be deleted.
func stoppedStatus(o *Observed, v verdict, reason v1alpha1.Reason, now time.Time) *v1alpha1.TaskGroupStatus {
	status := progressed(o, o.attemptPod())
	closeAttempt(status, v, now)
	LastJob(status).Stopped = true
	status.Tasks = pendingTasks(o, v.record)
	if v.succeeded {
		status.Manifest = manifestOf(o, v, v.pod)
	}
	unfinished(status, reason, fmt.Sprintf("%s: %s", v.reason, v.message), now)
	return status
}

func suspendedStatus(o *Observed, now time.Time) *v1alpha1.TaskGroupStatus {
	status := progressed(o, nil)
	status.QueuedTime = nil
	status.Tasks = kindOf(o.TaskGroup).tasks(o, v1alpha1.TaskPending)
	unfinished(status, v1alpha1.ReasonSuspended, "Suspended by spec.suspend", now)
	return status
}

// digestOf is the digest of the manifest that the attempt committed; empty for none.
func digestOf(v verdict) string {
	if v.record == nil {
		return ""
	}
	return v.record.ManifestSHA256
}

// manifestOf references the manifest that a pod committed, at the location of the
// attempt whose Job created the pod: it may be the previous one.
func manifestOf(o *Observed, v verdict, pod *corev1.Pod) *v1alpha1.ManifestReference {
	if o.ManifestURI == "" {
		return nil
	}
	if v.record != nil && v.record.ManifestSHA256 != "" {
		uri := contract.ManifestURI(jobspec.AttemptURI(o.TaskGroup, o.attemptOf(pod)))
		return &v1alpha1.ManifestReference{URI: uri, SHA256: v.record.ManifestSHA256}
	}
	if v.unverified {
		return &v1alpha1.ManifestReference{URI: o.ManifestURI}
	}
	return nil
}

// StatusUpdate is an update of a group's status, based on the version that the
// decision was based on. The API server takes nothing but the status from it, so it
// contains nothing else. A patch would be more expensive, because the API server
// would encode, patch and decode the whole object
// (statusStrategy.PrepareForUpdate in
// k8s.io/apiextensions-apiserver/pkg/registry/customresource/status_strategy.go).
func StatusUpdate(tg *v1alpha1.TaskGroup, status *v1alpha1.TaskGroupStatus) *v1alpha1.TaskGroup {
	return &v1alpha1.TaskGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: tg.Namespace, Name: tg.Name, UID: tg.UID, ResourceVersion: tg.ResourceVersion},
		Status:     *status,
	}
}
