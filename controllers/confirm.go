package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

// isQuiet asks the API server whether a pod of the group still runs, before the
// two things that must not be done while one does: to begin another attempt
// (invariant I2), and to say that a group is Cancelled (I5). Each informer lags on
// its own, so the cache of pods may be behind what decided. Neither happens in a
// normal life, which costs no read.
func (r *TaskGroupReconciler) isQuiet(ctx context.Context, o *plan.Observed, p *plan.Plan) (bool, error) {
	again := p.CreateJob && o.Attempt > 1
	cancelled := p.Status != nil && plan.ReasonOf(p.Status) == v1alpha1.ReasonCancelled && o.JobUID != ""
	if !again && !cancelled {
		return true, nil
	}
	var pods corev1.PodList
	err := r.APIReader.List(ctx, &pods, client.InNamespace(o.TaskGroup.Namespace),
		client.MatchingLabels{v1alpha1.UIDLabel: string(o.TaskGroup.UID)})
	if err != nil {
		return false, fmt.Errorf("listing the pods of TaskGroup %s/%s: %w", o.TaskGroup.Namespace, o.TaskGroup.Name, err)
	}
	for i := range pods.Items {
		if !plan.PodEnded(&pods.Items[i]) {
			return false, nil
		}
	}
	return true, nil
}
