// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// RunnerOptions configure the runner, which runs the tasks in a pod. Defaults are those
// of the operator's flags.
type RunnerOptions struct {
	// python is the interpreter of functions: a name that is looked up in PATH, or an
	// absolute path; python3 by default.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Python string `json:"python,omitempty"`

	// preload are Python modules that are imported once in each pod, before its first
	// function, so that the functions of a Sequential group need not import them again.
	// A module that cannot be imported is ignored.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:Pattern=`^[^\W\d]\w*(\.[^\W\d]\w*)*$`
	Preload []string `json:"preload,omitempty"`

	// flushSeconds is the shortest time between two uploads of what a running task has
	// written to stdout and stderr; 5 by default.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	FlushSeconds *int64 `json:"flushSeconds,omitempty"`

	// streamLimitBytes is how much of stdout and of stderr is kept of each task: the
	// beginning and the end; 64 MiB by default.
	// +optional
	// +kubebuilder:validation:Minimum=4096
	// +kubebuilder:validation:Maximum=4294967296
	StreamLimitBytes *int64 `json:"streamLimitBytes,omitempty"`

	// storeRetrySeconds is how long a transfer that makes no progress is retried, such as
	// while the store is unavailable; 120 by default.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	StoreRetrySeconds *int64 `json:"storeRetrySeconds,omitempty"`

	// storeStallSeconds is in how many seconds a transfer must move 32 KiB, or it is
	// started again; 30 by default.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	StoreStallSeconds *int64 `json:"storeStallSeconds,omitempty"`
}
