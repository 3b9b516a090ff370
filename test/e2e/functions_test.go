// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// TestFunctions runs pickled functions with all kinds of arguments and unpickles
// what they return.
func TestFunctions(t *testing.T) {
	t.Parallel()
	tg := functions("functions", "add", "scale", "join", "whoami")
	tg.Spec.DispatchID, tg.Spec.TaskGroupID = "0b8a3c6e-2d0f-4f0e-9d55-3a3c1f0f8e11", new(int64(3))
	tg.Spec.Assets.Inputs = map[string]v1alpha1.AssetURI{
		"10": "file:///assets/inputs/three",
		"11": "file:///assets/inputs/four",
		"12": "file:///assets/inputs/numbers",
		"13": "file:///assets/inputs/dash",
	}
	tg.Spec.Tasks[0].Args = []v1alpha1.NodeID{10, 11}
	tg.Spec.Tasks[1].Args = []v1alpha1.NodeID{12}
	tg.Spec.Tasks[1].Kwargs = map[string]v1alpha1.NodeID{"factor": 0}
	tg.Spec.Tasks[2].Args = []v1alpha1.NodeID{0, 1, 10}
	tg.Spec.Tasks[2].Kwargs = map[string]v1alpha1.NodeID{"sep": 13}
	tg = awaitReason(t, create(t, tg), v1alpha1.ReasonCompleted)

	m := manifest(t, tg)
	want := []string{"7", "[7, 14, 21]", "'7–[7, 14, 21]–3'", "(65532, 65532, 'read-only', False)"}
	if diff := cmp.Diff(want, results(t, m)); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if got := text(t, m, 0, contract.AssetStdout); got != "adding 3 and 4\n" {
		t.Errorf("stdout is %q", got)
	}
	if got := text(t, m, 1, contract.AssetStderr); got != "größer\n" {
		t.Errorf("stderr is %q", got)
	}
	if m.Python == nil || !strings.HasPrefix(m.Python.Version, "3.") || m.DispatchID != tg.Spec.DispatchID {
		t.Errorf("the manifest lacks what it ran on: %+v", m)
	}
	for _, task := range m.Tasks {
		if task.PeakMemoryBytes == 0 || task.StartTime == nil || task.EndTime.Before(*task.StartTime) {
			t.Errorf("task %d lacks its usage: %+v", task.NodeID, task)
		}
	}
}

// TestHooks: bash and pip hooks work for a user without privileges, on a root file
// system that is read-only.
func TestHooks(t *testing.T) {
	t.Parallel()
	tg := functions("hooks", "uses_hooks")
	tg.Spec.Assets.Hooks = map[string]v1alpha1.AssetURI{"0": "file:///assets/hooks/bash-and-pip"}
	m := manifest(t, awaitReason(t, create(t, tg), v1alpha1.ReasonCompleted))
	if got := results(t, m)[0]; got != "(42, 'here', True)" {
		t.Errorf("the function returned %s", got)
	}
	if got := text(t, m, 0, contract.AssetStdout); !strings.HasPrefix(got, "bash ran\n") {
		t.Errorf("stdout is %q", got)
	}
}

// TestCommands runs plain commands; a command may read what a function wrote.
func TestCommands(t *testing.T) {
	t.Parallel()
	tg := group("commands",
		v1alpha1.TaskSpec{NodeID: 1, Command: []string{"sh", "-c", `printf 'tief\000binär' > "$TASKGROUP_OUTPUT"; echo "$GREETING"; echo oops >&2`}},
		v1alpha1.TaskSpec{NodeID: 2, Command: []string{"python3", "-c", `import os; print(len(open(os.environ["TASKGROUP_INPUT_1"], "rb").read()))`}, Args: []v1alpha1.NodeID{1}},
	)
	tg.Spec.Pod.Env = append(tg.Spec.Pod.Env, envVar("GREETING", "grüß dich $(PATH) %s"))
	tg = awaitReason(t, create(t, tg), v1alpha1.ReasonCompleted)
	m := manifest(t, tg)
	for what, pair := range map[string][2]string{
		"output of 1": {text(t, m, 0, contract.AssetOutput), "tief\x00binär"},
		"stdout of 1": {text(t, m, 0, contract.AssetStdout), "grüß dich $(PATH) %s\n"},
		"stderr of 1": {text(t, m, 0, contract.AssetStderr), "oops\n"},
		"stdout of 2": {text(t, m, 1, contract.AssetStdout), "11\n"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %q, want %q", what, pair[0], pair[1])
		}
	}
	log, err := cluster.Run(t.Context(), "-n", namespace, "logs", "-l", v1alpha1.NameLabel+"=commands", "--tail=-1")
	if err != nil || !strings.Contains(log, "grüß dich") || !strings.Contains(log, "oops") {
		t.Errorf("kubectl logs shows %q, %v", log, err)
	}
}

// TestManyTasks runs as many functions as a group may have, in one pod.
func TestManyTasks(t *testing.T) {
	t.Parallel()
	files := make([]string, 256)
	for i := range files {
		files[i] = "whoami"
	}
	tg := awaitReason(t, create(t, functions("many", files...)), v1alpha1.ReasonCompleted)
	if tg.Status.Summary != "256/256" {
		t.Errorf("done %s", tg.Status.Summary)
	}
	m := manifest(t, tg)
	t.Logf("256 functions in one pod took %v by the manifest", m.EndTime.Sub(m.StartTime))
}
