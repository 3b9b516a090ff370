package controllers

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

// maxEventNote is the API's bound on an event's note, in bytes
// (k8s.io/kubernetes/pkg/apis/core/validation, NoteLengthLimit).
const maxEventNote = 1024

// report writes the status, if it changed, and then tells of the end of a group.
// Nothing is told that was not written first. It returns how long progress has to
// wait that comes too soon after the last.
//
// The optimistic lock makes the terminal state sticky: a decision that rests on
// an older status than the one stored is refused.
func (r *TaskGroupReconciler) report(ctx context.Context, o *plan.Observed, p *plan.Plan, now time.Time) (time.Duration, error) {
	if p.Status == nil || equality.Semantic.DeepEqual(&o.TaskGroup.Status, p.Status) {
		return 0, nil
	}
	if !p.Progress {
		return 0, r.write(ctx, o, p.Status)
	}
	if wait := r.progressWait(o, p.Status, now); wait > 0 {
		return wait, nil
	}
	if !r.progress.enter(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(o.TaskGroup)}) {
		return 0, nil
	}
	defer r.progress.leave()
	return 0, r.write(ctx, o, p.Status)
}

func (r *TaskGroupReconciler) write(ctx context.Context, o *plan.Observed, status *v1alpha1.TaskGroupStatus) error {
	tg := plan.StatusUpdate(o.TaskGroup, status)
	if err := r.Client.Status().Update(ctx, tg); err != nil {
		return fmt.Errorf("writing the status of TaskGroup %s/%s: %w", tg.Namespace, tg.Name, client.IgnoreNotFound(err))
	}
	r.memory.rememberWritten(tg)
	logf.FromContext(ctx).Info("wrote status", "reason", status.Reason(), "done", status.Summary)
	observe(o.TaskGroup, status, o.Job)
	if status.IsFinished() {
		r.recordEnd(tg)
	}
	return nil
}

func (r *TaskGroupReconciler) recordEnd(tg *v1alpha1.TaskGroup) {
	c := tg.Status.Condition(v1alpha1.ConditionSucceeded)
	eventType := corev1.EventTypeNormal
	if c.Reason != string(v1alpha1.ReasonCompleted) && c.Reason != string(v1alpha1.ReasonCancelled) {
		eventType = corev1.EventTypeWarning
	}
	r.Recorder.Eventf(tg, nil, eventType, c.Reason, string(v1alpha1.ActionFinish), "%s", contract.Truncate(c.Message, maxEventNote))
}
