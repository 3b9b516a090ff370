package controllers

import (
	"context"
	"fmt"
	"maps"

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
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

// podGroupIndex finds the pods of a group by its UID without a scan.
const podGroupIndex = "taskgroup-uid"

// CacheOptions keeps the operator's memory independent of what else runs in the
// cluster: only Jobs and pods of TaskGroups are cached, without what nobody here
// reads. With namespaces, it looks at no others.
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
		ByObject: map[client.Object]cache.ByObject{
			&v1alpha1.TaskGroup{}: {Transform: stripTaskGroup},
			&batchv1.Job{}:        {Label: selector, Transform: stripJob},
			&corev1.Pod{}:         {Label: selector, Transform: stripPod},
		},
	}, nil
}

// stripTaskGroup keeps of a group that has ended what its time to live and the
// metrics need: most groups in a cluster have ended.
func stripTaskGroup(obj any) (any, error) {
	tg, ok := obj.(*v1alpha1.TaskGroup)
	if !ok {
		return obj, nil
	}
	tg.ManagedFields = nil
	if !plan.IsTerminal(&tg.Status) {
		return tg, nil
	}
	tg.ObjectMeta = identity(&tg.ObjectMeta)
	tg.Spec = v1alpha1.TaskGroupSpec{TTLSecondsAfterFinished: tg.Spec.TTLSecondsAfterFinished}
	tg.Status = v1alpha1.TaskGroupStatus{Conditions: tg.Status.Conditions, CompletionTime: tg.Status.CompletionTime}
	return tg, nil
}

// stripJob drops the pod template: it is as large as the plan, and what the
// operator rendered it can render again.
func stripJob(obj any) (any, error) {
	job, ok := obj.(*batchv1.Job)
	if !ok {
		return obj, nil
	}
	job.ObjectMeta = identity(&job.ObjectMeta)
	job.Spec = batchv1.JobSpec{Suspend: job.Spec.Suspend}
	job.Status = batchv1.JobStatus{Conditions: job.Status.Conditions, StartTime: job.Status.StartTime}
	return job, nil
}

// stripPod keeps who the pod belongs to, where it is, how its container is, and
// the memory limit, for a message.
func stripPod(obj any) (any, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	meta := identity(&pod.ObjectMeta)
	meta.Labels = map[string]string{v1alpha1.UIDLabel: pod.Labels[v1alpha1.UIDLabel]}
	meta.Annotations = pod.Annotations
	maps.DeleteFunc(meta.Annotations, func(key, _ string) bool {
		return key != v1alpha1.NameAnnotation && key != v1alpha1.NodesAnnotation && key != batchv1.JobCompletionIndexAnnotation
	})
	spec := corev1.PodSpec{NodeName: pod.Spec.NodeName}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		if memory, ok := c.Resources.Limits[corev1.ResourceMemory]; ok && c.Name == jobspec.TaskContainer {
			limits := corev1.ResourceList{corev1.ResourceMemory: memory}
			spec.Containers = []corev1.Container{{Name: c.Name, Resources: corev1.ResourceRequirements{Limits: limits}}}
		}
	}
	pod.ObjectMeta, pod.Spec = meta, spec
	pod.Status = corev1.PodStatus{
		Phase:                 pod.Status.Phase,
		Reason:                pod.Status.Reason,
		Message:               pod.Status.Message,
		Conditions:            readConditions(pod.Status.Conditions),
		InitContainerStatuses: states(pod.Status.InitContainerStatuses),
		ContainerStatuses:     states(pod.Status.ContainerStatuses),
	}
	return pod, nil
}

// identity is who an object is, who owns it, and whether it is being deleted.
func identity(meta *metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:              meta.Name,
		Namespace:         meta.Namespace,
		UID:               meta.UID,
		ResourceVersion:   meta.ResourceVersion,
		CreationTimestamp: meta.CreationTimestamp,
		DeletionTimestamp: meta.DeletionTimestamp,
		OwnerReferences:   meta.OwnerReferences,
	}
}

// readConditions are those of a pod that tell why it does not run, or not any more.
func readConditions(all []corev1.PodCondition) []corev1.PodCondition {
	var read []corev1.PodCondition
	for i := range all {
		if all[i].Type == corev1.PodScheduled || all[i].Type == corev1.DisruptionTarget {
			read = append(read, all[i])
		}
	}
	return read
}

// states are how containers are, without what they were made of.
func states(all []corev1.ContainerStatus) []corev1.ContainerStatus {
	var stripped []corev1.ContainerStatus
	for i := range all {
		stripped = append(stripped, corev1.ContainerStatus{Name: all[i].Name, State: all[i].State})
	}
	return stripped
}

func indexPodsByGroup(mgr ctrl.Manager) error {
	err := mgr.GetFieldIndexer().IndexField(context.Background(), &corev1.Pod{}, podGroupIndex, func(obj client.Object) []string {
		return []string{obj.GetLabels()[v1alpha1.UIDLabel]}
	})
	if err != nil {
		return fmt.Errorf("indexing pods by TaskGroup: %w", err)
	}
	return nil
}
