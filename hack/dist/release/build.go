// SPDX-License-Identifier: Apache-2.0

package release

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

const (
	// module is the module of the programs.
	module = "github.com/taskgroup-operator/taskgroup-operator"
	// linkVersion is the flag of the linker for the version of a program.
	linkVersion = "-X github.com/taskgroup-operator/taskgroup-operator/internal/version.Version="
)

// Target is a program for a platform.
type Target struct{ Program, OS, Arch string }

// File is the name of the program's file.
func (t Target) File() string {
	if t.OS == "windows" {
		return t.Program + ".exe"
	}
	return t.Program
}

// Name is unique among the targets.
func (t Target) Name() string { return t.Program + "_" + t.OS + "_" + t.Arch }

// images are the programs with an image; client is the command line.
var images = []string{"gateway", "manager", "runner"}

const client = "taskgroup"

// targets lists what is built for platforms, such as linux/amd64; for all of them if there
// are none.
func targets(platforms []string) []Target {
	all := allTargets()
	if len(platforms) == 0 {
		return all
	}
	return slices.DeleteFunc(all, func(t Target) bool { return !slices.Contains(platforms, t.OS+"/"+t.Arch) })
}

func allTargets() []Target {
	var all []Target
	for _, program := range images {
		for _, arch := range []string{"amd64", "arm64"} {
			all = append(all, Target{program, "linux", arch})
		}
	}
	for _, system := range []string{"darwin", "linux", "windows"} {
		for _, arch := range []string{"amd64", "arm64"} {
			all = append(all, Target{client, system, arch})
		}
	}
	return all
}

// Builder compiles a program into a file.
type Builder func(ctx context.Context, target Target, output string) error

// WheelBuilder writes wheels into a folder.
type WheelBuilder func(ctx context.Context, output string) error

// settled are variables of Go that change what the compiler writes: a release does not
// depend on the machine's. The state of the checkout is left out of the programs; the
// version and the provenance have it.
var settled = []string{"CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off", "GOEXPERIMENT=", "GOAMD64=v1", "GOARM64=v8.0", "GODEBUG="}

// GoBuilder returns a Builder that links the version into programs of a checkout.
func GoBuilder(root, version string) Builder {
	link := "-s -w " + linkVersion + version
	return func(ctx context.Context, target Target, output string) error {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", link, "-o", output, "./cmd/"+target.Program)
		cmd.Dir = root
		cmd.Env = append(append(os.Environ(), settled...), "GOOS="+target.OS, "GOARCH="+target.Arch)
		return run(cmd, "building "+target.Name())
	}
}

// PythonWheels returns a WheelBuilder that uses hack/wheels.py, for platforms or all of them.
func PythonWheels(root, python, version string, platforms []string) WheelBuilder {
	return func(ctx context.Context, output string) error {
		release, err := pythonVersion(version)
		if err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, python, append([]string{filepath.Join(root, "hack", "wheels.py"), output}, platforms...)...)
		cmd.Dir = root
		cmd.Env = append(append(os.Environ(), settled...), "VERSION=v"+version, "PLUGIN_VERSION="+release)
		return run(cmd, "building the wheels")
	}
}

func run(cmd *exec.Cmd, what string) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", what, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// goVersion is the version of the toolchain that builds this tool and the programs.
func goVersion() string { return runtime.Version() }
