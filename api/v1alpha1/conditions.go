// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// ConditionType is the type of a TaskGroup's condition. The operator sets all of them.
type ConditionType string

const (
	// ConditionSucceeded is Unknown until the group finishes. Then it is True if
	// the group completed, and False if it failed or was cancelled. Its reason is
	// the STATUS column of `kubectl get tg`.
	ConditionSucceeded ConditionType = "Succeeded"
	// ConditionFinished is True in every terminal state, so that scripts need only
	// `kubectl wait --for=condition=Finished`.
	ConditionFinished ConditionType = "Finished"
	// ConditionSuspended is True while spec.suspend holds the group and no pod of
	// the group runs. It is absent from groups that were never suspended.
	ConditionSuspended ConditionType = "Suspended"
	// ConditionReconciling is True until the group finishes, and then absent. It
	// follows kstatus (sigs.k8s.io/cli-utils/pkg/kstatus).
	ConditionReconciling ConditionType = "Reconciling"
	// ConditionStalled is True after the group failed, and absent otherwise;
	// kstatus reports such an object as Failed.
	ConditionStalled ConditionType = "Stalled"
)

// EventReason is the reason of an event that is not the end of a group. The event
// at the end of a group has the group's Reason.
type EventReason string

const (
	// EventPodAfterEnd is a warning about a pod that the Job controller created
	// after its group had finished.
	EventPodAfterEnd EventReason = "PodAfterEnd"
)

// EventAction is the action of an event: what the operator did when it emitted it.
type EventAction string

const (
	// ActionFinish is the write of a terminal status.
	ActionFinish EventAction = "Finish"
	// ActionWatch is the observation of a pod.
	ActionWatch EventAction = "Watch"
)
