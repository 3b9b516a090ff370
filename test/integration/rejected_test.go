// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// rejectedSpecs are wrong specs and the sentence that each must get. They are
// YAML, because some cannot be expressed in Go types.
var rejectedSpecs = map[string]struct{ spec, want string }{
	"no tasks": {
		`{}`, `spec.tasks: Required value`},
	"an empty list of tasks": {
		`{tasks: []}`, `spec.tasks: Invalid value: 0: spec.tasks in body should have at least 1 items`},
	"257 tasks": {
		`{tasks: [` + manyTasks(257) + `]}`, `spec.tasks: Too many: 257: must have at most 256 items`},
	"a task without a node ID": {
		`{tasks: [{command: [x]}]}`, `spec.tasks[0].nodeID: Required value`},
	"a node ID twice": {
		`{tasks: [{nodeID: 1, command: [x]}, {nodeID: 1, command: [z]}]}`, `spec.tasks: Invalid value: "array": insert failed: key 1 already exists evaluating rule: each nodeID may stand only once`},
	"a negative node ID": {
		`{tasks: [{nodeID: -1, command: [x]}]}`, `spec.tasks[0].nodeID: Invalid value: -1: spec.tasks[0].nodeID in body should be greater than or equal to 0`},
	"a node ID in words": {
		`{tasks: [{nodeID: seven, command: [x]}]}`, `spec.tasks[0].nodeID: Invalid value: "string": spec.tasks[0].nodeID in body must be of type integer`},
	"neither a command nor a function": {
		`{tasks: [{nodeID: 1}]}`, `spec.tasks: Invalid value: each task needs exactly one of command and an entry for its nodeID in spec.assets.functions`},
	"a command and a function": {
		`{tasks: [{nodeID: 1, command: [x]}], assets: {functions: {"1": "file:///f"}, outputs: "file:///o"}}`, `spec.tasks: Invalid value: each task needs exactly one of command and an entry for its nodeID in spec.assets.functions`},
	"an empty command": {
		`{tasks: [{nodeID: 1, command: []}]}`, `spec.tasks[0].command: Invalid value: 0: spec.tasks[0].command in body should have at least 1 items`},
	"an argument from nowhere": {
		`{tasks: [{nodeID: 1, command: [x], args: [9]}]}`, `spec.tasks: Invalid value: each number in args and kwargs must be the nodeID of an earlier task or have an entry in spec.assets.inputs`},
	"an argument from a later task": {
		`{tasks: [{nodeID: 1, command: [x], args: [2]}, {nodeID: 2, command: [x]}]}`, `each number in args and kwargs must be the nodeID of an earlier task`},
	"an argument from the task itself": {
		`{tasks: [{nodeID: 1, command: [x], args: [1]}]}`, `each number in args and kwargs must be the nodeID of an earlier task`},
	"a keyword argument from nowhere": {
		`{tasks: [{nodeID: 1, command: [x], kwargs: {a: 9}}]}`, `spec.tasks: Invalid value: each number in args and kwargs must be the nodeID of an earlier task or have an entry in spec.assets.inputs`},
	"an index without a digest": {
		`{tasks: [{nodeID: 1}], assets: {functions: {"1": "file:///f"}, outputs: "file:///o", index: {uri: "file:///i", size: 1}}}`, `spec.assets.index.sha256: Required value`},
	"an index with another digest": {
		`{tasks: [{nodeID: 1}], assets: {functions: {"1": "file:///f"}, outputs: "file:///o", index: {uri: "file:///i", size: 1, sha256: XYZ}}}`, `spec.assets.index.sha256: Invalid value: "XYZ": spec.assets.index.sha256 in body should match '^[0-9a-f]{64}$'`},
	"an index that is too large": {
		`{tasks: [{nodeID: 1}], assets: {functions: {"1": "file:///f"}, outputs: "file:///o", index: {uri: "file:///i", size: 67108865, sha256: "` + strings.Repeat("0", 64) + `"}}}`, `spec.assets.index.size: Invalid value: 67108865: spec.assets.index.size in body should be less than or equal to 67108864`},
	"an index in no store": {
		`{tasks: [{nodeID: 1}], assets: {functions: {"1": "file:///f"}, outputs: "file:///o", index: {uri: "gopher://x/y", size: 1, sha256: "` + strings.Repeat("0", 64) + `"}}}`, `spec.assets.index.uri: Invalid value: "gopher://x/y": must be file:///path, http(s)://host/path, s3://bucket/key, gs://bucket/key, azblob://container/blob or gateway://namespace/path`},
	"an index at a path with dots": {
		`{tasks: [{nodeID: 1}], assets: {functions: {"1": "file:///f"}, outputs: "file:///o", index: {uri: "file:///a/../b", size: 1, sha256: "` + strings.Repeat("0", 64) + `"}}}`, `spec.assets.index.uri: Invalid value: "file:///a/../b": must not contain control characters, nor . or .. as a part of its path`},
	"functions without a place for results": {
		`{tasks: [{nodeID: 1}], assets: {functions: {"1": "file:///f"}}}`, `spec.assets.outputs: Invalid value: is required with spec.assets.functions: results need a location`},
	"a function of no task": {
		`{tasks: [{nodeID: 1, command: [x]}], assets: {functions: {"2": "file:///f"}, outputs: "file:///o"}}`, `spec.assets.functions: Invalid value: each key must be the nodeID of a task in spec.tasks`},
	"a function's key that is no number": {
		`{tasks: [{nodeID: 1, command: [x]}], assets: {functions: {"one": "file:///f"}, outputs: "file:///o"}}`, `spec.assets.functions: Invalid value: each key must be the nodeID of a task in spec.tasks`},
	"hooks of a command": {
		`{tasks: [{nodeID: 1, command: [x]}], assets: {hooks: {"1": "file:///h"}}}`, `spec.assets.hooks: Invalid value: each key must have an entry in spec.assets.functions too: hooks belong to functions`},
	"an input that is a task of the group": {
		`{tasks: [{nodeID: 1, command: [x]}], assets: {inputs: {"1": "file:///i"}}}`, `spec.assets.inputs: Invalid value: no key may be the nodeID of a task in spec.tasks: a task's output comes from the task`},
	"a URI of a scheme that is not known": {
		`{tasks: [{nodeID: 1, command: [x]}], assets: {outputs: "gopher://x/y"}}`, `spec.assets.outputs: Invalid value: "gopher://x/y": must be file:///path, http(s)://host/path, s3://bucket/prefix, gs://bucket/prefix, azblob://container/prefix or gateway://namespace/groups, without a query or a password: the manifest names it`},
	"outputs with a signature": {
		`{tasks: [{nodeID: 1, command: [x]}], assets: {outputs: "https://host/p?sig=x"}}`, `must be file:///path, http(s)://host/path, s3://bucket/prefix, gs://bucket/prefix, azblob://container/prefix or gateway://namespace/groups, without a query or a password`},
	"outputs with a password": {
		`{tasks: [{nodeID: 1, command: [x]}], assets: {outputs: "https://user:secret@host/p"}}`, `must be file:///path, http(s)://host/path, s3://bucket/prefix, gs://bucket/prefix, azblob://container/prefix or gateway://namespace/groups, without a query or a password`},
	"outputs in no bucket": {
		`{tasks: [{nodeID: 1, command: [x]}], assets: {outputs: "s3:///key"}}`, `must be file:///path, http(s)://host/path, s3://bucket/prefix, gs://bucket/prefix, azblob://container/prefix or gateway://namespace/groups`},
	"a URI with a relative path": {
		`{tasks: [{nodeID: 1, command: [x]}], assets: {outputs: "file://a/b"}}`, `must be file:///path, `},
	"a URI that climbs": {
		`{tasks: [{nodeID: 1, command: [x]}], assets: {outputs: "file:///a/../../etc"}}`, `spec.assets.outputs: Invalid value: "file:///a/../../etc": must not contain control characters, nor . or .. as a part of its path`},
	"a URI that climbs in disguise": {
		`{tasks: [{nodeID: 1, command: [x]}], assets: {outputs: "file:///a%2F%2e%2E/etc"}}`, `must not contain control characters, nor . or .. as a part of its path`},
	"a URI with a newline": {
		`{tasks: [{nodeID: 1, command: [x]}], assets: {outputs: "file:///a\nb"}}`, `must not contain control characters`},
	"a URI that is too long": {
		`{tasks: [{nodeID: 1, command: [x]}], assets: {outputs: "file:///` + strings.Repeat("a", 2048) + `"}}`, `spec.assets.outputs: Too long: may not be more than 2048`},
	"a function's URI that climbs": {
		`{tasks: [{nodeID: 1}, {nodeID: 2}], assets: {functions: {"1": "file:///f", "2": "file:///a/.."}, outputs: "file:///o"}}`, `spec.assets.functions: Invalid value: must not contain control characters, nor . or .. as a part of its path, as that of 2`},
	"an input of a scheme that is not known": {
		`{tasks: [{nodeID: 1, command: [x]}], assets: {inputs: {"7": "ftp://h/k"}}}`, `spec.assets.inputs: Invalid value: each must be file:///path, http(s)://host/path, s3://bucket/key, gs://bucket/key, azblob://container/blob or gateway://namespace/path, not that of 7`},
	"a volume of the host": {
		`{tasks: [{nodeID: 1, command: [x]}], pod: {volumes: [{name: v, hostPath: {path: /}}]}}`, `unknown field "spec.pod.volumes[0].hostPath"`},
	"a volume of two kinds": {
		`{tasks: [{nodeID: 1, command: [x]}], pod: {volumes: [{name: v, emptyDir: {}, secret: {secretName: s}}]}}`, `spec.pod.volumes[0]: Invalid value: needs exactly one of emptyDir, configMap, secret, persistentVolumeClaim, ephemeral, csi, projected and downwardAPI`},
	"a volume with a reserved name": {
		`{tasks: [{nodeID: 1, command: [x]}], pod: {volumes: [{name: taskgroup-bin, emptyDir: {}}]}}`, `spec.pod.volumes[0].name: Invalid value: "taskgroup-bin": names that begin with taskgroup- are reserved`},
	"a mount of no volume": {
		`{tasks: [{nodeID: 1, command: [x]}], pod: {volumeMounts: [{name: v, mountPath: /v}]}}`, `spec.pod.volumeMounts: Invalid value: each name must be that of an entry in spec.pod.volumes`},
	"a mount over the runner": {
		`{tasks: [{nodeID: 1, command: [x]}], pod: {volumes: [{name: v, emptyDir: {}}], volumeMounts: [{name: v, mountPath: /taskgroup/bin}]}}`, `spec.pod.volumeMounts[0].mountPath: Invalid value: "/taskgroup/bin": /taskgroup is reserved`},
	"a privileged pod": {
		`{tasks: [{nodeID: 1, command: [x]}], pod: {securityContext: {privileged: true}}}`, `unknown field "spec.pod.securityContext.privileged"`},
	"root": {
		`{tasks: [{nodeID: 1, command: [x]}], pod: {securityContext: {runAsUser: 0}}}`, `spec.pod.securityContext.runAsUser: Invalid value: 0: spec.pod.securityContext.runAsUser in body should be greater than or equal to 1`},
	"a node by name": {
		`{tasks: [{nodeID: 1, command: [x]}], pod: {nodeName: master}}`, `unknown field "spec.pod.nodeName"`},
	"an environment that the runner needs": {
		`{tasks: [{nodeID: 1, command: [x]}], pod: {env: [{name: TASKGROUP_PLAN, value: x}]}}`, `spec.pod.env: Invalid value: names that begin with TASKGROUP_ are reserved`},
	"a label of the operator": {
		`{tasks: [{nodeID: 1, command: [x]}], pod: {labels: {kubernetes.covalent.xyz/taskgroup-uid: x}}}`, `spec.pod.labels: Invalid value: keys that controllers own are reserved`},
	"a negative amount": {
		`{tasks: [{nodeID: 1, command: [x]}], pod: {resources: {limits: {cpu: -1}}}}`, `spec.pod.resources.limits.cpu in body should be greater than or equal to 0`},
	"an index of the Job controller": {
		`{tasks: [{nodeID: 1, command: [x]}], pod: {env: [{name: JOB_COMPLETION_INDEX, value: "0"}]}}`, `spec.pod.env: Invalid value: JOB_COMPLETION_INDEX is reserved: the Job controller sets it`},
	"variables of the runner from a ConfigMap": {
		`{tasks: [{nodeID: 1, command: [x]}], pod: {envFrom: [{prefix: TASKGROUP_, configMapRef: {name: c}}]}}`, `spec.pod.envFrom: Invalid value: prefixes that begin with TASKGROUP_ are reserved`},
	"a label of Kueue on the pod": {
		`{tasks: [{nodeID: 1, command: [x]}], pod: {labels: {kueue.x-k8s.io/queue-name: q}}}`, `spec.pod.labels: Invalid value: keys of kueue.x-k8s.io are reserved except podset-*`},
	"an annotation of the Job controller": {
		`{tasks: [{nodeID: 1, command: [x]}], pod: {annotations: {batch.kubernetes.io/job-completion-index: "0"}}}`, `spec.pod.annotations: Invalid value: keys that controllers own are reserved`},
	"an annotation of Kueue that groups pods": {
		`{tasks: [{nodeID: 1, command: [x]}], pod: {annotations: {kueue.x-k8s.io/pod-group-total-count: "2"}}}`, `spec.pod.annotations: Invalid value: keys of kueue.x-k8s.io are reserved except podset-*`},
	"an AppArmor profile": {
		`{tasks: [{nodeID: 1, command: [x]}], pod: {annotations: {container.apparmor.security.beta.kubernetes.io/tasks: unconfined}}}`, `spec.pod.annotations: Invalid value: annotations of AppArmor and seccomp`},
	"a mount that hides the termination message": {
		`{tasks: [{nodeID: 1, command: [x]}], pod: {volumes: [{name: v, emptyDir: {}}], volumeMounts: [{name: v, mountPath: /dev}]}}`, `spec.pod.volumeMounts[0].mountPath: Invalid value: "/dev": /dev and /dev/termination-log are reserved`},
	"a subPath twice": {
		`{tasks: [{nodeID: 1, command: [x]}], pod: {volumes: [{name: v, emptyDir: {}}], volumeMounts: [{name: v, mountPath: /v, subPath: a, subPathExpr: b}]}}`, `spec.pod.volumeMounts[0]: Invalid value: at most one of subPath and subPathExpr may be set`},
	"a projection of nothing": {
		`{tasks: [{nodeID: 1, command: [x]}], pod: {volumes: [{name: v, projected: {sources: [{}]}}]}}`, `spec.pod.volumes[0].projected.sources: Invalid value: each needs exactly one of secret, configMap, downwardAPI and serviceAccountToken`},
	"more memory without a retry": {
		`{tasks: [{nodeID: 1, command: [x]}], retries: {oomMemoryFactor: "2"}}`, `spec.retries.oomMemoryFactor: Invalid value: needs spec.retries.limit of at least 1`},
	"a maximum of memory that never grows": {
		`{tasks: [{nodeID: 1, command: [x]}], retries: {oomMemoryMax: 1Gi}}`, `spec.retries.oomMemoryMax: Invalid value: needs spec.retries.oomMemoryFactor`},
	"a timeout of more than a year": {
		`{tasks: [{nodeID: 1, command: [x]}], timeouts: {queuedSeconds: 31536001}}`, `spec.timeouts.queuedSeconds in body should be less than or equal to 31536000`},
	"commands that are too large": {
		`{tasks: [{nodeID: 1, command: [` + strings.Repeat(`"`+strings.Repeat("a", 32768)+`", `, 9) + `]}]}`, `spec.tasks: Invalid value: the commands must not have more than 262144 characters in total`},
	"an unknown pull policy": {
		`{tasks: [{nodeID: 1, command: [x]}], pod: {imagePullPolicy: Sometimes}}`, `spec.pod.imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"`},
	"a quantity that is none": {
		`{tasks: [{nodeID: 1, command: [x]}], pod: {resources: {limits: {memory: lots}}}}`, `spec.pod.resources.limits.memory: Invalid value: "lots"`},
	"a Parallel group with a dependency": {
		`{execution: Parallel, tasks: [{nodeID: 1, command: [x]}, {nodeID: 2, command: [x], args: [1]}]}`, `spec.tasks: Invalid value: no task of a Parallel group may take the output of another one of the group: use spec.execution Sequential`},
	"parallelism of a Sequential group": {
		`{parallelism: 2, tasks: [{nodeID: 1, command: [x]}]}`, `spec.parallelism: Invalid value: needs spec.execution Parallel`},
	"an execution that is unknown": {
		`{execution: Random, tasks: [{nodeID: 1, command: [x]}]}`, `spec.execution: Unsupported value: "Random": supported values: "Sequential", "Parallel"`},
	"a factor that is no number": {
		`{tasks: [{nodeID: 1, command: [x]}], retries: {oomMemoryFactor: lots}}`, `spec.retries.oomMemoryFactor: Invalid value: "lots": spec.retries.oomMemoryFactor in body should match`},
	"a factor that shrinks": {
		`{tasks: [{nodeID: 1, command: [x]}], retries: {oomMemoryFactor: "0.5"}}`, `spec.retries.oomMemoryFactor: Invalid value: "0.5"`},
	"a negative budget": {
		`{tasks: [{nodeID: 1, command: [x]}], retries: {limit: -1}}`, `spec.retries.limit: Invalid value: -1: spec.retries.limit in body should be greater than or equal to 0`},
	"a clock that has no time": {
		`{tasks: [{nodeID: 1, command: [x]}], timeouts: {runningSeconds: 0}}`, `spec.timeouts.runningSeconds: Invalid value: 0: spec.timeouts.runningSeconds in body should be greater than or equal to 1`},
	"a misspelt field": {
		`{tasks: [{nodeID: 1, comand: [x]}]}`, `unknown field "spec.tasks[0].comand"`},
}

func manyTasks(n int) string {
	tasks := make([]string, n)
	for i := range tasks {
		tasks[i] = fmt.Sprintf("{nodeID: %d, command: [x]}", i)
	}
	return strings.Join(tasks, ", ")
}

func TestRejectedSpecs(t *testing.T) {
	ns := namespace(t)
	for name, tc := range rejectedSpecs {
		t.Run(name, func(t *testing.T) {
			obj := &unstructured.Unstructured{}
			text := "apiVersion: kubernetes.covalent.xyz/v1alpha1\nkind: TaskGroup\nmetadata: {name: wrong}\nspec: " + tc.spec
			if err := yaml.Unmarshal([]byte(text), &obj.Object); err != nil {
				t.Fatal(err)
			}
			obj.SetNamespace(ns)
			// As kubectl requests it.
			err := cluster.Client.Create(t.Context(), obj, client.FieldValidation("Strict"))
			if err == nil {
				t.Fatal("it was accepted")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got:  %v\nwant: %s", err, tc.want)
			}
		})
	}
}

func TestRejectedChanges(t *testing.T) {
	ns := namespace(t)
	tg := commands(ns, "g", 2)
	tg.Spec.DispatchID = "d"
	tg.Spec.TaskGroupID = new(int64(7))
	tg.Spec.Pod = &v1alpha1.PodOptions{Image: "x"}
	tg.Spec.Cancel = true
	key := create(t, tg, rig.Behaviour{})
	awaitReason(t, key, v1alpha1.ReasonCancelled)
	for name, tc := range map[string]struct{ patch, want string }{
		"the dispatch":         {`{"spec":{"dispatchID":"e"}}`, `spec.dispatchID: Invalid value: is immutable`},
		"no dispatch":          {`{"spec":{"dispatchID":null}}`, `spec.dispatchID: Invalid value: is immutable`},
		"the group's ID":       {`{"spec":{"taskGroupID":8}}`, `spec.taskGroupID: Invalid value: is immutable`},
		"fewer tasks":          {`{"spec":{"tasks":[{"nodeID":0,"command":["true"]}]}}`, `spec.tasks: Invalid value: is immutable: create a new TaskGroup instead`},
		"another order":        {`{"spec":{"tasks":[{"nodeID":1,"command":["true"]},{"nodeID":0,"command":["true"]}]}}`, `spec.tasks: Invalid value: is immutable`},
		"another command":      {`{"spec":{"tasks":[{"nodeID":0,"command":["false"]},{"nodeID":1,"command":["true"]}]}}`, `spec.tasks: Invalid value: is immutable`},
		"another place":        {`{"spec":{"assets":{"outputs":"file:///elsewhere"}}}`, `spec.assets: Invalid value: is immutable`},
		"another image":        {`{"spec":{"pod":{"image":"y"}}}`, `spec.pod: Invalid value: is immutable`},
		"a cancel taken back":  {`{"spec":{"cancel":false}}`, `spec.cancel: Invalid value: is one-way: a cancelled group stays cancelled; create a new one instead`},
		"a cancel left out":    {`{"spec":{"cancel":null}}`, `spec.cancel: Invalid value: is one-way`},
		"resources from none":  {`{"spec":{"pod":{"resources":{"limits":{"cpu":"1"}}}}}`, `spec.pod: Invalid value: is immutable`},
		"another budget":       {`{"spec":{"retries":{"limit":9}}}`, `spec.retries: Invalid value: is immutable`},
		"a clock":              {`{"spec":{"timeouts":{"taskSeconds":9}}}`, `spec.timeouts: Invalid value: is immutable`},
		"another execution":    {`{"spec":{"execution":"Parallel"}}`, `spec.execution: Invalid value: is immutable`},
		"an input that is new": {`{"spec":{"assets":{"inputs":{"9":"file:///x"}}}}`, `spec.assets: Invalid value: is immutable`},
	} {
		t.Run(name, func(t *testing.T) {
			err := cluster.Client.Patch(t.Context(), tg.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(tc.patch)))
			if err == nil {
				t.Fatal("it was accepted")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got:  %v\nwant: %s", err, tc.want)
			}
		})
	}
}

// TestAcceptedSpecs keeps the rules from refusing what is right.
func TestAcceptedSpecs(t *testing.T) {
	ns := namespace(t)
	for name, spec := range map[string]string{
		"dots in a path":           `{tasks: [{nodeID: 1, command: [x]}], assets: {outputs: "file:///a.b/..c/.d/e../f"}}`,
		"unicode and spaces":       `{tasks: [{nodeID: 1, command: ["ünï", "日本"]}], assets: {outputs: "file:///Übung mit Leerzeichen/%20"}}`,
		"an input used twice":      `{tasks: [{nodeID: 1, command: [x], args: [9, 9], kwargs: {a: 9}}], assets: {inputs: {"9": "file:///i"}}}`,
		"an input not used":        `{tasks: [{nodeID: 1, command: [x]}], assets: {inputs: {"9": "file:///i"}}}`,
		"a chain of tasks":         `{tasks: [{nodeID: 5, command: [x]}, {nodeID: 3, command: [x], args: [5]}, {nodeID: 4, command: [x], kwargs: {a: 3, b: 5}}]}`,
		"the largest node ID":      `{tasks: [{nodeID: 9007199254740991, command: [x]}]}`,
		"256 tasks":                `{tasks: [` + manyTasks(256) + `]}`,
		"an empty list of hooks":   `{tasks: [{nodeID: 1, command: [x]}], assets: {hooks: {}}}`,
		"numbers as amounts":       `{tasks: [{nodeID: 1, command: [x]}], pod: {resources: {requests: {cpu: 0.5, memory: 1073741824}, limits: {cpu: 2, memory: 1Gi, nvidia.com/gpu: 1}}}}`,
		"recommended labels":       `{tasks: [{nodeID: 1, command: [x]}], pod: {labels: {app.kubernetes.io/name: training, app.kubernetes.io/part-of: team-a}}}`,
		"safe-to-evict":            `{tasks: [{nodeID: 1, command: [x]}], pod: {annotations: {cluster-autoscaler.kubernetes.io/safe-to-evict: "false"}}}`,
		"Kueue's topology":         `{tasks: [{nodeID: 1, command: [x]}], pod: {annotations: {kueue.x-k8s.io/podset-required-topology: rack}}}`,
		"a long grace period":      `{tasks: [{nodeID: 1, command: [x]}], pod: {terminationGracePeriodSeconds: 120}}`,
		"the largest commands":     `{tasks: [{nodeID: 1, command: [` + strings.Repeat(`"`+strings.Repeat("a", 32768)+`", `, 8) + `]}]}`,
		"a script of 20,000 bytes": `{tasks: [{nodeID: 1, command: [sh, -c, "` + strings.Repeat("x", 20000) + `"]}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			obj := &unstructured.Unstructured{}
			text := "apiVersion: kubernetes.covalent.xyz/v1alpha1\nkind: TaskGroup\nmetadata: {generateName: right-}\nspec: " + spec
			if err := yaml.Unmarshal([]byte(text), &obj.Object); err != nil {
				t.Fatal(err)
			}
			obj.SetNamespace(ns)
			if err := cluster.Client.Create(t.Context(), obj, client.FieldValidation("Strict"), client.DryRunAll); err != nil {
				t.Error(err)
			}
		})
	}
}
