// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

// podHandler reconciles the group of every pod that changes, and keeps the
// termination message of pods that are deleted.
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
				r.reportPodAfterFinish(ctx, pod)
			}
			enqueue(e.Object, q)
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) { enqueue(e.ObjectNew, q) },
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) {
			pod, isPod := e.Object.(*corev1.Pod)
			if name, ok := groupOfPod(e.Object); ok && isPod && plan.PodEnded(pod) {
				r.ledger.RecordTerminatedPod(name, pod)
			}
			enqueue(e.Object, q)
		},
	}
}

// reportPodAfterFinish reports a pod that was created after its group had finished. A
// Job controller that lags can create one for a Job that was deleted; the garbage
// collector deletes the pod, but it may run until then (invariant I4).
func (r *TaskGroupReconciler) reportPodAfterFinish(ctx context.Context, pod *corev1.Pod) {
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
	logf.FromContext(ctx).Info("a pod was created after its group had finished", "pod", pod.Name, "taskgroup", name)
	r.Recorder.Eventf(&tg, pod, corev1.EventTypeWarning, string(v1alpha1.EventPodAfterEnd), string(v1alpha1.ActionWatch),
		"Pod %s was created after the group had finished; it may run until the garbage collector deletes it", pod.Name)
}

// createdGroups records the groups whose creation this process observes: no other
// process can have created a Job of theirs earlier. It filters nothing.
func (r *TaskGroupReconciler) createdGroups() predicate.Predicate {
	return predicate.Funcs{CreateFunc: func(e event.CreateEvent) bool {
		if !e.IsInInitialList {
			r.ledger.MarkCertain(client.ObjectKeyFromObject(e.Object), e.Object.GetUID(), r.epochs.Observation(r.Stopwatch.Now()))
		}
		return true
	}}
}

// jobChanges filters the updates of Jobs in which nothing changed that stripJob keeps:
// the Job controller writes three statuses of a Job that the operator does not read. A
// deleted Job may make room in a quota.
func (r *TaskGroupReconciler) jobChanges() predicate.Predicate {
	return predicate.Funcs{
		UpdateFunc: jobChanged,
		DeleteFunc: func(e event.DeleteEvent) bool {
			r.wakeAll(r.creations.freed(e.Object.GetNamespace()))
			return true
		},
	}
}

func jobChanged(e event.UpdateEvent) bool {
	before, wasJob := e.ObjectOld.(*batchv1.Job)
	after, isJob := e.ObjectNew.(*batchv1.Job)
	if !wasJob || !isJob || before.ResourceVersion == after.ResourceVersion {
		return true
	}
	same := *before
	same.ResourceVersion = after.ResourceVersion
	return !equality.Semantic.DeepEqual(&same, after)
}

func logOtherOperator(ctx context.Context, job string) {
	logf.FromContext(ctx).Info("another operator is active: every Job is confirmed before it is created", "job", job)
}

// groupOfPod returns the TaskGroup that a pod belongs to. The pod's owner is the Job,
// so an annotation contains the name.
func groupOfPod(pod client.Object) (types.NamespacedName, bool) {
	name := pod.GetAnnotations()[v1alpha1.NameAnnotation]
	if name == "" || pod.GetLabels()[v1alpha1.UIDLabel] == "" {
		return types.NamespacedName{}, false
	}
	return types.NamespacedName{Namespace: pod.GetNamespace(), Name: name}, true
}
