package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TaskGroup is one request of Covalent's dispatcher to run a group of tasks, or
// a person's request to run plain commands. The operator runs it as a Job.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=taskgroups,singular=taskgroup,shortName=tg,categories=covalent
// +kubebuilder:selectablefield:JSONPath=`.spec.dispatchID`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Succeeded")].reason`
// +kubebuilder:printcolumn:name="Done",type=string,JSONPath=`.status.summary`
// +kubebuilder:printcolumn:name="Attempt",type=integer,JSONPath=`.status.attempt`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Succeeded")].message`
// +kubebuilder:printcolumn:name="Dispatch",type=string,priority=1,JSONPath=`.spec.dispatchID`
// +kubebuilder:printcolumn:name="Node",type=string,priority=1,JSONPath=`.status.nodeName`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type TaskGroup struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what to run. Only suspend, cancel and ttlSecondsAfterFinished may
	// change after creation.
	// +required
	Spec TaskGroupSpec `json:"spec"`

	// status is what became of it. Only the operator writes it.
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

// TaskGroupSpec is what to run.
//
// ---
// The API server evaluates rules at every write of the status too. Those that
// look at what is immutable therefore begin with oldSelf.hasValue(): what was
// right when it was created still is. Each look at a field of self copies the
// schema of all fields (k8s.io/apiextensions-apiserver, model.Structural), so
// that a rule looks once and binds what it found.
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
	// dispatchID is Covalent's dispatch_id. Leave it out for groups that do not
	// come from Covalent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	DispatchID string `json:"dispatchID,omitempty"`

	// taskGroupID is Covalent's task_group_id.
	// +optional
	// +kubebuilder:validation:Minimum=0
	TaskGroupID *int64 `json:"taskGroupID,omitempty"`

	// tasks of a Sequential group run one after another, in this order, and the
	// first that fails ends the group. Those of a Parallel group run beside each
	// other, and each ends by itself.
	// ---
	// Atomic, as it is written whole and never changes: the API server keeps an
	// entry in managedFields for each key of a list of type map, and goes through
	// all of them at every write of the status.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable: create a new TaskGroup instead"
	// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.transformMapEntry(i, t, {t.nodeID: i}).size() == self.size()",message="each nodeID may stand only once",optionalOldSelf=true
	// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.map(t, has(t.command) ? t.command.map(a, a.size()).sum() : 0).sum() <= 262144",message="the commands must not have more than 262144 characters in total: put long texts into a ConfigMap or an image",optionalOldSelf=true
	Tasks []TaskSpec `json:"tasks"`

	// assets says where functions and inputs come from and results go to.
	// +optional
	Assets *Assets `json:"assets,omitempty"`

	// execution is Sequential, all tasks in order in one pod, or Parallel, a pod
	// for each task.
	// +optional
	// +kubebuilder:default=Sequential
	Execution Execution `json:"execution,omitempty"`

	// parallelism is how many pods of a Parallel group may run at a time; all by
	// default.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=256
	Parallelism *int32 `json:"parallelism,omitempty"`

	// retries says how often a group that failed is tried again. An attempt goes
	// on at the first task that no earlier one completed.
	// +optional
	Retries *Retries `json:"retries,omitempty"`

	// timeouts bound how long a group may take.
	// +optional
	Timeouts *Timeouts `json:"timeouts,omitempty"`

	// suspend keeps the group from running: no Job is created, and one that runs
	// is stopped. When it is taken back, the group goes on at the first task that
	// is not completed. Clocks stop meanwhile.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// cancel ends the group. It cannot be taken back.
	// +optional
	Cancel bool `json:"cancel,omitempty"`

	// ttlSecondsAfterFinished is how long after its end the TaskGroup is deleted,
	// with its Jobs and pods; never by default. Results stay.
	// +optional
	// +kubebuilder:validation:Minimum=0
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`

	// callback says whom to tell when the group has ended. Nobody by default.
	// +optional
	Callback *Callback `json:"callback,omitempty"`

	// pod shapes the pod that runs the tasks.
	// +optional
	Pod *PodOptions `json:"pod,omitempty"`
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

// Retries are two budgets: what goes wrong in the user's code spends one, what
// goes wrong in the cluster the other. What would fail again is not retried.
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

// Timeouts are clocks, in seconds. None of them runs while the group is
// suspended; each begins anew with an attempt.
type Timeouts struct {
	// queuedSeconds bounds the time until the pod is placed on a node.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31536000
	QueuedSeconds *int64 `json:"queuedSeconds,omitempty"`

	// startingSeconds bounds the time from there until the pod runs: pulling
	// images, mounting volumes.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31536000
	StartingSeconds *int64 `json:"startingSeconds,omitempty"`

	// runningSeconds bounds the time that the pod runs: Covalent's time_limit.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31536000
	RunningSeconds *int64 `json:"runningSeconds,omitempty"`

	// taskSeconds bounds each task.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31536000
	TaskSeconds *int64 `json:"taskSeconds,omitempty"`
}

// NodeID is Covalent's electron_id: the number of a node in a dispatch's graph.
//
// +kubebuilder:validation:Minimum=0
type NodeID int64

// TaskSpec is one task: a Covalent function, when spec.assets.functions has an
// entry for its nodeID, or else a plain command.
type TaskSpec struct {
	// nodeID is Covalent's electron_id; for plain commands any number that is
	// unique in the group.
	// +required
	NodeID NodeID `json:"nodeID"`

	// command is the program and its arguments; no shell is involved.
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

// AssetURI is where an object is: file:///path on a volume that spec.pod mounts,
// http://host/path or https://host/path, s3://bucket/key, gs://bucket/key, or
// azblob://container/blob. The pod opens it, with credentials of its own. A signed
// URL is a credential: whoever may read the TaskGroup may use it.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=2048
type AssetURI string

// AssetURIs are places by node ID, as a string.
//
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.all(key, ['file:///', 'https://', 'http://', 's3://', 'gs://', 'azblob://', 'blob://'].exists(scheme, self[key].startsWith(scheme) && size(self[key]) > size(scheme)))",messageExpression="'each must be file:///path, http(s)://host/path, s3://bucket/key, gs://bucket/key or azblob://container/blob, not that of ' + self.filter(key, !['file:///', 'https://', 'http://', 's3://', 'gs://', 'azblob://', 'blob://'].exists(scheme, self[key].startsWith(scheme) && size(self[key]) > size(scheme)))[0]",message="each must be file:///path, http(s)://host/path, s3://bucket/key, gs://bucket/key or azblob://container/blob",optionalOldSelf=true
// +kubebuilder:validation:XValidation:rule=`oldSelf.hasValue() || self.all(key, !self[key].matches(r'(?i)\p{Cc}|(/|%2f)(\.|%2e){1,2}(/|%2f|$)'))`,messageExpression=`'must not contain control characters, nor . or .. as a part of its path, as that of ' + self.filter(key, self[key].matches(r'(?i)\p{Cc}|(/|%2f)(\.|%2e){1,2}(/|%2f|$)'))[0]`,message="must not contain control characters, nor . or .. as a part of its path",optionalOldSelf=true
type AssetURIs map[string]AssetURI

// Assets is Covalent's ResourceMap: node IDs, as strings, to URIs.
//
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || !has(self.hooks) || [self.?functions.orValue({})].all(functions, self.hooks.all(key, key in functions))",message="each key must have an entry in spec.assets.functions too: hooks belong to functions",fieldPath=".hooks",optionalOldSelf=true
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || has(self.outputs) || self.?functions.orValue({}).size() == 0",message="is required with spec.assets.functions: results need a place to go",fieldPath=".outputs",optionalOldSelf=true
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

	// hooks are what to do before and after a function: Covalent's deps.
	// +optional
	// +mapType=atomic
	// +kubebuilder:validation:MaxProperties=256
	Hooks AssetURIs `json:"hooks,omitempty"`

	// outputs is the place below which results go, as
	// <outputs>/<uid>/a<attempt>/<nodeID>/{output,stdout,stderr,error}. Groups of
	// plain commands may leave it out; their streams are then in the pod's log only.
	// +optional
	// +kubebuilder:validation:XValidation:rule=`oldSelf.hasValue() || self.matches(r'^(file:///.|https?://[^/?#@]+/|(s3|gs|azblob|blob)://[^/@?#:%\\])[^?]*$')`,message="must be file:///path, http(s)://host/path, s3://bucket/prefix, gs://bucket/prefix or azblob://container/prefix, without a query or a password: the manifest names it",optionalOldSelf=true
	// +kubebuilder:validation:XValidation:rule=`oldSelf.hasValue() || !self.matches(r'(?i)\p{Cc}|(/|%2f)(\.|%2e){1,2}(/|%2f|$)')`,message="must not contain control characters, nor . or .. as a part of its path",optionalOldSelf=true
	Outputs AssetURI `json:"outputs,omitempty"`
}
