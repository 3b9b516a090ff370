// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// runCheck runs the check of a pod and returns its report and its exit code.
func runCheck(t *testing.T, request contract.CheckRequest) (*contract.CheckReport, contract.CheckExit) {
	t.Helper()
	raw, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(runnerPath, contract.CheckCommand, string(raw)).Output()
	var code int
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	report, err := contract.DecodeCheckReport(out)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return report, contract.CheckExit(code)
}

// script is a program that stands in for Python.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheckOfPython(t *testing.T) {
	for name, tc := range map[string]struct {
		python string
		want   contract.CheckReport
	}{
		"complete":       {script(t, `echo '{"python": "3.12.1", "cloudpickle": "3.1.1"}'`), contract.CheckReport{Python: "3.12.1", Cloudpickle: "3.1.1"}},
		"no cloudpickle": {script(t, `echo '{"python": "3.12.1", "cloudpickleError": "ModuleNotFoundError"}'`), contract.CheckReport{Python: "3.12.1", CloudpickleError: "ModuleNotFoundError"}},
		"missing":        {"/no/such/python", contract.CheckReport{PythonError: "no such file"}},
		"broken":         {script(t, "echo 'cannot load libpython' >&2; exit 3"), contract.CheckReport{PythonError: "exit status 3: cannot load libpython"}},
		"not python":     {script(t, "echo hello"), contract.CheckReport{PythonError: "invalid character"}},
	} {
		t.Run(name, func(t *testing.T) {
			report, exit := runCheck(t, contract.CheckRequest{Python: tc.python})
			if report.Python != tc.want.Python || report.Cloudpickle != tc.want.Cloudpickle || report.CloudpickleError != tc.want.CloudpickleError ||
				!strings.Contains(report.PythonError, tc.want.PythonError) || tc.want.PythonError == "" && report.PythonError != "" {
				t.Errorf("reported %+v, want %+v", report, tc.want)
			}
			if exit != report.Exit() {
				t.Errorf("exit code %d of %+v", exit, report)
			}
		})
	}
}

func TestCheckOfTheRealPython(t *testing.T) {
	python := os.Getenv(pythonEnv)
	if python == "" {
		t.Skip(pythonEnv + " names no Python with cloudpickle")
	}
	if report, exit := runCheck(t, contract.CheckRequest{Python: python}); exit != 0 || !strings.HasPrefix(report.Python, "3.") || report.Cloudpickle == "" {
		t.Errorf("exit code %d, %+v", exit, report)
	}
}

func TestCheckOfTheVersion(t *testing.T) {
	python := script(t, `echo '{"python": "3.12.1", "cloudpickle": "3.1.1"}'`)
	for version, want := range map[string]string{"": "", "3.12": "", "3.1": "Python 3.12.1, not 3.1", "3.11": "Python 3.12.1, not 3.11"} {
		report, exit := runCheck(t, contract.CheckRequest{Python: python, Version: version})
		if report.VersionError != want || exit.Has(contract.CheckVersion) != (want != "") {
			t.Errorf("%q: exit code %d, %q", version, exit, report.VersionError)
		}
	}
}

func TestCheckOfStores(t *testing.T) {
	python := script(t, `echo '{"python": "3.12.1", "cloudpickle": "3.1.1"}'`)
	dir := t.TempDir()
	read, other := filepath.Join(dir, "größe"), filepath.Join(dir, "file")
	for _, path := range []string{read, other} {
		if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	place := "file://" + dir
	for name, tc := range map[string]struct {
		request     contract.CheckRequest
		read, write string
		kept        bool
	}{
		"read and written": {request: contract.CheckRequest{Read: place + "/gr%C3%B6%C3%9Fe", Content: "content", Write: place + "/new/probe"}},
		"kept":             {request: contract.CheckRequest{Write: place + "/kept", Keep: true}, kept: true},
		"missing":          {request: contract.CheckRequest{Read: place + "/missing", Content: "content"}, read: "no such file: another volume or server has this location"},
		"another object":   {request: contract.CheckRequest{Read: place + "/file", Content: "other"}, read: "not the one that was written"},
		"not a folder":     {request: contract.CheckRequest{Write: place + "/file/probe"}, write: "not a folder"},
		"another scheme":   {request: contract.CheckRequest{Write: "gopher://host/probe"}, write: `"gopher"`},
	} {
		t.Run(name, func(t *testing.T) {
			tc.request.Python = python
			report, exit := runCheck(t, tc.request)
			for field, texts := range map[string][2]string{"read": {report.ReadError, tc.read}, "write": {report.WriteError, tc.write}} {
				if got, want := texts[0], texts[1]; !strings.Contains(got, want) || want == "" && got != "" {
					t.Errorf("the error of the %s is %q, want %q", field, got, want)
				}
			}
			if exit.Has(contract.CheckRead) != (tc.read != "") || exit.Has(contract.CheckWrite) != (tc.write != "") {
				t.Errorf("exit code %d", exit)
			}
			path := strings.TrimPrefix(tc.request.Write, "file://")
			raw, err := os.ReadFile(path)
			if tc.kept {
				left, decodeErr := contract.DecodeCheckReport(raw)
				if err != nil || decodeErr != nil || left.Python != "3.12.1" {
					t.Errorf("left %s, %v, %v", raw, err, decodeErr)
				}
			} else if err == nil {
				t.Errorf("left %s", path)
			}
		})
	}
}
