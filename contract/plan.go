// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

const (
	// PlanVersion is the version of the Plan's shape that this package writes.
	PlanVersion = 1
	// IndexedPlanVersion is the version of a plan with an Index: a runner that does not read it
	// must not run the functions without their arguments.
	IndexedPlanVersion = 2
	// PlanEnv is the environment variable of the pod that holds the encoded plan.
	PlanEnv = "TASKGROUP_PLAN"
	// MaxEncodedPlan bounds the encoded plan, in bytes. Linux refuses to start a
	// program with one environment string of 128 KiB or more (MAX_ARG_STRLEN);
	// the rest is left for the variable's name.
	MaxEncodedPlan = 127 << 10
	// maxDecodedPlan bounds what decoding may unpack, against a decompression bomb.
	maxDecodedPlan = 8 << 20
)

// ErrPlanTooLarge reports that a plan does not fit in an environment variable.
var ErrPlanTooLarge = errors.New("the tasks and URIs do not fit in one pod")

// Plan is everything that a runner needs to know about one attempt of a task group.
type Plan struct {
	Version int `json:"version"`
	// DispatchID is Covalent's dispatch_id; empty for groups without Covalent.
	DispatchID string `json:"dispatchID,omitempty"`
	// TaskGroupID is Covalent's task_group_id.
	TaskGroupID int64 `json:"taskGroupID,omitempty"`
	// Namespace, Name and UID name the TaskGroup object.
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	// Attempt counts from 1.
	Attempt int32 `json:"attempt"`
	// Tasks are in the order in which they run.
	Tasks []PlanTask `json:"tasks"`
	// Inputs maps nodes outside the group to the URIs of their outputs.
	Inputs map[NodeID]string `json:"inputs,omitempty"`
	// Index is the object with further args, kwargs and inputs of the tasks; nil if there
	// are none. The version is IndexedPlanVersion if it is set.
	Index *ObjectReference `json:"index,omitempty"`
	// Outputs is the URI below which this attempt, and no other, writes:
	// <Outputs>/<node>/{output,stdout,stderr,error} and <Outputs>/manifest.json.
	// Empty means that nothing is kept but the pod's log; only plans without
	// functions may have that.
	Outputs string `json:"outputs,omitempty"`
	// Previous is the manifest that an earlier attempt committed, if one did:
	// the tasks that it records as COMPLETED are not run again, their records are
	// taken over, and their outputs are inputs.
	Previous *ManifestReference `json:"previous,omitempty"`
	// Uncommitted are earlier attempts that committed no manifest after Previous,
	// oldest first. Tasks that have a checkpoint of one of them are taken over too.
	Uncommitted []int32 `json:"uncommitted,omitempty"`
	// Parallel means that each pod runs one task, Tasks[IndexEnv], and writes its
	// manifest at TaskManifestURI. Otherwise one pod runs all in order.
	Parallel bool `json:"parallel,omitempty"`
	// RunningSeconds bounds the time from the runner's start to the end of the
	// last task, and TaskSeconds that of each task; 0 is no bound.
	RunningSeconds int64 `json:"runningSeconds,omitempty"`
	TaskSeconds    int64 `json:"taskSeconds,omitempty"`
	// Settings are the settings of the runner; zero values are its defaults.
	Settings RunnerSettings `json:"settings,omitzero"`
}

// RunnerSettings configure the runner. They are fields of the TaskGroup, or flags of the
// operator, or else the defaults of the runner.
type RunnerSettings struct {
	// Python is the interpreter of functions, a name or a path.
	Python string `json:"python,omitempty"`
	// Preload are modules that are imported before the first function.
	Preload []string `json:"preload,omitempty"`
	// FlushSeconds is the shortest time between two segments of a stream.
	FlushSeconds int64 `json:"flushSeconds,omitempty"`
	// StreamLimitBytes is how much of a stream is kept.
	StreamLimitBytes int64 `json:"streamLimitBytes,omitempty"`
	// StoreRetrySeconds and StoreStallSeconds are the timeouts of transfers.
	StoreRetrySeconds int64 `json:"storeRetrySeconds,omitempty"`
	StoreStallSeconds int64 `json:"storeStallSeconds,omitempty"`
}

// IndexEnv is the environment variable that gives a pod of an indexed Job its index, which
// one it is, from 0 (k8s.io/api/batch/v1, JobCompletionIndexAnnotation).
const IndexEnv = "JOB_COMPLETION_INDEX"

// ManifestReference names a committed manifest.
type ManifestReference struct {
	URI string `json:"uri"`
	// SHA256 is in lower-case hexadecimal.
	SHA256 string `json:"sha256"`
}

// PlanTask is one task: a Covalent function or a plain command.
type PlanTask struct {
	NodeID NodeID `json:"nodeID"`
	// Command is the argument vector of a plain command.
	Command []string `json:"command,omitempty"`
	// Function is the URI of a pickled function, where Command is empty.
	Function string `json:"function,omitempty"`
	// Hooks is the URI of the function's hooks (Covalent's "hooks" asset).
	Hooks string `json:"hooks,omitempty"`
	// Args are the nodes whose outputs are the positional arguments.
	Args []NodeID `json:"args,omitempty"`
	// Kwargs are the nodes whose outputs are the keyword arguments.
	Kwargs map[string]NodeID `json:"kwargs,omitempty"`
}

// compressors are used again: each has tables of 0.8 MB.
var compressors = sync.Pool{New: func() any {
	zip, err := gzip.NewWriterLevel(nil, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is a constant of the package
	}
	return zip
}}

// EncodePlan packs a plan for PlanEnv: JSON, gzip, base64. Equal plans have
// equal encodings. It returns ErrPlanTooLarge where the result would exceed
// MaxEncodedPlan.
func EncodePlan(p *Plan) (string, error) {
	raw, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("encoding the plan: %w", err)
	}
	var packed bytes.Buffer
	zip := compressors.Get().(*gzip.Writer)
	defer compressors.Put(zip)
	zip.Reset(&packed)
	if _, err := zip.Write(raw); err != nil {
		return "", fmt.Errorf("compressing the plan: %w", err)
	}
	if err := zip.Close(); err != nil {
		return "", fmt.Errorf("compressing the plan: %w", err)
	}
	if size := base64.StdEncoding.EncodedLen(packed.Len()); size > MaxEncodedPlan {
		return "", fmt.Errorf("%w: %d bytes compressed, at most %d: use fewer tasks or shorter URIs", ErrPlanTooLarge, size, MaxEncodedPlan)
	}
	return base64.StdEncoding.EncodeToString(packed.Bytes()), nil
}

// DecodePlan reads what EncodePlan wrote. It refuses a version it does not know.
func DecodePlan(encoded string) (*Plan, error) {
	zip, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(encoded)))
	if err != nil {
		return nil, fmt.Errorf("unpacking the plan: %w", err)
	}
	raw, err := io.ReadAll(io.LimitReader(zip, maxDecodedPlan+1))
	if err != nil {
		return nil, fmt.Errorf("unpacking the plan: %w", err)
	}
	if len(raw) > maxDecodedPlan {
		return nil, fmt.Errorf("unpacking the plan: it is larger than %d bytes", maxDecodedPlan)
	}
	var p Plan
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, fmt.Errorf("decoding the plan: %w", err)
	}
	if p.Version != PlanVersion && p.Version != IndexedPlanVersion {
		return nil, fmt.Errorf("decoding the plan: version %d, this runner knows %d and %d: use the runner image of the operator's release", p.Version, PlanVersion, IndexedPlanVersion)
	}
	return &p, nil
}
