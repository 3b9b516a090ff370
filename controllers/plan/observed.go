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

// Observed is everything that a decision rests on. Its objects are shared and
// read-only.
type Observed struct {
	// TaskGroup is the object itself.
	TaskGroup *v1alpha1.TaskGroup
	// Attempt is the attempt that JobName and Job belong to, from 1.
	Attempt int32
	// JobName is the name of the attempt's Job.
	JobName string
	// Job is the object of that name, whoever made it; nil where there is none.
	Job *batchv1.Job
	// Unwatched says that the cache does not show the Job, so that no event tells of
	// what becomes of it: somebody took its labels away, or the cache is behind.
	Unwatched bool
	// Former is the Job of the attempt before, which has ended or is to end; nil
	// where there is none any more.
	Former *batchv1.Job
	// PodRefusal is why the API server refuses the attempt's pod, in its words.
	PodRefusal string
	// JobUID is the Job that the attempt is known to have had, from the status,
	// from this process's memory or from a pod; empty where none was created.
	JobUID types.UID
	// Pods are all that carry the group's UID label, whoever made them.
	Pods []*corev1.Pod
	// Manifest is where the attempt commits its manifest; empty for a group that
	// keeps nothing.
	ManifestURI string
}

// Plan is what to do, in this order: create or delete the Job, write the
// status, look again later.
type Plan struct {
	// CreateJob asks for the attempt's Job.
	CreateJob bool
	// DeleteJob is the Job to delete in the foreground; nil for none.
	DeleteJob *batchv1.Job
	// DeleteGroup asks for the TaskGroup's own deletion: its time to live is over.
	DeleteGroup bool
	// Status is the whole status that should be; nil leaves it as it is.
	Status *v1alpha1.TaskGroupStatus
	// Progress is set where Status tells of nothing but progress, which the Job and
	// its pods tell as well: it may be written later, or never.
	Progress bool
	// RequeueAfter is when to look again though nothing changed; 0 for never.
	RequeueAfter time.Duration
}

// jobIsOurs says whether the Job belongs to this very object: a name is not
// enough, since a group may be deleted and created anew (invariant I11).
func (o *Observed) jobIsOurs() bool {
	return o.Job != nil && metav1.IsControlledBy(o.Job, o.TaskGroup) && (o.JobUID == "" || o.JobUID == o.Job.UID)
}

// jobIsDeleting says whether somebody deleted the Job and it is still there.
func (o *Observed) jobIsDeleting() bool { return o.jobIsOurs() && o.Job.DeletionTimestamp != nil }

// jobWasDeleted says whether the attempt had a Job that is no more.
func (o *Observed) jobWasDeleted() bool {
	return o.JobUID != "" && (o.Job == nil || o.Job.UID != o.JobUID)
}

// formerIsLive says whether the attempt before may still start or run a pod.
func (o *Observed) formerIsLive() bool {
	return o.Former != nil && metav1.IsControlledBy(o.Former, o.TaskGroup) && !jobFinished(o.Former)
}

// formerHasEnded says whether the former Job's pods ended, so that the Job is
// about to: it is left alone, and with it their logs.
func (o *Observed) formerHasEnded() bool {
	pods := o.podsOf(o.Former.UID)
	return len(pods) > 0 && !slices.ContainsFunc(pods, func(pod *corev1.Pod) bool { return !PodEnded(pod) })
}

// attemptJobUID is the UID of the attempt's Job; empty where there was none.
func (o *Observed) attemptJobUID() types.UID {
	if o.Job != nil && o.JobUID == "" {
		return o.Job.UID
	}
	return o.JobUID
}

// attemptPod is the pod that tells how the attempt is: the newest that its Job
// made; nil where there is none.
func (o *Observed) attemptPod() *corev1.Pod { return o.podOf(o.attemptJobUID()) }

// podOf is the pod of a Job that tells most: one that cannot start, else one that
// waits, else the newest; nil where there is none. Only a Parallel group's Job
// has more than one.
func (o *Observed) podOf(uid types.UID) *corev1.Pod {
	rank := func(pod *corev1.Pod) int {
		switch reason, _, _ := startError(pod); {
		case reason != "" && !PodEnded(pod):
			return 2
		case pod.Status.Phase == corev1.PodPending:
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

// attemptOf is the attempt whose Job made a pod; the current one where there is no pod.
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

// isNewer orders pods by age, and those of one second by name, so that the order
// in which a cache returns them decides nothing.
func isNewer(a, b *corev1.Pod) bool {
	if a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.Name > b.Name
	}
	return b.CreationTimestamp.Before(&a.CreationTimestamp)
}

// podsOf are the pods that a Job made.
func (o *Observed) podsOf(uid types.UID) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, pod := range o.Pods {
		if owner := metav1.GetControllerOf(pod); owner != nil && owner.UID == uid {
			pods = append(pods, pod)
		}
	}
	return pods
}

// JobMadeItsPods says whether the attempt's Job is known to have made every pod
// that it ever was to make.
func (o *Observed) JobMadeItsPods() bool {
	want := 1
	if o.TaskGroup.Spec.Execution == v1alpha1.Parallel {
		want = len(o.TaskGroup.Spec.Tasks)
	}
	return len(o.podsOf(o.attemptJobUID())) >= want
}

// livePod is a pod of the group that has not ended, Terminating included; nil
// where all is quiet. A pod that was orphaned counts too.
func (o *Observed) livePod() *corev1.Pod {
	var live *corev1.Pod
	for _, pod := range o.Pods {
		if !PodEnded(pod) && (live == nil || isNewer(pod, live)) {
			live = pod
		}
	}
	return live
}

// PodEnded says whether a pod runs no more, for whatever reason.
func PodEnded(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// jobCondition returns the Job's true condition of a type; nil where it is not true.
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
