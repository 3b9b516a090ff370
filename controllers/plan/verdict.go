// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"regexp"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
)

// maxReason is the bound of status.tasks[].reason.
const maxReason = 64

// reasonWord is what the API server accepts as a condition's reason. A task can
// write the termination message too, so its reason is checked.
var reasonWord = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`)

// verdict is the result of an attempt, or of one task of a Parallel group.
type verdict struct {
	succeeded bool
	reason    v1alpha1.Reason
	message   string
	// record is the runner's termination message; nil if there is none.
	record *contract.TerminationMessage
	// pod is the pod that the record is from; nil for the attempt's.
	pod *corev1.Pod
	// unverified is set if a manifest was committed, or may have been, and its digest
	// is not known: the pod was deleted before it could be read.
	unverified bool
	// permanent is set if another attempt would fail in the same way.
	permanent bool
	// source is the party that the failure is attributed to, if not that of the reason.
	source v1alpha1.Source
	// unspent is set if the attempt was stopped by a queue or by the operator: its
	// retry spends no budget.
	unspent bool
	// memoryLimit is the limit of a container that was OOM-killed; empty for none.
	memoryLimit string
	// redeliver is set if the runner could not be started from an image volume.
	redeliver bool
}

// podVerdict returns the result of a pod whose tasks have terminated. In this order:
//
//  1. a record in which all tasks are completed, with a committed manifest if there
//     are outputs, decides whatever happened to the pod later (invariant I42);
//  2. a pod that its queue stopped is retried without spending a budget;
//  3. a disruption is a failure of the infrastructure, whatever the container's
//     exit code is;
//  4. the OOM kill of the whole container leaves no record;
//  5. the runner's record;
//  6. the kubelet's state of the container;
//  7. nothing: Unknown.
func podVerdict(o *Observed, pod *corev1.Pod) verdict {
	v := resultOf(o, pod)
	if v.reason == v1alpha1.ReasonOOMKilled {
		v.memoryLimit = memoryLimit(pod)
	}
	return v
}

func resultOf(o *Observed, pod *corev1.Pod) verdict {
	record := recordOf(o, pod)
	state := tasksState(pod)
	if isComplete(o, record) {
		return verdict{succeeded: true, reason: v1alpha1.ReasonCompleted, message: completedMessage(len(record.States)), record: record}
	}
	if v := reclaimed(o, pod, record); v != nil {
		return *v
	}
	if v := disruption(pod); v != nil {
		v.record = record
		return *v
	}
	switch {
	case record == nil && state != nil && state.Reason == "OOMKilled":
		return verdict{reason: v1alpha1.ReasonOOMKilled, message: oomMessage(pod)}
	case record != nil && record.Failure != nil:
		return recordedVerdict(record)
	case pod.Status.Phase == corev1.PodSucceeded:
		return incompleteVerdict(o, pod, record)
	}
	return unreportedVerdict(pod, state, record)
}

// unreportedVerdict is for a pod that failed without a failure in its record.
func unreportedVerdict(pod *corev1.Pod, state *corev1.ContainerStateTerminated, record *contract.TerminationMessage) verdict {
	switch {
	case state != nil && (state.Reason == "StartError" || state.Reason == "ContainerCannotRun"):
		return startErrorVerdict(pod, state)
	case state != nil:
		return verdict{reason: v1alpha1.ReasonUnknown, record: record, message: fmt.Sprintf(
			"The container of pod %s terminated with exit code %d (%s) without reporting a result: see kubectl logs %s",
			pod.Name, state.ExitCode, orElse(kubeletMessage(state.Reason, stateMessage(state, record)), "no reason given"), pod.Name)}
	}
	return verdict{reason: v1alpha1.ReasonUnknown, record: record, message: fmt.Sprintf(
		"Pod %s failed before its container started: %s", pod.Name, orElse(podMessage(pod), "no reason given"))}
}

// isComplete reports whether a record shows that all tasks are completed and, for a
// group with outputs, that the manifest is committed (invariant I9).
func isComplete(o *Observed, record *contract.TerminationMessage) bool {
	return allCompleted(record) && (o.ManifestURI == "" || record.ManifestSHA256 != "")
}

// allCompleted reports whether a record has all of its tasks as completed.
func allCompleted(record *contract.TerminationMessage) bool {
	if record == nil || record.Failure != nil {
		return false
	}
	for _, state := range record.States {
		if state != contract.TaskCompleted {
			return false
		}
	}
	return true
}

// incompleteVerdict is for a pod that succeeded without a complete record.
func incompleteVerdict(o *Observed, pod *corev1.Pod, record *contract.TerminationMessage) verdict {
	switch {
	case record == nil:
		return verdict{reason: v1alpha1.ReasonUnknown, message: fmt.Sprintf(
			"The container of pod %s terminated with exit code 0 without reporting a result: it was not the runner that terminated it", pod.Name)}
	case allCompleted(record):
		return verdict{reason: v1alpha1.ReasonOutputUploadFailed, message: fmt.Sprintf(
			"Pod %s succeeded without committing a manifest at %s", pod.Name, o.ManifestURI)}
	}
	for i, state := range record.States {
		if state != contract.TaskCompleted {
			return verdict{reason: v1alpha1.ReasonUnknown, record: record, message: fmt.Sprintf(
				"Pod %s succeeded, but task %d of %d is %s according to its termination message", pod.Name, i+1, len(record.States), state)}
		}
	}
	return recordedVerdict(record)
}

// startErrorVerdict is for a container whose process could not be started. The
// cause is only in the kubelet's message. If the runner is missing although it is
// delivered by an image volume, the nodes do not support image volumes, or a
// runtime mounted an empty directory.
func startErrorVerdict(pod *corev1.Pod, state *corev1.ContainerStateTerminated) verdict {
	redeliver := usesImageVolume(pod) && strings.Contains(state.Message, jobspec.RunnerDir)
	return verdict{reason: v1alpha1.ReasonContainerConfigError, permanent: true, unspent: redeliver, redeliver: redeliver,
		message: fmt.Sprintf("The container of pod %s could not start: %s", pod.Name, kubeletMessage(state.Reason, state.Message))}
}

// reclaimed recognises a pod that terminated because a queue suspended its Job in
// favour of another workload. The Job controller then deletes the pods that have not
// terminated: a pod without a record that is not being deleted terminated before.
func reclaimed(o *Observed, pod *corev1.Pod, record *contract.TerminationMessage) *verdict {
	owner := metav1.GetControllerOf(pod)
	if owner == nil || o.Job == nil || owner.UID != o.Job.UID || !jobIsHeld(o.Job) {
		return nil
	}
	interrupted := pod.DeletionTimestamp != nil
	if record != nil && record.Failure != nil {
		interrupted = record.Failure.Reason == contract.ReasonTerminated || record.Failure.Reason == contract.ReasonNotStarted
	}
	if !interrupted {
		return nil
	}
	return &verdict{reason: v1alpha1.ReasonPreempted, unspent: true, record: record,
		message: fmt.Sprintf("Job %s was suspended by %s and its pod was stopped", o.Job.Name, queueOf(o))}
}

func completedMessage(tasks int) string {
	if tasks == 1 {
		return "The task completed"
	}
	return fmt.Sprintf("All %d tasks completed", tasks)
}

// recordedVerdict takes the failure from the record, in a form that the API accepts.
func recordedVerdict(record *contract.TerminationMessage) verdict {
	f := record.Failure
	v := verdict{reason: v1alpha1.ReasonUnknown, record: record}
	if f == nil {
		v.message = "the termination message contains no failure"
		return v
	}
	v.message = f.Message
	switch f.Retry {
	case contract.RetryNever:
		v.permanent = true
	case contract.RetryInfrastructure:
		v.source = v1alpha1.SourceInfrastructure
	}
	if len(f.Reason) <= maxReason && reasonWord.MatchString(string(f.Reason)) {
		v.reason = v1alpha1.Reason(f.Reason)
	}
	if f.NodeID != nil {
		v.message = fmt.Sprintf("Task %d: %s", *f.NodeID, f.Message)
	}
	if f.Reason == contract.ReasonNotStarted {
		// The whole attempt reports this if it was stopped before its first task.
		v.reason = v1alpha1.ReasonTerminated
	}
	if v.reason == v1alpha1.ReasonTerminated {
		v.message += ". Its pod was deleted or its node was shut down; to cancel a group, set spec.cancel or delete its Job"
	}
	return v
}

func oomMessage(pod *corev1.Pod) string {
	limit := "its memory limit"
	if amount := memoryLimit(pod); amount != "" {
		limit += " of " + amount
	}
	return "OOM-killed: the container reached " + limit + ": raise spec.pod.resources.limits.memory, or set spec.retries.limit and spec.retries.oomMemoryFactor"
}

// memoryLimit is the effective memory limit of the container that runs the tasks;
// empty for none.
func memoryLimit(pod *corev1.Pod) string {
	for i := range pod.Spec.Containers {
		if q, ok := pod.Spec.Containers[i].Resources.Limits[corev1.ResourceMemory]; ok && pod.Spec.Containers[i].Name == jobspec.TaskContainer {
			return q.String()
		}
	}
	return ""
}

// unreadMessage follows the message of a group whose manifest has no known digest.
const unreadMessage = "; the pod was deleted before its termination message was read"

// jobVerdict is the result of a finished Job whose pod was deleted before its result
// was read.
func jobVerdict(o *Observed) verdict {
	if jobCondition(o.Job, batchv1.JobComplete) != nil {
		// The runner exits with 0 only when everything is committed.
		return verdict{succeeded: true, reason: v1alpha1.ReasonCompleted, unverified: true,
			message: completedMessage(len(o.TaskGroup.Spec.Tasks)) + unreadMessage}
	}
	c := jobCondition(o.Job, batchv1.JobFailed)
	if c.Reason == batchv1.JobReasonDeadlineExceeded {
		return verdict{reason: v1alpha1.ReasonDeadlineExceeded, message: c.Message, unverified: terminatedUnseen(o)}
	}
	return verdict{reason: v1alpha1.ReasonUnknown, unverified: terminatedUnseen(o), message: fmt.Sprintf(
		"The pod of Job %s was deleted before its result was read; the Job reports: %s: %s", o.JobName, c.Reason, c.Message)}
}
