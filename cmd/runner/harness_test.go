// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// smallDisk changes the command of the runner: the work directory is a disk of 20 MiB.
func (p *pod) smallDisk(runner *exec.Cmd) {
	p.t.Helper()
	work := p.env["TASKGROUP_WORK"]
	if err := os.Mkdir(work, 0o755); err != nil {
		p.t.Fatal(err)
	}
	mount := fmt.Sprintf("mount -t tmpfs -o size=20m none %s && exec %s", work, runnerPath)
	runner.Path, runner.Args = "/bin/sh", []string{"sh", "-c", mount}
	runner.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
}

// TestFailuresOnAFullDisk runs functions in a work directory of 20 MiB: no failure is
// hidden by the disk.
func TestFailuresOnAFullDisk(t *testing.T) {
	const full = "the work volume is full: the result could not be written: raise spec.pod.resources.limits for ephemeral-storage, or write less"
	tests := map[string]struct {
		reason  contract.Reason
		message string
	}{
		"returns_too_much":       {contract.ReasonOutputUploadFailed, full},
		"returns_on_a_full_disk": {contract.ReasonOutputUploadFailed, full},
		"raises_on_a_full_disk":  {contract.ReasonTaskError, "ValueError: the real reason"},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPythonPod(t, function(1, name))
			e := p.runIn(p.smallDisk).expect(1, "F")
			if record := e.task(1); record.Reason != want.reason || record.Message != want.message {
				t.Errorf("got  %s: %s\nwant %s: %s", record.Reason, record.Message, want.reason, want.message)
			}
		})
	}
}

// TestFailureToReport has a task find a full disk, where it cannot even report that.
func TestFailureToReport(t *testing.T) {
	t.Parallel()
	p := newPythonPod(t, shell(1, `cat /dev/zero > "$TASKGROUP_DIR/filler" 2>&1 || true`), function(2, "add", 0)).input(0, "three")
	e := p.runIn(p.smallDisk).expect(1, "CF")
	record := e.task(2)
	full := strings.Contains(record.Message, "no space left on device") || strings.Contains(record.Message, "the work volume is full")
	if record.Reason != contract.ReasonOutputUploadFailed || !full {
		t.Errorf("%s: %s", record.Reason, record.Message)
	}
}

// tinyWheel writes a wheel with one module and returns its path.
func tinyWheel(t *testing.T, dir, version string) string {
	t.Helper()
	path := filepath.Join(dir, "taskgroup_tiny-"+version+"-py3-none-any.whl")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	archive, info := zip.NewWriter(file), "taskgroup_tiny-"+version+".dist-info/"
	for name, text := range map[string]string{
		"taskgroup_tiny.py": "VERSION = '" + version + "'\n",
		info + "METADATA":   "Metadata-Version: 2.1\nName: taskgroup_tiny\nVersion: " + version + "\n",
		info + "WHEEL":      "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		info + "RECORD":     "",
	} {
		entry, err := archive.Create(name)
		if err == nil {
			_, err = entry.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// pipHook is a task that installs a wheel before its function.
func pipHook(t *testing.T, dir string, task contract.PlanTask, wheel string) contract.PlanTask {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"deps": map[string]any{"pip": map[string]any{
		"type": "DepsPip", "attributes": map[string]any{"packages": []string{wheel}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "hooks-"+task.NodeID.String())
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	task.Hooks = "file://" + path
	return task
}

// TestHookPackagesPrecedeTheImage: the functions, the commands and the child processes of
// a group have the packages of its pip hooks, in place of those of the image.
func TestHookPackagesPrecedeTheImage(t *testing.T) {
	t.Parallel()
	p := newPythonPod(t)
	interpreter := p.env["TASKGROUP_PYTHON"]
	if exec.Command(interpreter, "-m", "pip", "--version").Run() != nil {
		t.Skip(pythonEnv + " has no pip")
	}
	image := filepath.Join(p.dir, "image-packages")
	if err := os.MkdirAll(image, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(image, "taskgroup_tiny.py"), []byte("VERSION = '1.0'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	child := interpreter + ` -c 'import taskgroup_tiny; print(taskgroup_tiny.VERSION)'`
	p.env["PYTHONPATH"], p.env["PIP_NO_INDEX"] = image, "1"
	p.plan.Tasks = []contract.PlanTask{
		shell(1, child),
		pipHook(t, p.dir, function(2, "version"), tinyWheel(t, p.dir, "2.0")),
		function(3, "version"), shell(4, child),
		pipHook(t, p.dir, function(5, "version"), tinyWheel(t, p.dir, "3.0")),
		shell(6, child),
	}
	e := p.run().expect(0, "CCCCCC")
	for node, want := range map[contract.NodeID]string{2: `('2.0', '2.0\n')`, 3: `('2.0', '2.0\n')`, 5: `('3.0', '3.0\n')`} {
		if got := e.result(node); got != want {
			t.Errorf("function %d has %s, want %s", node, got, want)
		}
	}
	for node, want := range map[contract.NodeID]string{1: "1.0\n", 4: "2.0\n", 6: "3.0\n"} {
		if got := e.text(node, contract.AssetStdout); got != want {
			t.Errorf("command %d has %s, want %s", node, got, want)
		}
	}
}

// TestSurroundingsOfACommand: names of the user, and threads as many as the CPU limit.
func TestSurroundingsOfACommand(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("/sys/fs/cgroup/cpu", "runner-test-"+strconv.Itoa(os.Getpid()))
	limited := true
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Logf("no cgroup with a CPU limit: %v", err)
		limited = false
	}
	t.Cleanup(func() { _ = os.Remove(dir) })
	if limited {
		if err := os.WriteFile(filepath.Join(dir, "cpu.cfs_quota_us"), []byte("150000"), 0o644); err != nil {
			t.Logf("no CPU limit: %v", err)
			limited = false
		}
	}
	p := newPod(t, shell(1, `echo "$USER $LOGNAME ${OMP_NUM_THREADS-unset}"`))
	e := p.runIn(func(runner *exec.Cmd) {
		if limited {
			runner.Path, runner.Args = "/bin/sh", []string{"sh", "-c", "echo $$ > " + dir + "/cgroup.procs && exec " + runnerPath}
		}
	}).expect(0, "C")
	want := "taskgroup taskgroup 2\n"
	got := e.text(1, contract.AssetStdout)
	if got != want && (limited || !strings.HasPrefix(got, "taskgroup taskgroup ")) {
		t.Errorf("environment %q, want %q", got, want)
	}
}
