// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// runIn runs the pod by way of a changed command.
func (p *pod) runIn(change func(*exec.Cmd)) *ended {
	p.t.Helper()
	runner := p.command()
	var stdout, stderr bytes.Buffer
	runner.Stdout, runner.Stderr = &stdout, &stderr
	change(runner)
	err := runner.Run()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSPC) {
		p.t.Skipf("this machine does not let a test do that: %v", err)
	}
	return p.collect(err, stdout.String(), stderr.String())
}

// TestAsTheFirstProcess runs the runner as PID 1 of a namespace, as it is in a
// pod: orphans fall to it and signals have no default action.
func TestAsTheFirstProcess(t *testing.T) {
	p := newPythonPod(t,
		function(1, "leaves_session"), shell(2, "for i in 1 2 3; do (setsid true &); done; echo $PPID"), function(3, "kills_its_parent"),
	)
	e := p.runIn(func(runner *exec.Cmd) {
		own := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		groups := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		runner.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID, UidMappings: own, GidMappings: groups}
	}).expect(1, "CCF")
	if got := e.text(2, contract.AssetStdout); got != "1\n" {
		t.Errorf("the task's parent is %s, want 1", got)
	}
}

// TestOutOfMemory has the kernel kill a task at the limit of a real cgroup. On
// version 2 the whole container dies by default; there the kubelet reports it.
func TestOutOfMemory(t *testing.T) {
	own, err := os.ReadFile("/proc/self/cgroup")
	found := regexp.MustCompile(`(?m)^\d+:(?:\w+,)*memory(?:,\w+)*:(.*)$`).FindSubmatch(own)
	if err != nil || found == nil {
		t.Skip("no memory cgroup of version 1")
	}
	dir := filepath.Join("/sys/fs/cgroup/memory", string(found[1]), "runner-test-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skipf("cannot create a cgroup: %v", err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) })
	if err := os.WriteFile(filepath.Join(dir, "memory.limit_in_bytes"), []byte("128M"), 0o644); err != nil {
		t.Skipf("cannot limit a cgroup: %v", err)
	}
	eats := shell(1, `"$EATER" -c 'x = []
while True: x.append(bytearray(8 << 20))'`)
	passesOn := shell(1, strings.TrimSuffix(eats.Command[2], "'")+"'; exit 3")
	runLimited := func(t *testing.T, task contract.PlanTask) *ended {
		t.Helper()
		p := newPythonPod(t, task)
		p.env["EATER"] = os.Getenv(pythonEnv)
		return p.runIn(func(runner *exec.Cmd) {
			join := "echo $$ > " + dir + "/cgroup.procs && exec " + runnerPath
			runner.Path, runner.Args = "/bin/sh", []string{"sh", "-c", join}
		})
	}
	const start = "OOM-killed: memory limit 128.0 MiB, peak 128.0 MiB: raise spec.pod.resources.limits.memory"
	for name, test := range map[string]struct {
		task contract.PlanTask
		code int32
		rest string
	}{
		"a function":                          {function(1, "eats_memory"), 137, ""},
		"a child of a command":                {eats, 137, ""},
		"a child of a function":               {function(1, "kills_a_child"), 1, ": subprocess.CalledProcessError: Command "},
		"a child of a command that continues": {passesOn, 3, ": exit code 3"},
	} {
		t.Run(name, func(t *testing.T) {
			e := runLimited(t, test.task).expect(1, "F")
			record := e.task(1)
			if record.Reason != contract.ReasonOOMKilled || !strings.HasPrefix(record.Message, start+test.rest) || *record.ExitCode != test.code {
				t.Errorf("exit code %d: %s: %s", *record.ExitCode, record.Reason, record.Message)
			}
		})
	}
	t.Run("a child of a function that completes", func(t *testing.T) {
		runLimited(t, function(1, "survives_a_killed_child")).expect(0, "C")
	})
}
