// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/evidence"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

// apply confirms the claim of a plan and changes the object that the plan names. It
// returns the plan to report: the given one, or another one if the API server does
// not accept the Job.
func (r *TaskGroupReconciler) apply(ctx context.Context, o *observation, p plan.Plan, now time.Time) (plan.Plan, error) {
	if p.CreateJob {
		if refused := r.creations.hold(client.ObjectKeyFromObject(o.TaskGroup)); refused != nil {
			return refused.plan(o.Observed, now), nil
		}
	}
	if p.SwitchDelivery {
		r.delivery.fallBack(ctx)
	}
	notAfter, err := r.confirm(ctx, o, p.Claim)
	if err != nil {
		return plan.Plan{}, err
	}
	ctx = evidence.SendBefore(ctx, notAfter)
	switch {
	case p.CreateJob:
		err = r.createJob(ctx, o.Observed)
	case p.DeleteJob != nil:
		err = r.deleteJob(ctx, p.DeleteJob)
	case p.DeleteGroup:
		err = r.deleteGroup(ctx, o.TaskGroup)
	}
	if rejected, ok := errors.AsType[*rejectedError](err); ok {
		return plan.Reject(o.Observed, rejected.reason, rejected.message, now), nil
	}
	if refused, ok := errors.AsType[*refusedError](err); ok {
		return refused.plan(o.Observed, now), nil
	}
	return p, err
}

// confirm collects and judges the evidence for a claim. It returns until when the
// plan may be carried out, or an unconfirmedError.
func (r *TaskGroupReconciler) confirm(ctx context.Context, o *observation, claim plan.Claim) (notAfter time.Time, err error) {
	if claim == plan.ClaimNothing {
		return o.lookedAt.Add(evidence.Lifetime), nil
	}
	tg := o.TaskGroup
	collected, err := r.evidence.Collect(ctx, o.Observed, claim, r.Stopwatch.Now())
	if err != nil {
		return time.Time{}, err
	}
	verdict := evidence.Judge(claim, o.Observed, &collected)
	now := r.Stopwatch.Now()
	if verdict.Holds {
		if claim == plan.ClaimNoJob {
			r.ledger.MarkCertain(client.ObjectKeyFromObject(tg), tg.UID, r.epochs.Current(now))
		}
		return now.Add(evidence.Lifetime), nil
	}
	switch {
	case verdict.FoundJob != "":
		logf.FromContext(ctx).Info("found that the Job was created before", "job", o.JobName, "uid", verdict.FoundJob)
		r.ledger.RecordJob(tg, o.Attempt, verdict.FoundJob)
	case verdict.Running:
		r.ledger.RecordRunningPod(tg)
	case verdict.Stale:
		logf.FromContext(ctx).Info("the cache of pods lags behind the API server; deciding again", "job", o.JobName)
		stalePods.Inc()
		r.ledger.RecordLivePods(tg, collected.Pods, now)
		return time.Time{}, unconfirmedError{retryAfter: time.Millisecond}
	}
	return time.Time{}, unconfirmedError{retryAfter: confirmInterval}
}

// createJob creates the attempt's Job. Its name is deterministic, so an existing one
// is from an earlier pass and not yet in the cache, or belongs to another owner.
func (r *TaskGroupReconciler) createJob(ctx context.Context, o *plan.Observed) error {
	config := r.Jobs
	config.Delivery = r.delivery.current()
	whole, err := r.complete(ctx, o.TaskGroup)
	if err != nil {
		return err
	}
	if config.Gateway, err = r.gatewayFor(whole); err != nil {
		return err
	}
	job, err := jobspec.Job(whole, plan.AttemptOf(whole, o.Attempt), config)
	if err != nil {
		return classifyRender(err)
	}
	group := client.ObjectKeyFromObject(o.TaskGroup)
	err = r.Client.Create(ctx, job)
	if apierrors.IsAlreadyExists(err) {
		return r.adoptJob(ctx, o)
	}
	if err != nil {
		if isUncertain(err) {
			r.ledger.MarkCertain(group, o.TaskGroup.UID, 0)
		}
		return r.classifyCreate(group, job.Name, err)
	}
	r.ledger.RecordCreatedJob(o.TaskGroup, o.Attempt, job.UID, r.Stopwatch.Now())
	r.wakeAll(r.creations.succeeded(group))
	logf.FromContext(ctx).Info("created Job", "job", job.Name, "attempt", o.Attempt)
	return nil
}

// classifyCreate classifies an error of a create, and records it.
func (r *TaskGroupReconciler) classifyCreate(group types.NamespacedName, job string, err error) error {
	classified := classifyCreate(job, err)
	refused, ok := errors.AsType[*refusedError](classified)
	if !ok {
		return classified
	}
	retryAfter, report := r.creations.failed(group, refused.refusal, refused.message)
	if !report {
		return fmt.Errorf("creating Job %s: %w", job, err)
	}
	refused.retryAfter = retryAfter
	return refused
}

func (r *TaskGroupReconciler) wakeAll(groups []types.NamespacedName) {
	for _, group := range groups {
		r.wake(reconcile.Request{NamespacedName: group})
	}
}

// adoptJob reads the existing Job. The cache selects by label and may never contain a
// Job that is not ours. If the Job was deleted in between, its owner is unknown, so
// this process is no longer certain.
func (r *TaskGroupReconciler) adoptJob(ctx context.Context, o *plan.Observed) error {
	job, err := evidence.Job(ctx, r.APIReader, types.NamespacedName{Namespace: o.TaskGroup.Namespace, Name: o.JobName})
	if err != nil {
		return err
	}
	if job == nil {
		r.ledger.MarkCertain(client.ObjectKeyFromObject(o.TaskGroup), o.TaskGroup.UID, 0)
		return fmt.Errorf("creating Job %s: it existed and was deleted in between", o.JobName)
	}
	if !metav1.IsControlledBy(job, o.TaskGroup) {
		return &rejectedError{reason: v1alpha1.ReasonNameConflict, message: plan.NameConflictMessage(o.JobName)}
	}
	r.detectOtherOperator(ctx, o, job)
	r.ledger.RecordJob(o.TaskGroup, o.Attempt, job.UID)
	// No event need follow: the Job may have no pod, and no label of ours.
	r.wake(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(o.TaskGroup)})
	return nil
}

// deleteJob deletes in the foreground, so that the Job exists until its pods are
// deleted; and only the Job that was observed. A DELETE without a propagation policy
// would orphan the pods.
func (r *TaskGroupReconciler) deleteJob(ctx context.Context, job *batchv1.Job) error {
	err := r.Client.Delete(ctx, job.DeepCopy(),
		client.PropagationPolicy(metav1.DeletePropagationForeground),
		client.Preconditions{UID: &job.UID})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting Job %s: %w", job.Name, err)
	}
	logf.FromContext(ctx).Info("deleted Job", "job", job.Name)
	return nil
}

// deleteGroup deletes a group whose TTL has expired, unless it changed in between: a
// user may have extended the TTL.
func (r *TaskGroupReconciler) deleteGroup(ctx context.Context, tg *v1alpha1.TaskGroup) error {
	err := r.Client.Delete(ctx, tg.DeepCopy(),
		client.PropagationPolicy(metav1.DeletePropagationBackground),
		client.Preconditions{UID: &tg.UID, ResourceVersion: &tg.ResourceVersion})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting TaskGroup %s/%s: %w", tg.Namespace, tg.Name, err)
	}
	logf.FromContext(ctx).Info("deleted TaskGroup", "ttlSecondsAfterFinished", tg.Spec.TTLSecondsAfterFinished)
	return nil
}
