// SPDX-License-Identifier: Apache-2.0

package group

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/runner/process"
)

func TestKillAfterLeavesTimeForTheUpload(t *testing.T) {
	for grace, want := range map[time.Duration]time.Duration{
		0:                0,
		3 * time.Second:  2 * time.Second,
		15 * time.Second: 10 * time.Second,
		30 * time.Second: 20 * time.Second,
		60 * time.Second: 50 * time.Second,
		time.Hour:        time.Hour - 10*time.Second,
	} {
		if got := killAfter(grace); got != want {
			t.Errorf("killAfter(%s) = %s, want %s", grace, got, want)
		}
	}
}

func TestMinor(t *testing.T) {
	for version, want := range map[string]string{"3.11.7": "3.11", "3.12": "3.12", "3.13.0rc1": "3.13", "3.12.0+": "3.12", "3": "", "": "", ".1": "", "3.": ""} {
		if got := minor(version); got != want {
			t.Errorf("minor(%q) = %q, want %q", version, got, want)
		}
	}
}

func TestWithVariablesSetsEachOnce(t *testing.T) {
	got := withVariables([]string{"A=1", "B=2", "A=3", "AB=4"}, map[string]string{"A": "new"})
	if diff := cmp.Diff([]string{"B=2", "AB=4", "A=new"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestWithHome(t *testing.T) {
	dir := t.TempDir()
	fallback := dir + "/home"
	tests := map[string]struct{ env, want []string }{
		"writable":     {[]string{"HOME=" + dir}, []string{"HOME=" + dir}},
		"unset":        {[]string{"A=1"}, []string{"A=1", "HOME=" + fallback}},
		"empty":        {[]string{"HOME="}, []string{"HOME=" + fallback}},
		"missing":      {[]string{"HOME=" + dir + "/x"}, []string{"HOME=" + fallback}},
		"no directory": {[]string{"HOME=/dev/null"}, []string{"HOME=" + fallback}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, withHome(test.env, fallback)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEnding(t *testing.T) {
	for want, exit := range map[string]process.Exit{
		"exit code 3":                   {Code: 3},
		"killed by signal 9 (SIGKILL)":  {Signal: 9},
		"killed by signal 11 (SIGSEGV)": {Signal: 11},
	} {
		if got := ending(exit); got != want {
			t.Errorf("ending = %q, want %q", got, want)
		}
	}
}

func TestOOMMessage(t *testing.T) {
	const limit, peak = 96 << 20, 99929293
	for want, got := range map[string]string{
		"OOM-killed: memory limit 96.0 MiB, peak 95.3 MiB: raise spec.pod.resources.limits.memory": oomMessage(limit, peak),
		"OOM-killed: memory limit 96.0 MiB: raise spec.pod.resources.limits.memory":                oomMessage(limit, 0),
		"OOM-killed: peak 95.3 MiB: raise spec.pod.resources.limits.memory":                        oomMessage(0, peak),
		"OOM-killed: raise spec.pod.resources.limits.memory":                                       oomMessage(0, 0),
	} {
		if got != want {
			t.Errorf("oomMessage = %q, want %q", got, want)
		}
	}
}

func TestRecordBoundsTheMessage(t *testing.T) {
	long := make([]byte, 3*maxMessage)
	for i := range long {
		long[i] = 0xff
	}
	if got := failed(contract.ReasonTaskError, "%s", long).record(1).Message; len(got) > maxMessage {
		t.Errorf("%d bytes", len(got))
	}
}
