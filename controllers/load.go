// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/evidence"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

const (
	// cacheLag is how long the cache may take to show a Job that was created. The
	// events of its pod may arrive sooner.
	cacheLag = time.Second
	// unwatchedInterval is how often a Job that the cache does not contain is read.
	unwatchedInterval = time.Second
)

// errCacheBehind is the error of a pass that has to wait for the cache.
var errCacheBehind = errors.New("the cache does not contain yet what was created")

// observation is the input of a pass.
type observation struct {
	*plan.Observed
	// NextRead is when there is more to read; 0 for never.
	NextRead time.Duration
	// lookedAt is the time of the process's own clock before the first read.
	lookedAt time.Time
}

// load reads everything that a decision is based on; what a decision claims beyond
// that is read by apply. It returns nil if the group does not exist.
func (r *TaskGroupReconciler) load(ctx context.Context, name types.NamespacedName) (*observation, error) {
	lookedAt := r.Stopwatch.Now()
	cached := &v1alpha1.TaskGroup{}
	if err := r.Client.Get(ctx, name, cached); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(name)
			return nil, nil
		}
		return nil, fmt.Errorf("reading TaskGroup %s: %w", name, err)
	}
	tg := r.ledger.Newest(cached)
	o := &observation{Observed: &plan.Observed{TaskGroup: tg}, lookedAt: lookedAt}
	if tg.Status.IsFinished() {
		if tg == cached {
			r.forget(name)
		}
		return o, nil
	}
	o.Attempt = plan.CurrentAttempt(&tg.Status)
	o.JobName = jobspec.JobName(tg.Name, tg.UID, o.Attempt)
	if uri := jobspec.AttemptURI(tg, o.Attempt); uri != "" {
		o.ManifestURI = contract.ManifestURI(uri)
	}
	if err := r.loadPods(ctx, o); err != nil {
		return nil, err
	}
	if err := r.loadJob(ctx, o); err != nil {
		return nil, err
	}
	if err := r.loadPrevious(ctx, o); err != nil {
		return nil, err
	}
	return o, r.loadWarnings(ctx, o)
}

func (r *TaskGroupReconciler) forget(name types.NamespacedName) {
	r.ledger.Forget(name)
	r.creations.forget(name)
}

// loadPods reads all pods with the group's UID label from the cache, corrected by the
// ledger, and adds the terminated pods that were deleted.
func (r *TaskGroupReconciler) loadPods(ctx context.Context, o *observation) error {
	tg := o.TaskGroup
	var list corev1.PodList
	err := r.Client.List(ctx, &list, client.InNamespace(tg.Namespace),
		client.MatchingFields{podGroupIndex: string(tg.UID)}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return fmt.Errorf("listing the pods of TaskGroup %s/%s: %w", tg.Namespace, tg.Name, err)
	}
	pods := make([]*corev1.Pod, 0, len(list.Items))
	for i := range list.Items {
		pods = append(pods, &list.Items[i])
	}
	o.Pods = r.ledger.NewestPods(tg, pods, o.lookedAt)
	o.ErrorSince = r.ledger.StartErrors(tg, o.Pods, plan.HasStartError, r.Clock.Now())
	return nil
}

// loadPrevious reads the Job of the previous attempt, if its name is still its own.
// While the group waits for a retry, its absence means that a user deleted it, so it
// is confirmed.
func (r *TaskGroupReconciler) loadPrevious(ctx context.Context, o *observation) error {
	last := plan.LastJob(&o.TaskGroup.Status)
	if last == nil || last.Reason == "" {
		return nil
	}
	key := types.NamespacedName{Namespace: o.TaskGroup.Namespace, Name: last.Name}
	job, err := evidence.Job(ctx, r.Client, key)
	if err != nil {
		return err
	}
	if (job == nil || job.UID != last.UID) && !last.Stopped && o.TaskGroup.Status.Reason() == v1alpha1.ReasonRetrying {
		if job, err = evidence.Job(ctx, r.APIReader, key); err != nil {
			return err
		}
	}
	if job != nil && job.UID == last.UID {
		o.Previous = job
	}
	return nil
}

// recordedJob is the UID of the attempt's Job from the status, or else from this
// process's ledger; empty if none is known.
func recordedJob(o *plan.Observed, created types.UID) types.UID {
	for _, job := range o.TaskGroup.Status.Jobs {
		if job.Attempt == o.Attempt {
			return job.UID
		}
	}
	return created
}

// loadJob reads the attempt's Job from the cache, and from the API server if it
// decides between a cancellation and something else: if it was created and does not
// exist, or if its pod is being deleted, which may follow a deletion of the Job as
// well as an eviction.
func (r *TaskGroupReconciler) loadJob(ctx context.Context, o *observation) error {
	created, terminated := r.ledger.Recall(o.TaskGroup, o.Attempt)
	o.Pods = append(o.Pods, terminated...)
	o.JobUID = recordedJob(o.Observed, created)
	key := types.NamespacedName{Namespace: o.TaskGroup.Namespace, Name: o.JobName}
	job, err := evidence.Job(ctx, r.Client, key)
	if err != nil {
		return err
	}
	missing := job == nil && o.JobUID != ""
	if missing && r.ledger.CreatedWithin(o.TaskGroup, o.JobUID, cacheLag, r.Stopwatch.Now()) {
		return errCacheBehind
	}
	if missing || (job != nil && job.DeletionTimestamp == nil && anyPodIsDeleting(o.Pods, job.UID)) {
		if job, err = evidence.Job(ctx, r.APIReader, key); err != nil {
			return err
		}
		o.Unwatched = missing && job != nil
	}
	o.Job = job
	if o.Unwatched {
		o.NextRead = unwatchedInterval
	}
	r.detectOtherOperator(ctx, o.Observed, job)
	return nil
}

func anyPodIsDeleting(pods []*corev1.Pod, job types.UID) bool {
	return slices.ContainsFunc(pods, func(pod *corev1.Pod) bool {
		owner := metav1.GetControllerOf(pod)
		return pod.DeletionTimestamp != nil && owner != nil && owner.UID == job
	})
}

// detectOtherOperator concludes that another operator is active from a Job that this
// process did not create, of a group for which no other process had created one.
func (r *TaskGroupReconciler) detectOtherOperator(ctx context.Context, o *plan.Observed, job *batchv1.Job) {
	if job == nil || o.JobUID != "" || !metav1.IsControlledBy(job, o.TaskGroup) {
		return
	}
	now := r.Stopwatch.Now()
	if r.ledger.Certain(o.TaskGroup) == r.epochs.Current(now) && r.epochs.DetectOther(now) {
		logOtherOperator(ctx, job.Name)
	}
}

// loadWarnings reads why a Job has no pod, or why a pod that is scheduled does not
// start: only events contain that. They are read a limited number of times, with a
// backoff, and at once for all waiting groups of a namespace.
func (r *TaskGroupReconciler) loadWarnings(ctx context.Context, o *observation) error {
	var err error
	if o.AwaitsPods() {
		if o.PodRefusal, err = r.warningAbout(ctx, o, o.Job, o.Job.CreationTimestamp.Time); err != nil {
			return err
		}
	}
	for _, pod := range o.Pods {
		if !plan.IsPreparing(pod) {
			continue
		}
		message, err := r.warningAbout(ctx, o, pod, plan.PreparingSince(pod))
		if err != nil {
			return err
		}
		if message == "" {
			continue
		}
		if o.PodProblems == nil {
			o.PodProblems = map[types.UID]string{}
		}
		o.PodProblems[pod.UID] = message
	}
	return nil
}

// warningAbout returns the newest warning about an object that has waited since the
// given time; empty for none, and within the grace period. It sets when to read next:
// as no object changes while the group waits, nothing else may cause another pass.
func (r *TaskGroupReconciler) warningAbout(ctx context.Context, o *observation, object client.Object, since time.Time) (string, error) {
	if wait := plan.StartingGrace - r.Clock.Now().Sub(since); wait > 0 {
		// A clock that is behind the one of the object waits no longer than that.
		o.NextRead = sooner(o.NextRead, min(wait, plan.StartingGrace))
		return "", nil
	}
	uid := object.GetUID()
	message, next, err := r.warnings.about(ctx, r.ledger.LookupOf(o.TaskGroup, uid), object.GetNamespace(), uid)
	o.NextRead = sooner(o.NextRead, next)
	return message, err
}
