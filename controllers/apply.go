package controllers

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

// apply carries out what a plan asks of the Job.
func (r *TaskGroupReconciler) apply(ctx context.Context, o *plan.Observed, p *plan.Plan) error {
	if p.CreateJob {
		return r.createJob(ctx, o)
	}
	if p.DeleteJob != nil {
		return r.deleteJob(ctx, p.DeleteJob)
	}
	if p.DeleteGroup {
		return r.deleteGroup(ctx, o.TaskGroup)
	}
	return nil
}

// createJob creates the attempt's Job. Its name is deterministic, so one that
// exists is that of an earlier pass that the cache does not show yet, or
// somebody else's: the next pass tells, with the Job in sight.
func (r *TaskGroupReconciler) createJob(ctx context.Context, o *plan.Observed) error {
	job, err := jobspec.Job(o.TaskGroup, plan.AttemptOf(o.TaskGroup, o.Attempt), r.Jobs)
	if err != nil {
		return classifyRender(err)
	}
	err = r.Client.Create(ctx, job)
	if apierrors.IsAlreadyExists(err) {
		return r.adoptJob(ctx, o)
	}
	if err != nil {
		if isUncertain(err) {
			r.memory.vouch(client.ObjectKeyFromObject(o.TaskGroup), o.TaskGroup.UID, 0)
		}
		return classifyCreate(job.Name, err)
	}
	r.memory.rememberCreated(o.TaskGroup, o.Attempt, job.UID, r.Stopwatch.Now())
	logf.FromContext(ctx).Info("created Job", "job", job.Name, "attempt", o.Attempt)
	return nil
}

// adoptJob looks at the Job that is in the way. The cache selects by label and
// may never show a Job that is not ours, so the API server is asked. Of one that is
// gone by then nobody knows whose it was, so nothing is vouched for any more.
func (r *TaskGroupReconciler) adoptJob(ctx context.Context, o *plan.Observed) error {
	job, err := getJob(ctx, r.APIReader, types.NamespacedName{Namespace: o.TaskGroup.Namespace, Name: o.JobName})
	if err != nil {
		return err
	}
	if job == nil {
		r.memory.vouch(client.ObjectKeyFromObject(o.TaskGroup), o.TaskGroup.UID, 0)
		return fmt.Errorf("creating Job %s: it existed and is gone again", o.JobName)
	}
	if !metav1.IsControlledBy(job, o.TaskGroup) {
		return nameConflict(o.JobName)
	}
	r.noteRival(ctx, o, job)
	r.memory.rememberJob(o.TaskGroup, o.Attempt, job.UID)
	// No event need follow: the Job may have no pod, and no label of ours.
	r.enqueue(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(o.TaskGroup)})
	return nil
}

// deleteJob deletes in the foreground, so that the Job stays until its pods are
// gone and its disappearance says that all is quiet; and only the Job that was
// observed. A bare delete would orphan the pods.
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

// deleteGroup ends a group's time to live, unless it changed meanwhile: a person
// may have given it more.
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
