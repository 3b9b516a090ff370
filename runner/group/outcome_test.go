// SPDX-License-Identifier: Apache-2.0

package group

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/runner/cgroup"
	"github.com/taskgroup-operator/taskgroup-operator/runner/process"
	"github.com/taskgroup-operator/taskgroup-operator/runner/python"
)

// memoryAfter returns the accounts of a container after a number of OOM kills.
func memoryAfter(t *testing.T, kills string) *cgroup.Memory {
	t.Helper()
	root := t.TempDir()
	for file, text := range map[string]string{
		"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.events": "oom_kill " + kills + "\n",
		"sys/fs/cgroup/memory.max": "100663296\n", "sys/fs/cgroup/memory.peak": "100663296\n",
	} {
		path := filepath.Join(root, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cgroup.FindMemory(root)
}

type reasonAndMessage struct {
	Reason  contract.Reason
	Message string
}

func TestOutOfMemoryOfAChild(t *testing.T) {
	const killed = "OOM-killed: memory limit 96.0 MiB, peak 96.0 MiB: raise spec.pod.resources.limits.memory"
	exit := func(code int) process.Exit { return process.Exit{Code: code} }
	deadline := &deadlineError{"took longer than spec.timeouts.taskSeconds of 3 s"}
	tests := map[string]struct {
		outcome outcome
		kills   string
		want    reasonAndMessage
	}{
		"an exception": {
			failed(contract.ReasonTaskError, "BrokenProcessPool: terminated").after(exit(1)), "1",
			reasonAndMessage{contract.ReasonOOMKilled, killed + ": BrokenProcessPool: terminated"},
		},
		"the task itself": {
			failed(contract.ReasonExitCode, "killed by signal 9 (SIGKILL)").after(process.Exit{Signal: sigKill}), "1",
			reasonAndMessage{contract.ReasonOOMKilled, killed},
		},
		"a pool that waits for its worker until the deadline": {
			stopped(deadline, exit(0)), "1",
			reasonAndMessage{contract.ReasonOOMKilled, killed + ": " + deadline.text + ": exit code 0, after SIGTERM"},
		},
		"a failure without a kill": {
			failed(contract.ReasonTaskError, "ValueError: boom").after(exit(1)), "0",
			reasonAndMessage{contract.ReasonTaskError, "ValueError: boom"},
		},
		"a completed task": {completed(exit(0), ""), "1", reasonAndMessage{}},
		"a cancelled task": {
			stopped(errors.New("SIGTERM"), exit(0)), "1",
			reasonAndMessage{contract.ReasonTerminated, "stopped because the pod received SIGTERM: exit code 0"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &run{Config: Config{Memory: memoryAfter(t, test.kills)}}
			got := r.withOutOfMemory(test.outcome, 0)
			if diff := cmp.Diff(test.want, reasonAndMessage{got.reason, got.message}); diff != "" {
				t.Error(diff)
			}
			if got.state != test.outcome.state || got.exit != test.outcome.exit {
				t.Errorf("state %s, exit %+v", got.state, got.exit)
			}
		})
	}
}

func TestOutOfMemoryOfACommand(t *testing.T) {
	r := &run{Config: Config{Memory: memoryAfter(t, "1")}}
	if !r.outOfMemory(process.Exit{Code: 1}, 0) || r.outOfMemory(process.Exit{Code: 1}, 1) {
		t.Error("outOfMemory does not depend on the count of kills alone")
	}
	want := "OOM-killed: memory limit 96.0 MiB, peak 96.0 MiB: raise spec.pod.resources.limits.memory: exit code 1"
	if got := r.oomKilled(process.Exit{Code: 1}); got.reason != contract.ReasonOOMKilled || got.message != want {
		t.Errorf("%s: %s", got.reason, got.message)
	}
}

// TestReportedExitCode: exit handlers run after the report, and may end the process.
func TestReportedExitCode(t *testing.T) {
	for name, test := range map[string]struct {
		report python.Report
		exit   process.Exit
		want   int32
	}{
		"completed, a handler ends the process":  {python.Report{Outcome: "completed"}, process.Exit{Code: 9}, 0},
		"completed, a handler kills the process": {python.Report{Outcome: "completed"}, process.Exit{Signal: sigKill}, 0},
		"failed, a handler ends the process":     {python.Report{Outcome: "failed", ExitCode: 3}, process.Exit{Code: 9}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := reported(&test.report, test.exit, taskFiles{}); got.exit.Status() != test.want {
				t.Errorf("exit code %d, want %d", got.exit.Status(), test.want)
			}
		})
	}
}
