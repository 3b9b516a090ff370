package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
