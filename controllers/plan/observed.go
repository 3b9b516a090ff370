// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// Observed is everything that a decision is based on. Its objects are shared and
// read-only.
type Observed struct {
	// TaskGroup is the object itself.
	TaskGroup *v1alpha1.TaskGroup
	// Attempt is the attempt that JobName and Job belong to, from 1.
	Attempt int32
	// JobName is the name of the attempt's Job.
	JobName string
	// Job is the Job of that name, of any owner; nil if none exists.
	Job *batchv1.Job
	// Unwatched reports that the cache does not contain the Job, so that no event
	// will announce its changes: its labels were removed, or the cache lags.
	Unwatched bool
	// Previous is the Job of the previous attempt; nil if it does not exist.
	Previous *batchv1.Job
	// PodRefusal is the API server's message about the pod of the attempt that it
	// refused most recently; empty if none is known.
	PodRefusal string
	// PodProblems are warnings of the kubelet or of the attach controller about pods
	// that are scheduled and do not start, by the pod's UID.
	PodProblems map[types.UID]string
	// ErrorSince is when a start error of a pod was first observed, by the pod's
	// UID. A pod that is not in it has had no error before.
	ErrorSince map[types.UID]time.Time
	// JobUID is the UID of the attempt's Job, from the status, from this process's
	// ledger or from a pod; empty if none is known.
	JobUID types.UID
	// Pods are all pods with the UID label of the group, of any owner.
	Pods []*corev1.Pod
	// ManifestURI is where the attempt commits its manifest; empty for a group
	// without outputs.
	ManifestURI string

	// views are the tasks of a Parallel group by attempt, derived once per decision;
	// nil outside of a decision.
	views map[int32]*parallelView
}

// belongsTo reports whether a Job belongs to the group: it is controlled by the
// group, or its ownerReference was removed and it is the recorded Job with the
// group's UID label. A name is not sufficient, because a group may be deleted and
// recreated (invariant I11).
func belongsTo(job *batchv1.Job, tg *v1alpha1.TaskGroup, recorded types.UID) bool {
	if metav1.IsControlledBy(job, tg) {
		return recorded == "" || recorded == job.UID
	}
	return recorded == job.UID && job.Labels[v1alpha1.UIDLabel] == string(tg.UID)
}

// jobIsOurs reports whether the attempt's Job exists and belongs to the group.
func (o *Observed) jobIsOurs() bool { return o.Job != nil && belongsTo(o.Job, o.TaskGroup, o.JobUID) }

// jobIsDeleting reports whether the attempt's Job is being deleted.
func (o *Observed) jobIsDeleting() bool { return o.jobIsOurs() && o.Job.DeletionTimestamp != nil }

// jobWasDeleted reports whether the attempt had a Job that no longer exists.
func (o *Observed) jobWasDeleted() bool {
	return o.JobUID != "" && (o.Job == nil || o.Job.UID != o.JobUID)
}

// previousIsLive reports whether the previous attempt may still start or run a pod.
func (o *Observed) previousIsLive() bool {
	return o.Previous != nil && belongsTo(o.Previous, o.TaskGroup, o.Previous.UID) && !jobFinished(o.Previous)
}

// previousPodsTerminated reports whether all pods of the previous Job have
// terminated, so that the Job is about to finish.
func (o *Observed) previousPodsTerminated() bool {
	pods := o.podsOf(o.Previous.UID)
	return len(pods) > 0 && !slices.ContainsFunc(pods, func(pod *corev1.Pod) bool { return !PodEnded(pod) })
}

// previousWasDeletedByUser reports whether the Job of an attempt that terminated by
// itself was deleted while the group waits for the next attempt. The operator
// records in the status which Jobs it deletes itself.
func (o *Observed) previousWasDeletedByUser() bool {
	last := LastJob(&o.TaskGroup.Status)
	if last == nil || o.Job != nil || o.JobUID != "" || last.Stopped || o.TaskGroup.Status.Reason() != v1alpha1.ReasonRetrying {
		return false
	}
	return o.Previous == nil || o.Previous.DeletionTimestamp != nil
}

// ofPrevious returns the observation with the previous attempt in place of the
// current one.
func (o *Observed) ofPrevious() *Observed {
	last := LastJob(&o.TaskGroup.Status)
	previous := *o
	previous.Job, previous.JobUID, previous.Attempt = o.Previous, last.UID, last.Attempt
	return &previous
}

// attemptJobUID is the UID of the attempt's Job; empty if it has none.
func (o *Observed) attemptJobUID() types.UID {
	if o.Job != nil && o.JobUID == "" {
		return o.Job.UID
	}
	return o.JobUID
}

// attemptPod is the most informative pod of the attempt's Job; nil for none.
func (o *Observed) attemptPod() *corev1.Pod { return o.podOf(o.attemptJobUID()) }

// podOf is the most informative pod of a Job: one that cannot start, else one that
// is pending, else the newest; nil for none. Only the Job of a Parallel group has
// more than one.
func (o *Observed) podOf(uid types.UID) *corev1.Pod {
	rank := func(pod *corev1.Pod) int {
		switch {
		case startErrorOf(o, pod) != nil && !PodEnded(pod):
			return 2
		case isPending(pod):
			return 1
		}
		return 0
	}
	var most *corev1.Pod
	for _, pod := range o.podsOf(uid) {
		if most == nil || rank(pod) > rank(most) || (rank(pod) == rank(most) && isNewer(pod, most)) {
			most = pod
		}
	}
	return most
}

// attemptOf is the attempt whose Job created a pod; the current one for nil.
func (o *Observed) attemptOf(pod *corev1.Pod) int32 {
	if pod == nil {
		return o.Attempt
	}
	owner := metav1.GetControllerOf(pod)
	for _, job := range o.TaskGroup.Status.Jobs {
		if owner != nil && owner.UID == job.UID {
			return job.Attempt
		}
	}
	return o.Attempt
}

// isNewer orders pods by age, and pods of the same second by name, so that the
// order in which a cache returns them has no effect.
func isNewer(a, b *corev1.Pod) bool {
	if a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.Name > b.Name
	}
	return b.CreationTimestamp.Before(&a.CreationTimestamp)
}

// podsOf are the pods that a Job created.
func (o *Observed) podsOf(uid types.UID) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, pod := range o.Pods {
		if owner := metav1.GetControllerOf(pod); owner != nil && owner.UID == uid {
			pods = append(pods, pod)
		}
	}
	return pods
}

// JobMadeItsPods reports whether the attempt's Job has created every pod that it
// will ever create.
func (o *Observed) JobMadeItsPods() bool {
	return len(o.podsOf(o.attemptJobUID())) >= kindOf(o.TaskGroup).podCount(o)
}

// AwaitsPods reports whether the attempt's Job should have more pods than it has:
// then its events may contain the cause.
func (o *Observed) AwaitsPods() bool {
	return o.jobIsOurs() && !jobIsHeld(o.Job) && !jobFinished(o.Job) && o.Job.DeletionTimestamp == nil &&
		kindOf(o.TaskGroup).missingPods(o) > 0
}

// livePod is the newest pod of the group that has not terminated, including pods
// that are being deleted and orphaned pods; nil for none.
func (o *Observed) livePod() *corev1.Pod {
	var live *corev1.Pod
	for _, pod := range o.Pods {
		if !PodEnded(pod) && (live == nil || isNewer(pod, live)) {
			live = pod
		}
	}
	return live
}

// PodEnded reports whether a pod has terminated, for any reason.
func PodEnded(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

func isPending(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodPending || pod.Status.Phase == ""
}

// jobFinished reports whether the Job will create no further pod.
func jobFinished(job *batchv1.Job) bool {
	return jobCondition(job, batchv1.JobComplete) != nil || jobCondition(job, batchv1.JobFailed) != nil
}

// jobIsHeld reports whether a queue holds the Job. The operator never writes
// spec.suspend of a Job.
func jobIsHeld(job *batchv1.Job) bool {
	return job != nil && job.Spec.Suspend != nil && *job.Spec.Suspend
}

// jobCondition returns the Job's condition of a type if it is True; else nil.
func jobCondition(job *batchv1.Job, conditionType batchv1.JobConditionType) *batchv1.JobCondition {
	if job == nil {
		return nil
	}
	for i := range job.Status.Conditions {
		if c := &job.Status.Conditions[i]; c.Type == conditionType && c.Status == corev1.ConditionTrue {
			return c
		}
	}
	return nil
}
