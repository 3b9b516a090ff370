// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"encoding/json"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// Protocol is the version of the routes and shapes. It changes when a client of the
// previous one would misunderstand; fields are added without.
const Protocol = 1

// VersionResponse is the answer of GET /v1/version.
type VersionResponse struct {
	Protocol int             `json:"protocol"`
	Version  string          `json:"version"`
	Pid      int             `json:"pid"`
	Codes    []executor.Code `json:"codes"`
	// Options are the names of the options of an executor that the bridge supports. It refuses
	// to send a group with others.
	Options []string `json:"options"`
}

// HealthResponse is the answer of GET /healthz.
type HealthResponse struct {
	Status string `json:"status"`
}

// HandleRequest requests the handle of a group, sent or not.
type HandleRequest struct {
	Executor          executor.Options           `json:"executor"`
	TaskGroupMetadata contract.TaskGroupMetadata `json:"task_group_metadata"`
}

// HandleResponse is a handle.
type HandleResponse struct {
	Handle executor.Handle `json:"handle"`
}

// UploadURIRequest requests where the dispatcher puts an object.
type UploadURIRequest struct {
	HandleRequest
	ObjectKey string `json:"object_key"`
}

// UploadURIResponse is where; empty for "do not upload".
type UploadURIResponse struct {
	URI string `json:"uri"`
}

// SendRequest sends a group.
type SendRequest struct {
	Executor          executor.Options           `json:"executor"`
	TaskSpecs         []contract.TaskSpec        `json:"task_specs"`
	Resources         contract.ResourceMap       `json:"resources"`
	TaskGroupMetadata contract.TaskGroupMetadata `json:"task_group_metadata"`
	// VersionInfo is what the dispatch was made with; needed with python_images.
	VersionInfo *contract.VersionInfo `json:"version_info,omitempty"`
	// Resend announces that the client repeats a request that was Unavailable, and
	// cancels the group when it gives up; see executor.Config.Resends.
	Resend bool `json:"resend,omitempty"`
}

// PollRequest waits for groups of one namespace. The client repeats it with those
// that have not finished.
type PollRequest struct {
	Executor executor.Options `json:"executor"`
	Handles  []PollHandle     `json:"handles"`
	// WaitSeconds is how long the answer may take; at most 300.
	WaitSeconds float64 `json:"wait_seconds"`
}

// PollHandle names a group that is polled.
type PollHandle struct {
	executor.Handle
	// CancelOnStop is the option of the executor that sent the group: executors with
	// and without it share a poll.
	CancelOnStop bool `json:"cancel_on_stop,omitempty"`
	// Executor has the options of that executor which report where the results of the group are.
	// With them, a group that completed and was deleted afterwards has its results.
	Executor *executor.Options `json:"executor,omitempty"`
}

// PollResponse has the groups that have finished; none when the time was over.
type PollResponse struct {
	Results []PollResult `json:"results"`
	// Warning describes why the groups cannot be observed now; the poll continues.
	Warning string `json:"warning,omitempty"`
}

// PollResult is an outcome, to be given to receive as it is, or an error.
type PollResult struct {
	executor.Outcome
	Error *ErrorBody `json:"error,omitempty"`
}

// ReceiveRequest requests how nodes finished.
type ReceiveRequest struct {
	Executor          executor.Options           `json:"executor"`
	TaskGroupMetadata contract.TaskGroupMetadata `json:"task_group_metadata"`
	// Data is what poll returned, or the body of a job update: null after a
	// cancellation.
	Data json.RawMessage `json:"data"`
}

// ReceiveResponse is how they ended.
type ReceiveResponse struct {
	TaskUpdates []contract.TaskUpdate `json:"task_updates"`
	// Warnings are problems that did not change the updates, such as a log that cannot
	// be written.
	Warnings []string `json:"warnings,omitempty"`
}

// CancelRequest cancels a group; the handle may be null.
type CancelRequest struct {
	Executor     executor.Options      `json:"executor"`
	TaskMetadata contract.TaskMetadata `json:"task_metadata"`
	JobHandle    *executor.Handle      `json:"job_handle"`
}

// CancelResponse reports whether the intent is durable.
type CancelResponse struct {
	Cancelled bool `json:"cancelled"`
}

// RunRequest runs one function; bytes are base64.
type RunRequest struct {
	Executor     executor.Options      `json:"executor"`
	TaskMetadata contract.TaskMetadata `json:"task_metadata"`
	Call         executor.Call         `json:"call"`
	VersionInfo  *contract.VersionInfo `json:"version_info,omitempty"`
}

// RunResponse is its result, in base64.
type RunResponse struct {
	Result []byte `json:"result"`
}

// CheckRequest requests the checks of an executor: its cluster, its permissions, its
// store, and a pod with its options.
type CheckRequest struct {
	Executor executor.Options `json:"executor"`
	// VersionInfo and Cloudpickle are the versions that functions are pickled with; they
	// are not compared if they are missing.
	VersionInfo *contract.VersionInfo `json:"version_info,omitempty"`
	Cloudpickle string                `json:"cloudpickle,omitempty"`
	// NoPod leaves out the checks that start a pod.
	NoPod bool `json:"no_pod,omitempty"`
	// TimeoutSeconds is how long the pod is waited for; 120 if 0. The other checks take
	// up to a minute more.
	TimeoutSeconds float64 `json:"timeout_seconds,omitempty"`
}

// CheckResponse has the checks in their order. A check that failed is no error of the
// request.
type CheckResponse struct {
	Checks []CheckResult `json:"checks"`
	// OK is true if no check failed.
	OK bool `json:"ok"`
}

// CheckResult is the result of a check.
type CheckResult struct {
	// Name is cluster, crd, operator, permissions, namespace, store, pod, pod-store or
	// image; names are added by later releases.
	Name string `json:"name"`
	// Status is ok, warning, failed or skipped.
	Status  string `json:"status"`
	Message string `json:"message"`
	// Next is what to do.
	Next string `json:"next,omitempty"`
}

// ErrorResponse is every answer with a status from 400.
type ErrorResponse struct {
	Error ErrorBody `json:"error"`
}

// ErrorBody is an error of the executor; see executor.Codes.
type ErrorBody struct {
	Code    executor.Code `json:"code"`
	Message string        `json:"message"`
	// Retry reports that the same request may succeed later.
	Retry bool `json:"retry"`
}
