package controllers

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
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
			&batchv1.Job{}: {Label: selector, Transform: stripJob},
			&corev1.Pod{}:  {Label: selector, Transform: stripPod},
		},
	}, nil
}

// stripJob drops the pod template: it is as large as the plan, and what the
// operator rendered it can render again.
func stripJob(obj any) (any, error) {
	if job, ok := obj.(*batchv1.Job); ok {
		job.ManagedFields = nil
		job.Spec.Template = corev1.PodTemplateSpec{}
	}
	return obj, nil
}

// stripPod keeps of the spec only the node and the memory limits of its containers.
func stripPod(obj any) (any, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	pod.ManagedFields = nil
	spec := corev1.PodSpec{NodeName: pod.Spec.NodeName}
	for i := range pod.Spec.Containers {
		if c := &pod.Spec.Containers[i]; c.Name == jobspec.TaskContainer {
			spec.Containers = append(spec.Containers, corev1.Container{Name: c.Name, Resources: c.Resources})
		}
	}
	pod.Spec = spec
	return pod, nil
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
