// SPDX-License-Identifier: Apache-2.0

package view

import (
	"slices"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// TaskOf is the position of the task that a pod of a Parallel group runs; false where
// it is none of the group's. A pod of another group has all tasks, from 0.
func TaskOf(tg *v1alpha1.TaskGroup, pod *corev1.Pod) (position int, ok bool) {
	if tg.Spec.Execution != v1alpha1.Parallel {
		return 0, true
	}
	index, err := strconv.Atoi(pod.Annotations[batchv1.JobCompletionIndexAnnotation])
	if err != nil || index < 0 {
		return 0, false
	}
	nodes := pod.Annotations[v1alpha1.NodesAnnotation]
	if nodes == "" {
		return index, index < len(tg.Spec.Tasks)
	}
	// A later attempt has the tasks that are left.
	ids := strings.Split(nodes, ",")
	if index >= len(ids) {
		return 0, false
	}
	position = slices.IndexFunc(tg.Spec.Tasks, func(t v1alpha1.TaskSpec) bool {
		return t.NodeID.String() == ids[index]
	})
	return position, position >= 0
}

// AttemptOf is the attempt that a pod is of; 0 without the label.
func AttemptOf(pod *corev1.Pod) int {
	attempt, err := strconv.Atoi(pod.Labels[v1alpha1.AttemptLabel])
	if err != nil {
		return 0
	}
	return attempt
}
