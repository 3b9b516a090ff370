// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
)

// kind is everything that differs between Sequential and Parallel groups. It is
// chosen once, by kindOf.
type kind interface {
	// podCount returns how many pods the attempt's Job creates in total.
	podCount(o *Observed) int
	// missingPods returns how many pods the attempt's Job should have created by now
	// and has not.
	missingPods(o *Observed) int
	// recordSize returns how many tasks the termination message of a pod covers.
	recordSize(tg *v1alpha1.TaskGroup) int
	// takeOver returns what an attempt takes over from the previous ones.
	takeOver(tg *v1alpha1.TaskGroup, number int32) jobspec.Attempt
	// tasks returns the tasks with a state for each that no previous attempt settled.
	tasks(o *Observed, state v1alpha1.TaskState) []v1alpha1.TaskStatus
	// terminatedByItself reports whether the attempt had a result of its own before
	// the deletion of its Job began (invariant I7).
	terminatedByItself(o *Observed) bool
	// result returns the plan for an attempt whose tasks have terminated; nil while
	// it is active.
	result(o *Observed, now time.Time) *Plan
	// expired returns the plan for an attempt of which a timeout has expired and
	// nothing runs; nil otherwise.
	expired(o *Observed, now time.Time) *Plan
	// suspend returns the plan that closes the attempt of a suspended group. It keeps
	// the results of the tasks that have terminated.
	suspend(o *Observed, v verdict, now time.Time) *Plan
	// progress returns the plan for an attempt that is active.
	progress(o *Observed, now time.Time) *Plan
	// keep copies into the status what terminated pods of the attempt report, before
	// the pods are deleted. It returns whether that changed anything.
	keep(status *v1alpha1.TaskGroupStatus, o *Observed) bool
	// stopped returns the plan for the last attempt after the operator stopped it
	// and its pods have terminated.
	stopped(o *Observed, now time.Time) *Plan
	// nothingLeft returns the plan that finishes a group without tasks to run; nil
	// if there are any.
	nothingLeft(o *Observed, now time.Time) *Plan
	// cancelled sets the final states of a cancelled group's tasks, and the manifest.
	cancelled(status *v1alpha1.TaskGroupStatus, o *Observed, pod *corev1.Pod)
}

func kindOf(tg *v1alpha1.TaskGroup) kind {
	if tg.Spec.Execution == v1alpha1.Parallel {
		return parallel{}
	}
	return sequential{}
}
