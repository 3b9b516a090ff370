package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

// cacheLag is how long the cache may take to show a Job that was created. Its
// pod's events may come sooner.
const cacheLag = time.Second

// errCacheBehind is a pass that has to wait for the cache.
var errCacheBehind = errors.New("the cache does not show yet what was created")

// load does every read of a pass. It returns nil where there is nothing to decide.
func (r *TaskGroupReconciler) load(ctx context.Context, name types.NamespacedName) (*plan.Observed, error) {
	cached := &v1alpha1.TaskGroup{}
	if err := r.Client.Get(ctx, name, cached); err != nil {
		if apierrors.IsNotFound(err) {
			r.memory.forget(name)
			return nil, nil
		}
		return nil, fmt.Errorf("reading TaskGroup %s: %w", name, err)
	}
	tg := r.memory.newest(cached)
	if tg.DeletionTimestamp != nil || tg.Status.IsFinished() {
		if tg == cached {
			r.memory.forget(name)
		}
		return &plan.Observed{TaskGroup: tg}, nil
	}
	attempt := plan.CurrentAttempt(&tg.Status)
	observed := &plan.Observed{
		TaskGroup: tg,
		Attempt:   attempt,
		JobName:   jobspec.JobName(tg.Name, tg.UID, attempt),
	}
	if uri := jobspec.AttemptURI(tg, attempt); uri != "" {
		observed.ManifestURI = contract.ManifestURI(uri)
	}
	var err error
	if observed.Pods, err = r.loadPods(ctx, tg); err != nil {
		return nil, err
	}
	created, gone := r.memory.recall(tg, attempt)
	observed.Pods = append(observed.Pods, gone...)
	observed.JobUID = recordedJob(observed, created)
	if observed.Job, observed.Unwatched, err = r.loadJob(ctx, observed); err != nil {
		return nil, err
	}
	r.noteRival(ctx, observed, observed.Job)
	if observed.Former, err = r.loadFormer(ctx, tg); err != nil {
		return nil, err
	}
	observed.PodRefusal, err = r.loadRefusal(ctx, observed)
	return observed, err
}

// loadPods reads all pods that carry the group's UID.
func (r *TaskGroupReconciler) loadPods(ctx context.Context, tg *v1alpha1.TaskGroup) ([]*corev1.Pod, error) {
	var list corev1.PodList
	err := r.Client.List(ctx, &list, client.InNamespace(tg.Namespace),
		client.MatchingFields{podGroupIndex: string(tg.UID)}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("listing the pods of TaskGroup %s/%s: %w", tg.Namespace, tg.Name, err)
	}
	pods := make([]*corev1.Pod, 0, len(list.Items))
	for i := range list.Items {
		pods = append(pods, &list.Items[i])
	}
	return pods, nil
}

// loadFormer reads the Job of the attempt before, if its name is still its own.
func (r *TaskGroupReconciler) loadFormer(ctx context.Context, tg *v1alpha1.TaskGroup) (*batchv1.Job, error) {
	last := plan.LastJob(&tg.Status)
	if last == nil || last.Reason == "" {
		return nil, nil
	}
	job, err := getJob(ctx, r.Client, types.NamespacedName{Namespace: tg.Namespace, Name: last.Name})
	if job != nil && job.UID != last.UID {
		return nil, err
	}
	return job, err
}

// loadRefusal asks why a Job has no pod. Only the Job controller's events tell,
// and they are read when there is something wrong, not watched.
func (r *TaskGroupReconciler) loadRefusal(ctx context.Context, o *plan.Observed) (string, error) {
	if o.Job == nil || len(o.Pods) > 0 || r.Clock.Since(o.Job.CreationTimestamp.Time) < plan.StartingGrace {
		return "", nil
	}
	var events corev1.EventList
	err := r.APIReader.List(ctx, &events, client.InNamespace(o.Job.Namespace), client.MatchingFields{
		"involvedObject.uid": string(o.Job.UID), "reason": "FailedCreate",
	})
	if err != nil {
		return "", fmt.Errorf("listing the events of Job %s: %w", o.JobName, err)
	}
	var newest *corev1.Event
	for i := range events.Items {
		if newest == nil || newest.LastTimestamp.Before(&events.Items[i].LastTimestamp) {
			newest = &events.Items[i]
		}
	}
	if newest == nil {
		return "", nil
	}
	return strings.TrimPrefix(newest.Message, "Error creating: "), nil
}

// recordedJob is the UID of the attempt's Job as the status has it, or else as
// this process created it; empty where none was created as far as anyone knows.
func recordedJob(o *plan.Observed, created types.UID) types.UID {
	for _, job := range o.TaskGroup.Status.Jobs {
		if job.Attempt == o.Attempt {
			return job.UID
		}
	}
	return created
}

// loadJob reads the attempt's Job from the cache, unless what it says decides
// between a cancellation and something else: then the cache may be behind, and
// the API server is asked. That is so for a Job that was created and is not
// there, and for one whose pod is being deleted, which a person who deletes the
// Job brings about as much as an eviction does. It also says whether the cache
// lacks the Job.
func (r *TaskGroupReconciler) loadJob(ctx context.Context, o *plan.Observed) (job *batchv1.Job, unwatched bool, err error) {
	key := types.NamespacedName{Namespace: o.TaskGroup.Namespace, Name: o.JobName}
	job, err = getJob(ctx, r.Client, key)
	if err != nil {
		return nil, false, err
	}
	missing := job == nil && o.JobUID != ""
	if missing && r.memory.createdWithin(o.TaskGroup, o.JobUID, cacheLag, r.Stopwatch.Now()) {
		return nil, false, errCacheBehind
	}
	if missing || (job != nil && job.DeletionTimestamp == nil && anyPodIsDeleting(o.Pods, job.UID)) {
		job, err = getJob(ctx, r.APIReader, key)
		return job, missing && job != nil, err
	}
	return job, false, nil
}

func anyPodIsDeleting(pods []*corev1.Pod, job types.UID) bool {
	return slices.ContainsFunc(pods, func(pod *corev1.Pod) bool {
		owner := metav1.GetControllerOf(pod)
		return pod.DeletionTimestamp != nil && owner != nil && owner.UID == job
	})
}

// getJob returns nil where there is no such Job.
func getJob(ctx context.Context, reader client.Reader, key types.NamespacedName) (*batchv1.Job, error) {
	var job batchv1.Job
	if err := reader.Get(ctx, key, &job); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("reading Job %s: %w", key, err)
	}
	return &job, nil
}
