// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

func TestFunctionGetsPositionalAndKeywordArguments(t *testing.T) {
	p := newPythonPod(t,
		contract.PlanTask{NodeID: 7, Function: asset("add"), Args: []contract.NodeID{0, 1}, Kwargs: map[string]contract.NodeID{"shift": 0}},
		// The second takes what the first returned, and one input again.
		contract.PlanTask{NodeID: 8, Function: asset("add"), Args: []contract.NodeID{7, 7}, Kwargs: map[string]contract.NodeID{"shift": 1}},
	).input(0, "three").input(1, "four")
	e := p.run().expect(0, "CC")
	if got := e.result(7) + " " + e.result(8); got != "10 24" {
		t.Errorf("results %s, want 10 24", got)
	}
	if got := e.text(7, contract.AssetStdout); got != "add 3 4 3\n" {
		t.Errorf("stdout %q", got)
	}
	if e.stdout != "add 3 4 3\nadd 10 10 4\n" {
		t.Errorf("pod log %q", e.stdout)
	}
	if e.message.Failure != nil || e.manifest.Python == nil || e.manifest.Python.Cloudpickle == "" {
		t.Errorf("failure %+v, Python %+v", e.message.Failure, e.manifest.Python)
	}
	record := e.task(8)
	if record.PeakMemoryBytes < 1<<20 || record.CPUSeconds <= 0 || *record.ExitCode != 0 || !record.EndTime.After(*record.StartTime) {
		t.Errorf("usage %+v", record)
	}
}

func TestUnicodeEverywhere(t *testing.T) {
	p := newPythonPod(t, function(1, "unicode", 0), shell(2, `printf '%s' 'ü🙂'; cat "$TASKGROUP_INPUT_1" >/dev/null`)).input(0, "text")
	p.plan.Tasks[1].Args = []contract.NodeID{1}
	p.plan.Outputs = "file://" + p.dir + "/größe%20日本語/🙂"
	p.env["LANG"] = "C"
	p.env["TASKGROUP_WORK"] = p.dir + "/arbeit ü"
	runner := p.command()
	out, err := runner.Output()
	raw, readErr := os.ReadFile(p.dir + "/größe 日本語/🙂/1/stdout")
	if err != nil || readErr != nil {
		t.Fatal(err, readErr)
	}
	if string(raw) != "größe ünïcode\n" || string(out) != "größe ünïcode\nü🙂" {
		t.Errorf("stdout %q, log %q", raw, out)
	}
}

// TestStreamsAreByteExact: the streams of a command keep their bytes. Those of a function
// are text, as Covalent reads them: bytes that are not UTF-8 become escapes.
func TestStreamsAreByteExact(t *testing.T) {
	every := make([]byte, 256)
	var escaped strings.Builder
	for i := range every {
		every[i] = byte(i)
		if i < utf8.RuneSelf {
			escaped.WriteByte(byte(i))
		} else {
			fmt.Fprintf(&escaped, `\x%02x`, i)
		}
	}
	raw := filepath.Join(t.TempDir(), "every")
	if err := os.WriteFile(raw, every, 0o644); err != nil {
		t.Fatal(err)
	}
	p := newPythonPod(t, function(1, "streams"), function(2, "large_streams"), function(4, "split_streams"), shell(3, `cat "$RAW"`))
	p.env["RAW"] = raw
	e := p.run().expect(0, "CCCC")
	want := escaped.String() + "python\nshell\n"
	if diff := cmp.Diff(want, e.text(1, contract.AssetStdout)); diff != "" {
		t.Error(diff)
	}
	if got := e.text(1, contract.AssetStderr); got != "error\n\\xff\\xfe no newline" {
		t.Errorf("stderr %q", got)
	}
	large := strings.Repeat("0123456789abcde\n", 1<<16)
	if got := e.text(2, contract.AssetStdout); got != large {
		t.Errorf("%d bytes of a large stream, want %d", len(got), len(large))
	}
	split := "caf\\xe9 €\U0001F600 \\xe2\\x82"
	if got := e.text(4, contract.AssetStdout); got != split {
		t.Errorf("split characters: %q, want %q", got, split)
	}
	if got := e.text(3, contract.AssetStdout); got != string(every) {
		t.Errorf("the stream of a command: %q", got)
	}
	if e.stdout != want+large+split+string(every) {
		t.Errorf("the pod's log has %d bytes", len(e.stdout))
	}
}

// TestFailures checks the outcome of every bad function and input. A message that ends
// in … is compared up to there; ASSETS, IMAGE and INTERPRETER stand for what
// differs from machine to machine.
func TestFailures(t *testing.T) {
	tests := map[string]struct {
		task     contract.PlanTask
		inputs   map[contract.NodeID]string
		reason   contract.Reason
		message  string
		exitCode int32 // -1: none
		stderr   string
	}{
		"exception": {
			task: function(1, "raises"), reason: contract.ReasonTaskError, message: "ValueError: boom ü", exitCode: 1,
			stderr: "\nValueError: boom ü\n",
		},
		"wrong arguments": {
			task: function(1, "raises", 0), inputs: map[contract.NodeID]string{0: asset("three")},
			reason: contract.ReasonTaskError, message: "TypeError: raises() takes 0 positional arguments but 1 was given", exitCode: 1,
		},
		"an exception with what terminals obey": {
			task: function(1, "raises_what_terminals_obey"), reason: contract.ReasonTaskError, exitCode: 1,
			message: "ValueError: \ufffd[2J\ufffd\ufffd\ufffd\nnext \ufffdxxx…", stderr: "\x1b[2J\a\x00\r\n",
		},
		"an exception without a text": {
			task: function(1, "raises_what_cannot_be_told"), reason: contract.ReasonTaskError, message: "Unwilling: <…", exitCode: 1,
		},
		"a pickle that explodes": {
			task: function(1, "add", 0), inputs: map[contract.NodeID]string{0: asset("bomb-that-explodes")},
			reason: contract.ReasonInputInvalid, message: "ASSETS/bomb-that-explodes: it cannot be unpickled: ZeroDivisionError: division by zero", exitCode: 1,
		},
		"a pickle that recurses": {
			task: function(1, "add", 0), inputs: map[contract.NodeID]string{0: asset("bomb-that-recurses")},
			reason: contract.ReasonTaskError, message: "RecursionError: …", exitCode: 1,
		},
		"a pickle that ends the process": {
			task: function(1, "add", 0), inputs: map[contract.NodeID]string{0: asset("bomb-that-ends-the-process")},
			reason: contract.ReasonExitCode, exitCode: 0,
			message: "the process ended with exit code 0 before the function returned: os._exit, or a library that ends the process",
		},
		"sys.exit": {
			task: function(1, "exits", 0), inputs: map[contract.NodeID]string{0: asset("three")}, reason: contract.ReasonExitCode,
			message: "sys.exit(3) was called before the function returned: exit code 3", exitCode: 3,
		},
		"sys.exit without a code": {
			task: function(1, "exits", 0), inputs: map[contract.NodeID]string{0: asset("none")}, reason: contract.ReasonExitCode,
			message: "sys.exit() was called before the function returned: exit code 0", exitCode: 0,
		},
		"sys.exit with text": {
			task: function(1, "exits", 0), inputs: map[contract.NodeID]string{0: asset("say")}, reason: contract.ReasonExitCode,
			message: "sys.exit('farewell') was called before the function returned: exit code 1", exitCode: 1, stderr: "farewell\n",
		},
		"os._exit(0)": {
			task: function(1, "exits_at_once"), reason: contract.ReasonExitCode, exitCode: 0,
			message: "the process ended with exit code 0 before the function returned: os._exit, or a library that ends the process",
		},
		"SIGKILL of itself": {
			task: function(1, "kills_itself", 0), inputs: map[contract.NodeID]string{0: asset("kill")}, reason: contract.ReasonExitCode,
			message: "killed by signal 9 (SIGKILL) before the function returned", exitCode: 137,
		},
		"segmentation fault": {
			task: function(1, "kills_itself", 0), inputs: map[contract.NodeID]string{0: asset("segv")}, reason: contract.ReasonExitCode,
			message: "killed by signal 11 (SIGSEGV) before the function returned", exitCode: 139,
		},
		"SIGTERM of itself": {
			task: function(1, "kills_itself", 0), inputs: map[contract.NodeID]string{0: asset("term")}, reason: contract.ReasonExitCode,
			message: "killed by signal 15 (SIGTERM) before the function returned", exitCode: 143,
		},
		"killing the harness": {
			task: function(1, "kills_its_parent"), reason: contract.ReasonExitCode, exitCode: 137,
			message: "the Python process that runs the task, its parent, ended before it did (killed by signal 9 (SIGKILL)): did the function kill it?",
		},
		"unpicklable result": {
			task: function(1, "unpicklable"), reason: contract.ReasonOutputInvalid, exitCode: 1,
			message: "the result, a _thread.lock, cannot be pickled: TypeError: cannot pickle '_thread.lock' object",
		},
		"a coroutine": {
			task: function(1, "coroutine"), reason: contract.ReasonOutputInvalid, exitCode: 1,
			message: "the result, a builtins.coroutine, cannot be pickled: coroutine is an async function: call it with asyncio.run(...) in the task",
		},
		"a fork that returns before the task is killed": {
			task: function(1, "forks_and_is_killed"), reason: contract.ReasonExitCode, exitCode: 137,
			message: "killed by signal 9 (SIGKILL) before the function returned",
		},
		"exit handlers that end the process after an exception": {
			task: function(1, "raises_and_exits"), reason: contract.ReasonTaskError, exitCode: 1, message: "ValueError: boom",
		},
		"exit code 70 of the function": {
			task: function(1, "exits_with_70"), reason: contract.ReasonExitCode, exitCode: 70,
			message: "the process ended with exit code 70 before the function returned: os._exit, or a library that ends the process",
		},
		"corrupt pickle": {
			task: function(1, "corrupt-pickle"), reason: contract.ReasonInputInvalid, exitCode: 1,
			message: "ASSETS/corrupt-pickle: it cannot be unpickled: …",
		},
		"truncated pickle": {
			task: function(1, "add", 0), inputs: map[contract.NodeID]string{0: asset("truncated-pickle")},
			reason: contract.ReasonInputInvalid, message: "ASSETS/truncated-pickle: …", exitCode: 1,
		},
		"truncated header": {
			task: function(1, "truncated-header"), reason: contract.ReasonInputInvalid, exitCode: -1,
			message: "ASSETS/truncated-header: not a Covalent TransportableObject: reading the header: unexpected EOF",
		},
		"empty file": {
			task: function(1, "add", 0), inputs: map[contract.NodeID]string{0: asset("empty")}, reason: contract.ReasonInputInvalid,
			message: "ASSETS/empty: not a Covalent TransportableObject: reading the offsets: EOF", exitCode: -1,
		},
		"text file": {
			task: function(1, "text-file"), reason: contract.ReasonInputInvalid, exitCode: -1,
			message: "ASSETS/text-file: not a Covalent TransportableObject: impossible offsets …",
		},
		"header without a version": {
			task: function(1, "no-version"), reason: contract.ReasonInputInvalid, exitCode: -1,
			message: "ASSETS/no-version: not a Covalent TransportableObject: the header has no Python version",
		},
		"function of another Python": {
			task: function(1, "old-python"), reason: contract.ReasonPythonVersionMismatch, exitCode: -1,
			message: "the function was pickled with Python 3.2, the image has IMAGE: use an image with Python 3.2 or dispatch from IMAGE",
		},
		"input of another Python": {
			task: function(1, "add", 5), inputs: map[contract.NodeID]string{5: asset("old-python")},
			reason: contract.ReasonPythonVersionMismatch, exitCode: -1,
			message: "the output of node 5 was pickled with Python 3.2, the image has IMAGE: use an image with Python 3.2 or dispatch from IMAGE",
		},
		"missing module": {
			task: function(1, "missing-module"), reason: contract.ReasonInputInvalid, exitCode: 1,
			message: "ASSETS/missing-module: the image has no module 'no_such_module': add it to the image, or as a pip dependency",
		},
		"missing function": {
			task: function(1, "absent"), reason: contract.ReasonInputUnavailable, exitCode: -1,
			message: "ASSETS/absent: no such file",
		},
		"missing input": {
			task: function(1, "add", 0), inputs: map[contract.NodeID]string{0: asset("no/absent")}, reason: contract.ReasonInputUnavailable,
			message: "ASSETS/no/absent: no such file", exitCode: -1,
		},
		"input without a URI": {
			task: function(1, "add", 9), reason: contract.ReasonInputUnavailable, exitCode: -1,
			message: "the output of node 9: the group has no URI for it (spec.assets.inputs)",
		},
		"own output as input": {
			task: function(1, "add", 1), reason: contract.ReasonInputUnavailable, exitCode: -1,
			message: "the output of node 1: the task comes later in this group",
		},
		"directory as input": {
			task: function(1, "add", 0), inputs: map[contract.NodeID]string{0: "file:///tmp"}, reason: contract.ReasonInputUnavailable,
			message: "file:///tmp: is a directory", exitCode: -1,
		},
		"device as input": {
			task: function(1, "add", 0), inputs: map[contract.NodeID]string{0: "file:///dev/null"}, reason: contract.ReasonInputUnavailable,
			message: "file:///dev/null: not a regular file", exitCode: -1,
		},
		"unknown scheme": {
			task: contract.PlanTask{NodeID: 1, Function: "ftp://host/f"}, reason: contract.ReasonInputUnavailable, exitCode: -1,
			message: `ftp://host/f: unknown scheme "ftp": this runner knows azblob, blob, file, gateway, gs, http, https, s3`,
		},
		"URI with a query": {
			task: contract.PlanTask{NodeID: 1, Function: "file:///a?b"}, reason: contract.ReasonInputUnavailable, exitCode: -1,
			message: "file:///a?REDACTED: a file URI with a query or fragment: write ? as %3F and # as %23",
		},
		"URI with a host": {
			task: contract.PlanTask{NodeID: 1, Function: "file://nas/a"}, reason: contract.ReasonInputUnavailable, exitCode: -1,
			message: `file://nas/a: a file URI with host "nas": write file:///path`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPythonPod(t, test.task, function(2, "add"))
			maps.Copy(p.plan.Inputs, test.inputs)
			e := p.run().expect(1, "FX")
			record := e.task(1)
			message := strings.NewReplacer("ASSETS", "file://"+assetDir, "IMAGE", imageVersion(e)).Replace(test.message)
			expectFailure(t, e, test.reason, message)
			switch {
			case test.exitCode < 0 && record.ExitCode != nil:
				t.Errorf("exit code %d, want none", *record.ExitCode)
			case test.exitCode >= 0 && (record.ExitCode == nil || *record.ExitCode != test.exitCode):
				t.Errorf("exit code %v, want %d", record.ExitCode, test.exitCode)
			}
			if got := e.text(1, contract.AssetStderr); !strings.Contains(got, test.stderr) {
				t.Errorf("stderr %q does not have %q", got, test.stderr)
			}
			next := e.task(2)
			if next.Reason != contract.ReasonNotStarted || next.Message != "task 1 before it failed: "+string(test.reason) || len(next.Assets) != 0 || next.StartTime != nil {
				t.Errorf("the next task: %+v", next)
			}
		})
	}
}

// expectFailure checks the record, the termination message and the error asset
// of task 1.
func expectFailure(t *testing.T, e *ended, reason contract.Reason, message string) {
	t.Helper()
	record := e.task(1)
	same := record.Message == message
	if start, cut := strings.CutSuffix(message, "…"); cut {
		same = strings.HasPrefix(record.Message, start)
	}
	if record.Reason != reason || !same {
		t.Errorf("got  %s: %s\nwant %s: %s", record.Reason, record.Message, reason, message)
	}
	failure := e.message.Failure
	if failure == nil || failure.NodeID == nil || *failure.NodeID != 1 || failure.Reason != record.Reason || failure.Message != record.Message {
		t.Errorf("the termination message says %+v", failure)
	}
	if got := e.text(1, contract.AssetError); !strings.HasPrefix(got, string(reason)+": "+record.Message+"\n") {
		t.Errorf("error asset %q", got)
	}
	if _, ok := record.Assets[contract.AssetOutput]; ok {
		t.Error("a failed task has an output")
	}
}

// imageVersion is major.minor of the Python that the runner used.
func imageVersion(e *ended) string {
	if e.manifest == nil || e.manifest.Python == nil {
		return ""
	}
	return regexp.MustCompile(`^\d+\.\d+`).FindString(e.manifest.Python.Version)
}

func TestFunctionResultWithoutAString(t *testing.T) {
	e := newPythonPod(t, function(1, "bad_string")).run().expect(0, "C")
	if got, want := e.result(1), "<__main__.bad_string.<locals>.Bad: no text: builtins.RuntimeError>"; got != want {
		t.Errorf("result %s, want %s", got, want)
	}
}

// TestFunctionExitHandlers: handlers run after the outcome was reported, and have a part
// of the task's time only.
func TestFunctionExitHandlers(t *testing.T) {
	for _, name := range []string{"exits_in_a_handler", "hangs_in_a_handler"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPythonPod(t, function(1, name), function(2, "add", 0)).input(0, "three")
			p.plan.TaskSeconds = 2
			e := p.run().expect(0, "CC")
			if e.result(1) != "whole" || *e.task(1).ExitCode != 0 || e.text(1, contract.AssetStdout) != "handled\n" {
				t.Errorf("result %s, exit code %d, stdout %q", e.result(1), *e.task(1).ExitCode, e.text(1, contract.AssetStdout))
			}
		})
	}
}

// TestLongNames: the name and the docstring of a result are in its header.
func TestLongNames(t *testing.T) {
	e := newPythonPod(t, function(1, "returns_ten_thousand_characters_of_name")).run().expect(0, "C")
	if got := e.result(1); !strings.Contains(got, strings.Repeat("n", 10000)) {
		t.Errorf("the result is %.80q", got)
	}
}

func TestErrorAssetHasTheTracebackWithoutTheHarness(t *testing.T) {
	e := newPythonPod(t, function(1, "raises")).run().expect(1, "F")
	got := e.text(1, contract.AssetError)
	if !strings.Contains(got, "Traceback (most recent call last):") || !strings.Contains(got, "in raises") || strings.Contains(got, "taskgroup_harness") {
		t.Errorf("error asset:\n%s", got)
	}
}

func TestSurroundingsOfAFunction(t *testing.T) {
	p := newPythonPod(t, function(4, "surroundings"))
	p.env["KEPT"] = "yes"
	e := p.run().expect(0, "C")
	var got struct {
		Env    map[string]*string
		Home   bool
		Files  []string
		Open   int
		Leader bool
		Stdin  string
		Main   []string
		User   string
	}
	if err := json.Unmarshal([]byte(e.result(4)), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]*string{
		"TASKGROUP_PLAN": nil, "TASKGROUP_NODE_ID": new("4"), "TASKGROUP_ATTEMPT": new("2"),
		"COVALENT_DISPATCH_ID": new("6f1c"), "COVALENT_DISPATCHER_URL": nil,
	}
	if diff := cmp.Diff(want, got.Env); diff != "" {
		t.Error(diff)
	}
	// 0, 1, 2 and the one that lists them.
	if !got.Home || len(got.Files) != 0 || got.Open != 4 || !got.Leader || got.Stdin != "/dev/null" || got.User != "taskgroup" {
		t.Errorf("surroundings: %+v", got)
	}
	// The script's function and its globals; nothing of the harness.
	if diff := cmp.Diff([]string{"json", "os", "surroundings", "sys"}, got.Main); diff != "" {
		t.Error(diff)
	}
}

func TestHostileTaskHurtsOnlyItself(t *testing.T) {
	e := newPythonPod(t, function(1, "hostile"), function(2, "surroundings"), function(3, "forks")).run().expect(0, "CCC")
	if e.result(1) != "done" || e.result(3) != "[1, 2]" {
		t.Errorf("results %q, %q", e.result(1), e.result(3))
	}
}

func TestChildrenThatOutliveTheTask(t *testing.T) {
	e := newPythonPod(t, function(1, "leaves_child"), function(2, "leaves_session"), shell(3, "sleep 60 & echo $!")).run().expect(0, "CCC")
	for _, text := range []string{e.result(1), e.result(2), strings.TrimSpace(e.text(3, contract.AssetStdout))} {
		if pid, err := strconv.Atoi(text); err != nil || processExists(pid) {
			t.Errorf("process %s still runs: %v", text, err)
		}
	}
}

func TestManyTasks(t *testing.T) {
	const tasks = 256
	p := newPythonPod(t).input(1000, "three")
	p.plan.Tasks = append(p.plan.Tasks, function(0, "add", 1000))
	for i := contract.NodeID(1); i < tasks; i++ {
		p.plan.Tasks = append(p.plan.Tasks, function(i, "add", i-1, 1000))
	}
	e := p.run().expect(0, strings.Repeat("C", tasks))
	if got := e.result(tasks - 1); got != "768" {
		t.Errorf("the last of %d tasks returned %s, want 768", tasks, got)
	}
}
