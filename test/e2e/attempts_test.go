// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// TestRetryResumes: the second attempt takes over what the first one committed,
// and does not run it again.
func TestRetryResumes(t *testing.T) {
	t.Parallel()
	tg := group("resumes",
		v1alpha1.TaskSpec{NodeID: 1, Command: []string{"sh", "-c", `echo ran >> /assets/resumes-1; printf first > "$TASKGROUP_OUTPUT"`}},
		v1alpha1.TaskSpec{NodeID: 2, Args: []v1alpha1.NodeID{1}, Command: []string{"sh", "-c",
			`echo ran >> /assets/resumes-2; test "$(wc -l < /assets/resumes-2)" = 2 || exit 7; cat "$TASKGROUP_INPUT_1"`}},
	)
	tg.Spec.Retries.Limit = 1
	tg = awaitReason(t, create(t, tg), v1alpha1.ReasonCompleted)
	if tg.Status.Attempt != 2 || tg.Status.Jobs[0].Reason != "ExitCode" {
		t.Errorf("status is %+v", tg.Status)
	}
	for file, want := range map[string]string{"resumes-1": "ran\n", "resumes-2": "ran\nran\n"} {
		if got, err := os.ReadFile(hostPath("file:///assets/" + file)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v; want %q", file, got, err, want)
		}
	}
	m := manifest(t, tg)
	if got := text(t, m, 1, contract.AssetStdout); got != "first" {
		t.Errorf("the second task read %q", got)
	}
	if got := m.Tasks[0].Assets[contract.AssetOutput].URI; !strings.Contains(got, "/a1/") {
		t.Errorf("the first task's output is %s, want the first attempt's", got)
	}
}

// TestOOMGrowsMemory: what does not fit in the first attempt fits in the second.
func TestOOMGrowsMemory(t *testing.T) {
	t.Parallel()
	tg := withMemory(commandGroup("grows", "python3", "-c", "x = bytearray(100 << 20); print(len(x))"), "80Mi")
	tg.Spec.Retries = &v1alpha1.Retries{Limit: 1, OOMMemoryFactor: "2"}
	tg = awaitReason(t, create(t, tg), v1alpha1.ReasonCompleted)
	if tg.Status.Jobs[0].Reason != "OOMKilled" || tg.Status.Attempt != 2 {
		t.Errorf("status is %+v", tg.Status)
	}
}

// TestOOMGrowsMemoryOfLimitRange is the same for a group without a memory limit, whose
// pods get the default of a LimitRange.
func TestOOMGrowsMemoryOfLimitRange(t *testing.T) {
	t.Parallel()
	const defaults = "e2e-defaults"
	err := applyAny(t.Context(), `
apiVersion: v1
kind: Namespace
metadata: {name: `+defaults+`, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: memory, namespace: `+defaults+`}
spec: {limits: [{type: Container, default: {memory: 80Mi}, defaultRequest: {memory: 16Mi}}]}
`)
	if err != nil {
		t.Fatal(err)
	}
	tg := testkit.New(defaults, "grows").Tasks(v1alpha1.TaskSpec{Command: []string{"python3", "-c", "x = bytearray(100 << 20); print(len(x))"}}).Obj()
	tg.Spec.Retries = &v1alpha1.Retries{Limit: 1, OOMMemoryFactor: "2"}
	tg = awaitReason(t, create(t, tg), v1alpha1.ReasonCompleted)
	if tg.Status.Jobs[0].Reason != v1alpha1.ReasonOOMKilled || tg.Status.Jobs[0].MemoryLimit != "80Mi" || tg.Status.Attempt != 2 {
		t.Errorf("status is %+v", tg.Status)
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		timeouts v1alpha1.Timeouts
		message  string
	}{
		"task-seconds":    {v1alpha1.Timeouts{TaskSeconds: new(int64(5))}, "spec.timeouts.taskSeconds"},
		"running-seconds": {v1alpha1.Timeouts{RunningSeconds: new(int64(5))}, "spec.timeouts.runningSeconds"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tg := functions(name, "lingers", "whoami")
			tg.Spec.Timeouts = &tc.timeouts
			tg = awaitReason(t, create(t, tg), v1alpha1.ReasonDeadlineExceeded)
			if !strings.Contains(messageOf(tg), tc.message) {
				t.Errorf("message is %q", messageOf(tg))
			}
			if got := text(t, manifest(t, tg), 0, contract.AssetStdout); got != "started\n" {
				t.Errorf("stdout is %q", got)
			}
		})
	}
}

// TestEviction evicts a pod as a drain does: it is retried, and the user pays
// nothing.
func TestEviction(t *testing.T) {
	t.Parallel()
	tg := functions("evicted", "lingers")
	tg.Spec.Retries = &v1alpha1.Retries{InfrastructureLimit: new(int32(1))}
	key := create(t, tg)
	started(t, "evicted")
	evict(t, v1alpha1.NameLabel+"=evicted")
	tg = awaitReason(t, key, v1alpha1.ReasonRetrying)
	if tg.Status.Jobs[0].Reason != "Evicted" || tg.Status.Retries.User != 0 || tg.Status.Retries.Infrastructure != 1 {
		t.Errorf("status is %+v", tg.Status)
	}
	awaitReason(t, key, v1alpha1.ReasonRunning)
	if _, err := cluster.Run(t.Context(), "-n", namespace, "patch", "tg", "evicted", "--type=merge", "-p", `{"spec":{"cancel":true}}`); err != nil {
		t.Fatal(err)
	}
	awaitReason(t, key, v1alpha1.ReasonCancelled)
}

// evict evicts the pod that a selector selects, as a drain does.
func evict(t *testing.T, selector string) {
	t.Helper()
	pod, err := cluster.Run(t.Context(), "-n", namespace, "get", "pods", "-l", selector, "-o", "jsonpath={.items[0].metadata.name}")
	if err != nil {
		t.Fatal(err)
	}
	eviction := `{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"` + pod + `","namespace":"` + namespace + `"}}`
	err = kubectl(t.Context(), strings.NewReader(eviction), nil, "create", "--raw", "/api/v1/namespaces/"+namespace+"/pods/"+pod+"/eviction", "-f", "-")
	if err != nil {
		t.Fatal(err)
	}
}

// TestParallelEviction evicts the pod of one task after another one has failed: only
// the evicted task is run again.
func TestParallelEviction(t *testing.T) {
	t.Parallel()
	tg := group("parallel-evicted",
		v1alpha1.TaskSpec{NodeID: 0, Command: []string{"sh", "-c", "echo ran >> /assets/parallel-evicted-0; exit 3"}},
		v1alpha1.TaskSpec{NodeID: 1, Command: []string{"sh", "-c", `echo ran >> /assets/parallel-evicted-1
if [ "$TASKGROUP_ATTEMPT" = 1 ]; then echo started; exec sleep 300; fi`}},
	)
	tg.Spec.Execution = v1alpha1.Parallel
	tg.Spec.Retries.InfrastructureLimit = new(int32(1))
	key := create(t, tg)
	started(t, "parallel-evicted")
	evict(t, v1alpha1.NameLabel+"=parallel-evicted,"+batchv1.JobCompletionIndexAnnotation+"=1")
	tg = awaitReason(t, key, v1alpha1.ReasonExitCode)
	for file, want := range map[string]string{"parallel-evicted-0": "ran\n", "parallel-evicted-1": "ran\nran\n"} {
		if got, err := os.ReadFile(hostPath("file:///assets/" + file)); err != nil || string(got) != want {
			t.Errorf("%s contains %q, %v; want %q", file, got, err, want)
		}
	}
	failed, evicted := tg.Status.Tasks[0], tg.Status.Tasks[1]
	if failed.State != v1alpha1.TaskFailed || failed.Reason != v1alpha1.ReasonExitCode || evicted.State != v1alpha1.TaskCompleted || evicted.Attempt != 2 {
		t.Errorf("the tasks are %+v", tg.Status.Tasks)
	}
	if spent := tg.Status.Retries; tg.Status.Attempt != 2 || spent == nil || spent.User != 0 || spent.Infrastructure != 1 {
		t.Errorf("status is %+v", tg.Status)
	}
}

// TestSuspendAndResume stops a real pod and continues.
func TestSuspendAndResume(t *testing.T) {
	t.Parallel()
	tg := group("suspended",
		v1alpha1.TaskSpec{NodeID: 1, Command: []string{"sh", "-c", "echo ran >> /assets/suspended-1"}},
		v1alpha1.TaskSpec{NodeID: 2, Command: []string{"sh", "-c", "echo started; until test -e /assets/suspended-go; do :; done"}},
	)
	key := create(t, tg)
	started(t, "suspended")
	suspend := func(spec string) {
		t.Helper()
		if _, err := cluster.Run(t.Context(), "-n", namespace, "patch", "tg", "suspended", "--type=merge", "-p", `{"spec":{"suspend":`+spec+`}}`); err != nil {
			t.Fatal(err)
		}
	}
	suspend("true")
	tg = awaitReason(t, key, v1alpha1.ReasonSuspended)
	if left := leftovers(t, string(tg.UID)); left != "" || tg.Status.Summary != "1/2" {
		t.Errorf("suspended with %q left, done %s", left, tg.Status.Summary)
	}
	if err := os.WriteFile(hostPath("file:///assets/suspended-go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	suspend("false")
	awaitReason(t, key, v1alpha1.ReasonCompleted)
	if got, err := os.ReadFile(hostPath("file:///assets/suspended-1")); err != nil || string(got) != "ran\n" {
		t.Errorf("the first task ran as %q, %v", got, err)
	}
}

// TestParallel runs a pod for each task; one fails, and only it runs again.
func TestParallel(t *testing.T) {
	t.Parallel()
	tg := functions("parallel", "add", "add", "whoami")
	tg.Spec.Execution = v1alpha1.Parallel
	tg.Spec.Retries.Limit = 1
	tg.Spec.Assets.Inputs = map[string]v1alpha1.AssetURI{"10": "file:///assets/inputs/three", "11": "file:///assets/inputs/four"}
	tg.Spec.Tasks[0].Args = []v1alpha1.NodeID{10, 11}
	tg.Spec.Tasks[1].Args = []v1alpha1.NodeID{11, 11}
	tg.Spec.Tasks = append(tg.Spec.Tasks, v1alpha1.TaskSpec{NodeID: 7, Command: []string{"sh", "-c",
		"echo ran >> /assets/parallel-7; test $(wc -l < /assets/parallel-7) = 2"}})
	tg = awaitReason(t, create(t, tg), v1alpha1.ReasonCompleted)
	if tg.Status.Summary != "4/4" || tg.Status.Attempt != 2 {
		t.Errorf("status is %+v", tg.Status)
	}
	var outputs []string
	for i, task := range tg.Status.Tasks {
		attempt := task.Attempt
		if attempt == 0 {
			attempt = tg.Status.Attempt
		}
		if want := map[bool]int32{true: 2, false: 1}[i == 3]; attempt != want {
			t.Errorf("task %d comes from attempt %d, want %d", task.NodeID, attempt, want)
		}
		uri := contract.TaskManifestURI(contract.AttemptURI("file:///assets/results", string(tg.UID), attempt), contract.NodeID(task.NodeID))
		raw, err := os.ReadFile(hostPath(uri))
		if err != nil {
			t.Fatal(err)
		}
		m, err := contract.DecodeManifest(raw)
		if err != nil || len(m.Tasks) != 1 {
			t.Fatalf("the manifest of task %d: %+v, %v", task.NodeID, m, err)
		}
		if i < 2 {
			outputs = append(outputs, results(t, m)...)
		}
	}
	if want := []string{"7", "8"}; !slices.Equal(outputs, want) {
		t.Errorf("results are %v, want %v", outputs, want)
	}
	pods, err := cluster.Run(t.Context(), "-n", namespace, "get", "pods", "-l", v1alpha1.UIDLabel+"="+string(tg.UID), "-o", "name")
	if err != nil || len(strings.Fields(pods)) != 5 {
		t.Errorf("it took %s pods, %v; want 5", strconv.Itoa(len(strings.Fields(pods))), err)
	}
}
