// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
)

// JobBuilder builds a group's Job as the API server would return it.
type JobBuilder struct{ job batchv1.Job }

// Job starts the Job of a group's first attempt, as the Job controller has begun it.
func Job(tg *v1alpha1.TaskGroup) *JobBuilder { return JobOfAttempt(tg, 1) }

// JobOfAttempt starts the Job of any attempt.
func JobOfAttempt(tg *v1alpha1.TaskGroup, attempt int32) *JobBuilder {
	name := jobspec.JobName(tg.Name, tg.UID, attempt)
	return &JobBuilder{batchv1.Job{ObjectMeta: metav1.ObjectMeta{
		Name:              name,
		Namespace:         tg.Namespace,
		UID:               types.UID("uid-of-" + name),
		CreationTimestamp: metav1.Time{Time: Created},
		Labels:            map[string]string{v1alpha1.UIDLabel: string(tg.UID)},
		OwnerReferences: []metav1.OwnerReference{
			*metav1.NewControllerRef(tg, v1alpha1.GroupVersion.WithKind("TaskGroup")),
		},
	}, Status: batchv1.JobStatus{StartTime: &metav1.Time{Time: Created}}}}
}

// Obj is what was built.
func (b *JobBuilder) Obj() *batchv1.Job { return b.job.DeepCopy() }

// Foreign takes away the owner.
func (b *JobBuilder) Foreign() *JobBuilder {
	b.job.OwnerReferences = nil
	return b
}

// Deleting sets the deletion timestamp to a time after Created.
func (b *JobBuilder) Deleting(after time.Duration) *JobBuilder {
	b.job.DeletionTimestamp = &metav1.Time{Time: Created.Add(after)}
	b.job.Finalizers = []string{metav1.FinalizerDeleteDependents}
	return b
}

// Held is a Job that a queue has suspended.
func (b *JobBuilder) Held() *JobBuilder {
	b.job.Spec.Suspend = new(true)
	b.job.Status.StartTime = nil
	return b
}

// Condition adds a true condition.
func (b *JobBuilder) Condition(conditionType batchv1.JobConditionType, reason, message string) *JobBuilder {
	b.job.Status.Conditions = append(b.job.Status.Conditions, batchv1.JobCondition{
		Type: conditionType, Status: corev1.ConditionTrue, Reason: reason, Message: message,
	})
	return b
}
