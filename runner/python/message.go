// SPDX-License-Identifier: Apache-2.0

package python

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// protocolVersion is the version of python/harness/taskgroup_harness/protocol.py.
const protocolVersion = 1

// File is something of the user's that the harness reads.
type File struct {
	Path string `json:"path"`
	// Name is what messages call it.
	Name string `json:"name"`
}

// Request is one function to run.
type Request struct {
	Node     contract.NodeID `json:"node"`
	Dispatch string          `json:"dispatch"`
	Function File            `json:"function"`
	// Hooks has no path where there are none.
	Hooks  File            `json:"hooks"`
	Args   []File          `json:"args"`
	Kwargs map[string]File `json:"kwargs"`
	// Directory is the task's working directory; it exists.
	Directory string `json:"directory"`
	// Environment is added to that of the harness.
	Environment map[string]string `json:"environment"`
	// Output is where the result goes, as a TransportableObject.
	Output string `json:"output"`
	// Report is where the outcome goes; see ReadReport.
	Report string `json:"report"`
	// Packages is the folder of the environment that pip hooks create; all tasks of
	// the group share it.
	Packages string `json:"packages"`
	// Seconds is the time that the task may take; 0 is no limit.
	Seconds float64 `json:"seconds"`
}

// event is a line from the harness.
type event struct {
	Event string `json:"event"`
	// Of unavailable.
	Message string `json:"message"`
	// Of ready.
	Protocol    int    `json:"protocol"`
	Python      string `json:"python"`
	Cloudpickle string `json:"cloudpickle"`
	// Of started and ended.
	PID             int     `json:"pid"`
	Code            int     `json:"code"`
	Signal          int     `json:"signal"`
	PeakMemoryBytes int64   `json:"peakMemoryBytes"`
	CPUSeconds      float64 `json:"cpuSeconds"`
}

// Report is the outcome of a task as its process reports it.
type Report struct {
	// Outcome is completed or failed.
	Outcome   string          `json:"outcome"`
	Reason    contract.Reason `json:"reason"`
	Message   string          `json:"message"`
	Traceback string          `json:"traceback"`
	// ExitCode is the exit code of the function. The process runs exit handlers after its
	// report, so that its own exit code may be another one.
	ExitCode uint8 `json:"exitCode"`
}

// Completed reports that the function returned and its result was written.
func (r *Report) Completed() bool { return r.Outcome == "completed" }

// maxReport bounds a report that is read, in bytes: the file is the task's to
// forge.
const maxReport = 1 << 20

// reported are the reasons that the harness gives
// (python/harness/taskgroup_harness/failure.py).
var reported = []contract.Reason{
	contract.ReasonTaskError, contract.ReasonExitCode, contract.ReasonInputInvalid, contract.ReasonOutputInvalid,
	contract.ReasonOutputUploadFailed, contract.ReasonHookFailed, contract.ReasonPythonVersionMismatch,
}

// ErrNoReport is the error for a task whose process terminated without a report.
var ErrNoReport = errors.New("the task left no report")

// A process that could not write its report exits with UnreportedCode, and a line of
// its stderr begins with UnreportedLine (python/harness/taskgroup_harness/failure.py).
const (
	UnreportedCode = 70
	UnreportedLine = "[taskgroup] the outcome of the task could not be reported: "
)

// ReadReport reads the report that a task's process wrote, or returns
// ErrNoReport. A file that would block a reader, such as a FIFO, is refused.
func ReadReport(path string) (*Report, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoReport
	}
	if err != nil {
		return nil, fmt.Errorf("reading the task's report: %w", err)
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.New("reading the task's report: it is not a regular file")
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxReport))
	if err != nil {
		return nil, fmt.Errorf("reading the task's report: %w", err)
	}
	var report Report
	if err := json.Unmarshal(raw, &report); err != nil {
		return nil, fmt.Errorf("decoding the task's report: %w", err)
	}
	if !report.Completed() && !slices.Contains(reported, report.Reason) {
		return nil, fmt.Errorf("decoding the task's report: unknown reason %.40q", report.Reason)
	}
	return &report, nil
}
