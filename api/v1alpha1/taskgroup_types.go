// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TaskGroup is a request to run a group of tasks: Covalent functions or plain
// commands. The operator runs each attempt as a Job.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=taskgroups,singular=taskgroup,shortName=tg,categories=covalent
// +kubebuilder:selectablefield:JSONPath=`.spec.dispatchID`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Succeeded")].reason`
// +kubebuilder:printcolumn:name="Done",type=string,JSONPath=`.status.summary`
// +kubebuilder:printcolumn:name="Attempt",type=integer,JSONPath=`.status.attempt`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Succeeded")].message`
// +kubebuilder:printcolumn:name="Queue",type=string,priority=1,JSONPath=`.metadata.labels.kueue\.x-k8s\.io/queue-name`
// +kubebuilder:printcolumn:name="Dispatch",type=string,priority=1,JSONPath=`.spec.dispatchID`
// +kubebuilder:printcolumn:name="Node",type=string,priority=1,JSONPath=`.status.nodeName`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type TaskGroup struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec describes what to run. Only suspend, cancel and ttlSecondsAfterFinished can
	// be changed after creation.
	// +required
	Spec TaskGroupSpec `json:"spec"`

	// status is the observed state. Only the operator writes it.
	// +optional
	// +kubebuilder:default={conditions: {{type: "Succeeded", status: "Unknown", reason: "Pending", message: "The operator has not started it yet", lastTransitionTime: "1970-01-01T00:00:00Z"}, {type: "Reconciling", status: "True", reason: "Pending", message: "The operator has not started it yet", lastTransitionTime: "1970-01-01T00:00:00Z"}}}
	Status TaskGroupStatus `json:"status,omitempty"`
}

// TaskGroupList is a list of TaskGroups.
//
// +kubebuilder:object:root=true
type TaskGroupList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []TaskGroup `json:"items"`
}

// TaskGroupSpec describes what to run.
//
// ---
// The API server evaluates the rules at every write of the status, too. Rules about
// immutable fields therefore begin with oldSelf.hasValue(): what was valid at creation
// remains valid. Each access to a field of self copies the schema of all fields
// (k8s.io/apiextensions-apiserver, model.Structural), so a rule accesses a field once
// and binds the result.
//
// +kubebuilder:validation:XValidation:rule="has(self.dispatchID) ? has(oldSelf.dispatchID) && self.dispatchID == oldSelf.dispatchID : !has(oldSelf.dispatchID)",message="is immutable",fieldPath=".dispatchID"
// +kubebuilder:validation:XValidation:rule="has(self.taskGroupID) ? has(oldSelf.taskGroupID) && self.taskGroupID == oldSelf.taskGroupID : !has(oldSelf.taskGroupID)",message="is immutable",fieldPath=".taskGroupID"
// +kubebuilder:validation:XValidation:rule="has(self.assets) ? has(oldSelf.assets) && self.assets == oldSelf.assets : !has(oldSelf.assets)",message="is immutable",fieldPath=".assets"
// +kubebuilder:validation:XValidation:rule="self.execution == oldSelf.execution",message="is immutable",fieldPath=".execution"
// +kubebuilder:validation:XValidation:rule="has(self.parallelism) ? has(oldSelf.parallelism) && self.parallelism == oldSelf.parallelism : !has(oldSelf.parallelism)",message="is immutable",fieldPath=".parallelism"
// +kubebuilder:validation:XValidation:rule="has(self.retries) ? has(oldSelf.retries) && self.retries == oldSelf.retries : !has(oldSelf.retries)",message="is immutable",fieldPath=".retries"
// +kubebuilder:validation:XValidation:rule="has(self.timeouts) ? has(oldSelf.timeouts) && self.timeouts == oldSelf.timeouts : !has(oldSelf.timeouts)",message="is immutable",fieldPath=".timeouts"
// +kubebuilder:validation:XValidation:rule="has(self.pod) ? has(oldSelf.pod) && self.pod == oldSelf.pod : !has(oldSelf.pod)",message="is immutable",fieldPath=".pod"
// +kubebuilder:validation:XValidation:rule="has(self.callback) ? has(oldSelf.callback) && self.callback == oldSelf.callback : !has(oldSelf.callback)",message="is immutable",fieldPath=".callback"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.cancel) || !oldSelf.cancel || (has(self.cancel) && self.cancel)",message="is one-way: a cancelled group stays cancelled; create a new one instead",fieldPath=".cancel"
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || !has(self.parallelism) || self.execution == 'Parallel'",message="needs spec.execution Parallel: tasks of a Sequential group run one after another",fieldPath=".parallelism",optionalOldSelf=true
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.execution != 'Parallel' || [self.tasks].all(tasks, [tasks.transformMapEntry(i, t, {t.nodeID: i})].all(position, tasks.all(t, (!has(t.args) || t.args.all(a, !(a in position))) && (!has(t.kwargs) || t.kwargs.all(name, !(t.kwargs[name] in position))))))",message="no task of a Parallel group may take the output of another one of the group: use spec.execution Sequential",fieldPath=".tasks",optionalOldSelf=true
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || [self.?assets.functions.orValue({})].all(functions, self.tasks.all(t, has(t.command) != (string(t.nodeID) in functions)))",message="each task needs exactly one of command and an entry for its nodeID in spec.assets.functions",fieldPath=".tasks",optionalOldSelf=true
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || [self.tasks].all(tasks, !tasks.exists(t, has(t.args) || has(t.kwargs)) || [tasks.transformMapEntry(i, t, {t.nodeID: i})].all(position, [self.?assets.inputs.orValue({})].all(inputs, tasks.all(i, t, (!has(t.args) || t.args.all(a, a in position ? position[a] < i : string(a) in inputs)) && (!has(t.kwargs) || t.kwargs.all(name, a, a in position ? position[a] < i : string(a) in inputs))))))",message="each number in args and kwargs must be the nodeID of an earlier task or have an entry in spec.assets.inputs",fieldPath=".tasks",optionalOldSelf=true
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || [self.?assets.functions.orValue({})].all(functions, functions.size() == 0 || functions.size() == self.tasks.filter(t, string(t.nodeID) in functions).size())",message="each key must be the nodeID of a task in spec.tasks",fieldPath=".assets.functions",optionalOldSelf=true
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || [self.?assets.inputs.orValue({})].all(inputs, inputs.size() == 0 || self.tasks.all(t, !(string(t.nodeID) in inputs)))",message="no key may be the nodeID of a task in spec.tasks: a task's output comes from the task",fieldPath=".assets.inputs",optionalOldSelf=true
type TaskGroupSpec struct {
	// dispatchID is Covalent's dispatch_id. Omit it for groups that do not come from
	// Covalent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	DispatchID string `json:"dispatchID,omitempty"`

	// taskGroupID is Covalent's task_group_id.
	// +optional
	// +kubebuilder:validation:Minimum=0
	TaskGroupID *int64 `json:"taskGroupID,omitempty"`

	// tasks are the tasks to run. In a Sequential group they run in this order, and the
	// first failure fails the group. In a Parallel group they run independently of each
	// other, and the group finishes after all of them.
	// ---
	// Atomic, because it is written as a whole and never changes: for each key of a
	// list of type map, the API server keeps an entry in managedFields and visits all
	// of them at every write of the status.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable: create a new TaskGroup instead"
	// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.transformMapEntry(i, t, {t.nodeID: i}).size() == self.size()",message="each nodeID may stand only once",optionalOldSelf=true
	// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.map(t, has(t.command) ? t.command.map(a, a.size()).sum() : 0).sum() <= 262144",message="the commands must not have more than 262144 characters in total: put long texts into a ConfigMap or an image",optionalOldSelf=true
	Tasks []TaskSpec `json:"tasks"`

	// assets are the locations of functions, inputs and results.
	// +optional
	Assets *Assets `json:"assets,omitempty"`

	// execution is Sequential (all tasks in order in one pod) or Parallel (one pod per
	// task).
	// +optional
	// +kubebuilder:default=Sequential
	Execution Execution `json:"execution,omitempty"`

	// parallelism is the maximum number of pods of a Parallel group that run at a time;
	// all by default.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=256
	Parallelism *int32 `json:"parallelism,omitempty"`

	// retries bounds how often failures are retried. In a Sequential group with
	// spec.assets.outputs, an attempt resumes at the first task that no earlier attempt
	// completed. In a Parallel group, each task has these budgets, and an attempt runs
	// the tasks that are not completed and have budget.
	// +optional
	Retries *Retries `json:"retries,omitempty"`

	// timeouts bound the phases of an attempt.
	// +optional
	Timeouts *Timeouts `json:"timeouts,omitempty"`

	// suspend stops the pods of the group and prevents others. When it is set to false,
	// the group resumes at the first task that is not completed; a Sequential group
	// without spec.assets.outputs starts again with the first task. Timeouts do not run
	// while the group is suspended.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// cancel stops the group for good. It cannot be set back to false.
	// +optional
	Cancel bool `json:"cancel,omitempty"`

	// ttlSecondsAfterFinished is how long the TaskGroup, with its Jobs and pods, is kept
	// after it has finished; forever by default. Results are not deleted.
	// +optional
	// +kubebuilder:validation:Minimum=0
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`

	// callback is the dispatcher to notify when tasks finish; none by default.
	// +optional
	Callback *Callback `json:"callback,omitempty"`

	// pod configures the pods that run the tasks.
	// +optional
	Pod *PodOptions `json:"pod,omitempty"`

	// runner configures the program that runs the tasks in the pods.
	// +optional
	Runner *RunnerOptions `json:"runner,omitempty"`
}

// Execution is how the tasks of a group run.
//
// +kubebuilder:validation:Enum=Sequential;Parallel
type Execution string

const (
	// Sequential runs all tasks in order in one pod.
	Sequential Execution = "Sequential"
	// Parallel runs each task in a pod of its own.
	Parallel Execution = "Parallel"
)

// Retries are two budgets: failures of the user's code spend one, failures of the
// cluster the other. Failures that would recur are not retried. Preemption by a queue
// and suspension spend no budget.
//
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || !has(self.oomMemoryFactor) || (has(self.limit) && self.limit >= 1)",message="needs spec.retries.limit of at least 1: an attempt with more memory is one of them",fieldPath=".oomMemoryFactor",optionalOldSelf=true
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || !has(self.oomMemoryMax) || has(self.oomMemoryFactor)",message="needs spec.retries.oomMemoryFactor",fieldPath=".oomMemoryMax",optionalOldSelf=true
type Retries struct {
	// limit is how often a failure of the tasks is retried: Covalent's retries.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=0
	Limit int32 `json:"limit,omitempty"`

	// infrastructureLimit is how often a failure of the cluster, such as an
	// eviction or a lost node, is retried.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=3
	InfrastructureLimit *int32 `json:"infrastructureLimit,omitempty"`

	// oomMemoryFactor multiplies the memory request and limit after each attempt
	// that was OOM-killed. It needs a limit of at least 1.
	// +optional
	// +kubebuilder:validation:MaxLength=4
	// +kubebuilder:validation:Pattern=`^([1-9](\.[0-9]{1,2})?|10)$`
	OOMMemoryFactor string `json:"oomMemoryFactor,omitempty"`

	// oomMemoryMax bounds the memory that oomMemoryFactor leads to, such as 64Gi. It
	// has no effect on requests and limits that are greater.
	// ---
	// A string and no Quantity, because a client must not change its notation: see
	// Amount, which no rule can read.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[kMGTPE]|[eE][+]?[0-9]{1,2})?$`
	OOMMemoryMax string `json:"oomMemoryMax,omitempty"`
}

// Timeouts are in seconds. None of them runs while the group is suspended or its Job is
// held by a queue; each starts again with an attempt. In a Parallel group they apply to
// each pod.
type Timeouts struct {
	// queuedSeconds bounds the time until the pod is scheduled. While the API server does
	// not accept the Job, it counts from the first refusal.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31536000
	QueuedSeconds *int64 `json:"queuedSeconds,omitempty"`

	// startingSeconds bounds the time from then until the pod runs: pulling images,
	// mounting volumes.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31536000
	StartingSeconds *int64 `json:"startingSeconds,omitempty"`

	// runningSeconds bounds the time that the pod runs: Covalent's time_limit.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31536000
	RunningSeconds *int64 `json:"runningSeconds,omitempty"`

	// taskSeconds bounds the run of each task.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31536000
	TaskSeconds *int64 `json:"taskSeconds,omitempty"`
}

// NodeID is Covalent's electron_id: the number of a node in the graph of a dispatch.
//
// +kubebuilder:validation:Minimum=0
type NodeID int64

// TaskSpec is one task: a Covalent function if spec.assets.functions has an entry for
// its nodeID, or else a plain command.
type TaskSpec struct {
	// nodeID is Covalent's electron_id; for plain commands any number that is
	// unique in the group.
	// +required
	NodeID NodeID `json:"nodeID"`

	// command is the program and its arguments. They are not interpreted by a shell, and
	// $(VAR) is not expanded.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MaxLength=32768
	Command []string `json:"command,omitempty"`

	// args are the nodes whose outputs are the positional arguments, in order:
	// earlier tasks of the group, or keys of spec.assets.inputs.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Args []NodeID `json:"args,omitempty"`

	// kwargs maps the names of keyword arguments to the nodes whose outputs they
	// are.
	// +optional
	// +kubebuilder:validation:MaxProperties=256
	Kwargs map[string]NodeID `json:"kwargs,omitempty"`
}

// AssetURI is the location of an object: file:///path on a volume that spec.pod mounts,
// http://host/path or https://host/path, s3://bucket/key, gs://bucket/key,
// azblob://container/blob, or gateway://namespace/path in the asset gateway. The pod
// opens it with its own credentials. A signed URL is a credential: callers with
// permission to read the TaskGroup can use it.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=2048
type AssetURI string

// AssetURIs are locations by node ID, as a string.
//
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.all(key, ['file:///', 'https://', 'http://', 's3://', 'gs://', 'azblob://', 'blob://', 'gateway://'].exists(scheme, self[key].startsWith(scheme) && size(self[key]) > size(scheme)))",messageExpression="'each must be file:///path, http(s)://host/path, s3://bucket/key, gs://bucket/key, azblob://container/blob or gateway://namespace/path, not that of ' + self.filter(key, !['file:///', 'https://', 'http://', 's3://', 'gs://', 'azblob://', 'blob://', 'gateway://'].exists(scheme, self[key].startsWith(scheme) && size(self[key]) > size(scheme)))[0]",message="each must be file:///path, http(s)://host/path, s3://bucket/key, gs://bucket/key, azblob://container/blob or gateway://namespace/path",optionalOldSelf=true
// +kubebuilder:validation:XValidation:rule=`oldSelf.hasValue() || self.all(key, !self[key].matches(r'(?i)\p{Cc}|(/|%2f)(\.|%2e){1,2}(/|%2f|$)'))`,messageExpression=`'must not contain control characters, nor . or .. as a part of its path, as that of ' + self.filter(key, self[key].matches(r'(?i)\p{Cc}|(/|%2f)(\.|%2e){1,2}(/|%2f|$)'))[0]`,message="must not contain control characters, nor . or .. as a part of its path",optionalOldSelf=true
type AssetURIs map[string]AssetURI

// Assets is Covalent's ResourceMap, from node IDs as strings to URIs.
//
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || !has(self.hooks) || [self.?functions.orValue({})].all(functions, self.hooks.all(key, key in functions))",message="each key must have an entry in spec.assets.functions too: hooks belong to functions",fieldPath=".hooks",optionalOldSelf=true
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || has(self.outputs) || self.?functions.orValue({}).size() == 0",message="is required with spec.assets.functions: results need a location",fieldPath=".outputs",optionalOldSelf=true
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || [self.?functions.orValue({}), self.?inputs.orValue({}), self.?hooks.orValue({})].map(uris, uris.map(key, uris[key].size()).sum()).sum() <= 524288",message="the URIs of functions, inputs and hooks must not have more than 524288 characters in total",optionalOldSelf=true
type Assets struct {
	// functions are the pickled functions of tasks.
	// +optional
	// +mapType=atomic
	// +kubebuilder:validation:MaxProperties=256
	Functions AssetURIs `json:"functions,omitempty"`

	// inputs are the outputs of nodes outside the group.
	// +optional
	// +mapType=atomic
	// +kubebuilder:validation:MaxProperties=1024
	Inputs AssetURIs `json:"inputs,omitempty"`

	// index is an object with the args, kwargs and inputs of tasks that have too many of
	// them for a TaskGroup: a list of any length. A task in the index has neither in
	// spec.tasks. The executor writes it; its format is contract.Index.
	// +optional
	Index *ObjectReference `json:"index,omitempty"`

	// hooks are executed before and after a function: Covalent's deps.
	// +optional
	// +mapType=atomic
	// +kubebuilder:validation:MaxProperties=256
	Hooks AssetURIs `json:"hooks,omitempty"`

	// outputs is the prefix of the results, which are stored as
	// <outputs>/<uid>/a<attempt>/<nodeID>/{output,stdout,stderr,error}. Groups of plain
	// commands may omit it; then their streams are in the pod's log only.
	// +optional
	// +kubebuilder:validation:XValidation:rule=`oldSelf.hasValue() || self.matches(r'^((file:///.|https?://[^/?#@]+/|(s3|gs|azblob|blob)://[^/@?#:%\\])[^?]*|gateway://[-a-z0-9]+/groups)$')`,message="must be file:///path, http(s)://host/path, s3://bucket/prefix, gs://bucket/prefix, azblob://container/prefix or gateway://namespace/groups, without a query or a password: the manifest names it",optionalOldSelf=true
	// +kubebuilder:validation:XValidation:rule=`oldSelf.hasValue() || !self.matches(r'(?i)\p{Cc}|(/|%2f)(\.|%2e){1,2}(/|%2f|$)')`,message="must not contain control characters, nor . or .. as a part of its path",optionalOldSelf=true
	Outputs AssetURI `json:"outputs,omitempty"`
}

// ObjectReference is an object and its content.
type ObjectReference struct {
	// uri is the location of the object.
	// +required
	// +kubebuilder:validation:XValidation:rule=`oldSelf.hasValue() || self.matches(r'^(file:///.|https?://[^/?#@]+/|(gateway|s3|gs|azblob|blob)://[^/@?#:%\\])')`,message="must be file:///path, http(s)://host/path, s3://bucket/key, gs://bucket/key, azblob://container/blob or gateway://namespace/path",optionalOldSelf=true
	// +kubebuilder:validation:XValidation:rule=`oldSelf.hasValue() || !self.matches(r'(?i)\p{Cc}|(/|%2f)(\.|%2e){1,2}(/|%2f|$)')`,message="must not contain control characters, nor . or .. as a part of its path",optionalOldSelf=true
	URI AssetURI `json:"uri"`

	// size is the size of the object in bytes.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=67108864
	Size int64 `json:"size"`

	// sha256 is the digest of the object, in lower-case hexadecimal. The pod refuses
	// another content.
	// +required
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	SHA256 string `json:"sha256"`
}
