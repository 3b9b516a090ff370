// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"strconv"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Condition returns the condition of a type; nil if it is not set.
func (s *TaskGroupStatus) Condition(conditionType ConditionType) *metav1.Condition {
	return meta.FindStatusCondition(s.Conditions, string(conditionType))
}

// Reason returns the reason of the condition Succeeded, which is the STATUS column
// of `kubectl get tg`; Pending if it is not set.
func (s *TaskGroupStatus) Reason() Reason {
	c := s.Condition(ConditionSucceeded)
	if c == nil || c.Reason == "" {
		return ReasonPending
	}
	return Reason(c.Reason)
}

// Message returns the message of the condition Succeeded; empty if it is not set.
func (s *TaskGroupStatus) Message() string {
	c := s.Condition(ConditionSucceeded)
	if c == nil {
		return ""
	}
	return c.Message
}

// IsFinished reports whether the group is in a terminal state.
func (s *TaskGroupStatus) IsFinished() bool {
	return meta.IsStatusConditionTrue(s.Conditions, string(ConditionFinished))
}

// IsTerminal reports whether the task is COMPLETED, FAILED or CANCELLED.
func (s TaskState) IsTerminal() bool {
	return s == TaskCompleted || s == TaskFailed || s == TaskCancelled
}

// OutputsURI returns spec.assets.outputs; empty if the group keeps no results.
func (s *TaskGroupSpec) OutputsURI() string {
	if s.Assets == nil {
		return ""
	}
	return string(s.Assets.Outputs)
}

// String returns the ID in decimal, which is the key of the task's assets.
func (n NodeID) String() string { return strconv.FormatInt(int64(n), 10) }
