package recipe

import (
	"context"
	"crypto/sha256"
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
	pythonPackages = "python3-minimal,libpython3-stdlib,python3-cloudpickle,python3-pip,ca-certificates,dash,coreutils"
	// sourceLabel tells what an archive was made from.
	sourceLabel = "taskgroup-operator.source"
)

var debootstrap = []build.SystemProgram{{Command: "mmdebstrap", Package: "mmdebstrap"}}

// WritePython writes the archive of an image with Debian's Python and
// cloudpickle, unless the archive is there and was made from the same list.
func WritePython(ctx context.Context, reference, output string, report *progress.Reporter) error {
	source := pythonSource(reference)
	if oci.Label(output, sourceLabel) == source {
		report.Say("%s is current", output)
		return nil
	}
	if err := build.Install(ctx, report, debootstrap); err != nil {
		return err
	}
	return report.Step("making "+reference, func() error {
		scratch, err := os.MkdirTemp("", "taskgroup-python-")
		if err != nil {
			return fmt.Errorf("making a scratch folder: %w", err)
		}
		defer os.RemoveAll(scratch)
		rootfs := filepath.Join(scratch, "rootfs.tar")
		if err := makeRootFS(ctx, rootfs); err != nil {
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
	text := strings.Join([]string{reference, debianSuite, pythonPackages, runtime.GOARCH}, "\n")
	digest := sha256.Sum256([]byte(text))
	return hex.EncodeToString(digest[:])
}

// makeRootFS unpacks packages without running their scripts: Python needs none.
func makeRootFS(ctx context.Context, output string) error {
	cmd := exec.CommandContext(ctx, "mmdebstrap", "--variant=extract", "--include="+pythonPackages, debianSuite, output)
	// The time of every file, so that the same packages make the same image.
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("making a Debian root file system (is a Debian mirror reached?): %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
