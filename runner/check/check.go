// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

const (
	defaultPython = "python3"
	// pythonTimeout bounds the start of Python, whose image may be on a slow disk.
	pythonTimeout = time.Minute
)

// errOther is an object with other bytes than the caller wrote.
var errOther = errors.New("the object is not the one that was written: another volume or server has this location")

// Run makes the checks of a request. The object of the request is written last, since it
// contains the report.
func Run(ctx context.Context, stores *store.Stores, request *contract.CheckRequest) *contract.CheckReport {
	report := &contract.CheckReport{}
	readVersions(ctx, request, report)
	if request.Read != "" {
		if err := hasContent(ctx, stores, request.Read, request.Content); err != nil {
			report.ReadError = err.Error()
		}
	}
	if request.Write != "" {
		write(ctx, stores, request, report)
	}
	return report
}

// readVersions runs the Python of the image.
func readVersions(ctx context.Context, request *contract.CheckRequest, report *contract.CheckReport) {
	python := cmp.Or(request.Python, defaultPython)
	ctx, cancel := context.WithTimeout(ctx, pythonTimeout)
	defer cancel()
	var stderr strings.Builder
	command := exec.CommandContext(ctx, python, "-c", contract.VersionsScript)
	command.Stderr = &stderr
	// A child of Python that keeps the output open must not be waited for.
	command.WaitDelay = time.Second
	raw, err := command.Output()
	if err == nil {
		err = json.Unmarshal(raw, report)
	}
	if err == nil {
		if request.Version != "" && !strings.HasPrefix(report.Python, request.Version+".") {
			report.VersionError = "Python " + report.Python + ", not " + request.Version
		}
		return
	}
	report.PythonError = fmt.Sprintf("running %s: %s", python, err)
	if last := lastLine(stderr.String()); last != "" {
		report.PythonError += ": " + last
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return contract.Truncate(lines[len(lines)-1], 512)
}

// hasContent reads an object and compares it.
func hasContent(ctx context.Context, stores *store.Stores, uri, want string) error {
	folder, err := os.MkdirTemp("", "taskgroup-check-")
	if err != nil {
		return fmt.Errorf("making a folder for an object: %w", err)
	}
	defer os.RemoveAll(folder)
	path, err := stores.Fetch(ctx, uri, filepath.Join(folder, "object"))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: another volume or server has this location", err)
		}
		return err
	}
	got, err := os.ReadFile(path)
	if err == nil && string(got) != want {
		err = errOther
	}
	return err
}

// write creates the object of a request as an attempt creates its manifest, reads it, and
// removes it unless the caller does.
func write(ctx context.Context, stores *store.Stores, request *contract.CheckRequest, report *contract.CheckReport) {
	text, err := json.Marshal(report)
	if err == nil {
		err = stores.Probe(ctx, request.Write, text)
	}
	if err == nil {
		err = hasContent(ctx, stores, request.Write, string(text))
	}
	if err != nil {
		report.WriteError = err.Error()
	}
	if request.Keep && err == nil {
		return
	}
	if err := stores.Remove(ctx, request.Write); err != nil && report.WriteError == "" {
		report.RemoveError = err.Error()
	}
}
