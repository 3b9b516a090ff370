// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

func envVar(name, value string) corev1.EnvVar { return corev1.EnvVar{Name: name, Value: value} }

// withInput gives the first task an argument from outside the group.
func withInput(tg *v1alpha1.TaskGroup, file string) *v1alpha1.TaskGroup {
	tg.Spec.Tasks[0].Args = []v1alpha1.NodeID{10, 10}
	tg.Spec.Assets.Inputs = map[string]v1alpha1.AssetURI{"10": v1alpha1.AssetURI("file:///assets/inputs/" + file)}
	return tg
}

func withMemory(tg *v1alpha1.TaskGroup, limit string) *v1alpha1.TaskGroup {
	tg.Spec.Pod.Resources = &v1alpha1.Resources{Limits: v1alpha1.Amounts{corev1.ResourceMemory: {Text: limit}}}
	return tg
}

func withImage(tg *v1alpha1.TaskGroup, image string) *v1alpha1.TaskGroup {
	tg.Spec.Pod.Image = image
	return tg
}

func withOutputs(tg *v1alpha1.TaskGroup, uri v1alpha1.AssetURI) *v1alpha1.TaskGroup {
	tg.Spec.Assets.Outputs = uri
	return tg
}

func commandGroup(name string, argv ...string) *v1alpha1.TaskGroup {
	return group(name, v1alpha1.TaskSpec{NodeID: 0, Command: argv})
}

// TestBadInput is everything that a user can get wrong and the API server cannot
// see. Each ends in its own reason, names what is wrong, and keeps what was
// printed up to then.
func TestBadInput(t *testing.T) {
	t.Parallel()
	const printed = "before\n"
	cases := map[string]struct {
		tg *v1alpha1.TaskGroup
		// reason and message are what `kubectl get tg -o wide` must show.
		reason  v1alpha1.Reason
		message string
		// exitCode is the exit code of the task; 0 for none.
		exitCode int32
		stdout   string
		// noManifest is set where there is no place to commit one.
		noManifest bool
	}{
		"missing-function":  {tg: functions("missing-function", "nowhere"), reason: v1alpha1.ReasonInputUnavailable, message: "file:///assets/functions/nowhere"},
		"missing-input":     {tg: withInput(functions("missing-input", "add"), "nowhere"), reason: v1alpha1.ReasonInputUnavailable, message: "file:///assets/inputs/nowhere"},
		"forbidden-input":   {tg: withInput(functions("forbidden-input", "add"), "forbidden"), reason: v1alpha1.ReasonInputUnavailable, message: "file:///assets/inputs/forbidden"},
		"folder-as-input":   {tg: withInput(functions("folder-as-input", "add"), "folder"), reason: v1alpha1.ReasonInputUnavailable, message: "file:///assets/inputs/folder"},
		"empty-function":    {tg: functions("empty-function", "empty"), reason: v1alpha1.ReasonInputInvalid, message: "file:///assets/functions/empty"},
		"no-archive":        {tg: functions("no-archive", "no-archive"), reason: v1alpha1.ReasonInputInvalid, message: "file:///assets/functions/no-archive"},
		"truncated-archive": {tg: functions("truncated-archive", "truncated"), reason: v1alpha1.ReasonInputInvalid, message: "file:///assets/functions/truncated"},
		"corrupt-pickle":    {tg: functions("corrupt-pickle", "corrupt"), reason: v1alpha1.ReasonInputInvalid, message: "file:///assets/functions/corrupt"},
		"missing-module":    {tg: functions("missing-module", "missing-module"), reason: v1alpha1.ReasonInputInvalid, message: "module_that_nobody_has"},
		"other-python":      {tg: functions("other-python", "python-2.7"), reason: v1alpha1.ReasonPythonVersionMismatch, message: "2.7"},
		"no-python":         {tg: withImage(functions("no-python", "add"), "localhost/taskgroup-operator/manager:dev"), reason: v1alpha1.ReasonPythonUnavailable, message: "python3"},
		"exception":         {tg: functions("exception", "raises"), reason: v1alpha1.ReasonTaskError, message: "ValueError: böse zweite Zeile", exitCode: 1, stdout: printed},
		"sys-exit":          {tg: functions("sys-exit", "exits"), reason: v1alpha1.ReasonExitCode, message: "3", exitCode: 3, stdout: printed},
		"os-exit":           {tg: functions("os-exit", "leaves"), reason: v1alpha1.ReasonExitCode, message: "before", stdout: printed},
		"killed":            {tg: functions("killed", "kills_itself"), reason: v1alpha1.ReasonExitCode, message: "SIGKILL", exitCode: 137, stdout: printed},
		"killed-harness":    {tg: functions("killed-harness", "kills_its_parent"), reason: v1alpha1.ReasonExitCode, message: "its parent, ended before it did", stdout: printed},
		"segfault":          {tg: functions("segfault", "crashes"), reason: v1alpha1.ReasonExitCode, message: "SIGSEGV", exitCode: 139, stdout: printed},
		"unpicklable":       {tg: functions("unpicklable", "unpicklable"), reason: v1alpha1.ReasonOutputInvalid, message: "lock", stdout: printed},
		"out-of-memory":     {tg: withMemory(functions("out-of-memory", "eats_memory"), "96Mi"), reason: v1alpha1.ReasonOOMKilled, message: "96.0 MiB", stdout: printed},
		"pickle-bomb":       {tg: withMemory(withInput(functions("pickle-bomb", "add"), "bomb"), "96Mi"), reason: v1alpha1.ReasonOOMKilled, message: "96.0 MiB"},
		"command-missing":   {tg: commandGroup("command-missing", "no-such-program"), reason: v1alpha1.ReasonExitCode, message: "no-such-program", exitCode: 127},
		"command-fails":     {tg: commandGroup("command-fails", "sh", "-c", "echo before; exit 3"), reason: v1alpha1.ReasonExitCode, message: "3", exitCode: 3, stdout: printed},
		"no-place":          {tg: withOutputs(functions("no-place", "whoami"), "file:///nowhere/results"), reason: v1alpha1.ReasonOutputUploadFailed, message: "file:///nowhere/results", noManifest: true},
	}
	var mu sync.Mutex
	var table []string
	t.Cleanup(func() { t.Logf("what each gets:\n%s", strings.Join(table, "\n")) })
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// A second task shows that the first failure ends the group.
			tc.tg.Spec.Tasks = append(tc.tg.Spec.Tasks, v1alpha1.TaskSpec{NodeID: 99, Command: []string{"touch", "/assets/" + name}})
			tg := awaitReason(t, create(t, tc.tg), tc.reason)
			mu.Lock()
			table = append(table, fmt.Sprintf("| %s | %s | %s |", name, tc.reason, messageOf(tg)))
			mu.Unlock()
			if !strings.Contains(messageOf(tg), tc.message) {
				t.Errorf("the message lacks %q: %s", tc.message, messageOf(tg))
			}
			first, second := tg.Status.Tasks[0], tg.Status.Tasks[1]
			if first.State != v1alpha1.TaskFailed || second.State != v1alpha1.TaskCancelled {
				t.Errorf("the tasks are %s and %s, want FAILED and CANCELLED", first.State, second.State)
			}
			if tc.exitCode != 0 && (first.ExitCode == nil || *first.ExitCode != tc.exitCode) {
				t.Errorf("exit code is %v, want %d", first.ExitCode, tc.exitCode)
			}
			if tc.noManifest {
				return
			}
			m := manifest(t, tg)
			if got := text(t, m, 0, contract.AssetStdout); got != tc.stdout {
				t.Errorf("stdout is %q, want %q", got, tc.stdout)
			}
			if got := text(t, m, 0, contract.AssetError); !strings.Contains(got, string(tc.reason)) {
				t.Errorf("the error asset lacks the reason: %q", got)
			}
		})
	}
}
