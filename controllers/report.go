// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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

// report writes the status if it changed. Events and metrics follow only a successful
// write. It returns how long progress has to wait that follows the last progress too
// soon.
//
// The optimistic lock makes the terminal state final: a decision based on an older
// status than the stored one is refused.
func (r *TaskGroupReconciler) report(ctx context.Context, o *observation, p *plan.Plan, now time.Time) (time.Duration, error) {
	switch {
	case p.Status == nil:
		return 0, nil
	case o.TaskGroup.Status.IsFinished():
		return 0, r.followGeneration(ctx, o.TaskGroup)
	case equality.Semantic.DeepEqual(&o.TaskGroup.Status, p.Status):
		return 0, nil
	case !p.Progress:
		return 0, r.write(ctx, o, p.Status)
	}
	if wait := r.progressWait(o.TaskGroup, p.Status, now); wait > 0 {
		return wait, nil
	}
	if !r.progress.acquire(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(o.TaskGroup)}) {
		return 0, nil
	}
	defer r.progress.release()
	return 0, r.write(ctx, o, p.Status)
}

func (r *TaskGroupReconciler) write(ctx context.Context, o *observation, status *v1alpha1.TaskGroupStatus) error {
	tg := plan.StatusUpdate(o.TaskGroup, status)
	err := r.Client.Status().Update(ctx, tg)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("writing the status of TaskGroup %s/%s: %w", tg.Namespace, tg.Name, err)
	}
	r.ledger.RecordStatus(tg)
	logf.FromContext(ctx).Info("wrote status", "reason", status.Reason(), "done", status.Summary)
	observe(o.TaskGroup, status, o.Job)
	if status.IsFinished() {
		r.recordFinish(tg)
		if r.Traces != nil {
			// The response to the update has the metadata and the spec.
			r.Traces.Finished(tg)
		}
	}
	return nil
}

// followGeneration updates observedGeneration of a finished group, and nothing else:
// kstatus reports InProgress until it follows an edited spec. The cache has only a
// part of a finished group, so the status is read.
func (r *TaskGroupReconciler) followGeneration(ctx context.Context, tg *v1alpha1.TaskGroup) error {
	var live v1alpha1.TaskGroupList
	if err := r.APIReader.List(ctx, &live, client.InNamespace(tg.Namespace), client.MatchingFields{"metadata.name": tg.Name}); err != nil {
		return fmt.Errorf("reading TaskGroup %s/%s: %w", tg.Namespace, tg.Name, err)
	}
	if len(live.Items) != 1 || live.Items[0].UID != tg.UID || !live.Items[0].Status.IsFinished() {
		return nil
	}
	stored := &live.Items[0]
	if stored.Status.ObservedGeneration >= stored.Generation {
		return nil
	}
	status := stored.Status.DeepCopy()
	status.ObservedGeneration = stored.Generation
	if err := r.Client.Status().Update(ctx, plan.StatusUpdate(stored, status)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("writing the status of TaskGroup %s/%s: %w", tg.Namespace, tg.Name, err)
	}
	return nil
}

func (r *TaskGroupReconciler) recordFinish(tg *v1alpha1.TaskGroup) {
	eventType := corev1.EventTypeNormal
	if tg.Status.Reason().IsFailure() {
		eventType = corev1.EventTypeWarning
	}
	r.Recorder.Eventf(tg, nil, eventType, string(tg.Status.Reason()), string(v1alpha1.ActionFinish), "%s", contract.Truncate(tg.Status.Message(), maxEventNote))
}
