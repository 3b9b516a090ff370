// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
)

// recordOf decodes the runner's termination message; nil if there is none that it
// can have written.
func recordOf(o *Observed, pod *corev1.Pod) *contract.TerminationMessage {
	state := tasksState(pod)
	if state == nil {
		return nil
	}
	record, err := contract.DecodeTerminationMessage(state.Message, kindOf(o.TaskGroup).recordSize(o.TaskGroup))
	if err != nil {
		// Not an error of the operator: a container can write anything there.
		return nil
	}
	return record
}

// tasksState is the terminated state of the container that runs the tasks; nil
// while it has not terminated.
func tasksState(pod *corev1.Pod) *corev1.ContainerStateTerminated {
	for i := range pod.Status.ContainerStatuses {
		if s := &pod.Status.ContainerStatuses[i]; s.Name == jobspec.TaskContainer {
			return s.State.Terminated
		}
	}
	return nil
}

// stateMessage is the kubelet's message about a container; empty if the runner's
// termination message is in its place.
func stateMessage(state *corev1.ContainerStateTerminated, record *contract.TerminationMessage) string {
	if record != nil || state.Reason == "Error" || state.Reason == "Completed" {
		return ""
	}
	return state.Message
}

func podMessage(pod *corev1.Pod) string { return kubeletMessage(pod.Status.Reason, pod.Status.Message) }

// kubeletMessage joins reason and message as valid UTF-8, the only form that the API
// server stores. Some messages of kubelets end with a space.
func kubeletMessage(reason, message string) string {
	joined := strings.TrimSuffix(strings.Join([]string{reason, strings.TrimSpace(message)}, ": "), ": ")
	return strings.ToValidUTF8(joined, "\uFFFD")
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
