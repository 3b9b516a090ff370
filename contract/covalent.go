// SPDX-License-Identifier: Apache-2.0

package contract

// The shapes that Covalent's dispatcher exchanges with an executor, as the
// pydantic models of covalent/executor/schemas.py and
// covalent/_shared_files/schemas/asset.py have them. testdata/shapes.json holds
// examples that Covalent 0.240 wrote.

// TaskSpec is one task of a group: a node and the nodes whose outputs it takes.
type TaskSpec struct {
	ElectronID NodeID            `json:"electron_id"`
	Args       []NodeID          `json:"args"`
	Kwargs     map[string]NodeID `json:"kwargs"`
}

// ResourceMap states where a group's objects are. An empty URI is an object that
// Covalent was configured not to upload (covalent_dispatcher/_core/runner_ng.py,
// get_upload_uri).
type ResourceMap struct {
	Functions map[NodeID]string `json:"functions"`
	// Inputs are the outputs of nodes outside the group.
	Inputs map[NodeID]string `json:"inputs"`
	// Hooks are deps, call_before and call_after.
	Hooks map[NodeID]string `json:"hooks"`
}

// TaskGroupMetadata names a group, and the nodes of it that a call is about.
type TaskGroupMetadata struct {
	DispatchID  string   `json:"dispatch_id"`
	NodeIDs     []NodeID `json:"node_ids"`
	TaskGroupID int64    `json:"task_group_id"`
}

// TaskMetadata names one node, for cancel and run.
type TaskMetadata struct {
	DispatchID string `json:"dispatch_id"`
	NodeID     NodeID `json:"node_id"`
	// ResultsDir is a folder of the dispatcher's machine; only run has it.
	ResultsDir string `json:"results_dir,omitempty"`
}

// Status is Covalent's Status (covalent/_shared_files/util_classes.py), a
// dataclass with one field.
type Status struct {
	Status TaskState `json:"STATUS"`
}

// AssetUpdate states where the dispatcher finds an object that a task left.
type AssetUpdate struct {
	RemoteURI string `json:"remote_uri,omitempty"`
	DigestAlg string `json:"digest_alg,omitempty"`
	Digest    string `json:"digest,omitempty"`
	// Size is in bytes, and must be there even if it is 0.
	Size int64 `json:"size"`
}

// TaskUpdate is how one node finished: the status is terminal, and the assets are
// those that exist, since one that cannot be fetched fails all nodes of the group.
type TaskUpdate struct {
	DispatchID string                   `json:"dispatch_id"`
	NodeID     NodeID                   `json:"node_id"`
	Status     Status                   `json:"status"`
	Assets     map[AssetKey]AssetUpdate `json:"assets"`
}

// VersionInfo is what a dispatch was made with
// (covalent_dispatcher/_core/runner_modules/jobs.py, get_version_info).
type VersionInfo struct {
	// Python is major.minor.micro.
	Python   string `json:"python"`
	Covalent string `json:"covalent"`
}

// ExecutorRecord is an executor as Covalent stores it with every node
// (covalent/executor/base.py, to_dict).
type ExecutorRecord struct {
	Type       string         `json:"type"`
	ShortName  string         `json:"short_name"`
	Attributes map[string]any `json:"attributes"`
}
