// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// program is the runner with arguments and no plan.
func (p *pod) program(args ...string) *exec.Cmd { return exec.Command(runnerPath, args...) }

// interrupt runs the pod, sends a signal to the runner as soon as the pod's log
// has the line "ready", and returns the results.
func (p *pod) interrupt(sig syscall.Signal) *ended {
	p.t.Helper()
	return p.interruptWhen(sig, func() bool { return true })
}

// interruptWhen is interrupt that also waits until a condition holds.
func (p *pod) interruptWhen(sig syscall.Signal, holds func() bool) *ended {
	p.t.Helper()
	runner := p.command()
	var stderr bytes.Buffer
	runner.Stderr = &stderr
	pipe, err := runner.StdoutPipe()
	if err == nil {
		err = runner.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	var log bytes.Buffer
	for buf := make([]byte, 4096); !strings.Contains(log.String(), "ready\n"); {
		n, err := pipe.Read(buf)
		log.Write(buf[:n])
		if err != nil {
			_ = runner.Wait()
			p.t.Fatalf("the task never was ready: %v\n%s", err, stderr.String())
		}
	}
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatal("the condition for the signal does not hold after 20 s")
		}
	}
	if err := runner.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
	_, _ = io.Copy(&log, pipe)
	return p.collect(runner.Wait(), log.String(), stderr.String())
}

func TestSIGTERM(t *testing.T) {
	tests := map[string]struct {
		task    contract.PlanTask
		sig     syscall.Signal
		state   contract.TaskState
		message string
		python  bool
	}{
		"a function": {
			task: function(1, "waits"), python: true, sig: syscall.SIGTERM, state: contract.TaskCancelled,
			message: "stopped because the pod received SIGTERM: killed by signal 15 (SIGTERM)",
		},
		"a function that does not listen": {
			task: function(1, "waits_stubbornly"), python: true, sig: syscall.SIGTERM, state: contract.TaskCancelled,
			message: "stopped because the pod received SIGTERM: killed by signal 9 (SIGKILL), since SIGTERM did not end it in time",
		},
		"a function that returns all the same": {
			task: function(1, "ends_on_signal"), python: true, sig: syscall.SIGTERM, state: contract.TaskCancelled,
			message: "stopped because the pod received SIGTERM: exit code 0",
		},
		"a function that calls sys.exit": {
			task: function(1, "exits_on_signal"), python: true, sig: syscall.SIGTERM, state: contract.TaskCancelled,
			message: "stopped because the pod received SIGTERM: exit code 0",
		},
		"a command that saves its work": {
			task: shell(1, onSignal("echo half > $TASKGROUP_OUTPUT; exit 0")), sig: syscall.SIGTERM, state: contract.TaskCancelled,
			message: "stopped because the pod received SIGTERM: exit code 0",
		},
		"a command": {
			task: shell(1, "echo ready; exec sleep 60"), sig: syscall.SIGINT, state: contract.TaskCancelled,
			message: "stopped because the pod received SIGTERM: killed by signal 15 (SIGTERM)",
		},
		"a command with children": {
			task: shell(1, "sleep 60 & echo ready; wait"), sig: syscall.SIGTERM, state: contract.TaskCancelled,
			message: "stopped because the pod received SIGTERM: killed by signal 15 (SIGTERM)",
		},
		"a command with a handler": {
			task: shell(1, "trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done"), sig: syscall.SIGTERM, state: contract.TaskCancelled,
			message: "stopped because the pod received SIGTERM: exit code 5",
		},
		"a command that does not listen": {
			task: shell(1, "trap '' TERM; echo ready; while :; do sleep 0.1; done"), sig: syscall.SIGTERM, state: contract.TaskCancelled,
			message: "stopped because the pod received SIGTERM: killed by signal 9 (SIGKILL), since SIGTERM did not end it in time",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newAny := newPod
			if test.python {
				newAny = newPythonPod
			}
			p := newAny(t, test.task, shell(2, "echo never"))
			p.env["TASKGROUP_GRACE_SECONDS"] = "1"
			e := p.interrupt(test.sig).expect(143, string([]byte{test.state.Letter(), 'X'}))
			record := e.task(1)
			if record.Message != test.message {
				t.Errorf("message %q, want %q", record.Message, test.message)
			}
			if (record.Reason == contract.ReasonTerminated) != (test.state == contract.TaskCancelled) {
				t.Errorf("reason %s", record.Reason)
			}
			if got := e.text(1, contract.AssetStdout); got != "ready\n" {
				t.Errorf("partial stdout %q", got)
			}
			if output, ok := record.Assets[contract.AssetOutput]; ok {
				t.Errorf("the output of a task that was stopped is a result: %+v", output)
			}
			if f := e.message.Failure; f.NodeID == nil || *f.NodeID != 1 || f.Reason != contract.ReasonTerminated || f.Message != test.message {
				t.Errorf("failure %+v", f)
			}
			if next := e.task(2); next.Reason != contract.ReasonNotStarted || next.Message != "the pod received SIGTERM before this task started" {
				t.Errorf("the next task: %+v", next)
			}
		})
	}
}

// TestSIGTERMAfterTheReport sends SIGTERM between the report of a function and the
// end of its process, which the harness cannot announce: the result is not lost.
func TestSIGTERMAfterTheReport(t *testing.T) {
	t.Parallel()
	p := newPythonPod(t, function(1, "returns_with_a_stopped_harness"), shell(2, "echo never"))
	p.env["TASKGROUP_GRACE_SECONDS"] = "3"
	report := filepath.Join(p.env["TASKGROUP_WORK"], "tasks", "0", "report.json")
	e := p.interruptWhen(syscall.SIGTERM, func() bool {
		_, err := os.Stat(report)
		return err == nil
	}).expect(143, "CX")
	if e.result(1) != "whole" || e.task(1).Reason != "" {
		t.Errorf("result %q of %+v", e.result(1), e.task(1))
	}
}

func TestManifestIsCommittedOnce(t *testing.T) {
	p := newPod(t, shell(1, "echo mine"))
	manifest := strings.TrimPrefix(contract.ManifestURI(p.plan.Outputs), "file://")
	if err := os.MkdirAll(filepath.Dir(manifest), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(manifest, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := p.run().expect(1, "C")
	failure := e.message.Failure
	want := "committing the manifest: file://" + manifest + ": already committed"
	if e.manifest != nil || failure == nil || failure.NodeID != nil || failure.Reason != contract.ReasonOutputUploadFailed || failure.Message != want {
		t.Errorf("failure %+v, want %q", failure, want)
	}
	entries, _ := os.ReadDir(filepath.Dir(manifest))
	if raw, _ := os.ReadFile(manifest); string(raw) != "theirs" || len(entries) != 3 {
		t.Errorf("the manifest is %q; files: %v", raw, entries)
	}
}

// TestOutputsThatTheStoreDoesNotTake: this is detected before the work begins, and no
// attempt would have another result.
func TestOutputsThatTheStoreDoesNotTake(t *testing.T) {
	tests := map[string]struct{ outputs, reason string }{
		"a file in the way": {"file:///dev/null/out", "not a directory: a part of the path of spec.assets.outputs is not a folder"},
		"read-only":         {"file:///proc/taskgroup", "no such file: mount a volume at spec.assets.outputs"},
		"unknown scheme":    {"ftp://host/out", `unknown scheme "ftp": this runner knows azblob, blob, file, gateway, gs, http, https, s3`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPod(t, shell(1, "echo never"), shell(2, "echo never"))
			p.plan.Outputs = test.outputs
			e := p.run().expect(1, "FX")
			failure := e.message.Failure
			want := "the output location cannot be written: " + test.outputs + "/started.json: " + test.reason
			if failure.Reason != contract.ReasonOutputUploadFailed || failure.Retry != contract.RetryNever || failure.Message != want {
				t.Errorf("failure %+v, want %q", failure, want)
			}
			if e.manifest != nil || e.stdout != "" {
				t.Errorf("the work was begun: log %q, manifest %v", e.stdout, e.manifest)
			}
		})
	}
}

func TestImagesWithoutAUsablePython(t *testing.T) {
	dir := t.TempDir()
	script := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	broken := script("broken", "#!/bin/sh\necho cannot find my library >&2\nexit 7\n")
	tests := map[string]struct{ python, want string }{
		"none":           {"", "the image has no usable python3 (starting python3: command not found in PATH): use an image with Python 3.9 or newer and cloudpickle"},
		"broken":         {broken, broken + " ended before it was ready (exit code 7): cannot find my library: the image's Python is broken"},
		"no cloudpickle": {isolated(t, script), "INTERPRETER cannot import cloudpickle (ModuleNotFoundError: No module named 'cloudpickle'): add it to the image (pip install cloudpickle)"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if name == "no cloudpickle" && test.python == "" {
				t.Skip("no python3 on this machine")
			}
			function := filepath.Join(dir, "function")
			if err := os.WriteFile(function, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			p := newPod(t, contract.PlanTask{NodeID: 1, Function: "file://" + function}, shell(2, "echo never"))
			if p.env["TASKGROUP_PYTHON"] = test.python; test.python == "" {
				p.env["PATH"] = dir
			}
			e := p.run().expect(1, "FX")
			got := e.task(1).Message
			if start, end, ok := strings.Cut(test.want, "INTERPRETER"); ok && strings.HasSuffix(got, end) {
				test.want = start + strings.TrimSuffix(got, end) + end
			}
			expectFailure(t, e, contract.ReasonPythonUnavailable, test.want)
		})
	}
}

func TestPythonThatIsNeverReadyHoldsNobody(t *testing.T) {
	hangs := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(hangs, []byte("#!/bin/sh\nexec sleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	p := newPod(t, shell(1, "exit 3"), contract.PlanTask{NodeID: 2, Function: "file:///f"})
	p.env["TASKGROUP_PYTHON"] = hangs
	if e := p.run().expect(1, "FX"); e.manifest.Python != nil {
		t.Errorf("Python %+v", e.manifest.Python)
	}
}

func TestHarnessThatEndsBeforeTheTask(t *testing.T) {
	p := newPythonPod(t, function(1, "add", 0), function(2, "add", 0)).input(0, "three")
	custom := filepath.Join(p.dir, "sitecustomize.py")
	code := "import os\ndef fork():\n    raise BlockingIOError(11, 'Resource temporarily unavailable')\nos.fork = fork\n"
	if err := os.WriteFile(custom, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	p.env["PYTHONPATH"] = p.dir
	e := p.run().expect(1, "FX")
	expectFailure(t, e, contract.ReasonExitCode, "the Python process that runs the tasks ended before it could start this one (exit code 1): Traceback …")
	if got := e.task(1).Message; !strings.HasSuffix(got, "BlockingIOError: [Errno 11] Resource temporarily unavailable") {
		t.Errorf("message %q", got)
	}
}

// isolated is a Python that sees nothing but the standard library.
func isolated(t *testing.T, script func(name, text string) string) string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		return ""
	}
	return script("isolated", "#!/bin/sh\nexec "+python+" -I -S \"$@\"\n")
}

func TestHooks(t *testing.T) {
	withHooks := func(name, hooks string, args ...contract.NodeID) contract.PlanTask {
		task := function(1, name, args...)
		task.Hooks = asset(hooks)
		return task
	}
	t.Run("run in Covalent's order", func(t *testing.T) {
		e := newPythonPod(t, withHooks("add", "hooks-order", 0), function(2, "add", 1)).input(0, "three").run().expect(0, "CC")
		if got := e.text(1, contract.AssetStdout); got != "bash-1\nbash-2\nbefore\nadd 3 0 5.0\nafter\n" {
			t.Errorf("stdout %q", got)
		}
		if e.result(1) != "8.0" || e.text(1, contract.AssetStderr) != "error\n" {
			t.Errorf("result %s, stderr %q", e.result(1), e.text(1, contract.AssetStderr))
		}
	})
	t.Run("none", func(t *testing.T) {
		if e := newPythonPod(t, withHooks("add", "hooks-none", 0)).input(0, "three").run().expect(0, "C"); e.result(1) != "3" {
			t.Errorf("result %s", e.result(1))
		}
	})
	tests := map[string]struct {
		hooks   string
		reason  contract.Reason
		message string
	}{
		"bash":        {"hooks-bash-fails", contract.ReasonHookFailed, "bash hook 'exit 3': exit code 3: see the task's stderr"},
		"call_before": {"hooks-before-fails", contract.ReasonHookFailed, "call_before hook divide: ZeroDivisionError: division by zero"},
		"call_after":  {"hooks-after-fails", contract.ReasonHookFailed, "call_after hook divide: ZeroDivisionError: division by zero"},
		"pip":         {"hooks-pip", contract.ReasonHookFailed, "pip hook for ./no-such-directory: exit code 1: see the task's stderr"},
		"malformed":   {"hooks-malformed", contract.ReasonHookFailed, "call_before hook: malformed: it has no attributes"},
		"no object":   {"hooks-list", contract.ReasonInputInvalid, "ASSETS/hooks-list: the hooks cannot be read: a JSON list, not an object"},
		"no JSON":     {"hooks-no-json", contract.ReasonInputInvalid, "ASSETS/hooks-no-json: the hooks cannot be read: …"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := newPythonPod(t, withHooks("add", test.hooks, 0)).input(0, "three").run().expect(1, "F")
			expectFailure(t, e, test.reason, strings.ReplaceAll(test.message, "ASSETS", "file://"+assetDir))
		})
	}
}
