// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"encoding/json"
	"fmt"
)

// RunnerPath is where the runner is in every task pod.
const RunnerPath = "/taskgroup/bin/runner"

// CheckCommand is the command of the runner that checks a pod: RunnerPath, CheckCommand
// and a CheckRequest as JSON.
const CheckCommand = "check"

// CheckRequest states what the runner checks in a pod before a user sends real work.
type CheckRequest struct {
	// Python is the interpreter of functions; python3 if empty.
	Python string `json:"python,omitempty"`
	// Version is major.minor of the Python that functions are pickled by; any if empty.
	Version string `json:"version,omitempty"`
	// Read is an object that the caller wrote, with the text Content; none if empty.
	Read    string `json:"read,omitempty"`
	Content string `json:"content,omitempty"`
	// Write is an object that the pod creates, reads again and, unless Keep is set,
	// removes; none if empty. Its text is the CheckReport.
	Write string `json:"write,omitempty"`
	// Keep leaves the object of Write to the caller, who reads and removes it.
	Keep bool `json:"keep,omitempty"`
}

// CheckReport is what the runner found in a pod. Errors are empty for checks that
// succeeded, or that were not requested.
type CheckReport struct {
	// Python is major.minor.micro of the image's Python.
	Python string `json:"python,omitempty"`
	// Cloudpickle is the version of the image's cloudpickle.
	Cloudpickle      string `json:"cloudpickle,omitempty"`
	PythonError      string `json:"pythonError,omitempty"`
	CloudpickleError string `json:"cloudpickleError,omitempty"`
	VersionError     string `json:"versionError,omitempty"`
	ReadError        string `json:"readError,omitempty"`
	WriteError       string `json:"writeError,omitempty"`
	// RemoveError is not empty if the object of Write remains.
	RemoveError string `json:"removeError,omitempty"`
}

// VersionsScript is a Python program that prints the part of a CheckReport that is about
// Python.
const VersionsScript = `import json, sys
found = {"python": "%d.%d.%d" % sys.version_info[:3]}
try:
    import cloudpickle
    found["cloudpickle"] = getattr(cloudpickle, "__version__", "unknown")
except Exception as err:
    found["cloudpickleError"] = "%s: %s" % (type(err).__name__, err)
print(json.dumps(found))
`

// CheckExit is the exit code of CheckCommand: 0 if all checks succeeded, otherwise
// CheckFailed and a bit for each of those that failed. It is all that a caller without
// access to logs and stores receives.
type CheckExit int32

// The bits of CheckExit. A shell's 126 and 127, for a command that cannot be run, are no
// report: not all bits are set at once, since a write that failed leaves no object.
const (
	CheckPython      CheckExit = 1
	CheckCloudpickle CheckExit = 2
	CheckRead        CheckExit = 4
	CheckWrite       CheckExit = 8
	CheckRemove      CheckExit = 16
	CheckVersion     CheckExit = 32
	CheckFailed      CheckExit = 64
)

// cannotRun is the first code of a shell for a command that it could not run.
const cannotRun CheckExit = 126

const checkBits = CheckPython | CheckCloudpickle | CheckRead | CheckWrite | CheckRemove | CheckVersion

// Exit returns the exit code of a report.
func (r *CheckReport) Exit() CheckExit {
	var exit CheckExit
	for bit, text := range map[CheckExit]string{
		CheckPython: r.PythonError, CheckCloudpickle: r.CloudpickleError, CheckRead: r.ReadError,
		CheckWrite: r.WriteError, CheckRemove: r.RemoveError, CheckVersion: r.VersionError,
	} {
		if text != "" {
			exit |= CheckFailed | bit
		}
	}
	return exit
}

// Has reports whether a check failed.
func (e CheckExit) Has(bit CheckExit) bool { return e.IsReport() && e&bit != 0 }

// IsReport reports whether an exit code is of CheckCommand. A runner of a release
// without it exits with 2.
func (e CheckExit) IsReport() bool {
	return e == 0 || e&^checkBits == CheckFailed && e < cannotRun
}

// DecodeCheckReport decodes the text of a CheckReport.
func DecodeCheckReport(raw []byte) (*CheckReport, error) {
	var report CheckReport
	if err := json.Unmarshal(raw, &report); err != nil {
		return nil, fmt.Errorf("decoding the report of a check: %w", err)
	}
	return &report, nil
}
