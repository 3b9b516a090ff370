// SPDX-License-Identifier: Apache-2.0

package contract_test

import (
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

func TestCheckExit(t *testing.T) {
	all := []contract.CheckExit{contract.CheckPython, contract.CheckCloudpickle, contract.CheckRead, contract.CheckWrite, contract.CheckRemove, contract.CheckVersion}
	for name, tc := range map[string]struct {
		report contract.CheckReport
		want   contract.CheckExit
		failed []contract.CheckExit
	}{
		"all succeeded":  {report: contract.CheckReport{Python: "3.12.1", Cloudpickle: "3.1.1"}},
		"no python":      {report: contract.CheckReport{PythonError: "no"}, want: 65, failed: all[:1]},
		"no cloudpickle": {report: contract.CheckReport{CloudpickleError: "no"}, want: 66, failed: all[1:2]},
		"unreadable":     {report: contract.CheckReport{ReadError: "no"}, want: 68, failed: all[2:3]},
		"unwritable":     {report: contract.CheckReport{WriteError: "no"}, want: 72, failed: all[3:4]},
		"kept":           {report: contract.CheckReport{RemoveError: "no"}, want: 80, failed: all[4:5]},
		"another python": {report: contract.CheckReport{VersionError: "no"}, want: 96, failed: all[5:]},
		"everything":     {report: contract.CheckReport{PythonError: "1", CloudpickleError: "2", ReadError: "3", WriteError: "4", RemoveError: "5"}, want: 95, failed: all[:5]},
		"all but python": {report: contract.CheckReport{VersionError: "1", ReadError: "3", WriteError: "4", RemoveError: "5"}, want: 124, failed: all[2:]},
	} {
		t.Run(name, func(t *testing.T) {
			exit := tc.report.Exit()
			if exit != tc.want || !exit.IsReport() {
				t.Fatalf("exit code %d, want %d", exit, tc.want)
			}
			failed := 0
			for _, bit := range all {
				if exit.Has(bit) {
					failed++
				}
			}
			for _, bit := range tc.failed {
				if !exit.Has(bit) {
					t.Errorf("%d lacks %d", exit, bit)
				}
			}
			if failed != len(tc.failed) {
				t.Errorf("%d has %d failures, want %d", exit, failed, len(tc.failed))
			}
		})
	}
}

func TestExitCodesThatAreNoReport(t *testing.T) {
	for _, code := range []contract.CheckExit{1, 2, 126, 127, 128, 137, 143} {
		if code.IsReport() || code.Has(contract.CheckCloudpickle) {
			t.Errorf("%d is a report", code)
		}
	}
}
