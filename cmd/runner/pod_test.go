package main_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/executor/contract"
)

// pythonEnv names a Python with cloudpickle for these tests.
const pythonEnv = "TASKGROUP_TEST_PYTHON"

var (
	// runnerPath is the runner under test.
	runnerPath string
	// assetDir holds what testdata/assets.py wrote; empty without a Python.
	assetDir string
	// buildFlags and cgo are how the program is built.
	buildFlags []string
	cgo        = "0"
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "runner-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	runnerPath = filepath.Join(dir, "runner")
	build := append([]string{"go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=v0.0.0-test", "-o", runnerPath}, buildFlags...)
	commands := [][]string{append(build, ".")}
	if python := os.Getenv(pythonEnv); python != "" {
		assetDir = filepath.Join(dir, "assets")
		if err := os.Mkdir(assetDir, 0o755); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		commands = append(commands, []string{python, "testdata/assets.py", "../../python/harness", assetDir})
	}
	for _, argv := range commands {
		command := exec.Command(argv[0], argv[1:]...)
		command.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
		if out, err := command.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %s\n%s", argv, err, out)
			return 1
		}
	}
	return m.Run()
}

// pod is what a task's pod gives the runner.
type pod struct {
	t    *testing.T
	dir  string
	plan contract.Plan
	env  map[string]string
}

// newPod returns a pod for a plan that needs no Python.
func newPod(t *testing.T, tasks ...contract.PlanTask) *pod {
	t.Helper()
	dir := t.TempDir()
	p := &pod{t: t, dir: dir, plan: contract.Plan{
		Version: contract.PlanVersion, DispatchID: "6f1c", TaskGroupID: 7, Namespace: "team-a", Name: "tg-1", UID: "uid-1", Attempt: 2,
		Tasks: tasks, Inputs: map[contract.NodeID]string{},
		Outputs: contract.AttemptURI("file://"+dir+"/out", "uid-1", 2),
	}}
	p.env = map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": "/nonexistent",
		"TASKGROUP_WORK":            filepath.Join(dir, "work"),
		"TASKGROUP_TERMINATION_LOG": filepath.Join(dir, "termination-log"),
	}
	return p
}

// newPythonPod returns a pod with a Python, or skips.
func newPythonPod(t *testing.T, tasks ...contract.PlanTask) *pod {
	t.Helper()
	if assetDir == "" {
		t.Skip(pythonEnv + " names no Python with cloudpickle: functions cannot run")
	}
	p := newPod(t, tasks...)
	p.env["TASKGROUP_PYTHON"] = os.Getenv(pythonEnv)
	return p
}

// asset is the URI of something that testdata/assets.py wrote.
func asset(name string) string { return "file://" + assetDir + "/" + name }

// function is a task that runs one of the functions of testdata/assets.py.
func function(node contract.NodeID, name string, args ...contract.NodeID) contract.PlanTask {
	return contract.PlanTask{NodeID: node, Function: asset(name), Args: args}
}

func command(node contract.NodeID, argv ...string) contract.PlanTask {
	return contract.PlanTask{NodeID: node, Command: argv}
}

func shell(node contract.NodeID, script string) contract.PlanTask {
	return command(node, "sh", "-c", script)
}

// input makes one of the values of testdata/assets.py the output of a node.
func (p *pod) input(node contract.NodeID, name string) *pod {
	p.plan.Inputs[node] = asset(name)
	return p
}

// command returns the runner, ready to start.
func (p *pod) command() *exec.Cmd {
	p.t.Helper()
	encoded, err := contract.EncodePlan(&p.plan)
	if err != nil {
		p.t.Fatal(err)
	}
	runner := exec.Command(runnerPath)
	runner.Env = []string{contract.PlanEnv + "=" + encoded}
	for name, value := range p.env {
		runner.Env = append(runner.Env, name+"="+value)
	}
	return runner
}

// ended is what a pod leaves.
type ended struct {
	t              *testing.T
	code           int
	stdout, stderr string
	message        *contract.TerminationMessage
	// manifest is nil where the message has no digest of one.
	manifest *contract.Manifest
}

// run runs the pod to its end.
func (p *pod) run() *ended {
	p.t.Helper()
	runner := p.command()
	var stdout, stderr bytes.Buffer
	runner.Stdout, runner.Stderr = &stdout, &stderr
	err := runner.Run()
	return p.collect(err, stdout.String(), stderr.String())
}

// collect reads what the pod left, and checks that the parts fit together.
func (p *pod) collect(err error, stdout, stderr string) *ended {
	p.t.Helper()
	e := &ended{t: p.t, stdout: stdout, stderr: stderr}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		e.code = exit.ExitCode()
	} else if err != nil {
		p.t.Fatal(err)
	}
	raw, err := os.ReadFile(p.env["TASKGROUP_TERMINATION_LOG"])
	if err != nil {
		p.t.Fatal(err)
	}
	e.message, err = contract.DecodeTerminationMessage(string(raw), len(p.plan.Tasks))
	if err != nil {
		p.t.Fatalf("termination message: %v\n%s\n%s", err, raw, stderr)
	}
	if e.message.ManifestSHA256 != "" {
		e.manifest = p.readManifest(e.message)
	}
	return e
}

func (p *pod) readManifest(message *contract.TerminationMessage) *contract.Manifest {
	p.t.Helper()
	uri := contract.ManifestURI(p.plan.Outputs)
	raw := read(p.t, uri)
	if got := digest(raw); got != message.ManifestSHA256 {
		p.t.Errorf("%s has digest %s, the termination message says %s", uri, got, message.ManifestSHA256)
	}
	manifest, err := contract.DecodeManifest(raw)
	if err != nil {
		p.t.Fatal(err)
	}
	for i, record := range manifest.Tasks {
		if record.State != message.States[i] {
			p.t.Errorf("task %d is %s in the manifest and %s in the termination message", record.NodeID, record.State, message.States[i])
		}
		for key, a := range record.Assets {
			data := read(p.t, a.URI)
			if int64(len(data)) != a.Size || digest(data) != a.SHA256 || a.URI != contract.AssetURI(p.plan.Outputs, record.NodeID, key) {
				p.t.Errorf("the record of %s does not fit its %d bytes: %+v", key, len(data), a)
			}
		}
	}
	return manifest
}

// task returns the record of a node.
func (e *ended) task(node contract.NodeID) contract.TaskRecord {
	e.t.Helper()
	if e.manifest == nil {
		e.t.Fatalf("no manifest was committed:\n%s", e.stderr)
	}
	for _, record := range e.manifest.Tasks {
		if record.NodeID == node {
			return record
		}
	}
	e.t.Fatalf("no record of node %d", node)
	return contract.TaskRecord{}
}

// text is an asset of a node.
func (e *ended) text(node contract.NodeID, key contract.AssetKey) string {
	e.t.Helper()
	a, ok := e.task(node).Assets[key]
	if !ok {
		e.t.Fatalf("task %d has no %s: %+v", node, key, e.task(node))
	}
	return string(read(e.t, a.URI))
}

// result is str() of what a function returned.
func (e *ended) result(node contract.NodeID) string {
	e.t.Helper()
	raw := e.text(node, contract.AssetOutput)
	if len(raw) < 16 {
		e.t.Fatalf("the output of %d has %d bytes", node, len(raw))
	}
	return raw[offset(raw[:8]):offset(raw[8:16])]
}

func offset(raw string) uint64 { return binary.BigEndian.Uint64([]byte(raw)) }

// states are the letters of the termination message.
func (e *ended) states() string {
	var letters strings.Builder
	for _, s := range e.message.States {
		letters.WriteByte(s.Letter())
	}
	return letters.String()
}

// expect checks exit code and states.
func (e *ended) expect(code int, states string) *ended {
	e.t.Helper()
	if e.code != code || e.states() != states {
		e.t.Fatalf("exit code %d, states %s; want %d, %s\nfailure: %+v\n%s", e.code, e.states(), code, states, e.message.Failure, e.stderr)
	}
	return e
}

func read(t *testing.T, uri string) []byte {
	t.Helper()
	raw, err := os.ReadFile(strings.TrimPrefix(uri, "file://"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// processExists says whether a pid is there and no zombie.
func processExists(pid int) bool {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(raw), ") Z ")
}
