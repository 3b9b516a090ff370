// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// stubborn is a command that does not listen to SIGTERM.
const stubborn = "trap '' TERM; echo ready; while :; do sleep 0.1; done"

// onSignal is a command that waits for SIGTERM.
func onSignal(script string) string {
	return "trap '" + script + "' TERM; echo ready; while :; do sleep 0.01; done"
}

// TestDeadlines starts all pods at once: most of what they do is to wait.
func TestDeadlines(t *testing.T) {
	const unheard = "killed by signal 9 (SIGKILL), since SIGTERM did not end it in time"
	ofTask := func(p *contract.Plan) { p.TaskSeconds = 3 }
	ofGroup := func(p *contract.Plan) { p.RunningSeconds = 3 }
	ofBoth := func(p *contract.Plan) { p.TaskSeconds, p.RunningSeconds = 3, 1<<62 }
	tests := map[string]struct {
		task   contract.PlanTask
		limit  func(*contract.Plan)
		ending string
		code   int32
	}{
		"a function":                              {function(1, "waits"), ofTask, "killed by signal 15 (SIGTERM)", 143},
		"a function, the group's":                 {function(1, "waits"), ofGroup, "killed by signal 15 (SIGTERM)", 143},
		"a function that does not listen":         {function(1, "waits_stubbornly"), ofTask, unheard, 137},
		"a function that returns all the same":    {function(1, "ends_on_signal"), ofTask, "exit code 0, after SIGTERM", 0},
		"a function that stops its parent":        {function(1, "stops_its_parent"), ofTask, "killed by signal 15 (SIGTERM)", 143},
		"a function that is slow to load":         {function(1, "slow-to-load"), ofTask, "killed by signal 15 (SIGTERM)", 143},
		"a command":                               {shell(1, "echo ready; exec sleep 60"), ofTask, "killed by signal 15 (SIGTERM)", 143},
		"a command, before the group's":           {shell(1, "echo ready; exec sleep 60"), ofBoth, "killed by signal 15 (SIGTERM)", 143},
		"a command with children":                 {shell(1, "sleep 60 & echo ready; wait"), ofTask, "killed by signal 15 (SIGTERM)", 143},
		"a command that does not listen":          {shell(1, stubborn), ofTask, unheard, 137},
		"a command that does not, the group's":    {shell(1, stubborn), ofGroup, unheard, 137},
		"a command that succeeds all the same":    {shell(1, onSignal("echo late > $TASKGROUP_OUTPUT; exit 0")), ofTask, "exit code 0, after SIGTERM", 0},
		"a command that succeeds, the group's":    {shell(1, onSignal("exit 0")), ofGroup, "exit code 0, after SIGTERM", 0},
		"a command that fails with a code of its": {shell(1, onSignal("exit 5")), ofTask, "exit code 5, after SIGTERM", 5},
	}
	pods, waits := map[string]*pod{}, map[string]func() *ended{}
	for name, test := range tests {
		p := newPod(t, shell(9, "echo before"), test.task, shell(2, "echo never"))
		if test.task.Function != "" {
			if assetDir == "" {
				continue
			}
			p.env["TASKGROUP_PYTHON"] = os.Getenv(pythonEnv)
		}
		test.limit(&p.plan)
		pods[name], waits[name] = p, p.start()
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := pods[name]
			if p == nil {
				t.Skip(pythonEnv + " names no Python with cloudpickle: functions cannot run")
			}
			p.t = t
			start := "took longer than spec.timeouts.taskSeconds of 3 s: "
			if p.plan.TaskSeconds == 0 {
				start = "the group ran longer than spec.timeouts.runningSeconds of 3 s: "
			}
			expectDeadline(t, waits[name]().expect(1, "CFX"), start+test.ending, test.code)
		})
	}
}

// expectDeadline checks what a deadline leaves of tasks 1 and 2.
func expectDeadline(t *testing.T, e *ended, message string, code int32) {
	t.Helper()
	expectFailure(t, e, contract.ReasonDeadlineExceeded, message)
	record := e.task(1)
	if record.ExitCode == nil || *record.ExitCode != code || record.StartTime == nil {
		t.Errorf("record %+v, want exit code %d", record, code)
	}
	if got := e.text(1, contract.AssetStdout); got != "ready\n" {
		t.Errorf("stdout %q", got)
	}
	if next := e.task(2); next.Reason != contract.ReasonNotStarted || next.Message != "task 1 before it failed: DeadlineExceeded" {
		t.Errorf("the next task: %+v", next)
	}
}

func TestTimeThatSuffices(t *testing.T) {
	p := newPythonPod(t, function(1, "add", 0), shell(2, "echo done")).input(0, "three")
	p.plan.TaskSeconds, p.plan.RunningSeconds = 1<<62, 3600
	if e := p.run().expect(0, "CC"); e.message.Failure != nil {
		t.Errorf("failure %+v", e.message.Failure)
	}
}

// TestDeadlineAtAnyMoment has the group's time end somewhere among very short
// tasks: in one, between two, or while one is being forked.
func TestDeadlineAtAnyMoment(t *testing.T) {
	t.Parallel()
	p := newPythonPod(t).input(9999, "three")
	for i := contract.NodeID(0); i < 2000; i += 2 {
		p.plan.Tasks = append(p.plan.Tasks, function(i, "add", 9999), command(i+1, "true"))
	}
	p.plan.RunningSeconds = 1
	e := p.run()
	done := strings.IndexByte(e.states(), 'F')
	if done < 0 {
		t.Fatalf("nothing failed: %s\n%s", e.states(), e.stderr)
	}
	e.expect(1, strings.Repeat("C", done)+"F"+strings.Repeat("X", len(p.plan.Tasks)-done-1))
	record := e.task(contract.NodeID(done))
	if record.Reason != contract.ReasonDeadlineExceeded || !strings.HasPrefix(record.Message, "the group ran longer than spec.timeouts.runningSeconds of 1 s: ") {
		t.Errorf("record %+v", record)
	}
	t.Logf("%d tasks, then %s", done, record.Message)
}

func TestDeadlineWhilePythonStarts(t *testing.T) {
	hangs := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(hangs, []byte("#!/bin/sh\nexec sleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for want, set := range map[string]func(*contract.Plan){
		"took longer than spec.timeouts.taskSeconds of 1 s: Python was still starting":             func(p *contract.Plan) { p.TaskSeconds = 1 },
		"the group ran longer than spec.timeouts.runningSeconds of 1 s: Python was still starting": func(p *contract.Plan) { p.RunningSeconds = 1 },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			function := filepath.Join(t.TempDir(), "function")
			if err := os.WriteFile(function, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			p := newPod(t, contract.PlanTask{NodeID: 1, Function: "file://" + function}, shell(2, "echo never"))
			set(&p.plan)
			p.env["TASKGROUP_PYTHON"] = hangs
			e := p.run().expect(1, "FX")
			expectFailure(t, e, contract.ReasonDeadlineExceeded, want)
			if code := e.task(1).ExitCode; code != nil {
				t.Errorf("exit code %d of no process", *code)
			}
		})
	}
}

func TestDeadlineWhileTheHarnessIsStopped(t *testing.T) {
	t.Parallel()
	stop := `for pid in $(cat /proc/$PPID/task/*/children); do test $pid = $$ || kill -STOP $pid; done`
	p := newPythonPod(t, function(8, "add", 0), shell(9, stop), function(1, "add", 0)).input(0, "three")
	p.plan.TaskSeconds = 3
	e := p.run().expect(1, "CCF")
	expectFailure(t, e, contract.ReasonDeadlineExceeded, "took longer than spec.timeouts.taskSeconds of 3 s: its process was still starting")
}

// TestSIGTERMAfterTheDeadline sends SIGTERM to the pod while a task that ignores
// signals may still take some time after its deadline.
func TestSIGTERMAfterTheDeadline(t *testing.T) {
	t.Parallel()
	p := newPod(t, shell(1, "trap 'echo ready' TERM; while :; do sleep 0.01; done"), shell(2, "echo never"))
	p.plan.TaskSeconds = 1
	p.env["TASKGROUP_GRACE_SECONDS"] = "1"
	e := p.interrupt(syscall.SIGTERM).expect(1, "FX")
	expectFailure(t, e, contract.ReasonDeadlineExceeded,
		"took longer than spec.timeouts.taskSeconds of 1 s: killed by signal 9 (SIGKILL), since SIGTERM did not end it in time")
	// 1 s, and two thirds of the pod's grace period: not the 5 s of a deadline.
	if took := e.task(1).EndTime.Sub(*e.task(1).StartTime); took > 5*time.Second {
		t.Errorf("the task was killed after %s", took)
	}
}
