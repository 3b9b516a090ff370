package plan

import (
	"fmt"
	"regexp"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
)

// maxReason is the bound of status.tasks[].reason.
const maxReason = 64

// reasonWord is what the API server accepts as a condition's reason. The
// termination message is the user's to forge, so its reason is checked.
var reasonWord = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`)

// podVerdict reads how a pod that has ended did end. In this order:
//
//  1. a disruption is the cluster's doing, whatever the container says;
//  2. the kernel's OOM kill of the whole container leaves no record;
//  3. the runner's record;
//  4. what the kubelet knows of the container;
//  5. nothing: Unknown.
func podVerdict(o *Observed, pod *corev1.Pod) verdict {
	record := recordOf(o, pod)
	if pod.Status.Phase == corev1.PodSucceeded {
		return succeededVerdict(o, pod, record)
	}
	if v := disruption(pod); v != nil {
		v.record = record
		return *v
	}
	state := tasksState(pod)
	if record == nil && state != nil && state.Reason == "OOMKilled" {
		return verdict{reason: v1alpha1.ReasonOOMKilled, message: oomMessage(pod)}
	}
	if record != nil && record.Failure != nil {
		return recordedVerdict(record)
	}
	if state != nil {
		return verdict{reason: v1alpha1.ReasonUnknown, record: record, message: fmt.Sprintf(
			"The container of pod %s ended with exit code %d (%s) and left no record of its tasks: see kubectl logs %s", pod.Name, state.ExitCode, orWord(state.Reason, "no reason given"), pod.Name)}
	}
	return verdict{reason: v1alpha1.ReasonUnknown, record: record, message: fmt.Sprintf(
		"Pod %s failed before its container ran: %s", pod.Name, orWord(podWords(pod), "no reason given"))}
}

// succeededVerdict believes exit code 0 only together with a record that says
// the same, and with a committed manifest where there is a place for one
// (invariant I9).
func succeededVerdict(o *Observed, pod *corev1.Pod, record *contract.TerminationMessage) verdict {
	if record == nil {
		return verdict{reason: v1alpha1.ReasonUnknown, message: fmt.Sprintf(
			"The container of pod %s ended with exit code 0 and left no record of its tasks: something other than the runner ended it", pod.Name)}
	}
	for i, state := range record.States {
		if state != contract.TaskCompleted {
			return verdict{reason: v1alpha1.ReasonUnknown, record: record, message: fmt.Sprintf(
				"Pod %s succeeded, but its record says that task %d of %d is %s", pod.Name, i+1, len(record.States), state)}
		}
	}
	if o.ManifestURI != "" && record.ManifestSHA256 == "" {
		return verdict{reason: v1alpha1.ReasonOutputUploadFailed, message: fmt.Sprintf(
			"Pod %s succeeded without committing a manifest at %s", pod.Name, o.ManifestURI)}
	}
	return verdict{succeeded: true, reason: v1alpha1.ReasonCompleted, message: completedMessage(len(record.States)), record: record}
}

func completedMessage(tasks int) string {
	if tasks == 1 {
		return "The task completed"
	}
	return fmt.Sprintf("All %d tasks completed", tasks)
}

// recordedVerdict trusts the runner's word for why, in a form that the API takes.
func recordedVerdict(record *contract.TerminationMessage) verdict {
	f := record.Failure
	v := verdict{reason: v1alpha1.ReasonUnknown, message: f.Message, record: record}
	if len(f.Reason) <= maxReason && reasonWord.MatchString(string(f.Reason)) {
		v.reason = v1alpha1.Reason(f.Reason)
	}
	if f.NodeID != nil {
		v.message = fmt.Sprintf("Task %d: %s", *f.NodeID, f.Message)
	}
	if f.Reason == contract.ReasonNotStarted {
		// Of a whole attempt that says the same: it was stopped, a moment earlier.
		v.reason = v1alpha1.ReasonTerminated
	}
	if v.reason == v1alpha1.ReasonTerminated {
		v.message += ". Its pod was deleted or its node shut down; to cancel a group, set spec.cancel or delete its Job"
	}
	return v
}

// disruptions are the reasons of the condition DisruptionTarget
// (k8s.io/api/core/v1, PodReason*, and the taint manager's and PodGC's own).
var disruptions = map[string]v1alpha1.Reason{
	"PreemptionByScheduler":  v1alpha1.ReasonPreempted,
	"DeletionByTaintManager": v1alpha1.ReasonNodeLost,
	"DeletionByPodGC":        v1alpha1.ReasonNodeLost,
	"EvictionByEvictionAPI":  v1alpha1.ReasonEvicted,
	"TerminationByKubelet":   v1alpha1.ReasonEvicted,
}

// podReasons are what a kubelet gives to pods that it refuses or ends
// (k8s.io/kubernetes/pkg/kubelet/eviction, .../nodeshutdown, .../lifecycle).
var podReasons = map[string]v1alpha1.Reason{
	"DeadlineExceeded":         v1alpha1.ReasonDeadlineExceeded,
	"Evicted":                  v1alpha1.ReasonEvicted,
	"NodeAffinity":             v1alpha1.ReasonEvicted,
	"NodeLost":                 v1alpha1.ReasonNodeLost,
	"NodeShutdown":             v1alpha1.ReasonNodeLost,
	"OutOfcpu":                 v1alpha1.ReasonEvicted,
	"OutOfmemory":              v1alpha1.ReasonEvicted,
	"OutOfpods":                v1alpha1.ReasonEvicted,
	"Preempting":               v1alpha1.ReasonPreempted,
	"Terminated":               v1alpha1.ReasonNodeLost,
	"UnexpectedAdmissionError": v1alpha1.ReasonEvicted,
}

// disruption recognises a pod that the cluster ended.
func disruption(pod *corev1.Pod) *verdict {
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if c.Type != corev1.DisruptionTarget || c.Status != corev1.ConditionTrue {
			continue
		}
		reason, ok := disruptions[c.Reason]
		if !ok {
			reason = v1alpha1.ReasonEvicted
		}
		return &verdict{reason: reason, message: fmt.Sprintf("Pod %s was disrupted: %s", pod.Name, words(c.Reason, c.Message))}
	}
	if reason, ok := podReasons[pod.Status.Reason]; ok {
		return &verdict{reason: reason, message: fmt.Sprintf("Pod %s was ended by its node: %s", pod.Name, podWords(pod))}
	}
	return nil
}

func oomMessage(pod *corev1.Pod) string {
	limit := "its memory limit"
	for i := range pod.Spec.Containers {
		if q, ok := pod.Spec.Containers[i].Resources.Limits[corev1.ResourceMemory]; ok && pod.Spec.Containers[i].Name == jobspec.TaskContainer {
			limit = "its memory limit of " + q.String()
		}
	}
	return "The container reached " + limit + " and the kernel ended all of it: raise spec.pod.resources.limits.memory, or set spec.retries.oomMemoryFactor"
}

// jobVerdict is for a Job that has ended and whose pod is gone.
func jobVerdict(o *Observed) verdict {
	if jobCondition(o.Job, batchv1.JobComplete) != nil {
		// The runner exits with 0 only when everything is committed.
		return verdict{succeeded: true, reason: v1alpha1.ReasonCompleted, unverified: true,
			message: completedMessage(len(o.TaskGroup.Spec.Tasks)) + "; the pod was gone before its record could be read"}
	}
	c := jobCondition(o.Job, batchv1.JobFailed)
	if c.Reason == batchv1.JobReasonDeadlineExceeded {
		return verdict{reason: v1alpha1.ReasonDeadlineExceeded, message: c.Message, unverified: endedUnseen(o)}
	}
	return verdict{reason: v1alpha1.ReasonUnknown, unverified: endedUnseen(o), message: fmt.Sprintf(
		"The pod of Job %s was gone before its end could be read; the Job says: %s: %s", o.JobName, c.Reason, c.Message)}
}

// recordOf decodes what the runner left in the pod's status; nil where there is
// nothing that it can have written.
func recordOf(o *Observed, pod *corev1.Pod) *contract.TerminationMessage {
	state := tasksState(pod)
	if state == nil {
		return nil
	}
	tasks := len(o.TaskGroup.Spec.Tasks)
	if isParallel(o) {
		tasks = 1
	}
	record, err := contract.DecodeTerminationMessage(state.Message, tasks)
	if err != nil {
		// Not an error of ours: a container can leave anything there.
		return nil
	}
	return record
}

// tasksState is the end of the container that runs the tasks; nil where it has not ended.
func tasksState(pod *corev1.Pod) *corev1.ContainerStateTerminated {
	for i := range pod.Status.ContainerStatuses {
		if s := &pod.Status.ContainerStatuses[i]; s.Name == jobspec.TaskContainer {
			return s.State.Terminated
		}
	}
	return nil
}

func podWords(pod *corev1.Pod) string { return words(pod.Status.Reason, pod.Status.Message) }

// words are what a kubelet says, as text: the API server keeps no other, and what
// is compared with the status must be what it keeps.
func words(reason, message string) string {
	return strings.ToValidUTF8(strings.TrimSuffix(strings.Join([]string{reason, message}, ": "), ": "), "\uFFFD")
}

func orWord(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
