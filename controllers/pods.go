package controllers

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

// podHandler reconciles the group of every pod that changes, and keeps what a
// pod said before it goes.
func (r *TaskGroupReconciler) podHandler() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	enqueue := func(pod client.Object, q queue) {
		if name, ok := groupOfPod(pod); ok {
			q.Add(reconcile.Request{NamespacedName: name})
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { enqueue(e.Object, q) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) { enqueue(e.ObjectNew, q) },
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) {
			pod, isPod := e.Object.(*corev1.Pod)
			if name, ok := groupOfPod(e.Object); ok && isPod && plan.PodEnded(pod) {
				r.memory.rememberPod(name, pod)
			}
			enqueue(e.Object, q)
		},
	}
}

// groupOfPod reads which TaskGroup a pod belongs to: its owner is the Job, so it
// carries the name in an annotation.
func groupOfPod(pod client.Object) (types.NamespacedName, bool) {
	name := pod.GetAnnotations()[v1alpha1.NameAnnotation]
	if name == "" || pod.GetLabels()[v1alpha1.UIDLabel] == "" {
		return types.NamespacedName{}, false
	}
	return types.NamespacedName{Namespace: pod.GetNamespace(), Name: name}, true
}
