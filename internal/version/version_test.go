// SPDX-License-Identifier: Apache-2.0

package version

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"strings"
	"testing"
)

// symbol is what the linker sets.
var symbol = reflect.TypeFor[marker]().PkgPath() + ".Version"

type marker struct{}

// TestProgramsReportTheLinkedVersion builds the programs with the flags of the Makefile,
// so that both share the build cache. The linker ignores a symbol that does not exist.
func TestProgramsReportTheLinkedVersion(t *testing.T) {
	const want = "v1.2.3-test"
	for _, program := range []string{"gateway", "manager", "runner", "taskgroup"} {
		t.Run(program, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), program)
			build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X "+symbol+"="+want, "-o", path, "../../cmd/"+program)
			build.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			out, err := exec.Command(path, "--version").CombinedOutput()
			if err != nil || string(out) != want+"\n" {
				t.Errorf("%s --version prints %q, %v", program, out, err)
			}
		})
	}
}

// TestBuildsLinkTheVersion finds the symbol in every file that builds programs.
func TestBuildsLinkTheVersion(t *testing.T) {
	for _, file := range []string{"Makefile", "Dockerfile", "hack/wheels.py", "hack/dist/release/build.go"} {
		raw, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(raw), "-X "+symbol+"=") {
			t.Errorf("%s does not link %s", file, symbol)
		}
	}
}

func TestRecorded(t *testing.T) {
	revision := []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "1a2b3c"}}
	tests := map[string]struct {
		info debug.BuildInfo
		want string
	}{
		"a module":             {debug.BuildInfo{Main: debug.Module{Version: "v0.1.0"}, Settings: revision}, "v0.1.0"},
		"a commit":             {debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: revision}, "1a2b3c"},
		"a commit, no module":  {debug.BuildInfo{Settings: revision}, "1a2b3c"},
		"outside a repository": {debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "dev"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := recorded(&test.info); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
