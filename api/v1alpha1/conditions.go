package v1alpha1

// Condition types of a TaskGroup. The operator sets them all.
const (
	// ConditionSucceeded is Unknown until the group ends, then True when it
	// completed and False when it failed or was cancelled. Its reason is the one
	// word that `kubectl get tg` shows.
	ConditionSucceeded = "Succeeded"
	// ConditionFinished is True once the group has ended, whichever way, so that
	// `kubectl wait --for=condition=Finished` serves scripts.
	ConditionFinished = "Finished"
	// ConditionSuspended is True while spec.suspend keeps the group from running
	// and nothing of it runs any more. It is absent from groups that were never
	// suspended.
	ConditionSuspended = "Suspended"
	// ConditionReconciling is True while the group has not ended, and then absent,
	// for tools that know the kstatus conventions (sigs.k8s.io/cli-utils, kstatus).
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True once the group has failed, and absent otherwise;
	// kstatus calls such an object Failed.
	ConditionStalled = "Stalled"
)

// Reason is the reason of the condition Succeeded: where a group is in its
// life, or how it ended.
type Reason string

// Reasons while the group has not ended; Succeeded is Unknown.
const (
	// ReasonPending is preset by the API server: the operator has not seen the
	// group, or its pod is on its way and nothing is in its way.
	ReasonPending Reason = "Pending"
	// ReasonQueued is set when the group waits for room: a quota is full, a queue
	// holds its Job, or no node takes its pod; the message says which.
	ReasonQueued Reason = "Queued"
	// ReasonStarting is set when the pod takes longer than a moment to run; the
	// message says what it waits for.
	ReasonStarting Reason = "Starting"
	// ReasonRunning is set when the pod has run for a moment.
	ReasonRunning Reason = "Running"
	// ReasonSuspending is set when spec.suspend stops a pod that has not ended yet.
	ReasonSuspending Reason = "Suspending"
	// ReasonSuspended is set when spec.suspend keeps the group from running.
	ReasonSuspended Reason = "Suspended"
	// ReasonRetrying is set when an attempt failed and another one will follow;
	// the message says why, and when.
	ReasonRetrying Reason = "Retrying"
	// ReasonStopping is set when an attempt has failed and its pod, which may
	// never run, is being removed; the message says why.
	ReasonStopping Reason = "Stopping"
	// ReasonCancelling is set when the group is to be cancelled and its Job or a
	// pod of it is still there.
	ReasonCancelling Reason = "Cancelling"
)

// Reasons of a group that has ended; they never change again.
const (
	// ReasonCompleted is set when every task completed; Succeeded is True.
	ReasonCompleted Reason = "Completed"
	// ReasonCancelled is set when a cancelled group is quiet: no Job that could
	// start a pod, and no pod that runs.
	ReasonCancelled Reason = "Cancelled"

	// ReasonTaskError is set when an exception left a function.
	ReasonTaskError Reason = "TaskError"
	// ReasonExitCode is set when a task's process ended with a code other than
	// 0, by a signal, or before its function returned.
	ReasonExitCode Reason = "ExitCode"
	// ReasonOOMKilled is set when the container or a task reached its memory limit.
	ReasonOOMKilled Reason = "OOMKilled"
	// ReasonEvicted is set when the pod was evicted, or refused by a kubelet.
	ReasonEvicted Reason = "Evicted"
	// ReasonPreempted is set when the pod made room for one of higher priority.
	ReasonPreempted Reason = "Preempted"
	// ReasonNodeLost is set when the pod's node went away or silent.
	ReasonNodeLost Reason = "NodeLost"
	// ReasonImagePullFailed is set when an image cannot be had: at once where
	// that is for ever, after a grace where it may pass.
	ReasonImagePullFailed Reason = "ImagePullFailed"
	// ReasonContainerConfigError is set when a container cannot be made as it is
	// asked for, such as with a Secret that does not exist.
	ReasonContainerConfigError Reason = "ContainerConfigError"
	// ReasonUnschedulable is set when no node took the pod within
	// spec.timeouts.queuedSeconds.
	ReasonUnschedulable Reason = "Unschedulable"
	// ReasonQuotaExceeded is set when a quota was full for all of
	// spec.timeouts.queuedSeconds.
	ReasonQuotaExceeded Reason = "QuotaExceeded"
	// ReasonInputUnavailable is set when an asset could not be read.
	ReasonInputUnavailable Reason = "InputUnavailable"
	// ReasonInputInvalid is set when an asset was read and could not be loaded.
	ReasonInputInvalid Reason = "InputInvalid"
	// ReasonOutputInvalid is set when a result cannot be pickled.
	ReasonOutputInvalid Reason = "OutputInvalid"
	// ReasonOutputUploadFailed is set when the store did not take a result.
	ReasonOutputUploadFailed Reason = "OutputUploadFailed"
	// ReasonHookFailed is set when a bash, pip, call_before or call_after hook failed.
	ReasonHookFailed Reason = "HookFailed"
	// ReasonPythonVersionMismatch is set when a pickle was made by another minor
	// version of Python than the image has.
	ReasonPythonVersionMismatch Reason = "PythonVersionMismatch"
	// ReasonPythonUnavailable is set when the image has no Python >= 3.9 with cloudpickle.
	ReasonPythonUnavailable Reason = "PythonUnavailable"
	// ReasonTerminated is set when the pod was deleted while the group was not
	// to be cancelled.
	ReasonTerminated Reason = "Terminated"
	// ReasonPlanInvalid is set when the runner could not read what the operator
	// sent: their releases do not belong together.
	ReasonPlanInvalid Reason = "PlanInvalid"
	// ReasonDeadlineExceeded is set when one of spec.timeouts ran out; the message
	// says which.
	ReasonDeadlineExceeded Reason = "DeadlineExceeded"
	// ReasonJobRejected is set when the API server refused the Job.
	ReasonJobRejected Reason = "JobRejected"
	// ReasonNameConflict is set when a Job of the group's name belongs to
	// somebody else.
	ReasonNameConflict Reason = "NameConflict"
	// ReasonTooLarge is set when the tasks and URIs do not fit in a pod.
	ReasonTooLarge Reason = "TooLarge"
	// ReasonUnknown is set when the pod left nothing that tells.
	ReasonUnknown Reason = "Unknown"
)
