// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
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
	build := append([]string{"go", "build", "-trimpath", "-ldflags", "-s -w -X github.com/taskgroup-operator/taskgroup-operator/internal/version.Version=v0.0.0-test", "-o", runnerPath}, buildFlags...)
	commands := [][]string{append(build, ".")}
	if python := os.Getenv(pythonEnv); python != "" {
		assetDir = filepath.Join(dir, "assets")
		if err := os.Mkdir(assetDir, 0o755); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		// Looked at here, so that go test records that its results depend on it.
		if _, err := os.Stat("testdata/assets.py"); err != nil {
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
	// lost is the URI of an asset that the test took away.
	lost string
}

// newPod returns a pod for a plan that needs no Python.
func newPod(t *testing.T, tasks ...contract.PlanTask) *pod {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "image"), 0o755); err != nil {
		t.Fatal(err)
	}
	p := &pod{t: t, dir: dir, plan: contract.Plan{
		Version: contract.PlanVersion, DispatchID: "6f1c", TaskGroupID: 7, Namespace: "team-a", Name: "tg-1", UID: "uid-1", Attempt: 2,
		Tasks: tasks, Inputs: map[contract.NodeID]string{},
		Outputs: contract.AttemptURI("file://"+dir+"/out", "uid-1", 2),
	}}
	p.env = map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": "/nonexistent",
		"TASKGROUP_WORK":            filepath.Join(dir, "room"),
		"TASKGROUP_TERMINATION_LOG": filepath.Join(dir, "termination-log"),
	}
	return p
}

// fresh is another pod for the plan, with a work directory of its own.
func (p *pod) fresh(name string) *pod {
	other := &pod{t: p.t, dir: p.dir, plan: p.plan, env: maps.Clone(p.env)}
	other.plan.Tasks, other.plan.Inputs = slices.Clone(p.plan.Tasks), maps.Clone(p.plan.Inputs)
	other.env["TASKGROUP_WORK"] = filepath.Join(p.dir, name, "room")
	other.env["TASKGROUP_TERMINATION_LOG"] = filepath.Join(p.dir, name+"-termination-log")
	return other
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

// imageDir is the WORKDIR of the pod's image.
func (p *pod) imageDir() string { return filepath.Join(p.dir, "image") }

// command returns the runner, ready to start.
func (p *pod) command() *exec.Cmd {
	p.t.Helper()
	encoded, err := contract.EncodePlan(&p.plan)
	if err != nil {
		p.t.Fatal(err)
	}
	runner := exec.Command(runnerPath)
	runner.Dir = p.imageDir()
	runner.Env = []string{contract.PlanEnv + "=" + encoded}
	for name, value := range p.env {
		runner.Env = append(runner.Env, name+"="+value)
	}
	return runner
}
