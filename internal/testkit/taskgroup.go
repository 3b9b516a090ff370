// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// Namespace is where built objects are.
const Namespace = "team-a"

// Created is when built objects were created.
var Created = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// TaskGroupBuilder builds a TaskGroup.
type TaskGroupBuilder struct{ tg v1alpha1.TaskGroup }

// TaskGroup starts a group without tasks, with a UID made from its name, that is
// never retried.
func TaskGroup(name string) *TaskGroupBuilder {
	return &TaskGroupBuilder{v1alpha1.TaskGroup{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "TaskGroup"},
		ObjectMeta: metav1.ObjectMeta{
			Name:              name,
			Namespace:         Namespace,
			UID:               types.UID("uid-of-" + name),
			Generation:        1,
			ResourceVersion:   "1",
			CreationTimestamp: metav1.Time{Time: Created},
		},
		Spec: v1alpha1.TaskGroupSpec{Retries: &v1alpha1.Retries{InfrastructureLimit: new(int32(0))}},
	}}
}

// New starts a group as a client creates it, without the fields that the API
// server sets. It is never retried.
func New(namespace, name string) *TaskGroupBuilder {
	return &TaskGroupBuilder{v1alpha1.TaskGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.TaskGroupSpec{Retries: &v1alpha1.Retries{InfrastructureLimit: new(int32(0))}},
	}}
}

// Obj is what was built.
func (b *TaskGroupBuilder) Obj() *v1alpha1.TaskGroup { return b.tg.DeepCopy() }

// Commands adds n plain commands, numbered on from the last task.
func (b *TaskGroupBuilder) Commands(n int) *TaskGroupBuilder {
	for range n {
		b.tg.Spec.Tasks = append(b.tg.Spec.Tasks, v1alpha1.TaskSpec{
			NodeID:  v1alpha1.NodeID(len(b.tg.Spec.Tasks)),
			Command: []string{"true"},
		})
	}
	return b
}

// Tasks adds tasks.
func (b *TaskGroupBuilder) Tasks(tasks ...v1alpha1.TaskSpec) *TaskGroupBuilder {
	b.tg.Spec.Tasks = append(b.tg.Spec.Tasks, tasks...)
	return b
}

// Outputs sets where results go.
func (b *TaskGroupBuilder) Outputs(uri v1alpha1.AssetURI) *TaskGroupBuilder {
	if b.tg.Spec.Assets == nil {
		b.tg.Spec.Assets = &v1alpha1.Assets{}
	}
	b.tg.Spec.Assets.Outputs = uri
	return b
}

// Cancelled sets spec.cancel.
func (b *TaskGroupBuilder) Cancelled() *TaskGroupBuilder {
	b.tg.Spec.Cancel = true
	return b
}

// Pod sets the options of the pod.
func (b *TaskGroupBuilder) Pod(options v1alpha1.PodOptions) *TaskGroupBuilder {
	b.tg.Spec.Pod = &options
	return b
}

// Retries sets the two budgets.
func (b *TaskGroupBuilder) Retries(limit, infrastructureLimit int32) *TaskGroupBuilder {
	b.tg.Spec.Retries = &v1alpha1.Retries{Limit: limit, InfrastructureLimit: &infrastructureLimit}
	return b
}

// Parallel gives every task a pod.
func (b *TaskGroupBuilder) Parallel() *TaskGroupBuilder {
	b.tg.Spec.Execution = v1alpha1.Parallel
	return b
}

// Sequential runs all tasks in order in one pod, as the API server's default.
func (b *TaskGroupBuilder) Sequential() *TaskGroupBuilder {
	b.tg.Spec.Execution = v1alpha1.Sequential
	return b
}

// Timeouts sets the clocks.
func (b *TaskGroupBuilder) Timeouts(t v1alpha1.Timeouts) *TaskGroupBuilder {
	b.tg.Spec.Timeouts = &t
	return b
}

// Suspended sets spec.suspend.
func (b *TaskGroupBuilder) Suspended(suspend bool) *TaskGroupBuilder {
	b.tg.Spec.Suspend = suspend
	return b
}

// TTL sets ttlSecondsAfterFinished.
func (b *TaskGroupBuilder) TTL(seconds int32) *TaskGroupBuilder {
	b.tg.Spec.TTLSecondsAfterFinished = &seconds
	return b
}

// Status sets the whole status.
func (b *TaskGroupBuilder) Status(status *v1alpha1.TaskGroupStatus) *TaskGroupBuilder {
	b.tg.Status = *status.DeepCopy()
	return b
}

// Deleting sets the deletion timestamp.
func (b *TaskGroupBuilder) Deleting() *TaskGroupBuilder {
	b.tg.DeletionTimestamp = &metav1.Time{Time: Created}
	return b
}
