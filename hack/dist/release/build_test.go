// SPDX-License-Identifier: Apache-2.0

package release

import (
	"errors"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
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
	if err := PythonWheels(root, "false", "0.2.0", nil)(t.Context(), t.TempDir()); err == nil || !strings.HasPrefix(err.Error(), "building the wheels") {
		t.Errorf("got %v", err)
	}
}

// TestPlatforms: a release for a try has the programs of its platforms only.
func TestPlatforms(t *testing.T) {
	var names []string
	for _, target := range targets([]string{"linux/arm64", "windows/amd64"}) {
		names = append(names, target.Name())
	}
	want := []string{"gateway_linux_arm64", "manager_linux_arm64", "runner_linux_arm64", "taskgroup_linux_arm64", "taskgroup_windows_amd64"}
	if !slices.Equal(names, want) {
		t.Errorf("targets %q", names)
	}
	if all := targets(nil); len(all) != 12 {
		t.Errorf("%d targets by default", len(all))
	}
	options := Options{Version: "0.2.0", Registry: "r/p", Commit: "c", Created: time.Unix(1, 0), Platforms: []string{"linux/amd64", "plan9/amd64"}}
	if err := options.Validate(); err == nil || !strings.Contains(err.Error(), `"plan9/amd64"`) {
		t.Errorf("error %v", err)
	}
}
