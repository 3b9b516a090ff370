// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// record is what is kept of a group.
type record struct {
	// uid is empty until the API server has reported the group.
	uid types.UID
	// watched is set if the watch itself reported the group last.
	watched  bool
	finished bool
	reason   v1alpha1.Reason
	// group is kept of a group that finished and is wanted.
	group *v1alpha1.TaskGroup
	// deleted is when the group was deleted; zero while it exists.
	deleted time.Time
	// wanted is set by a poll, until the group is received.
	wanted  bool
	waiters map[chan<- struct{}]struct{}
}

func (r *record) wake() {
	for waiter := range r.waiters {
		select {
		case waiter <- struct{}{}:
		default:
		}
	}
}

// result returns the result of a poll, and whether there is one.
func (r *record) result(uid types.UID) (Result, bool) {
	result := Result{UID: r.uid, Reason: r.reason}
	switch {
	case uid != "" && r.uid != "" && r.uid != uid:
		result.State = Replaced
	case r.finished && r.reason == v1alpha1.ReasonCancelled:
		result.State = Cancelled
	case r.finished:
		result.State = Finished
	case !r.deleted.IsZero():
		result.State = Deleted
	default:
		return result, false
	}
	return result, true
}

// compact returns what polls and receives need of a group: its name and UID while it
// runs, and its status and where its results are once it has finished.
func compact(tg *v1alpha1.TaskGroup) *v1alpha1.TaskGroup {
	small := &v1alpha1.TaskGroup{ObjectMeta: metav1.ObjectMeta{
		Namespace: tg.Namespace, Name: tg.Name, UID: tg.UID, ResourceVersion: tg.ResourceVersion,
	}}
	if !tg.Status.IsFinished() {
		return small
	}
	small.Spec = v1alpha1.TaskGroupSpec{
		DispatchID: tg.Spec.DispatchID, TaskGroupID: tg.Spec.TaskGroupID, Execution: tg.Spec.Execution, Callback: tg.Spec.Callback,
	}
	if dispatcher, ok := tg.Labels[v1alpha1.DispatcherLabel]; ok {
		small.Labels = map[string]string{v1alpha1.DispatcherLabel: dispatcher}
	}
	if delivered, ok := tg.Annotations[v1alpha1.DeliveredAnnotation]; ok {
		small.Annotations = map[string]string{v1alpha1.DeliveredAnnotation: delivered}
	}
	if tg.Spec.Assets != nil {
		small.Spec.Assets = &v1alpha1.Assets{Outputs: tg.Spec.Assets.Outputs}
	}
	small.Status = tg.Status
	small.Status.StartTime, small.Status.CompletionTime, small.Status.Retries = nil, nil, nil
	return small
}
