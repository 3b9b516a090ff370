package executor

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// groupMapper knows the kinds there are to ask for, so that nothing has to be
// discovered first.
func groupMapper() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{v1alpha1.GroupVersion, corev1.SchemeGroupVersion})
	mapper.Add(v1alpha1.GroupVersion.WithKind("TaskGroup"), meta.RESTScopeNamespace)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace)
	return mapper
}

// compact is what polls and receives need of a group: of one that runs hardly
// anything, of one that ended no spec but where results are.
func compact(tg *v1alpha1.TaskGroup) *v1alpha1.TaskGroup {
	small := &v1alpha1.TaskGroup{ObjectMeta: metav1.ObjectMeta{
		Namespace: tg.Namespace, Name: tg.Name, UID: tg.UID, ResourceVersion: tg.ResourceVersion,
	}}
	if !tg.Status.IsFinished() {
		return small
	}
	small.Spec = v1alpha1.TaskGroupSpec{
		DispatchID: tg.Spec.DispatchID, TaskGroupID: tg.Spec.TaskGroupID, Execution: tg.Spec.Execution, Callback: tg.Spec.Callback,
	}
	if dispatcher, ok := tg.Labels[v1alpha1.DispatcherLabel]; ok {
		small.Labels = map[string]string{v1alpha1.DispatcherLabel: dispatcher}
	}
	if delivered, ok := tg.Annotations[v1alpha1.DeliveredAnnotation]; ok {
		small.Annotations = map[string]string{v1alpha1.DeliveredAnnotation: delivered}
	}
	if tg.Spec.Assets != nil {
		small.Spec.Assets = &v1alpha1.Assets{Outputs: tg.Spec.Assets.Outputs}
	}
	small.Status = tg.Status
	small.Status.StartTime, small.Status.CompletionTime, small.Status.Retries = nil, nil, nil
	return small
}
