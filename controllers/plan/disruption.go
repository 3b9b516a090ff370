// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// disruptions are the reasons of the condition DisruptionTarget
// (k8s.io/api/core/v1, PodReason*, and the taint manager's and PodGC's own).
var disruptions = map[string]v1alpha1.Reason{
	"PreemptionByScheduler":  v1alpha1.ReasonPreempted,
	"DeletionByTaintManager": v1alpha1.ReasonNodeLost,
	"DeletionByPodGC":        v1alpha1.ReasonNodeLost,
	"EvictionByEvictionAPI":  v1alpha1.ReasonEvicted,
	"TerminationByKubelet":   v1alpha1.ReasonEvicted,
}

// podReasons are the reasons of pods that a kubelet refuses or terminates
// (k8s.io/kubernetes/pkg/kubelet/eviction, .../nodeshutdown, .../lifecycle). Any
// other reason of a kubelet is mapped to Evicted.
var podReasons = map[string]v1alpha1.Reason{
	"DeadlineExceeded": v1alpha1.ReasonDeadlineExceeded,
	"NodeLost":         v1alpha1.ReasonNodeLost,
	"NodeShutdown":     v1alpha1.ReasonNodeLost,
	"Preempting":       v1alpha1.ReasonPreempted,
	"Terminated":       v1alpha1.ReasonNodeLost,
}

// ownStorage are parts of the messages of evictions for a limit of the pod itself
// (k8s.io/kubernetes/pkg/kubelet/eviction/helpers.go). Another node would evict the
// pod as well.
var ownStorage = []string{
	"ephemeral local storage usage exceeds the total limit of containers",
	"exceeded its local ephemeral storage limit",
	"Usage of EmptyDir volume",
}

// disruption recognises a pod that the cluster stopped or refused.
func disruption(pod *corev1.Pod) *verdict {
	for _, text := range ownStorage {
		if pod.Status.Reason == "Evicted" && strings.Contains(pod.Status.Message, text) {
			return &verdict{reason: v1alpha1.ReasonEvicted, permanent: true, message: fmt.Sprintf("Pod %s was terminated by its node: %s", pod.Name, podMessage(pod))}
		}
	}
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if c.Type != corev1.DisruptionTarget || c.Status != corev1.ConditionTrue {
			continue
		}
		reason, ok := disruptions[c.Reason]
		if !ok {
			reason = v1alpha1.ReasonEvicted
		}
		return &verdict{reason: reason, message: fmt.Sprintf("Pod %s was disrupted: %s", pod.Name, kubeletMessage(c.Reason, c.Message))}
	}
	if pod.Status.Reason == "" || pod.Status.Phase != corev1.PodFailed {
		return nil
	}
	reason, ok := podReasons[pod.Status.Reason]
	if !ok {
		// OutOfcpu, OutOfnvidia.com/gpu, TopologyAffinityError, NodeAffinity, ...
		reason = v1alpha1.ReasonEvicted
	}
	return &verdict{reason: reason, message: fmt.Sprintf("Pod %s was terminated by its node: %s", pod.Name, podMessage(pod))}
}
