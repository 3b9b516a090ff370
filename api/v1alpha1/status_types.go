// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TaskGroupStatus is the observed state of a group. The API server defaults the
// condition Succeeded to Unknown with reason Pending. The operator writes a status when
// a pod has run for two seconds, when something prevents it from running, and when the
// group finishes.
type TaskGroupStatus struct {
	// observedGeneration is the metadata.generation that the status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions are Succeeded, Finished and Suspended, and, for tools that use kstatus,
	// Reconciling and Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// startTime is when the first pod started, as its kubelet reports it.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`

	// completionTime is when the group finished.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`

	// attempt is the number of the newest attempt, from 1.
	// +optional
	Attempt int32 `json:"attempt,omitempty"`

	// jobs are the newest attempts, oldest first.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Jobs []JobReference `json:"jobs,omitempty"`

	// queuedTime is when the API server first refused the current attempt's Job. It is
	// absent while the Job exists.
	// +optional
	QueuedTime *metav1.Time `json:"queuedTime,omitempty"`

	// retries counts the attempts that were retried, by the budget of spec.retries that
	// they spent.
	// +optional
	Retries *RetryCounts `json:"retries,omitempty"`

	// tasks are the states of all tasks, in the order of spec.tasks.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Tasks []TaskStatus `json:"tasks,omitempty"`

	// summary is "completed/all" in tasks.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Summary string `json:"summary,omitempty"`

	// manifest is the committed record of the last attempt of a Sequential group. Each
	// task of a Parallel group has its own manifest.
	// +optional
	Manifest *ManifestReference `json:"manifest,omitempty"`

	// nodeName is the Kubernetes node that the newest pod was scheduled on.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	NodeName string `json:"nodeName,omitempty"`
}

// JobReference names the Job of one attempt.
type JobReference struct {
	// name is the Job's name, in the group's namespace.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`

	// uid is the UID of the Job. A Job of this name with another UID does not belong to
	// the group.
	// +required
	UID types.UID `json:"uid"`

	// attempt is the attempt that the Job runs, from 1.
	// +required
	// +kubebuilder:validation:Minimum=1
	Attempt int32 `json:"attempt"`

	// reason is the result of the attempt in one word; empty while it is active.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason Reason `json:"reason,omitempty"`

	// message explains the reason.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// completionTime is when the attempt was closed.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`

	// memoryLimit is the effective memory limit of the container in an attempt that was
	// OOM-killed, whether the group, the operator or a LimitRange set it.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	MemoryLimit string `json:"memoryLimit,omitempty"`

	// stopped is true if the operator stopped the attempt and deletes its Job. A Job
	// of an attempt that terminated by itself is deleted by users only, which cancels
	// the group.
	// +optional
	Stopped bool `json:"stopped,omitempty"`

	// manifestSHA256 is the digest of the manifest that the attempt committed.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	ManifestSHA256 string `json:"manifestSHA256,omitempty"`
}

// RetryCounts counts retries by the budget that they spent.
type RetryCounts struct {
	// user counts retries of failures of the tasks.
	// +optional
	User int32 `json:"user,omitempty"`

	// infrastructure counts retries of failures of the cluster.
	// +optional
	Infrastructure int32 `json:"infrastructure,omitempty"`

	// oom counts retries after an OOM kill. These are also counted in user.
	// +optional
	OOM int32 `json:"oom,omitempty"`
}

// TaskState is Covalent's vocabulary for the state of a task.
//
// +kubebuilder:validation:Enum=PENDING;RUNNING;COMPLETED;FAILED;CANCELLED
type TaskState string

// The states of a task.
const (
	// TaskPending is a task that will run: its pod does not run yet, or the task waits
	// for another attempt.
	TaskPending TaskState = "PENDING"
	// TaskRunning is a task whose pod runs. All open tasks of a Sequential group become
	// RUNNING together: the operator does not know which of them is being executed.
	TaskRunning TaskState = "RUNNING"
	// TaskCompleted is a task that succeeded; its output is committed.
	TaskCompleted TaskState = "COMPLETED"
	// TaskFailed is a task that failed.
	TaskFailed TaskState = "FAILED"
	// TaskCancelled is a task that was stopped, or never started because the group
	// finished before.
	TaskCancelled TaskState = "CANCELLED"
)

// TaskStatus is the observed state of one task.
type TaskStatus struct {
	// nodeID identifies the task in spec.tasks.
	// +required
	NodeID NodeID `json:"nodeID"`

	// state is the task's Covalent state.
	// +required
	State TaskState `json:"state"`

	// reason is why the task failed, in one word. A pending task has one if its pod
	// cannot start and is being deleted.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason Reason `json:"reason,omitempty"`

	// permanent is true if another attempt cannot help with the reason. It is absent from
	// the tasks of a finished group.
	// +optional
	Permanent bool `json:"permanent,omitempty"`

	// message explains the reason.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Message string `json:"message,omitempty"`

	// exitCode is the exit code of the process of a failed task.
	// +optional
	ExitCode *int32 `json:"exitCode,omitempty"`

	// attempt is the attempt that completed the task, or in which the task of a
	// Parallel group failed. It is absent from the failed tasks of the last attempt
	// of a finished group.
	// +optional
	Attempt int32 `json:"attempt,omitempty"`

	// retries counts what a pending or running task of a Parallel group has spent of
	// spec.retries. Each of its tasks has these budgets.
	// +optional
	Retries *RetryCounts `json:"retries,omitempty"`

	// digest is the SHA-256, base64url-encoded without padding, of the manifest
	// that the pod of a Parallel group's task committed at
	// <outputs>/<uid>/a<attempt>/<nodeID>/manifest.json.
	// +optional
	// +kubebuilder:validation:MaxLength=43
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_-]{43}$`
	Digest string `json:"digest,omitempty"`
}

// ManifestReference names the committed record of an attempt.
type ManifestReference struct {
	// uri is the location of the manifest.
	// +required
	// +kubebuilder:validation:MaxLength=2304
	URI string `json:"uri"`

	// sha256 is its digest in lower-case hexadecimal. It is absent if the pod was deleted
	// before the operator read its termination message. Then there may be no manifest,
	// unless the group completed.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	SHA256 string `json:"sha256,omitempty"`
}
