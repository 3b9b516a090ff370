// SPDX-License-Identifier: Apache-2.0

package recipe

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/build"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/progress"
	"github.com/taskgroup-operator/taskgroup-operator/hack/image/oci"
)

// The root file system of the Python image.
const (
	debianSuite    = "bookworm"
	debianPackages = "python3-minimal,libpython3-stdlib,python3-pip,libstdc++6,ca-certificates,dash,coreutils"
	pythonVersion  = "3.11"
	// sourceLabel reports what an archive was made from.
	sourceLabel = "taskgroup-operator.source"
)

// pythonPackages are pip's requirements, with a digest of every file.
//
//go:embed python-packages.txt
var pythonPackages string

// wheelPlatforms are the platforms of wheels, by Go's names of architectures;
// Debian's C library is newer than these require.
var wheelPlatforms = map[string]string{"amd64": "manylinux_2_28_x86_64", "arm64": "manylinux_2_28_aarch64"}

// imageTools make the image.
var imageTools = []build.SystemProgram{{Command: "mmdebstrap", Package: "mmdebstrap"}, {Command: "pip3", Package: "python3-pip"}}

// WritePython writes the archive of an image with Debian's Python, cloudpickle
// and numpy, unless the archive exists and was made from the same lists.
func WritePython(ctx context.Context, reference, output string, report *progress.Reporter) error {
	source := pythonSource(reference)
	if oci.Label(output, sourceLabel) == source {
		report.Line("%s is current", output)
		return nil
	}
	if err := build.Install(ctx, report, imageTools); err != nil {
		return err
	}
	return report.Step("making "+reference, func() error {
		scratch, err := os.MkdirTemp("", "taskgroup-python-")
		if err != nil {
			return fmt.Errorf("making a scratch folder: %w", err)
		}
		defer os.RemoveAll(scratch)
		rootfs := filepath.Join(scratch, "rootfs.tar")
		packages := filepath.Join(scratch, "packages")
		if err := installPackages(ctx, scratch, packages); err != nil {
			return err
		}
		if err := makeRootFS(ctx, packages, rootfs); err != nil {
			return err
		}
		layer, err := oci.ArchiveLayer(rootfs)
		if err != nil {
			return err
		}
		image, err := oci.Image(layer, v1.Config{
			Cmd:        []string{"python3"},
			User:       Nonroot,
			Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"},
			WorkingDir: "/",
			Labels:     map[string]string{sourceLabel: source},
		})
		if err != nil {
			return err
		}
		return oci.Write(output, reference, image)
	})
}

// pythonSource is a digest of all that decides what is in the image.
func pythonSource(reference string) string {
	text := strings.Join([]string{
		reference, debianSuite, debianPackages, pythonPackages, strings.Join(rootFSHooks("packages"), "\n"), runtime.GOARCH,
	}, "\n")
	digest := sha256.Sum256([]byte(text))
	return hex.EncodeToString(digest[:])
}

// installPackages has pip put what is not Debian's into a folder. It runs none
// of it: any Python's pip serves, whatever machine the image is for.
func installPackages(ctx context.Context, scratch, target string) error {
	requirements := filepath.Join(scratch, "python-packages.txt")
	if err := os.WriteFile(requirements, []byte(pythonPackages), 0o600); err != nil {
		return fmt.Errorf("writing pip's requirements: %w", err)
	}
	cmd := exec.CommandContext(ctx, "pip3", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps",
		"--require-hashes", "--only-binary=:all:", "--implementation=cp", "--python-version="+pythonVersion,
		"--platform="+wheelPlatforms[runtime.GOARCH], "--target="+target, "--requirement="+requirements)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("installing Python packages (is a package index reached?): %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// rootFSHooks are commands that run when Debian's packages are unpacked; $1 is
// the root file system.
func rootFSHooks(packages string) []string {
	local := "/usr/local/lib/python" + pythonVersion
	return []string{
		`mkdir -p "$1` + local + `"`,
		"copy-in " + packages + " " + local,
		// Where Debian's Python looks before it looks among Debian's own packages.
		`cd "$1` + local + `" && mv packages dist-packages && rm -rf dist-packages/bin`,
		// numpy's own tests are a quarter of it.
		`find "$1` + local + `" -name tests -prune -exec rm -rf {} +`,
		// Debian compiles when a package is installed, and here it is only unpacked. Without this, every
		// pod compiles what it imports, for a tenth of a second, as its root file system is read-only.
		`chroot "$1" python` + pythonVersion + ` -m compileall -q --invalidation-mode unchecked-hash ` +
			`/usr/lib/python` + pythonVersion + ` /usr/lib/python3 ` + local,
	}
}

// makeRootFS unpacks packages without running their scripts: Python needs none.
func makeRootFS(ctx context.Context, packages, output string) error {
	args := []string{"--variant=extract", "--include=" + debianPackages}
	for _, hook := range rootFSHooks(packages) {
		args = append(args, "--extract-hook="+hook)
	}
	cmd := exec.CommandContext(ctx, "mmdebstrap", append(args, debianSuite, output)...)
	// The time of every file, so that the same packages make the same image.
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("making a Debian root file system (is a Debian mirror reached?): %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
