// SPDX-License-Identifier: Apache-2.0

package release

import (
	"errors"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestGoBuilder builds a program of the checkout and runs it.
func TestGoBuilder(t *testing.T) {
	program := filepath.Join(t.TempDir(), "runner")
	if err := GoBuilder(root, "v0.2.0")(t.Context(), Target{"runner", runtime.GOOS, runtime.GOARCH}, program); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), program, "--version").Output(); err != nil || string(out) != "v0.2.0\n" {
		t.Errorf("the program reports %q, %v", out, err)
	}
	info, err := exec.CommandContext(t.Context(), "go", "version", "-m", program).Output()
	if err != nil {
		t.Fatal(err)
	}
	if text := string(info); !strings.Contains(text, "-trimpath=true") || strings.Contains(text, "vcs.") {
		t.Errorf("the program was built with:\n%s", text)
	}
}

func TestBuildersReportTheCause(t *testing.T) {
	err := GoBuilder(root, "v0.2.0")(t.Context(), Target{"unknown", "linux", "amd64"}, filepath.Join(t.TempDir(), "a"))
	if _, failed := errors.AsType[*exec.ExitError](err); !failed || !strings.Contains(err.Error(), "cmd/unknown") {
		t.Errorf("got %v", err)
	}
	if err := PythonWheels(root, "false", "0.2.0")(t.Context(), t.TempDir()); err == nil || !strings.HasPrefix(err.Error(), "building the wheels") {
		t.Errorf("got %v", err)
	}
}
