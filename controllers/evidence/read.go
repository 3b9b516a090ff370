// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

// Evidence is what a claim is judged by.
type Evidence struct {
	// Certain reports that the memory of this process proves without a read that no Job was created
	// for the attempt.
	Certain bool
	// GroupUnchanged reports that the stored group is the observed version of it. It
	// is read unless Certain.
	GroupUnchanged bool
	// JobUID is the UID of the Job that the attempt has or had according to the API
	// server; empty if there was none, or if it was not read.
	JobUID types.UID
	// Pods are the group's pods according to the API server; nil if they were not
	// read.
	Pods *corev1.PodList
	// QuietFor is for how long no running pod of a cancelled group was seen.
	QuietFor time.Duration
}

// Collector gathers evidence.
type Collector struct {
	// Reader reads from the API server.
	Reader client.Reader
	Ledger *Ledger
	Epochs *Epochs
}

// Collect gathers the evidence for a claim about a group, with as few reads as
// possible. now is the time of the process's own monotonic clock.
func (c *Collector) Collect(ctx context.Context, o *plan.Observed, claim plan.Claim, now time.Time) (Evidence, error) {
	switch claim {
	case plan.ClaimNoJob:
		return c.ofCreation(ctx, o, now)
	case plan.ClaimPods:
		pods, err := c.pods(ctx, o.TaskGroup)
		return Evidence{Pods: pods}, err
	case plan.ClaimStopped:
		return c.ofCancellation(ctx, o, now)
	case plan.ClaimNothing:
	}
	return Evidence{}, nil
}

// ofCreation reads whether the group is unchanged, whether a Job of the attempt's
// name exists, and whether an event mentions one: the Job controller emits one with
// the first pod, and such an event outlives the Job. The status contains the Job
// only after its pod runs, which saves a write.
func (c *Collector) ofCreation(ctx context.Context, o *plan.Observed, now time.Time) (e Evidence, err error) {
	e.Certain = c.Ledger.Certain(o.TaskGroup) == c.Epochs.Current(now) && !c.Epochs.HasOther(now)
	if !e.Certain {
		if e.GroupUnchanged, err = c.groupUnchanged(ctx, o.TaskGroup); err != nil || !e.GroupUnchanged {
			return e, err
		}
		if e.JobUID, err = c.formerJob(ctx, o); err != nil || e.JobUID != "" {
			return e, err
		}
	}
	if o.Attempt > 1 {
		e.Pods, err = c.pods(ctx, o.TaskGroup)
	}
	return e, err
}

// ofCancellation reads the pods of an attempt that had a Job, and the Job of an
// attempt that had none after nothing was seen for SettleTime.
func (c *Collector) ofCancellation(ctx context.Context, o *plan.Observed, now time.Time) (e Evidence, err error) {
	e.QuietFor = c.Ledger.QuietFor(o.TaskGroup, now)
	if o.JobUID != "" {
		e.Pods, err = c.pods(ctx, o.TaskGroup)
		return e, err
	}
	if e.QuietFor >= SettleTime {
		e.JobUID, err = c.formerJob(ctx, o)
	}
	return e, err
}

func (c *Collector) groupUnchanged(ctx context.Context, tg *v1alpha1.TaskGroup) (bool, error) {
	var live v1alpha1.TaskGroupList
	if err := c.Reader.List(ctx, &live, client.InNamespace(tg.Namespace), client.MatchingFields{"metadata.name": tg.Name}); err != nil {
		return false, fmt.Errorf("reading TaskGroup %s/%s: %w", tg.Namespace, tg.Name, err)
	}
	return len(live.Items) == 1 && live.Items[0].UID == tg.UID && live.Items[0].ResourceVersion == tg.ResourceVersion, nil
}

// formerJob returns the UID of the Job that the attempt has or had; empty for none.
func (c *Collector) formerJob(ctx context.Context, o *plan.Observed) (types.UID, error) {
	namespace := o.TaskGroup.Namespace
	job, err := Job(ctx, c.Reader, types.NamespacedName{Namespace: namespace, Name: o.JobName})
	if err != nil {
		return "", err
	}
	if job != nil && metav1.IsControlledBy(job, o.TaskGroup) {
		return job.UID, nil
	}
	var events corev1.EventList
	err = c.Reader.List(ctx, &events, client.InNamespace(namespace),
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

func (c *Collector) pods(ctx context.Context, tg *v1alpha1.TaskGroup) (*corev1.PodList, error) {
	pods := &corev1.PodList{}
	if err := c.Reader.List(ctx, pods, client.InNamespace(tg.Namespace), client.MatchingLabels{v1alpha1.UIDLabel: string(tg.UID)}); err != nil {
		return nil, fmt.Errorf("listing the pods of TaskGroup %s/%s: %w", tg.Namespace, tg.Name, err)
	}
	return pods, nil
}

// Job reads a Job; nil if it does not exist.
func Job(ctx context.Context, reader client.Reader, key types.NamespacedName) (*batchv1.Job, error) {
	var job batchv1.Job
	if err := reader.Get(ctx, key, &job); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("reading Job %s: %w", key, err)
	}
	return &job, nil
}
