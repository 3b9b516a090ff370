package view

import (
	"slices"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// underWay are the reasons of a group that has not ended.
var underWay = []v1alpha1.Reason{
	v1alpha1.ReasonPending, v1alpha1.ReasonQueued, v1alpha1.ReasonStarting, v1alpha1.ReasonRunning,
	v1alpha1.ReasonSuspending, v1alpha1.ReasonSuspended, v1alpha1.ReasonRetrying, v1alpha1.ReasonStopping,
	v1alpha1.ReasonCancelling,
}

// failures are the reasons of a group that failed.
var failures = []v1alpha1.Reason{
	v1alpha1.ReasonTaskError, v1alpha1.ReasonExitCode, v1alpha1.ReasonOOMKilled, v1alpha1.ReasonEvicted,
	v1alpha1.ReasonPreempted, v1alpha1.ReasonNodeLost, v1alpha1.ReasonImagePullFailed, v1alpha1.ReasonContainerConfigError,
	v1alpha1.ReasonUnschedulable, v1alpha1.ReasonQuotaExceeded, v1alpha1.ReasonInputUnavailable, v1alpha1.ReasonInputInvalid,
	v1alpha1.ReasonOutputInvalid, v1alpha1.ReasonOutputUploadFailed, v1alpha1.ReasonHookFailed,
	v1alpha1.ReasonPythonVersionMismatch, v1alpha1.ReasonPythonUnavailable, v1alpha1.ReasonTerminated,
	v1alpha1.ReasonPlanInvalid, v1alpha1.ReasonDeadlineExceeded, v1alpha1.ReasonJobRejected,
	v1alpha1.ReasonNameConflict, v1alpha1.ReasonTooLarge, v1alpha1.ReasonUnknown,
}

// States are the words that Is knows: "active", "finished", the stages and the
// reasons.
func States() []string {
	states := []string{"active", "finished"}
	for _, stage := range Stages {
		states = append(states, string(stage))
	}
	for _, reason := range slices.Concat(underWay, failures) {
		if !slices.Contains(states, string(reason)) {
			states = append(states, string(reason))
		}
	}
	return states
}

// IsState says whether a word is one of States, in any case.
func IsState(word string) bool {
	return slices.ContainsFunc(States(), func(s string) bool { return strings.EqualFold(s, word) })
}
