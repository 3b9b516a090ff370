// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
)

// sidecarGrace is how long other containers may run after the tasks before the
// operator stops the pod. Proxies that watch their main container need a second or
// two.
const sidecarGrace = 5 * time.Second

// leftoverContainer is the name of a container that keeps running after the tasks;
// empty for none. The kubelet stops native sidecars (init containers with
// restartPolicy Always) itself, so only regular containers count.
func leftoverContainer(pod *corev1.Pod) string {
	for i := range pod.Status.ContainerStatuses {
		if s := &pod.Status.ContainerStatuses[i]; s.Name != jobspec.TaskContainer && s.State.Terminated == nil {
			return s.Name
		}
	}
	return ""
}

// sidecarWait is how long the other containers of a pod may still run.
func sidecarWait(pod *corev1.Pod, now time.Time) time.Duration {
	state := tasksState(pod)
	age := now.Sub(state.FinishedAt.Time)
	if state.FinishedAt.IsZero() || age < 0 {
		// The clock of the node is ahead: without an age there is no grace period.
		return 0
	}
	return max(0, sidecarGrace-age)
}
