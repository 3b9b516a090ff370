// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "slices"

// Reason is the reason of the condition Succeeded: the state of an unfinished
// group, or the result of a finished one.
type Reason string

// Reasons of an unfinished group; Succeeded is Unknown.
const (
	// ReasonPending is the API server's default: the operator has not processed the
	// group yet, or its Job was created within the last seconds.
	ReasonPending Reason = "Pending"
	// ReasonQueued is set while the group waits for capacity or admission: a full
	// quota, an admission policy, a webhook that is unavailable, a queue that holds
	// the Job, or a pod that is not scheduled. The message states the cause.
	ReasonQueued Reason = "Queued"
	// ReasonStarting is set when the pod has been scheduled and does not run within
	// seconds. The message states what it waits for.
	ReasonStarting Reason = "Starting"
	// ReasonRunning is set when a pod has run for two seconds.
	ReasonRunning Reason = "Running"
	// ReasonSuspending is set while the pods of a suspended group terminate.
	ReasonSuspending Reason = "Suspending"
	// ReasonSuspended is set while spec.suspend holds the group and no pod runs.
	ReasonSuspended Reason = "Suspended"
	// ReasonRetrying is set when an attempt failed and another one will follow.
	// The message states why, and when the next attempt starts.
	ReasonRetrying Reason = "Retrying"
	// ReasonStopping is set while the Job and pods of an attempt without retry are
	// deleted. The message states why the attempt failed.
	ReasonStopping Reason = "Stopping"
	// ReasonCancelling is set while the Job and pods of a cancelled group are deleted.
	ReasonCancelling Reason = "Cancelling"
)

// Reasons of a finished group. They never change.
const (
	// ReasonCompleted is set when every task completed; Succeeded is True.
	ReasonCompleted Reason = "Completed"
	// ReasonCancelled is set when a cancelled group has neither a Job that could
	// start a pod nor a running pod.
	ReasonCancelled Reason = "Cancelled"

	// ReasonTaskError is set when a function raised an exception.
	ReasonTaskError Reason = "TaskError"
	// ReasonExitCode is set when a task's process exited with a non-zero code, was
	// terminated by a signal, or exited before its function returned.
	ReasonExitCode Reason = "ExitCode"
	// ReasonOOMKilled is set when the container or a task reached its memory limit.
	ReasonOOMKilled Reason = "OOMKilled"
	// ReasonEvicted is set when the pod was evicted, or refused by a kubelet. It is
	// retried, except if the pod exceeded a storage limit of its own.
	ReasonEvicted Reason = "Evicted"
	// ReasonPreempted is set when the scheduler or a queue stopped the pod in favour
	// of another workload.
	ReasonPreempted Reason = "Preempted"
	// ReasonNodeLost is set when the pod's node was deleted or did not respond.
	ReasonNodeLost Reason = "NodeLost"
	// ReasonImagePullFailed is set when an image cannot be pulled: immediately for
	// permanent errors, after a grace period for transient ones.
	ReasonImagePullFailed Reason = "ImagePullFailed"
	// ReasonContainerConfigError is set when the container cannot be created or started
	// as configured, for example because a Secret does not exist.
	ReasonContainerConfigError Reason = "ContainerConfigError"
	// ReasonContainerCreateError is set when the container runtime of a node failed to
	// create or start the container.
	ReasonContainerCreateError Reason = "ContainerCreateError"
	// ReasonVolumeMountFailed is set when a volume of the pod could not be attached
	// or mounted, or the pod's sandbox could not be created, within
	// spec.timeouts.startingSeconds or five minutes.
	ReasonVolumeMountFailed Reason = "VolumeMountFailed"
	// ReasonUnschedulable is set when the pod was not scheduled within
	// spec.timeouts.queuedSeconds.
	ReasonUnschedulable Reason = "Unschedulable"
	// ReasonQuotaExceeded is set when a quota refused the Job or its pod for all of
	// spec.timeouts.queuedSeconds.
	ReasonQuotaExceeded Reason = "QuotaExceeded"
	// ReasonInputUnavailable is set when an asset could not be read.
	ReasonInputUnavailable Reason = "InputUnavailable"
	// ReasonInputInvalid is set when an asset was read and could not be loaded.
	ReasonInputInvalid Reason = "InputInvalid"
	// ReasonOutputInvalid is set when a result cannot be pickled.
	ReasonOutputInvalid Reason = "OutputInvalid"
	// ReasonOutputUploadFailed is set when a result could not be written to its store.
	ReasonOutputUploadFailed Reason = "OutputUploadFailed"
	// ReasonHookFailed is set when a bash, pip, call_before or call_after hook failed.
	ReasonHookFailed Reason = "HookFailed"
	// ReasonPythonVersionMismatch is set when a pickle was made by another minor
	// version of Python than the image has.
	ReasonPythonVersionMismatch Reason = "PythonVersionMismatch"
	// ReasonPythonUnavailable is set when the image has no Python >= 3.9 with cloudpickle.
	ReasonPythonUnavailable Reason = "PythonUnavailable"
	// ReasonTerminated is set when the pod was deleted although the group was not
	// cancelled.
	ReasonTerminated Reason = "Terminated"
	// ReasonPlanInvalid is set when the runner could not read its plan: the operator
	// and the runner are of incompatible releases.
	ReasonPlanInvalid Reason = "PlanInvalid"
	// ReasonDeadlineExceeded is set when one of spec.timeouts expired. The message
	// names it.
	ReasonDeadlineExceeded Reason = "DeadlineExceeded"
	// ReasonJobRejected is set when the API server refused the Job or its pod
	// permanently.
	ReasonJobRejected Reason = "JobRejected"
	// ReasonNameConflict is set when a Job of the attempt's name exists and does not
	// belong to the group.
	ReasonNameConflict Reason = "NameConflict"
	// ReasonTooLarge is set when the tasks and URIs do not fit in a pod.
	ReasonTooLarge Reason = "TooLarge"
	// ReasonUnknown is set when the pod terminated without reporting a result.
	ReasonUnknown Reason = "Unknown"
)

// Source is the party that a failure is attributed to.
type Source string

const (
	// SourceUser is a failure of the tasks or of their inputs.
	SourceUser Source = "User"
	// SourceInfrastructure is a failure of the cluster that may not occur on
	// another node or at another time.
	SourceInfrastructure Source = "Infrastructure"
	// SourcePlatform is a request that the cluster refuses.
	SourcePlatform Source = "Platform"
)

// DefaultInfrastructureRetries is the budget of a group without
// spec.retries.infrastructureLimit.
const DefaultInfrastructureRetries = int32(3)

// ReasonInfo describes a Reason.
type ReasonInfo struct {
	// Terminal reports whether the reason belongs to a finished group.
	Terminal bool
	// Source is the party that a failure is attributed to; empty unless the reason
	// is a failure.
	Source Source
	// Retryable reports whether another attempt may succeed. Such a failure spends
	// the budget of its Source.
	Retryable bool
}

type reasonRow struct {
	reason Reason
	info   ReasonInfo
}

// reasonTable is the only table of reasons. Every other property of a reason is
// derived from it, or checked against it by a test.
var reasonTable = []reasonRow{
	{ReasonPending, ReasonInfo{}},
	{ReasonQueued, ReasonInfo{}},
	{ReasonStarting, ReasonInfo{}},
	{ReasonRunning, ReasonInfo{}},
	{ReasonSuspending, ReasonInfo{}},
	{ReasonSuspended, ReasonInfo{}},
	{ReasonRetrying, ReasonInfo{}},
	{ReasonStopping, ReasonInfo{}},
	{ReasonCancelling, ReasonInfo{}},

	{ReasonCompleted, ReasonInfo{Terminal: true}},
	{ReasonCancelled, ReasonInfo{Terminal: true}},

	{ReasonTaskError, ReasonInfo{Terminal: true, Source: SourceUser, Retryable: true}},
	{ReasonExitCode, ReasonInfo{Terminal: true, Source: SourceUser, Retryable: true}},
	{ReasonOOMKilled, ReasonInfo{Terminal: true, Source: SourceUser, Retryable: true}},
	{ReasonHookFailed, ReasonInfo{Terminal: true, Source: SourceUser, Retryable: true}},
	{ReasonDeadlineExceeded, ReasonInfo{Terminal: true, Source: SourceUser, Retryable: true}},
	{ReasonInputUnavailable, ReasonInfo{Terminal: true, Source: SourceUser, Retryable: true}},
	{ReasonInputInvalid, ReasonInfo{Terminal: true, Source: SourceUser}},
	{ReasonOutputInvalid, ReasonInfo{Terminal: true, Source: SourceUser}},
	{ReasonPythonVersionMismatch, ReasonInfo{Terminal: true, Source: SourceUser}},
	{ReasonPythonUnavailable, ReasonInfo{Terminal: true, Source: SourceUser}},
	{ReasonTooLarge, ReasonInfo{Terminal: true, Source: SourceUser}},

	{ReasonEvicted, ReasonInfo{Terminal: true, Source: SourceInfrastructure, Retryable: true}},
	{ReasonPreempted, ReasonInfo{Terminal: true, Source: SourceInfrastructure, Retryable: true}},
	{ReasonNodeLost, ReasonInfo{Terminal: true, Source: SourceInfrastructure, Retryable: true}},
	{ReasonTerminated, ReasonInfo{Terminal: true, Source: SourceInfrastructure, Retryable: true}},
	{ReasonImagePullFailed, ReasonInfo{Terminal: true, Source: SourceInfrastructure, Retryable: true}},
	{ReasonContainerCreateError, ReasonInfo{Terminal: true, Source: SourceInfrastructure, Retryable: true}},
	{ReasonVolumeMountFailed, ReasonInfo{Terminal: true, Source: SourceInfrastructure, Retryable: true}},
	{ReasonOutputUploadFailed, ReasonInfo{Terminal: true, Source: SourceInfrastructure, Retryable: true}},
	{ReasonUnknown, ReasonInfo{Terminal: true, Source: SourceInfrastructure, Retryable: true}},

	{ReasonContainerConfigError, ReasonInfo{Terminal: true, Source: SourcePlatform}},
	{ReasonUnschedulable, ReasonInfo{Terminal: true, Source: SourcePlatform}},
	{ReasonQuotaExceeded, ReasonInfo{Terminal: true, Source: SourcePlatform}},
	{ReasonJobRejected, ReasonInfo{Terminal: true, Source: SourcePlatform}},
	{ReasonNameConflict, ReasonInfo{Terminal: true, Source: SourcePlatform}},
	{ReasonPlanInvalid, ReasonInfo{Terminal: true, Source: SourcePlatform}},
}

// Reasons returns all reasons in the order of a lifecycle.
func Reasons() []Reason {
	reasons := make([]Reason, 0, len(reasonTable))
	for i := range reasonTable {
		reasons = append(reasons, reasonTable[i].reason)
	}
	return reasons
}

// Info returns the properties of the reason. A reason that is not in the table was
// reported by a container, so it is a failure of the user's that may be retried.
func (r Reason) Info() ReasonInfo {
	i := slices.IndexFunc(reasonTable, func(row reasonRow) bool { return row.reason == r })
	if i < 0 {
		return ReasonInfo{Terminal: true, Source: SourceUser, Retryable: true}
	}
	return reasonTable[i].info
}

// IsKnown reports whether the reason is one of the API's.
func (r Reason) IsKnown() bool { return slices.Contains(Reasons(), r) }

// IsFailure reports whether a finished group with this reason failed.
func (r Reason) IsFailure() bool { return r.Info().Source != "" }
