// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

func TestRead(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	for path, text := range map[string]string{filepath.Join(dir, "größe"): "0123456789", outside: "secret"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink(outside, filepath.Join(dir, "link")), syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args   []string
		want   string
		code   int
		stderr string
	}{
		"whole":            {args: []string{dir, "größe"}, want: "0123456789"},
		"from an offset":   {args: []string{dir, "größe", "7"}, want: "789"},
		"at its end":       {args: []string{dir, "größe", "10"}},
		"missing":          {args: []string{dir, "no"}, code: contract.ReadMissing, stderr: "no such file"},
		"missing folder":   {args: []string{dir + "/no", "no"}, code: contract.ReadMissing, stderr: "no such file"},
		"a link out of it": {args: []string{dir, "link"}, code: 1, stderr: "escapes"},
		"above it":         {args: []string{dir, "../secret"}, code: 1, stderr: "escapes"},
		"a pipe":           {args: []string{dir, "pipe"}, code: 1, stderr: "not a regular file"},
		"a folder":         {args: []string{dir, "."}, code: 1, stderr: "not a regular file"},
		"no offset":        {args: []string{dir, "größe", "x"}, code: 1, stderr: `offset is "x"`},
		"no path":          {args: []string{dir}, code: 2, stderr: "usage"},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr strings.Builder
			command := exec.CommandContext(t.Context(), runnerPath, append([]string{contract.ReadCommand}, tc.args...)...)
			command.Stderr = &stderr
			out, err := command.Output()
			if code := command.ProcessState.ExitCode(); code != tc.code || string(out) != tc.want || !strings.Contains(stderr.String(), tc.stderr) {
				t.Errorf("exit code %d, %q, %q, %v", code, out, stderr.String(), err)
			}
		})
	}
}

// TestHold runs until SIGTERM.
func TestHold(t *testing.T) {
	command := exec.CommandContext(t.Context(), runnerPath, contract.HoldCommand)
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	// It reports that it handles signals.
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || !strings.Contains(line, "waiting") {
		t.Errorf("it printed %q, %v", line, err)
	}
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
}
