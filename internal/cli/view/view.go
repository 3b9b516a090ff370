// SPDX-License-Identifier: Apache-2.0

package view

import (
	"cmp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// Stage is where a group is in its life, more coarsely than by its Reason.
type Stage string

// The stages. The last three are ends.
const (
	Waiting   Stage = "Waiting"
	Running   Stage = "Running"
	Completed Stage = "Completed"
	Failed    Stage = "Failed"
	Cancelled Stage = "Cancelled"
)

// Stages are all of them, in the order of a life.
var Stages = []Stage{Waiting, Running, Completed, Failed, Cancelled}

// StageOf is the group's stage.
func StageOf(tg *v1alpha1.TaskGroup) Stage {
	reason := tg.Status.Reason()
	switch {
	case !tg.Status.IsFinished() && (reason == v1alpha1.ReasonRunning || reason == v1alpha1.ReasonCancelling):
		return Running
	case !tg.Status.IsFinished():
		return Waiting
	case reason == v1alpha1.ReasonCompleted:
		return Completed
	case reason == v1alpha1.ReasonCancelled:
		return Cancelled
	}
	return Failed
}

// Done counts the tasks that completed, and all there are.
func Done(tg *v1alpha1.TaskGroup) (completed, all int) {
	for i := range tg.Status.Tasks {
		if tg.Status.Tasks[i].State == v1alpha1.TaskCompleted {
			completed++
		}
	}
	return completed, max(len(tg.Spec.Tasks), len(tg.Status.Tasks))
}

// CreatedAt is when the group was created; zero where that is not known.
func CreatedAt(tg *v1alpha1.TaskGroup) time.Time { return tg.CreationTimestamp.Time }

// At is a time that may be missing; zero where it is.
func At(t *metav1.Time) time.Time {
	if t == nil || t.Unix() <= 0 {
		return time.Time{}
	}
	return t.Time
}

// Elapsed is for how long the group has been there, up to its end; never negative.
func Elapsed(tg *v1alpha1.TaskGroup, now time.Time) time.Duration {
	created := CreatedAt(tg)
	if created.IsZero() {
		return 0
	}
	end := At(tg.Status.CompletionTime)
	if end.IsZero() {
		end = now
	}
	return max(end.Sub(created), 0)
}

// StatusOf is what became of a task; PENDING where the status has none.
func StatusOf(tg *v1alpha1.TaskGroup, node v1alpha1.NodeID) v1alpha1.TaskStatus {
	for i := range tg.Status.Tasks {
		if tg.Status.Tasks[i].NodeID == node {
			return tg.Status.Tasks[i]
		}
	}
	return v1alpha1.TaskStatus{NodeID: node, State: v1alpha1.TaskPending}
}

// Is reports whether the group is in a state that a user named: a stage, a
// reason, "active" or "finished", in any case.
func Is(tg *v1alpha1.TaskGroup, state string) bool {
	switch strings.ToLower(state) {
	case "active":
		return !tg.Status.IsFinished()
	case "finished":
		return tg.Status.IsFinished()
	}
	return strings.EqualFold(state, string(StageOf(tg))) || strings.EqualFold(state, string(tg.Status.Reason()))
}

// Sort orders groups by namespace and name, as kubectl does.
func Sort(groups []v1alpha1.TaskGroup) {
	slices.SortFunc(groups, func(a, b v1alpha1.TaskGroup) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}
