package controllers

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

const (
	// confirmInterval is when to look again at what could not be confirmed; the
	// event that mends it comes sooner as a rule.
	confirmInterval = time.Second
	// settleTime is how long all must have been quiet before a group is called
	// Cancelled whose Job was not seen to have made its pod: a Job controller that
	// is behind may still be creating one for a Job that is gone, and another operator
	// the Job.
	settleTime = time.Second
)

// confirm asks the API server before the two things that must not rest on a
// cache that is behind: to create a Job, and to say that a group is Cancelled.
// Each informer lags on its own. In a normal life, which nobody cancels, it costs
// no read.
func (r *TaskGroupReconciler) confirm(ctx context.Context, o *plan.Observed, p *plan.Plan) (bool, error) {
	if p.CreateJob {
		if ok, err := r.isUncreated(ctx, o); err != nil || !ok {
			return false, err
		}
		if o.Attempt == 1 {
			return true, nil
		}
		return r.isQuiet(ctx, o)
	}
	if p.Status == nil || p.Status.Reason() != v1alpha1.ReasonCancelled {
		return true, nil
	}
	if o.JobUID == "" {
		return r.staysUncreated(ctx, o)
	}
	if quiet, err := r.isQuiet(ctx, o); err != nil || !quiet {
		return false, err
	}
	return o.JobMadeItsPods() || r.memory.quietFor(o.TaskGroup, r.Stopwatch.Now()) >= settleTime, nil
}

// staysUncreated says whether an attempt that is cancelled before it had a Job will
// have none: an operator that took itself for the leader a moment ago may be about to
// create it (decisionLife), and this one need not have met it yet.
func (r *TaskGroupReconciler) staysUncreated(ctx context.Context, o *plan.Observed) (bool, error) {
	if r.memory.quietFor(o.TaskGroup, r.Stopwatch.Now()) < settleTime {
		return false, nil
	}
	uid, err := r.formerJob(ctx, o)
	if err != nil || uid == "" {
		return err == nil, err
	}
	r.rememberFormer(ctx, o, uid)
	return false, nil
}

// rememberFormer notes a Job that another process created.
func (r *TaskGroupReconciler) rememberFormer(ctx context.Context, o *plan.Observed, uid types.UID) {
	logf.FromContext(ctx).Info("found that the Job was created before", "job", o.JobName, "uid", uid)
	r.memory.rememberJob(o.TaskGroup, o.Attempt, uid)
}

// isUncreated says whether an attempt can have had no Job yet (invariant I1). The
// status names an attempt's Job only once its pod runs, which saves a write; where
// the operator does not know by itself that there was none, it asks whether the
// group is still as it is decided on, whether there is a Job of this name, and
// whether the Job controller ever told of one: it does with the first pod, and such
// an event outlives the Job. A Job that was and is gone was deleted, which means to
// cancel.
func (r *TaskGroupReconciler) isUncreated(ctx context.Context, o *plan.Observed) (bool, error) {
	tg := o.TaskGroup
	now := r.Stopwatch.Now()
	epoch := r.doubt.epoch(now)
	if r.memory.vouchedIn(tg) == epoch && !r.doubt.hasRival(now) {
		return true, nil
	}
	var live v1alpha1.TaskGroupList
	if err := r.APIReader.List(ctx, &live, client.InNamespace(tg.Namespace), client.MatchingFields{"metadata.name": tg.Name}); err != nil {
		return false, fmt.Errorf("reading TaskGroup %s/%s: %w", tg.Namespace, tg.Name, err)
	}
	if len(live.Items) != 1 || live.Items[0].UID != tg.UID || live.Items[0].ResourceVersion != tg.ResourceVersion {
		return false, nil
	}
	uid, err := r.formerJob(ctx, o)
	if err != nil {
		return false, err
	}
	if uid != "" {
		r.rememberFormer(ctx, o, uid)
		return false, nil
	}
	r.memory.vouch(client.ObjectKeyFromObject(tg), tg.UID, epoch)
	return true, nil
}

// formerJob returns the UID of the Job that the attempt has or had, as the API
// server knows; empty for none.
func (r *TaskGroupReconciler) formerJob(ctx context.Context, o *plan.Observed) (types.UID, error) {
	namespace := o.TaskGroup.Namespace
	job, err := getJob(ctx, r.APIReader, types.NamespacedName{Namespace: namespace, Name: o.JobName})
	if err != nil {
		return "", err
	}
	if job != nil && metav1.IsControlledBy(job, o.TaskGroup) {
		return job.UID, nil
	}
	var events corev1.EventList
	err = r.APIReader.List(ctx, &events, client.InNamespace(namespace),
		client.MatchingFields{"involvedObject.kind": "Job", "involvedObject.name": o.JobName})
	if err != nil {
		return "", fmt.Errorf("listing the events of Job %s: %w", o.JobName, err)
	}
	for i := range events.Items {
		if uid := events.Items[i].InvolvedObject.UID; uid != "" && (job == nil || uid != job.UID) {
			return uid, nil
		}
	}
	return "", nil
}

// isQuiet says whether no pod of the group runs any more: only then may another
// attempt begin (invariant I2), or the group be Cancelled (I5).
func (r *TaskGroupReconciler) isQuiet(ctx context.Context, o *plan.Observed) (bool, error) {
	var pods corev1.PodList
	err := r.APIReader.List(ctx, &pods, client.InNamespace(o.TaskGroup.Namespace),
		client.MatchingLabels{v1alpha1.UIDLabel: string(o.TaskGroup.UID)})
	if err != nil {
		return false, fmt.Errorf("listing the pods of TaskGroup %s/%s: %w", o.TaskGroup.Namespace, o.TaskGroup.Name, err)
	}
	for i := range pods.Items {
		if !plan.PodEnded(&pods.Items[i]) {
			r.memory.unquiet(o.TaskGroup)
			return false, nil
		}
	}
	return true, nil
}
