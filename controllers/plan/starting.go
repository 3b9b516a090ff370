// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
)

// Short states of a lifecycle are over before a user looks. Each one that is not
// written saves a write, above all in a burst, when the API server is busy. Object
// timestamps have a resolution of one second, so each grace period may be up to a
// second shorter.
const (
	// StartingGrace is how long a pod may take to run before the status states what
	// it waits for, and a Job to create its pods before its events are read. In a
	// burst of hundreds they take three or four seconds.
	StartingGrace = 5 * time.Second
	// obstacleGrace is the same for a pod that reports an obstacle.
	obstacleGrace = 2 * time.Second
	// runningGrace is how long a pod may run before the status reports it. Of a
	// shorter run, only the result is written.
	runningGrace = 2 * time.Second
)

func startingGrace(o *Observed, pod *corev1.Pod) time.Duration {
	if obstacle(o, pod) == "" {
		return StartingGrace
	}
	return obstacleGrace
}

// runningWait is how long the status waits before it reports a running pod.
func runningWait(o *Observed, pod *corev1.Pod, now time.Time) time.Duration {
	began := startedAt(pod)
	if began == nil || o.TaskGroup.Status.Reason() == v1alpha1.ReasonRunning {
		return 0
	}
	age := now.Sub(began.Time)
	if age < 0 {
		// The clock of the node is ahead: without an age there is no grace period.
		return 0
	}
	return max(0, runningGrace-age)
}

// startedAt is when the container that runs the tasks started; nil if the pod does
// not report it.
func startedAt(pod *corev1.Pod) *metav1.Time {
	for i := range pod.Status.ContainerStatuses {
		s := &pod.Status.ContainerStatuses[i]
		switch {
		case s.Name != jobspec.TaskContainer:
		case s.State.Running != nil && !s.State.Running.StartedAt.IsZero():
			return &s.State.Running.StartedAt
		case s.State.Terminated != nil && !s.State.Terminated.StartedAt.IsZero():
			return &s.State.Terminated.StartedAt
		}
	}
	return nil
}

// startError is what prevents a container from starting.
type startError struct {
	reason  v1alpha1.Reason
	message string
	// permanent reports whether another node or a later time cannot help.
	permanent bool
	// redeliver reports that the runner could not be mounted from its image.
	redeliver bool
}

// startErrors are the waiting reasons of a container that cannot start
// (k8s.io/kubernetes/pkg/kubelet/images/types.go, .../container/sync_result.go).
var startErrors = map[string]startError{
	"InvalidImageName":           {reason: v1alpha1.ReasonImagePullFailed, permanent: true},
	"ErrImageNeverPull":          {reason: v1alpha1.ReasonImagePullFailed, permanent: true},
	"ErrImagePull":               {reason: v1alpha1.ReasonImagePullFailed},
	"ImagePullBackOff":           {reason: v1alpha1.ReasonImagePullFailed},
	"RegistryUnavailable":        {reason: v1alpha1.ReasonImagePullFailed},
	"SignatureValidationFailed":  {reason: v1alpha1.ReasonImagePullFailed},
	"ImageInspectError":          {reason: v1alpha1.ReasonImagePullFailed},
	"CreateContainerConfigError": {reason: v1alpha1.ReasonContainerConfigError},
	"CreateContainerError":       {reason: v1alpha1.ReasonContainerCreateError},
	"RunContainerError":          {reason: v1alpha1.ReasonContainerCreateError},
}

// waiting is the first container that waits for something other than its turn.
func waiting(pod *corev1.Pod) *corev1.ContainerStateWaiting {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range statuses {
			if w := statuses[i].State.Waiting; w != nil && w.Reason != "" && w.Reason != "ContainerCreating" && w.Reason != "PodInitializing" {
				return w
			}
		}
	}
	return nil
}

// HasStartError reports whether a pod reports an error that prevents it from
// starting.
func HasStartError(pod *corev1.Pod) bool {
	if PodEnded(pod) {
		return false
	}
	w := waiting(pod)
	if w == nil {
		return false
	}
	_, ok := startErrors[w.Reason]
	return ok
}

// IsPreparing reports whether a pod is scheduled and its kubelet reports no error
// and no running container: its warning events may contain the cause.
func IsPreparing(pod *corev1.Pod) bool {
	return isPending(pod) && pod.Spec.NodeName != "" && pod.DeletionTimestamp == nil && waiting(pod) == nil
}

// PreparingSince is when a pod was scheduled.
func PreparingSince(pod *corev1.Pod) time.Time { return scheduledAt(pod) }

// startErrorOf is what prevents a pod from starting; nil for nothing.
func startErrorOf(o *Observed, pod *corev1.Pod) *startError {
	if pod == nil || PodEnded(pod) {
		return nil
	}
	w := waiting(pod)
	if w == nil {
		if problem := o.PodProblems[pod.UID]; problem != "" && isPending(pod) {
			return &startError{reason: v1alpha1.ReasonVolumeMountFailed, message: fmt.Sprintf("Pod %s: %s", pod.Name, problem)}
		}
		return nil
	}
	e, ok := startErrors[w.Reason]
	if !ok {
		return nil
	}
	e.message = fmt.Sprintf("Pod %s: %s", pod.Name, kubeletMessage(w.Reason, w.Message))
	if usesImageVolume(pod) && strings.Contains(w.Message, jobspec.RunnerDir) {
		e.permanent, e.redeliver = true, true
	}
	return &e
}

// usesImageVolume reports whether the runner of a pod is delivered by an image
// volume.
func usesImageVolume(pod *corev1.Pod) bool {
	return pod.Annotations[v1alpha1.DeliveryAnnotation] == string(jobspec.ImageVolume)
}

// waitingReason is Queued until the pod is scheduled, then Starting.
func waitingReason(pod *corev1.Pod) v1alpha1.Reason {
	if pod == nil || pod.Spec.NodeName == "" {
		return v1alpha1.ReasonQueued
	}
	return v1alpha1.ReasonStarting
}

// waitingFor states why the pod does not run yet.
func waitingFor(o *Observed, pod *corev1.Pod) string {
	if cause := obstacle(o, pod); cause != "" {
		return cause
	}
	switch {
	case pod == nil:
		return fmt.Sprintf("Job %s has no pod yet: see kubectl describe job %s", o.JobName, o.JobName)
	case pod.Spec.NodeName == "":
		return fmt.Sprintf("Pod %s waits for a node: %s has not reported why%s", pod.Name, schedulerOf(o), claimsOf(o))
	}
	return fmt.Sprintf("Pod %s is being prepared on node %s", pod.Name, pod.Spec.NodeName)
}

// obstacle is what the cluster reports as the cause why the pod does not run; empty
// if it reports nothing.
func obstacle(o *Observed, pod *corev1.Pod) string {
	if pod == nil {
		switch {
		case jobIsHeld(o.Job):
			return heldMessage(o)
		case o.PodRefusal != "":
			return fmt.Sprintf("Job %s cannot create its pod: %s", o.JobName, o.PodRefusal)
		}
		return ""
	}
	if w := waiting(pod); w != nil {
		return fmt.Sprintf("Pod %s waits: %s", pod.Name, kubeletMessage(w.Reason, w.Message))
	}
	if problem := o.PodProblems[pod.UID]; problem != "" && isPending(pod) {
		return fmt.Sprintf("Pod %s waits: %s", pod.Name, problem)
	}
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return fmt.Sprintf("Pod %s is not scheduled: %s", pod.Name, kubeletMessage(c.Reason, c.Message))
		}
	}
	return ""
}

// schedulerOf names the scheduler of the group's pods.
func schedulerOf(o *Observed) string {
	if options := o.TaskGroup.Spec.Pod; options != nil && options.SchedulerName != "" {
		return "scheduler " + options.SchedulerName
	}
	return "its scheduler"
}

// claimsOf names the ResourceClaims of the group's pods: while one of them does not
// exist, the default scheduler reports nothing
// (k8s.io/kubernetes/pkg/scheduler/framework/plugins/dynamicresources, PreEnqueue).
func claimsOf(o *Observed) string {
	if o.TaskGroup.Spec.Pod == nil {
		return ""
	}
	var claims []string
	for _, claim := range o.TaskGroup.Spec.Pod.ResourceClaims {
		switch {
		case claim.ResourceClaimName != nil:
			claims = append(claims, "ResourceClaim "+*claim.ResourceClaimName)
		case claim.ResourceClaimTemplateName != nil:
			claims = append(claims, "ResourceClaimTemplate "+*claim.ResourceClaimTemplateName)
		}
	}
	if len(claims) == 0 {
		return ""
	}
	return "; check that these exist: " + strings.Join(claims, ", ")
}

// heldMessage states what a suspended Job waits for. The Job is all that the operator
// reads of a queue: the cause, such as a full quota, is in the Workload.
func heldMessage(o *Observed) string {
	if queue := o.TaskGroup.Labels[v1alpha1.QueueLabel]; queue != "" {
		return fmt.Sprintf("Waits for the queue %s (kueue.x-k8s.io) to admit Job %s", queue, o.JobName)
	}
	return fmt.Sprintf("Job %s is held by its queue", o.JobName)
}

// queueOf names the queue that holds the group's Jobs.
func queueOf(o *Observed) string {
	if queue := o.TaskGroup.Labels[v1alpha1.QueueLabel]; queue != "" {
		return "queue " + queue
	}
	return "its queue"
}
