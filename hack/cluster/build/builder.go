// SPDX-License-Identifier: Apache-2.0

package build

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/progress"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/workspace"
)

// Builder builds targets into a folder and remembers what each was built from.
type Builder struct {
	// Dir gets the folders bin (the programs) and keys (what they were built from).
	Dir string
	// Report hears of every program that is built.
	Report *progress.Reporter
}

// Bin is the folder of the programs.
func (b Builder) Bin() string { return filepath.Join(b.Dir, "bin") }

// Path is where the program of a target is, or will be.
func (b Builder) Path(t Target) string { return filepath.Join(b.Bin(), t.Subdir, t.Name) }

// Build builds those targets that are not current. Only one process builds at a
// time: a second one waits, then finds everything current.
func (b Builder) Build(ctx context.Context, targets []Target) error {
	goVersion, err := goVersion(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(b.Dir, "keys"), 0o755); err != nil {
		return fmt.Errorf("making the build folder: %w", err)
	}
	unlock, err := b.lock()
	if err != nil {
		return err
	}
	defer unlock()
	outdated, err := b.outdated(targets, goVersion)
	if err != nil {
		return err
	}
	estimate := newEstimate(targetsOf(outdated))
	for i, one := range outdated {
		if len(outdated) > 1 {
			b.Report.Line("  building %s, %d of %d, %s", one.target.Name, i+1, len(outdated), estimate.text())
		}
		begun := time.Now()
		if err := b.buildOne(ctx, one); err != nil {
			return err
		}
		estimate.add(one.target, time.Since(begun))
	}
	return nil
}

// outdatedTarget is a target that has to be built, and what its binary will be built from.
type outdatedTarget struct {
	target       Target
	keyFile, key string
}

func targetsOf(outdated []outdatedTarget) []Target {
	targets := make([]Target, 0, len(outdated))
	for _, one := range outdated {
		targets = append(targets, one.target)
	}
	return targets
}

// outdated returns the targets that are not current.
func (b Builder) outdated(targets []Target, goVersion string) ([]outdatedTarget, error) {
	var outdated []outdatedTarget
	for _, target := range targets {
		used, err := b.useAsset(target)
		if err != nil {
			return nil, err
		}
		key, err := target.key(goVersion)
		if err != nil {
			return nil, err
		}
		if keyFile := filepath.Join(b.Dir, "keys", target.Name); !used && !b.isCurrent(target, keyFile, key) {
			outdated = append(outdated, outdatedTarget{target, keyFile, key})
		}
	}
	return outdated, nil
}

func (b Builder) buildOne(ctx context.Context, one outdatedTarget) error {
	return b.Report.Step("building "+one.target.Name, func() error {
		if err := b.compile(ctx, one.target); err != nil {
			return err
		}
		if err := os.WriteFile(one.keyFile, []byte(one.key), 0o644); err != nil {
			return fmt.Errorf("recording what %s was built from: %w", one.target.Name, err)
		}
		return nil
	})
}

func (b Builder) isCurrent(target Target, keyFile, key string) bool {
	built, err := os.ReadFile(keyFile)
	if err != nil || string(built) != key {
		return false
	}
	_, err = os.Stat(b.Path(target))
	return err == nil
}

// compile builds next to the destination and renames, so that a program that
// is running keeps its file and an interrupted build leaves the old one.
func (b Builder) compile(ctx context.Context, target Target) error {
	output := b.Path(target)
	partial := output + ".partial"
	if err := os.MkdirAll(filepath.Dir(output), 0o755); err != nil {
		return fmt.Errorf("making the folder of %s: %w", target.Name, err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false",
		"-ldflags", target.LDFlags, "-tags", target.Tags, "-o", partial, target.Package)
	cmd.Dir = target.ModuleDir
	// A go.work of the user must not change which versions are built.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s in %s: %w\n%s", target.Name, target.ModuleDir, err, strings.TrimSpace(string(out)))
	}
	if err := os.Rename(partial, output); err != nil {
		return fmt.Errorf("installing %s: %w", target.Name, err)
	}
	return nil
}

func (b Builder) lock() (unlock func(), err error) {
	dir, err := os.Open(b.Dir)
	if err != nil {
		return nil, fmt.Errorf("locking the build folder: %w", err)
	}
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		dir.Close()
		return nil, fmt.Errorf("locking the build folder: %w", err)
	}
	return func() { dir.Close() }, nil
}

func goVersion(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOVERSION", "GOOS", "GOARCH").Output()
	if err != nil {
		return "", fmt.Errorf("asking go for its version (is Go on the PATH?): %w", err)
	}
	return strings.Join(strings.Fields(string(out)), " "), nil
}

// DefaultDir is where a workspace keeps what is built for its version of Kubernetes.
func DefaultDir(repository workspace.Workspace) (string, error) {
	version, err := KubernetesVersion(repository.Modules())
	if err != nil {
		return "", err
	}
	return filepath.Join(repository.Cache(), "cluster", cmp.Or(assetsName(), version)), nil
}
