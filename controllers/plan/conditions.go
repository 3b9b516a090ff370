// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// maxConditionMessage is in bytes. The API allows 32,768, but every watcher
// receives every status.
const maxConditionMessage = 2048

// unfinished sets the conditions of a group that has not finished.
func unfinished(status *v1alpha1.TaskGroupStatus, reason v1alpha1.Reason, message string, now time.Time) {
	status.Summary = summaryOf(status.Tasks)
	setConditions(status, metav1.ConditionUnknown, reason, message, now)
}

// complete sets the conditions of a finished group.
func complete(status *v1alpha1.TaskGroupStatus, v verdict, generation int64, now time.Time) {
	status.ObservedGeneration = generation
	status.CompletionTime, status.QueuedTime = &metav1.Time{Time: now}, nil
	if status.StartTime != nil && status.CompletionTime.Before(status.StartTime) {
		// The operator's clock was set back in between (invariant I17).
		status.CompletionTime = status.StartTime
	}
	status.Summary = summaryOf(status.Tasks)
	succeeded := metav1.ConditionFalse
	if v.succeeded {
		succeeded = metav1.ConditionTrue
	}
	setConditions(status, succeeded, v.reason, v.message, now)
}

func setConditions(status *v1alpha1.TaskGroupStatus, succeeded metav1.ConditionStatus, reason v1alpha1.Reason, message string, now time.Time) {
	message = contract.Truncate(oneLine(message), maxConditionMessage)
	for i := range status.Conditions {
		// The default that the API server sets has no time.
		if c := &status.Conditions[i]; c.LastTransitionTime.Unix() <= 0 {
			c.LastTransitionTime = metav1.Time{Time: now}
		}
	}
	set := func(conditionType v1alpha1.ConditionType, value metav1.ConditionStatus) {
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{
			Type:               string(conditionType),
			Status:             value,
			ObservedGeneration: status.ObservedGeneration,
			LastTransitionTime: metav1.Time{Time: now},
			Reason:             string(reason),
			Message:            message,
		})
	}
	set(v1alpha1.ConditionSucceeded, succeeded)
	finished := metav1.ConditionTrue
	if succeeded == metav1.ConditionUnknown {
		finished = metav1.ConditionFalse
	}
	set(v1alpha1.ConditionFinished, finished)
	setKstatus(status, finished == metav1.ConditionTrue, reason, set)
	switch {
	case reason == v1alpha1.ReasonSuspended:
		set(v1alpha1.ConditionSuspended, metav1.ConditionTrue)
	case meta.IsStatusConditionTrue(status.Conditions, string(v1alpha1.ConditionSuspended)):
		set(v1alpha1.ConditionSuspended, metav1.ConditionFalse)
	}
}

// setKstatus sets the two conditions that generic tools wait for. A cancelled
// group has reached the requested state, so it is not stalled.
func setKstatus(status *v1alpha1.TaskGroupStatus, finished bool, reason v1alpha1.Reason, set func(v1alpha1.ConditionType, metav1.ConditionStatus)) {
	if !finished {
		set(v1alpha1.ConditionReconciling, metav1.ConditionTrue)
		return
	}
	meta.RemoveStatusCondition(&status.Conditions, string(v1alpha1.ConditionReconciling))
	if reason != v1alpha1.ReasonCompleted && reason != v1alpha1.ReasonCancelled {
		set(v1alpha1.ConditionStalled, metav1.ConditionTrue)
	}
}

// oneLine replaces every control character with a space, so that a task's output
// cannot break a table or a terminal (invariant I30).
func oneLine(s string) string {
	controls := func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }
	return strings.Join(strings.FieldsFunc(s, controls), " ")
}

func nowTime(now time.Time) *metav1.Time { return &metav1.Time{Time: now} }
