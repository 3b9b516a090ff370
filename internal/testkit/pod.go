// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
)

// PodBuilder builds a pod of a Job.
type PodBuilder struct{ pod corev1.Pod }

// Pod starts a pending pod of a Job, placed on node-1.
func Pod(job *batchv1.Job) *PodBuilder {
	return &PodBuilder{corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:              job.Name + "-x",
			Namespace:         job.Namespace,
			UID:               types.UID("uid-of-" + job.Name + "-x"),
			CreationTimestamp: metav1.Time{Time: Created},
			Labels:            job.Labels,
			OwnerReferences:   []metav1.OwnerReference{*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))},
		},
		Spec:   corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{Name: jobspec.TaskContainer}}},
		Status: corev1.PodStatus{Phase: corev1.PodPending},
	}}
}

// Obj is what was built.
func (b *PodBuilder) Obj() *corev1.Pod { return b.pod.DeepCopy() }

// Named sets the name.
func (b *PodBuilder) Named(name string) *PodBuilder {
	b.pod.Name = name
	return b
}

// Index makes it the pod of one completion index of an indexed Job; nodes is the
// annotation of a later attempt, empty for none.
func (b *PodBuilder) Index(index int, nodes string) *PodBuilder {
	b.pod.Name += "-" + strconv.Itoa(index)
	b.pod.Annotations = map[string]string{batchv1.JobCompletionIndexAnnotation: strconv.Itoa(index)}
	if nodes != "" {
		b.pod.Annotations[v1alpha1.NodesAnnotation] = nodes
	}
	return b
}

// Orphaned takes away the owner.
func (b *PodBuilder) Orphaned() *PodBuilder {
	b.pod.OwnerReferences = nil
	return b
}

// Running sets the phase.
func (b *PodBuilder) Running() *PodBuilder {
	b.pod.Status.Phase = corev1.PodRunning
	return b
}

// Waiting sets why the container does not run.
func (b *PodBuilder) Waiting(reason, message string) *PodBuilder {
	b.pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name:  jobspec.TaskContainer,
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
	}}
	return b
}

// Unplaced takes away the node, for a reason.
func (b *PodBuilder) Unplaced(reason, message string) *PodBuilder {
	b.pod.Spec.NodeName = ""
	b.pod.Status.Conditions = append(b.pod.Status.Conditions, corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: reason, Message: message,
	})
	return b
}

// Placed sets when the pod was given its node.
func (b *PodBuilder) Placed(at time.Time) *PodBuilder {
	b.pod.Status.Conditions = append(b.pod.Status.Conditions, corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(at),
	})
	return b
}

// Ended sets the phase that the exit code implies, and the message of the container.
func (b *PodBuilder) Ended(exitCode int32, reason, message string) *PodBuilder {
	b.pod.Status.Phase = corev1.PodSucceeded
	if exitCode != 0 {
		b.pod.Status.Phase = corev1.PodFailed
	}
	b.pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: jobspec.TaskContainer,
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: exitCode, Reason: reason, Message: message,
			FinishedAt: metav1.Time{Time: Created.Add(10 * time.Second)},
		}},
	}}
	return b
}

// Refused is a pod that a kubelet ended before any container ran.
func (b *PodBuilder) Refused(reason, message string) *PodBuilder {
	b.pod.Status.Phase = corev1.PodFailed
	b.pod.Status.Reason = reason
	b.pod.Status.Message = message
	return b
}

// Disrupted adds the condition DisruptionTarget.
func (b *PodBuilder) Disrupted(reason, message string) *PodBuilder {
	b.pod.Status.Conditions = append(b.pod.Status.Conditions, corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: reason, Message: message,
	})
	return b
}

// MemoryLimit sets the container's limit.
func (b *PodBuilder) MemoryLimit(quantity string) *PodBuilder {
	b.pod.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(quantity)}
	return b
}
