package controllers

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/executor/contract"
)

// maxEventNote is the API's bound on an event's note, in bytes
// (k8s.io/kubernetes/pkg/apis/core/validation, NoteLengthLimit).
const maxEventNote = 1024

// progressInterval is how often the progress of a group that keeps running is
// written: 256 pods that end one after another are not 256 writes.
const progressInterval = time.Second

// progressWait is how long a status that only tells of progress has to wait; 0
// for one that is to be written now.
func (r *TaskGroupReconciler) progressWait(o *plan.Observed, status *v1alpha1.TaskGroupStatus, now time.Time) time.Duration {
	if status == nil || o.TaskGroup.Spec.Execution != v1alpha1.Parallel ||
		plan.ReasonOf(status) != v1alpha1.ReasonRunning || plan.ReasonOf(&o.TaskGroup.Status) != v1alpha1.ReasonRunning {
		return 0
	}
	return r.memory.progress(o.TaskGroup, now, progressInterval)
}

// report writes the status, if it changed, and then tells of the end of a
// group. Nothing is told that was not written first.
//
// The optimistic lock makes the terminal state sticky: a decision that rests on
// an older status than the one stored is refused.
func (r *TaskGroupReconciler) report(ctx context.Context, o *plan.Observed, status *v1alpha1.TaskGroupStatus) error {
	if status == nil || equality.Semantic.DeepEqual(&o.TaskGroup.Status, status) {
		return nil
	}
	tg := o.TaskGroup.DeepCopy()
	tg.Status = *status
	patch := client.MergeFromWithOptions(o.TaskGroup, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Status().Patch(ctx, tg, patch); err != nil {
		return fmt.Errorf("writing the status of TaskGroup %s/%s: %w", tg.Namespace, tg.Name, client.IgnoreNotFound(err))
	}
	r.memory.rememberWritten(tg)
	logf.FromContext(ctx).Info("wrote status", "reason", plan.ReasonOf(status), "done", status.Summary)
	observe(o.TaskGroup, status, o.Job)
	if plan.IsTerminal(status) {
		r.recordEnd(tg)
	}
	return nil
}

func (r *TaskGroupReconciler) recordEnd(tg *v1alpha1.TaskGroup) {
	c := meta.FindStatusCondition(tg.Status.Conditions, v1alpha1.ConditionSucceeded)
	eventType := corev1.EventTypeNormal
	if c.Reason != string(v1alpha1.ReasonCompleted) && c.Reason != string(v1alpha1.ReasonCancelled) {
		eventType = corev1.EventTypeWarning
	}
	r.Recorder.Eventf(tg, nil, eventType, c.Reason, "Finish", "%s", contract.Truncate(c.Message, maxEventNote))
}
