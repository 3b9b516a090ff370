package controllers

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
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
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) {
			if pod, isPod := e.Object.(*corev1.Pod); isPod && !e.IsInInitialList {
				r.alertAfterEnd(ctx, pod)
			}
			enqueue(e.Object, q)
		},
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

// alertAfterEnd tells of a pod that was created after its group's end. A Job
// controller that is behind can do that for a Job that is gone; the garbage
// collector removes the pod, but it may run until then (invariant I4).
func (r *TaskGroupReconciler) alertAfterEnd(ctx context.Context, pod *corev1.Pod) {
	name, ok := groupOfPod(pod)
	if !ok {
		return
	}
	var tg v1alpha1.TaskGroup
	err := r.Client.Get(ctx, name, &tg)
	if err != nil || string(tg.UID) != pod.Labels[v1alpha1.UIDLabel] || !tg.Status.IsFinished() {
		return
	}
	podsAfterEnd.Inc()
	logf.FromContext(ctx).Info("a pod was created after its group's end", "pod", pod.Name, "taskgroup", name)
	r.Recorder.Eventf(&tg, pod, corev1.EventTypeWarning, string(v1alpha1.EventPodAfterEnd), string(v1alpha1.ActionWatch),
		"Pod %s was created after the end; it may run until the garbage collector removes it", pod.Name)
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
