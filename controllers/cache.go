// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"maps"
	"unique"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
)

// podGroupIndex is the index of pods by the UID of their group.
const podGroupIndex = "taskgroup-uid"

// CacheOptions makes the operator's memory independent of what else runs in the
// cluster: only Jobs and pods of TaskGroups are cached, without the fields that the
// operator does not read. With namespaces, only these are watched.
func CacheOptions(namespaces []string) (cache.Options, error) {
	ours, err := labels.NewRequirement(v1alpha1.UIDLabel, selection.Exists, nil)
	if err != nil {
		return cache.Options{}, fmt.Errorf("selecting by label %s: %w", v1alpha1.UIDLabel, err)
	}
	selector := labels.NewSelector().Add(*ours)
	var watched map[string]cache.Config
	for _, namespace := range namespaces {
		if watched == nil {
			watched = make(map[string]cache.Config, len(namespaces))
		}
		watched[namespace] = cache.Config{}
	}
	return cache.Options{
		DefaultNamespaces: watched,
		DefaultTransform:  cache.TransformStripManagedFields(),
		NewInformer:       newInformer,
		ByObject: map[client.Object]cache.ByObject{
			&v1alpha1.TaskGroup{}: {Transform: stripTaskGroup},
			&batchv1.Job{}:        {Label: selector, Transform: stripJob},
			&corev1.Pod{}:         {Label: selector, Transform: stripPod},
		},
	}, nil
}

// stripTaskGroup keeps of a finished group what its TTL and the metrics need: most
// groups in a cluster have finished.
func stripTaskGroup(obj any) (any, error) {
	tg, ok := obj.(*v1alpha1.TaskGroup)
	if !ok {
		return obj, nil
	}
	tg.ManagedFields = nil
	if !tg.Status.IsFinished() {
		stripLargeSpec(tg)
		return tg, nil
	}
	generation := tg.Generation
	tg.ObjectMeta = identity(&tg.ObjectMeta)
	tg.Generation = generation
	tg.Spec = v1alpha1.TaskGroupSpec{TTLSecondsAfterFinished: tg.Spec.TTLSecondsAfterFinished}
	tg.Status = v1alpha1.TaskGroupStatus{Conditions: endConditions(tg.Status.Conditions), CompletionTime: tg.Status.CompletionTime, ObservedGeneration: tg.Status.ObservedGeneration}
	return tg, nil
}

// endConditions are the conditions that a group has finished, and its reason.
func endConditions(all []metav1.Condition) []metav1.Condition {
	end := make([]metav1.Condition, 0, 2)
	for i := range all {
		if c := &all[i]; c.Type == string(v1alpha1.ConditionSucceeded) || c.Type == string(v1alpha1.ConditionFinished) {
			end = append(end, metav1.Condition{Type: shared(c.Type), Status: shared(c.Status), Reason: shared(c.Reason)})
		}
	}
	return end
}

// stripJob drops the pod template, which is as large as the plan. The operator does
// not read it.
func stripJob(obj any) (any, error) {
	job, ok := obj.(*batchv1.Job)
	if !ok {
		return obj, nil
	}
	uid := job.Labels[v1alpha1.UIDLabel]
	job.ObjectMeta = identity(&job.ObjectMeta)
	job.Labels = map[string]string{v1alpha1.UIDLabel: uid}
	job.Spec = batchv1.JobSpec{Suspend: job.Spec.Suspend}
	job.Status = batchv1.JobStatus{Conditions: jobEnd(job.Status.Conditions), StartTime: job.Status.StartTime}
	return job, nil
}

// jobEnd are the conditions of a finished Job; none while it has not finished.
func jobEnd(all []batchv1.JobCondition) []batchv1.JobCondition {
	var end []batchv1.JobCondition
	for i := range all {
		switch c := &all[i]; {
		case c.Status != corev1.ConditionTrue:
		case c.Type == batchv1.JobComplete:
			end = append(end, batchv1.JobCondition{Type: batchv1.JobComplete, Status: corev1.ConditionTrue, LastTransitionTime: c.LastTransitionTime})
		case c.Type == batchv1.JobFailed:
			end = append(end, *c)
		}
	}
	return end
}

// stripPod keeps the pod's owner, node, conditions and container states, and the memory
// limit of the tasks' container.
func stripPod(obj any) (any, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	phase := shared(phaseOf(pod))
	meta := identity(&pod.ObjectMeta)
	meta.Labels = map[string]string{v1alpha1.UIDLabel: pod.Labels[v1alpha1.UIDLabel]}
	meta.Annotations = pod.Annotations
	maps.DeleteFunc(meta.Annotations, func(key, _ string) bool {
		return key != v1alpha1.NameAnnotation && key != v1alpha1.NodesAnnotation && key != v1alpha1.DeliveryAnnotation &&
			key != batchv1.JobCompletionIndexAnnotation
	})
	spec := corev1.PodSpec{NodeName: shared(pod.Spec.NodeName)}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		if memory, ok := c.Resources.Limits[corev1.ResourceMemory]; ok && c.Name == jobspec.TaskContainer {
			limits := corev1.ResourceList{corev1.ResourceMemory: memory}
			spec.Containers = []corev1.Container{{Name: c.Name, Resources: corev1.ResourceRequirements{Limits: limits}}}
		}
	}
	pod.ObjectMeta, pod.Spec = meta, spec
	pod.Status = corev1.PodStatus{
		Phase:                 phase,
		Reason:                pod.Status.Reason,
		Message:               pod.Status.Message,
		Conditions:            readConditions(pod.Status.Conditions),
		InitContainerStatuses: states(pod.Status.InitContainerStatuses),
		ContainerStatuses:     states(pod.Status.ContainerStatuses),
	}
	return pod, nil
}

// identity keeps the metadata that identify an object, its owners and its deletion.
func identity(meta *metav1.ObjectMeta) metav1.ObjectMeta {
	for i := range meta.OwnerReferences {
		owner := &meta.OwnerReferences[i]
		owner.APIVersion, owner.Kind = shared(owner.APIVersion), shared(owner.Kind)
	}
	return metav1.ObjectMeta{
		Name:              meta.Name,
		Namespace:         shared(meta.Namespace),
		UID:               meta.UID,
		ResourceVersion:   meta.ResourceVersion,
		CreationTimestamp: meta.CreationTimestamp,
		DeletionTimestamp: meta.DeletionTimestamp,
		OwnerReferences:   meta.OwnerReferences,
	}
}

// phaseOf is a pod's phase, and Succeeded for a pod whose containers have all succeeded.
// The kubelet writes the container states a second or two before the phase, because it
// removes the sandbox first (mergePodStatus in
// k8s.io/kubernetes/pkg/kubelet/status/status_manager.go). Nothing of such a pod runs
// again. For a failed pod, the operator waits for the phase, because the condition
// DisruptionTarget arrives with it.
func phaseOf(pod *corev1.Pod) corev1.PodPhase {
	status := &pod.Status
	if status.Phase != corev1.PodRunning || pod.Spec.RestartPolicy != corev1.RestartPolicyNever ||
		len(status.ContainerStatuses) == 0 || len(status.ContainerStatuses) != len(pod.Spec.Containers) {
		return status.Phase
	}
	for _, statuses := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses} {
		for i := range statuses {
			if ended := statuses[i].State.Terminated; ended == nil || ended.ExitCode != 0 {
				return status.Phase
			}
		}
	}
	return corev1.PodSucceeded
}

// readConditions are the conditions of a pod that report when it was scheduled, why it
// was not, and why it was disrupted.
func readConditions(all []corev1.PodCondition) []corev1.PodCondition {
	var read []corev1.PodCondition
	for i := range all {
		c := all[i]
		if c.Type == corev1.PodScheduled || c.Type == corev1.DisruptionTarget {
			c.Type, c.Status, c.Reason = shared(c.Type), shared(c.Status), shared(c.Reason)
			read = append(read, c)
		}
	}
	return read
}

// states are the states of containers, without images and IDs.
func states(all []corev1.ContainerStatus) []corev1.ContainerStatus {
	var stripped []corev1.ContainerStatus
	for i := range all {
		c := corev1.ContainerStatus{Name: shared(all[i].Name), State: all[i].State}
		if t := c.State.Terminated; t != nil {
			t.ContainerID, t.Reason = "", shared(t.Reason)
		}
		stripped = append(stripped, c)
	}
	return stripped
}

// shared returns the single copy of a string that many objects contain.
func shared[T ~string](s T) T { return unique.Make(s).Value() }

func indexPodsByGroup(mgr ctrl.Manager) error {
	err := mgr.GetFieldIndexer().IndexField(context.Background(), &corev1.Pod{}, podGroupIndex, func(obj client.Object) []string {
		return []string{obj.GetLabels()[v1alpha1.UIDLabel]}
	})
	if err != nil {
		return fmt.Errorf("indexing pods by TaskGroup: %w", err)
	}
	return nil
}
