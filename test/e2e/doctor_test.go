// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/executor/doctor"
)

// TestDoctor checks the cluster of the tests: a real kubelet pulls the image, mounts the
// volume and runs the checks in a restricted pod. The namespace is healthy; options that
// do not suit it fail the check that they concern, and no other.
func TestDoctor(t *testing.T) {
	healthy := map[doctor.Name]doctor.Status{}
	for _, name := range doctor.Names() {
		healthy[name] = doctor.OK
	}
	// Without the packages of the image, and so without cloudpickle.
	bare := filepath.Join(assets, "python-without-packages")
	if err := os.WriteFile(bare, []byte("#!/bin/sh\nexec python3 -S \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args   []string
		failed doctor.Name
		texts  []string
	}{
		"healthy": {},
		"an interpreter without cloudpickle": {
			args: []string{"--python", "/assets/python-without-packages"}, failed: doctor.CheckImage,
			texts: []string{"has no cloudpickle", "No module named 'cloudpickle'", "pip install cloudpickle"},
		},
		"a volume that cannot be written": {
			args: []string{"--volume", "taskgroup-assets:/assets:ro"}, failed: doctor.CheckPodStore,
			texts: []string{"the pod cannot write at file:///assets", "permission"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"doctor", "-o", "json", "--assets", "file:///assets", "--mount", "/assets=" + assets}
			if tc.failed != doctor.CheckPodStore {
				args = append(args, "--volume", "taskgroup-assets:/assets")
			}
			want, code := healthy, 0
			if tc.failed != "" {
				want, code = map[doctor.Name]doctor.Status{}, 1
				for name := range healthy {
					want[name] = doctor.OK
				}
				want[tc.failed] = doctor.Failed
			}
			p := commandLine(t, append(args, tc.args...)...)
			p.want(t, code)
			var report doctor.Report
			if err := json.Unmarshal(p.stdout.Bytes(), &report); err != nil {
				t.Fatal(err)
			}
			got := map[doctor.Name]doctor.Status{}
			for _, check := range report.Checks {
				got[check.Name] = check.Status
				if check.Name != tc.failed {
					continue
				}
				for _, text := range tc.texts {
					if !strings.Contains(check.Message+"\n"+check.Next, text) {
						t.Errorf("%s lacks %q: %s\n%s", check.Name, text, check.Message, check.Next)
					}
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("checks (-want +got):\n%s\n%s", diff, p.stdout.String())
			}
			awaitNone(t, "taskgroup-check-")
			if left, err := filepath.Glob(filepath.Join(assets, "taskgroup-check-*")); err != nil || len(left) > 0 {
				t.Errorf("objects remain: %q, %v", left, err)
			}
		})
	}
}
