package plan

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
)

func isCancelling(status *v1alpha1.TaskGroupStatus) bool {
	return status.Reason() == v1alpha1.ReasonCancelling
}

// verdict is how an attempt ended.
type verdict struct {
	succeeded bool
	reason    v1alpha1.Reason
	message   string
	// record is what the runner left; nil where it left nothing.
	record *contract.TerminationMessage
	// pod is the one that left the record; nil for the attempt's.
	pod *corev1.Pod
	// unverified is set where a manifest was committed, or may have been, and its
	// digest is not known: the pod was gone before it could be read.
	unverified bool
}

// finish is the plan that ends a group.
func finish(o *Observed, v verdict, now time.Time) Plan {
	status := progressed(o, o.attemptPod())
	began(status, o.attemptPod(), nil)
	status.Tasks = endedTasks(o, v)
	status.Manifest = manifestOf(o, v, v.pod)
	if last := LastJob(status); last != nil && last.Reason == "" {
		closeAttempt(status, v.reason, v.message, digestOf(v), now)
	}
	settle(status, v, o.TaskGroup.Generation, now)
	return Plan{Status: status}
}

// progressed copies the status and fills in what every status after the Job's
// creation tells.
func progressed(o *Observed, pod *corev1.Pod) *v1alpha1.TaskGroupStatus {
	status := o.TaskGroup.Status.DeepCopy()
	status.ObservedGeneration = o.TaskGroup.Generation
	if last := LastJob(status); o.jobIsOurs() && (last == nil || last.UID != o.Job.UID) {
		status.Attempt = o.Attempt
		status.Jobs = append(status.Jobs, v1alpha1.JobReference{Name: o.Job.Name, UID: o.Job.UID, Attempt: o.Attempt})
		status.Jobs = status.Jobs[max(0, len(status.Jobs)-maxJobs):]
	}
	if pod != nil && pod.Spec.NodeName != "" {
		status.NodeName = pod.Spec.NodeName
	}
	return status
}

// began notes when the first pod started, as the node tells it, or else that time.
func began(status *v1alpha1.TaskGroupStatus, pod *corev1.Pod, otherwise *metav1.Time) {
	if status.StartTime != nil {
		return
	}
	status.StartTime = otherwise
	if pod != nil && beganAt(pod) != nil {
		status.StartTime = beganAt(pod).DeepCopy()
	}
}

func runningStatus(o *Observed, pod *corev1.Pod, now time.Time) *v1alpha1.TaskGroupStatus {
	status := progressed(o, pod)
	began(status, pod, nowTime(now))
	status.Tasks = uniformTasks(o, v1alpha1.TaskRunning)
	underWay(status, v1alpha1.ReasonRunning, fmt.Sprintf("Pod %s runs on node %s", pod.Name, pod.Spec.NodeName), now)
	return status
}

func startingStatus(o *Observed, pod *corev1.Pod, now time.Time) *v1alpha1.TaskGroupStatus {
	status := progressed(o, pod)
	status.Tasks = uniformTasks(o, v1alpha1.TaskPending)
	underWay(status, waitingReason(pod), waitingFor(o, pod), now)
	return status
}

// queuedStatus is for a group whose Job is refused for now.
func queuedStatus(o *Observed, message string, now time.Time) *v1alpha1.TaskGroupStatus {
	status := progressed(o, nil)
	status.Tasks = uniformTasks(o, v1alpha1.TaskPending)
	underWay(status, v1alpha1.ReasonQueued, message, now)
	return status
}

// retryingStatus closes an attempt and promises another one.
func retryingStatus(o *Observed, v verdict, now time.Time) *v1alpha1.TaskGroupStatus {
	status := progressed(o, o.attemptPod())
	closeAttempt(status, v.reason, v.message, digestOf(v), now)
	spend(status, v.reason)
	status.Tasks = pendingTasks(o, v.record)
	underWay(status, v1alpha1.ReasonRetrying, fmt.Sprintf("Attempt %d failed: %s: %s. The next begins at %s",
		o.Attempt, v.reason, v.message, retryAt(o.TaskGroup.UID, status).UTC().Format(time.TimeOnly+" MST")), now)
	return status
}

// givenUpStatus closes an attempt whose pod is still to be removed.
func givenUpStatus(o *Observed, v verdict, reason v1alpha1.Reason, now time.Time) *v1alpha1.TaskGroupStatus {
	status := progressed(o, o.attemptPod())
	closeAttempt(status, v.reason, v.message, "", now)
	status.Tasks = pendingTasks(o, nil)
	underWay(status, reason, words(string(v.reason), v.message), now)
	return status
}

func suspendedStatus(o *Observed, now time.Time) *v1alpha1.TaskGroupStatus {
	status := progressed(o, nil)
	status.Tasks = pendingTasks(o, nil)
	underWay(status, v1alpha1.ReasonSuspended, "spec.suspend keeps it from running", now)
	return status
}

// lastWordsStatus keeps what the pod of an attempt that was given up committed
// before it went; nil where there is nothing new.
func lastWordsStatus(o *Observed, job types.UID) *v1alpha1.TaskGroupStatus {
	if isParallel(o) {
		return lastParallelWords(o, job)
	}
	pod := o.podOf(job)
	if pod == nil || !PodEnded(pod) {
		return nil
	}
	record := recordOf(o, pod)
	if record == nil || record.ManifestSHA256 == "" || LastJob(&o.TaskGroup.Status).ManifestSHA256 != "" {
		return nil
	}
	status := progressed(o, pod)
	LastJob(status).ManifestSHA256 = record.ManifestSHA256
	status.Tasks = pendingTasks(o, record)
	status.Summary = summaryOf(status.Tasks)
	return status
}

// digestOf is that of the manifest which the attempt committed; empty for none.
func digestOf(v verdict) string {
	if v.record == nil {
		return ""
	}
	return v.record.ManifestSHA256
}

// cancellingStatus keeps what a stopped pod tells of itself, since the pod will
// be gone when the group is Cancelled.
func cancellingStatus(o *Observed, pod *corev1.Pod, message string, now time.Time) *v1alpha1.TaskGroupStatus {
	status := progressed(o, pod)
	if pod != nil && PodEnded(pod) {
		keepRecord(status, o, pod)
	}
	underWay(status, v1alpha1.ReasonCancelling, message, now)
	return status
}

func cancelledStatus(o *Observed, pod *corev1.Pod, now time.Time) *v1alpha1.TaskGroupStatus {
	status := progressed(o, pod)
	if pod != nil {
		keepRecord(status, o, pod)
	} else if endedUnseen(o) {
		status.Manifest = manifestOf(o, verdict{unverified: true}, nil)
	}
	if len(status.Tasks) == 0 {
		status.Tasks = uniformTasks(o, v1alpha1.TaskCancelled)
	}
	cancelOpen(status.Tasks)
	message := "Its Job was deleted"
	if o.TaskGroup.Spec.Cancel {
		message = "spec.cancel asked for it"
	}
	settle(status, verdict{reason: v1alpha1.ReasonCancelled, message: message}, o.TaskGroup.Generation, now)
	return status
}

// keepRecord copies the states and the manifest that a stopped pod committed.
func keepRecord(status *v1alpha1.TaskGroupStatus, o *Observed, pod *corev1.Pod) {
	if isParallel(o) {
		tasks, _, _ := parallelTasks(o)
		keepEnded(tasks, status.Tasks)
		status.Tasks = tasks
		status.Summary = summaryOf(tasks)
		return
	}
	record := recordOf(o, pod)
	if record == nil {
		// It was killed, or never began. That its end was seen is to be known when it is gone.
		cancelOpen(status.Tasks)
		return
	}
	v := verdict{record: record}
	status.Tasks = endedTasks(o, v)
	status.Manifest = manifestOf(o, v, pod)
	status.Summary = summaryOf(status.Tasks)
}

// endedUnseen says whether the pod of a Sequential attempt was seen to run, and its
// end was not: it may have committed a manifest when nobody watched.
func endedUnseen(o *Observed) bool {
	running := func(s v1alpha1.TaskStatus) bool { return s.State == v1alpha1.TaskRunning }
	return !isParallel(o) && o.attemptPod() == nil && slices.ContainsFunc(o.TaskGroup.Status.Tasks, running)
}

// manifestOf names the manifest that a pod committed, in the place of the attempt
// whose Job made the pod: the one that is being removed may be the former one.
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

// StatusUpdate is an update of a group's status, from the version that it was decided
// on. The API server takes nothing but the status from it, so it has nothing else; a
// patch would have the API server encode, patch and decode the whole object
// (statusStrategy.PrepareForUpdate in
// k8s.io/apiextensions-apiserver/pkg/registry/customresource/status_strategy.go).
func StatusUpdate(tg *v1alpha1.TaskGroup, status *v1alpha1.TaskGroupStatus) *v1alpha1.TaskGroup {
	return &v1alpha1.TaskGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: tg.Namespace, Name: tg.Name, UID: tg.UID, ResourceVersion: tg.ResourceVersion},
		Status:     *status,
	}
}
