// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// TestCommandsRunInTheDirectoryOfTheImage resolves relative programs, arguments and
// files of earlier tasks in the directory that the runner was started in.
func TestCommandsRunInTheDirectoryOfTheImage(t *testing.T) {
	p := newPod(t,
		command(1, "./build.sh", "product"),
		shell(2, `cat product; ls -A "$TASKGROUP_DIR"; cd "$TASKGROUP_DIR" && touch mine`),
		shell(3, `ls -A "$TASKGROUP_DIR"; ls`),
	)
	if err := os.WriteFile(filepath.Join(p.imageDir(), "build.sh"), []byte("#!/bin/sh\necho built > \"$1\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	e := p.run().expect(0, "CCC")
	if got := e.text(2, contract.AssetStdout); got != "built\n" {
		t.Errorf("the second task prints %q", got)
	}
	if got := e.text(3, contract.AssetStdout); got != "build.sh\nproduct\n" {
		t.Errorf("the third task prints %q", got)
	}
}

func TestFunctionsRunInAnEmptyDirectory(t *testing.T) {
	p := newPythonPod(t, function(1, "directories"))
	if err := os.WriteFile(filepath.Join(p.imageDir(), "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e := p.run().expect(0, "C")
	if got, want := e.result(1), p.dir+"/room/tasks/0/scratch, set, 0 files"; got != want {
		t.Errorf("the function runs in %q, want %q", got, want)
	}
}

// TestImageWithoutADirectory runs commands in a root directory that is read-only, as
// in a pod: the second task finds the file of the first one, and paths below the root
// directory are found.
func TestImageWithoutADirectory(t *testing.T) {
	p := newPod(t, shell(1, "echo built > product"), shell(2, "cat product; ls -d usr/bin"))
	readOnlyRoot := func(program string) func(*exec.Cmd) {
		return func(command *exec.Cmd) {
			command.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
				UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
			}
			script := `mount --bind "$1" "$1" && mount -o remount,bind,ro / && cd / && exec "$0"`
			command.Path, command.Args = "/bin/sh", []string{"sh", "-c", script, program, p.dir}
		}
	}
	trial := exec.Command("")
	trial.Err = nil
	readOnlyRoot("true")(trial)
	if out, err := trial.CombinedOutput(); err != nil {
		t.Skipf("this machine does not let a test mount: %v: %s", err, out)
	}
	e := p.runIn(readOnlyRoot(runnerPath)).expect(0, "CC")
	if got := e.text(2, contract.AssetStdout); got != "built\nusr/bin\n" {
		t.Errorf("the second task prints %q", got)
	}
}

// TestDirectoryOfTheImageThatIsNotAccessible starts the runner in a directory that was
// deleted.
func TestDirectoryOfTheImageThatIsNotAccessible(t *testing.T) {
	p := newPod(t, shell(1, `pwd; echo "$TASKGROUP_DIR"`))
	e := p.runIn(func(runner *exec.Cmd) {
		runner.Path, runner.Args = "/bin/sh", []string{"sh", "-c", `rmdir "$PWD" && exec "$0"`, runnerPath}
	}).expect(0, "C")
	scratch := p.dir + "/room/tasks/0/scratch\n"
	if got := e.text(1, contract.AssetStdout); got != scratch+scratch {
		t.Errorf("the command prints %q", got)
	}
	if !strings.Contains(e.stderr, "[taskgroup] the working directory of the container is not accessible: ") {
		t.Errorf("the log is %q", e.stderr)
	}
}
