// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// attempt makes the pod's plan that of an attempt.
func (p *pod) attempt(n int32) *pod {
	p.plan.Attempt = n
	p.plan.Outputs = contract.AttemptURI("file://"+p.dir+"/out", p.plan.UID, n)
	return p
}

// next is the pod of the attempt that resumes what this one left.
func (p *pod) next(e *ended) *pod {
	p.t.Helper()
	if e.message.ManifestSHA256 == "" {
		p.t.Fatal("there is no manifest to resume")
	}
	n := p.fresh("attempt-" + strconv.Itoa(int(p.plan.Attempt)+1))
	n.plan.Previous = &contract.ManifestReference{URI: contract.ManifestURI(p.plan.Outputs), SHA256: e.message.ManifestSHA256}
	return n.attempt(p.plan.Attempt + 1)
}

// reading is a command that reads the outputs of nodes.
func reading(task contract.PlanTask, nodes ...contract.NodeID) contract.PlanTask {
	task.Args = nodes
	return task
}

// touch creates a file.
func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestResumesWithTheFirstTaskThatIsNotDone(t *testing.T) {
	dir := t.TempDir()
	p := newPod(t,
		shell(1, `echo 1 >> "$DIR/ran"; printf left > "$TASKGROUP_OUTPUT"`),
		reading(shell(2, `echo 2 >> "$DIR/ran"; cat "$TASKGROUP_INPUT_1"; echo " $TASKGROUP_INPUT_1"; test -e "$DIR/second"`), 1),
		reading(shell(3, `echo 3 >> "$DIR/ran"; cat "$TASKGROUP_INPUT_1"; test -e "$DIR/third"`), 1, 1),
	).attempt(1)
	p.env["DIR"] = dir
	first := p.run().expect(1, "CFX")
	touch(t, dir+"/second")
	p = p.next(first)
	second := p.run().expect(1, "CCF")
	touch(t, dir+"/third")
	third := p.next(second).run().expect(0, "CCC")

	if ran, _ := os.ReadFile(dir + "/ran"); string(ran) != "1\n2\n2\n3\n3\n" {
		t.Errorf("tasks ran in the order %q", ran)
	}
	if diff := cmp.Diff(first.task(1), third.task(1)); diff != "" {
		t.Errorf("the record was changed:\n%s", diff)
	}
	if diff := cmp.Diff(second.task(2), third.task(2)); diff != "" {
		t.Errorf("the record was changed:\n%s", diff)
	}
	output := first.task(1).Assets[contract.AssetOutput].URI
	if want := "left " + strings.TrimPrefix(output, "file://") + "\n"; second.text(2, contract.AssetStdout) != want {
		t.Errorf("the second task read %q, want %q", second.text(2, contract.AssetStdout), want)
	}
	for _, want := range []string{"[taskgroup] task 1: completed in attempt 1\n", "[taskgroup] task 2: completed in attempt 2\n", "[taskgroup] task 3: started\n"} {
		if !strings.Contains(third.stderr, want) {
			t.Errorf("the log lacks %q:\n%s", want, third.stderr)
		}
	}
	if third.manifest.Attempt != 3 || third.message.Failure != nil {
		t.Errorf("attempt %d, failure %+v", third.manifest.Attempt, third.message.Failure)
	}
}

func TestResumesFunctions(t *testing.T) {
	dir := t.TempDir()
	p := newPythonPod(t, function(1, "add", 0), shell(2, `test -e "$DIR/fixed"`), function(3, "add", 1, 0), function(4, "add", 3, 1)).
		input(0, "three").attempt(1)
	p.env["DIR"] = dir
	first := p.run().expect(1, "CFXX")
	touch(t, dir+"/fixed")
	second := p.next(first).run().expect(0, "CCCC")
	// The first would have printed "add 3 0 0" again.
	if want := "add 3 3 0\nadd 6 3 0\n"; second.stdout != want {
		t.Errorf("log %q, want %q", second.stdout, want)
	}
	if second.result(1) != "3" || second.result(4) != "9" {
		t.Errorf("results %s, %s", second.result(1), second.result(4))
	}
}

func TestResumesWhatIsComplete(t *testing.T) {
	p := newPythonPod(t, function(1, "add", 0), shell(2, "echo once")).input(0, "three").attempt(1)
	first := p.run().expect(0, "CC")
	p = p.next(first)
	// Nothing is read and no Python started.
	p.env["TASKGROUP_PYTHON"] = "/nonexistent"
	p.plan.Inputs[0] = "file:///nonexistent"
	second := p.run().expect(0, "CC")
	if diff := cmp.Diff(first.manifest.Tasks, second.manifest.Tasks); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(first.manifest.Python, second.manifest.Python); diff != "" {
		t.Error(diff)
	}
	if want := "[taskgroup] task 1: completed in attempt 1\n[taskgroup] task 2: completed in attempt 1\n"; second.stdout != "" || second.stderr != want {
		t.Errorf("log %q, %q", second.stdout, second.stderr)
	}
}

func TestToldToEndWhileResuming(t *testing.T) {
	p := newPod(t, shell(1, "true"), shell(2, `test -n "$FIXED" && echo ready && exec sleep 60`), shell(3, "true")).attempt(1)
	p = p.next(p.run().expect(1, "CFX"))
	p.env["FIXED"] = "yes"
	p.interrupt(syscall.SIGTERM).expect(143, "CXX")
}

func TestManifestsThatCannotBeResumed(t *testing.T) {
	// rewrite changes the manifest and, unless it is tampering, the digest.
	rewrite := func(change func(*contract.Manifest), tamper bool) func(*pod, string) {
		return func(p *pod, path string) {
			m, err := contract.DecodeManifest(read(p.t, path))
			if err != nil {
				p.t.Fatal(err)
			}
			change(m)
			raw, err := json.Marshal(m)
			if err == nil {
				err = os.WriteFile(path, raw, 0o600)
			}
			if err != nil {
				p.t.Fatal(err)
			}
			if !tamper {
				p.plan.Previous.SHA256 = digest(raw)
			}
		}
	}
	broken := func(raw string) func(*pod, string) {
		return func(p *pod, path string) {
			if err := os.WriteFile(path, []byte(raw), 0o600); err != nil {
				p.t.Fatal(err)
			}
			p.plan.Previous.SHA256 = digest([]byte(raw))
		}
	}
	const unreadable = "the manifest of the attempt to resume cannot be read: "
	const unusable = "the manifest of the attempt to resume cannot be used: URI: "
	tests := map[string]struct {
		change  func(p *pod, path string)
		reason  contract.Reason
		message string
	}{
		"tampered": {rewrite(func(m *contract.Manifest) { m.Tasks[1].State = contract.TaskCompleted }, true), contract.ReasonInputInvalid,
			unusable + "invalid manifest: digest mismatch: its SHA-256 is …"},
		"of another group": {rewrite(func(m *contract.Manifest) { m.UID = "uid-2" }, false), contract.ReasonInputInvalid,
			unusable + "invalid manifest of another group: its UID is uid-2, this group's is uid-1"},
		"of a later release": {rewrite(func(m *contract.Manifest) { m.Version = 9 }, false), contract.ReasonInputInvalid,
			unusable + "invalid manifest: decoding the manifest: version 9, this release knows 1"},
		"no JSON":   {broken("{"), contract.ReasonInputInvalid, unusable + "invalid manifest: decoding the manifest: unexpected end of JSON input"},
		"too large": {broken(strings.Repeat(" ", contract.MaxManifest+1)), contract.ReasonInputInvalid, unusable + "invalid manifest: it has more than 4194304 bytes"},
		"missing": {func(p *pod, path string) { _ = os.Remove(path) }, contract.ReasonInputUnavailable,
			unreadable + "URI: no such file"},
		"a directory": {func(p *pod, path string) { p.plan.Previous.URI = "file://" + filepath.Dir(path) }, contract.ReasonInputUnavailable,
			unreadable + "file://DIR: is a directory"},
		"unknown scheme": {func(p *pod, _ string) { p.plan.Previous.URI = "ftp://b/m" }, contract.ReasonInputUnavailable,
			unreadable + `ftp://b/m: unknown scheme "ftp": this runner knows azblob, blob, file, gateway, gs, http, https, s3`},
		"no URI": {func(p *pod, _ string) { p.plan.Previous.URI = "" }, contract.ReasonInputUnavailable,
			unreadable + "the plan names no URI"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPod(t, shell(1, `echo ran >> "$DIR/ran"`), shell(2, `echo ran >> "$DIR/ran"; exit 1`)).attempt(1)
			p.env["DIR"] = t.TempDir()
			uri := contract.ManifestURI(p.plan.Outputs)
			p = p.next(p.run().expect(1, "CF"))
			test.change(p, strings.TrimPrefix(uri, "file://"))
			e := p.run().expect(1, "FX")
			want := strings.NewReplacer("URI", uri, "file://DIR", strings.TrimSuffix(uri, "/manifest.json")).Replace(test.message)
			if name == "no URI" {
				want = test.message
			}
			expectFailure(t, e, test.reason, want)
			if ran, _ := os.ReadFile(p.env["DIR"] + "/ran"); string(ran) != "ran\nran\n" {
				t.Errorf("tasks ran on unverified records: %q", ran)
			}
		})
	}
}

func TestOutputsOfAnEarlierAttempt(t *testing.T) {
	tests := map[string]struct {
		first   string
		change  func(path string) error
		message string
	}{
		"lost": {`echo x > "$TASKGROUP_OUTPUT"`, os.Remove, "OUTPUT: no such file"},
		"none": {"true", func(string) error { return nil }, "the output of node 9: the command left none: have it write a file to $TASKGROUP_OUTPUT"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPod(t, shell(9, test.first), reading(shell(1, "exit 1"), 9), shell(2, "true")).attempt(1)
			uri := contract.AssetURI(p.plan.Outputs, 9, contract.AssetOutput)
			if name == "none" {
				p.plan.Tasks[1].Args = nil
			}
			next := p.next(p.run().expect(1, "CFX"))
			next.plan.Tasks[1].Args = []contract.NodeID{9}
			if err := test.change(strings.TrimPrefix(uri, "file://")); err != nil {
				t.Fatal(err)
			}
			next.lost = uri
			expectFailure(t, next.run().expect(1, "CFX"), contract.ReasonInputUnavailable, strings.ReplaceAll(test.message, "OUTPUT:", uri+":"))
		})
	}
}
