// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

func TestCommandsWithoutAStore(t *testing.T) {
	p := newPod(t, shell(1, "echo one; echo err >&2"), command(2, "echo", "two"))
	p.plan.Outputs = ""
	e := p.run().expect(0, "CC")
	if e.manifest != nil || e.message.Failure != nil {
		t.Errorf("committed %+v, failure %+v", e.manifest, e.message.Failure)
	}
	if e.stdout != "one\ntwo\n" || !strings.Contains(e.stderr, "err\n") || !strings.Contains(e.stderr, "[taskgroup] task 2: started\n") {
		t.Errorf("log %q, %q", e.stdout, e.stderr)
	}
	if entries, _ := os.ReadDir(filepath.Join(p.dir, "out")); len(entries) != 0 {
		t.Errorf("left %v", entries)
	}
}

func TestCommandsPassFiles(t *testing.T) {
	input := filepath.Join(t.TempDir(), "in put")
	if err := os.WriteFile(input, []byte("from outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	second := shell(2, `cat "$TASKGROUP_INPUT_1" "$TASKGROUP_INPUT_DATA_1" "$TASKGROUP_INPUT_9"; pwd; env`)
	second.Args = []contract.NodeID{1}
	second.Kwargs = map[string]contract.NodeID{"data_1": 9, "no-name": 9}
	p := newPod(t, shell(1, `printf left > "$TASKGROUP_OUTPUT"; touch here`), second)
	p.plan.Inputs[9] = "file://" + strings.ReplaceAll(input, " ", "%20")
	p.env["KEPT"] = "yes"
	e := p.run().expect(0, "CC")
	if got := e.text(1, contract.AssetOutput); got != "left" {
		t.Errorf("output %q", got)
	}
	if _, ok := e.task(2).Assets[contract.AssetOutput]; ok {
		t.Error("a command that wrote no output has one")
	}
	out := e.text(2, contract.AssetStdout)
	for _, want := range []string{"leftfrom outsidefrom outside" + p.imageDir() + "\n", "\nTASKGROUP_DIR=" + p.dir + "/room/tasks/1/scratch\n", "\nKEPT=yes\n", "\nTASKGROUP_NODE_ID=2\n", "\nTASKGROUP_ATTEMPT=2\n", "\nHOME=" + p.dir + "/room/home\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q lacks %q", out, want)
		}
	}
	for _, unwanted := range []string{contract.PlanEnv, "TASKGROUP_WORK=", "TASKGROUP_TERMINATION_LOG", "no-name"} {
		if strings.Contains(out, unwanted) {
			t.Errorf("%q has %q", out, unwanted)
		}
	}
}

func TestCommandFailures(t *testing.T) {
	dir := t.TempDir()
	for name, file := range map[string]struct {
		text string
		mode os.FileMode
	}{
		"plain": {"echo never", 0o644}, "lost": {"#!/no/such/interpreter\n", 0o755}, "binary": {"\x7fELF garbage", 0o755},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(file.text), file.mode); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		task     contract.PlanTask
		reason   contract.Reason
		message  string
		exitCode int32 // -1: none
	}{
		"exit code":      {shell(1, "echo out; exit 3"), contract.ReasonExitCode, "exit code 3", 3},
		"signal":         {shell(1, "kill -KILL $$"), contract.ReasonExitCode, "killed by signal 9 (SIGKILL)", 137},
		"not found":      {command(1, "no-such-command"), contract.ReasonExitCode, "starting no-such-command: command not found in PATH", 127},
		"no such path":   {command(1, dir+"/absent"), contract.ReasonExitCode, "starting " + dir + "/absent: command not found", 127},
		"empty name":     {command(1, ""), contract.ReasonExitCode, "starting a process: command not found: empty name", 127},
		"not executable": {command(1, dir+"/plain"), contract.ReasonExitCode, "starting " + dir + "/plain: not executable: its mode is 0644", 126},
		"directory":      {command(1, dir), contract.ReasonExitCode, "starting " + dir + ": not executable: it is a directory", 126},
		"interpreter not found": {command(1, dir+"/lost"), contract.ReasonExitCode,
			"starting " + dir + "/lost: command not found: the interpreter that the file names does not exist", 127},
		"no program": {command(1, dir+"/binary"), contract.ReasonExitCode, "starting " + dir + "/binary: not executable: exec format error", 126},
		"input without output": {contract.PlanTask{NodeID: 1, Command: []string{"true"}, Args: []contract.NodeID{5}}, contract.ReasonInputUnavailable,
			"the output of node 5: the group has no URI for it (spec.assets.inputs)", -1},
		"output is a directory": {shell(1, `mkdir "$TASKGROUP_OUTPUT"`), contract.ReasonOutputInvalid,
			"what the command left at $TASKGROUP_OUTPUT is not a regular file", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := newPod(t, test.task, shell(2, "echo never")).run().expect(1, "FX")
			expectFailure(t, e, test.reason, test.message)
			got := int32(-1)
			if code := e.task(1).ExitCode; code != nil {
				got = *code
			}
			if got != test.exitCode {
				t.Errorf("exit code %d, want %d", got, test.exitCode)
			}
		})
	}
}

func TestMixedGroups(t *testing.T) {
	tests := map[string]struct {
		first   string
		code    int
		states  string
		reason  contract.Reason
		message string
	}{
		"no output": {"true", 1, "FX", contract.ReasonInputUnavailable,
			"the output of node 9: the command left none: have it write a file to $TASKGROUP_OUTPUT"},
		"no archive": {`echo this is a text and no archive > "$TASKGROUP_OUTPUT"`, 1, "FX", contract.ReasonInputInvalid,
			"the output of node 9 is a plain command's file and not a Covalent TransportableObject: only a command can read it"},
		"a copied archive": {`cp "$TASKGROUP_INPUT_0" "$TASKGROUP_OUTPUT"`, 0, "CC", "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			first := shell(9, test.first)
			first.Args = []contract.NodeID{0}
			last := shell(2, `cat "$TASKGROUP_INPUT_1" > "$TASKGROUP_OUTPUT"`)
			last.Args = []contract.NodeID{1}
			p := newPythonPod(t, first, function(1, "add", 9), last).input(0, "three")
			e := p.run().expect(test.code, "C"+test.states)
			if test.reason != "" {
				expectFailure(t, e, test.reason, test.message)
				return
			}
			if e.result(1) != "3" || e.result(2) != "3" {
				t.Errorf("results %s, %s", e.result(1), e.result(2))
			}
		})
	}
}

func TestProgram(t *testing.T) {
	dest := filepath.Join(t.TempDir(), "runner")
	for range 2 {
		if out, err := newPod(t).program("install", dest).CombinedOutput(); err != nil {
			t.Fatalf("install: %v: %s", err, out)
		}
	}
	original, _ := os.ReadFile(runnerPath)
	installed, err := os.ReadFile(dest)
	info, statErr := os.Stat(dest)
	if err != nil || statErr != nil || !cmp.Equal(original, installed) || info.Mode() != 0o755 {
		t.Errorf("installed %d bytes with mode %v: %v", len(installed), info.Mode(), err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(dest)); len(entries) != 1 {
		t.Errorf("install left %v", entries)
	}
	if out, err := newPod(t).program("--version").Output(); err != nil || string(out) != "v0.0.0-test\n" {
		t.Errorf("--version: %q, %v", out, err)
	}
	for _, args := range [][]string{{"install"}, {"bogus"}, {"install", "/nonexistent/dir/runner"}} {
		if out, err := newPod(t).program(args...).CombinedOutput(); err == nil {
			t.Errorf("%q succeeded: %s", args, out)
		}
	}
}

func TestPlansThatCannotRun(t *testing.T) {
	tests := map[string]struct {
		change func(*pod)
		want   string
	}{
		"no tasks":                  {func(p *pod) { p.plan.Tasks = nil }, "invalid plan: no tasks"},
		"a node twice":              {func(p *pod) { p.plan.Tasks = append(p.plan.Tasks, command(1, "true")) }, "invalid plan: node 1 comes twice"},
		"function and command":      {func(p *pod) { p.plan.Tasks[0].Function = "file:///f" }, "invalid plan: task 1 needs either a command or a function"},
		"function without a store":  {func(p *pod) { p.plan.Tasks[0] = function(1, "add"); p.plan.Outputs = "" }, "invalid plan: task 1 is a function, and the group has no location for its result"},
		"version":                   {func(p *pod) { p.plan.Version = 9 }, "decoding the plan: version 9, this runner knows 1 and 2: use the runner image of the operator's release"},
		"a timeout below 0":         {func(p *pod) { p.plan.TaskSeconds = -1 }, "invalid plan: a timeout is below 0"},
		"grace period":              {func(p *pod) { p.env["TASKGROUP_GRACE_SECONDS"] = "soon" }, `TASKGROUP_GRACE_SECONDS is "soon": want a number of seconds`},
		"work directory is no such": {func(p *pod) { p.env["TASKGROUP_WORK"] = "/dev/null/x" }, "preparing the work directory: mkdir /dev/null: not a directory"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPod(t, command(1, "true"))
			test.change(p)
			out, err := p.command().CombinedOutput()
			raw, readErr := os.ReadFile(p.env["TASKGROUP_TERMINATION_LOG"])
			if err == nil || err.Error() != "exit status 2" || readErr != nil {
				t.Fatalf("%v, %v: %s", err, readErr, out)
			}
			if string(out) != "runner: "+test.want+"\n" || !strings.Contains(string(raw), `"reason":"PlanInvalid"`) {
				t.Errorf("got  %swant runner: %s\n%s", out, test.want, raw)
			}
		})
	}
}
