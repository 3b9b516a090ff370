package plan

import (
	"fmt"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
)

// A group's life has moments that are over before anyone looks. Each that is not
// written is a write less, and most so in a burst, when the API server has the
// least time for it. Ages are known by the whole second, so that each grace may
// be a second shorter.
const (
	// StartingGrace is how long a pod may take to run before the status says what
	// it waits for, and a Job to make one before somebody is asked why. In a burst
	// of hundreds they take three or four seconds.
	StartingGrace = 5 * time.Second
	// obstacleGrace is the same for a pod that says what is in its way.
	obstacleGrace = 2 * time.Second
	// runningGrace is how long a pod may run before the status says so. The end of
	// one that takes no longer is all that is written of it.
	runningGrace = 2 * time.Second
)

func startingGrace(o *Observed, pod *corev1.Pod) time.Duration {
	if obstacle(o, pod) == "" {
		return StartingGrace
	}
	return obstacleGrace
}

// beganAt is when the container that runs the tasks started; nil where the pod
// does not tell.
func beganAt(pod *corev1.Pod) *metav1.Time {
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

// startErrors are the waiting reasons of a container that cannot start
// (k8s.io/kubernetes/pkg/kubelet/images/types.go, .../container/sync_result.go),
// and whether waiting can mend them.
var startErrors = map[string]struct {
	reason    v1alpha1.Reason
	permanent bool
}{
	"InvalidImageName":           {v1alpha1.ReasonImagePullFailed, true},
	"ErrImageNeverPull":          {v1alpha1.ReasonImagePullFailed, true},
	"ErrImagePull":               {v1alpha1.ReasonImagePullFailed, false},
	"ImagePullBackOff":           {v1alpha1.ReasonImagePullFailed, false},
	"RegistryUnavailable":        {v1alpha1.ReasonImagePullFailed, false},
	"SignatureValidationFailed":  {v1alpha1.ReasonImagePullFailed, false},
	"ImageInspectError":          {v1alpha1.ReasonImagePullFailed, false},
	"CreateContainerConfigError": {v1alpha1.ReasonContainerConfigError, false},
	"CreateContainerError":       {v1alpha1.ReasonContainerConfigError, false},
	"RunContainerError":          {v1alpha1.ReasonContainerConfigError, false},
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

// startError is what keeps a container from starting; an empty reason for nothing.
func startError(pod *corev1.Pod) (reason v1alpha1.Reason, message string, permanent bool) {
	if pod == nil {
		return "", "", false
	}
	w := waiting(pod)
	if w == nil {
		return "", "", false
	}
	e, ok := startErrors[w.Reason]
	if !ok {
		return "", "", false
	}
	return e.reason, fmt.Sprintf("Pod %s: %s", pod.Name, words(w.Reason, w.Message)), e.permanent
}

// jobIsHeld says whether a queue holds the Job back. The operator never
// suspends a Job itself, so it never takes a suspension back either.
func jobIsHeld(job *batchv1.Job) bool { return job.Spec.Suspend != nil && *job.Spec.Suspend }

// waitingReason is Queued while there is no place for the pod, else Starting.
func waitingReason(pod *corev1.Pod) v1alpha1.Reason {
	if pod == nil || pod.Spec.NodeName == "" {
		return v1alpha1.ReasonQueued
	}
	return v1alpha1.ReasonStarting
}

// waitingFor says, for a person, why the pod does not run yet.
func waitingFor(o *Observed, pod *corev1.Pod) string {
	if told := obstacle(o, pod); told != "" {
		return told
	}
	switch {
	case pod == nil:
		return fmt.Sprintf("Job %s has no pod yet: see kubectl describe job %s", o.JobName, o.JobName)
	case pod.Spec.NodeName == "":
		return fmt.Sprintf("Pod %s waits for a node", pod.Name)
	}
	return fmt.Sprintf("Pod %s is being prepared on node %s", pod.Name, pod.Spec.NodeName)
}

// obstacle is what somebody says keeps the pod from running; empty where nobody
// says anything.
func obstacle(o *Observed, pod *corev1.Pod) string {
	if pod == nil {
		switch {
		case jobIsHeld(o.Job):
			return fmt.Sprintf("Job %s is suspended by whoever queues it", o.JobName)
		case o.PodRefusal != "":
			return fmt.Sprintf("Job %s cannot create its pod: %s", o.JobName, o.PodRefusal)
		}
		return ""
	}
	if w := waiting(pod); w != nil {
		return fmt.Sprintf("Pod %s waits: %s", pod.Name, words(w.Reason, w.Message))
	}
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return fmt.Sprintf("Pod %s is not placed on a node: %s", pod.Name, words(c.Reason, c.Message))
		}
	}
	return ""
}

// refusalReason sorts why a pod was refused. The API server's 403 is one code
// for all of admission, and the Job controller passes on its text alone.
func refusalReason(refusal string) v1alpha1.Reason {
	if strings.Contains(refusal, "exceeded quota") {
		return v1alpha1.ReasonQuotaExceeded
	}
	return v1alpha1.ReasonJobRejected
}
