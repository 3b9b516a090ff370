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
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor/doctor"
)

// awaitGateway waits until the asset gateway is ready.
func awaitGateway(t *testing.T) {
	t.Helper()
	if _, err := cluster.Run(t.Context(), "-n", system, "rollout", "status", "--timeout=180s", "deployment/taskgroup-gateway"); err != nil {
		t.Fatal(err)
	}
}

// TestDoctorOfTheGateway runs all checks without a location for objects: this machine and
// a restricted pod reach the gateway.
func TestDoctorOfTheGateway(t *testing.T) {
	awaitGateway(t)
	p := commandLine(t, "doctor", "-o", "json")
	p.want(t, 0)
	var report doctor.Report
	if err := json.Unmarshal(p.stdout.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	want, got := map[doctor.Name]doctor.Status{}, map[doctor.Name]doctor.Status{}
	for _, name := range doctor.Names() {
		want[name] = doctor.OK
	}
	for _, check := range report.Checks {
		got[check.Name] = check.Status
		if check.Name == doctor.CheckStore || check.Name == doctor.CheckPodStore {
			if location := contract.GatewayScheme + "://" + namespace; !strings.Contains(check.Message, location) {
				t.Errorf("%s does not name %s: %s", check.Name, location, check.Message)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("checks (-want +got):\n%s\n%s", diff, p.stdout.String())
	}
	awaitNone(t, "taskgroup-check-")
}

// TestSubmitToTheGateway runs a Python function without a location for its results, shows
// what it prints, and downloads the results without a pod.
func TestSubmitToTheGateway(t *testing.T) {
	t.Parallel()
	awaitGateway(t)
	file := filepath.Join(t.TempDir(), "model.py")
	const source = `
import os, sys

def main(n):
    with open(os.environ["TASKGROUP_OUTPUT"], "wb") as output:
        output.write(bytes(range(256)) * n)
    print("grün", file=sys.stderr)
    return 6 * n
`
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	submit := commandLine(t, "submit", "--name", "to-gateway", "--python", file+":main", "--arg", "7", "--memory", "64Mi", "--follow")
	submit.want(t, 0)
	for _, line := range []string{"42\n", "grün\n"} {
		if !strings.Contains(submit.stdout.String(), line) {
			t.Errorf("it did not print %q: %s%s", line, submit.stdout.String(), submit.stderr.String())
		}
	}
	tg := awaitReason(t, client.ObjectKey{Namespace: namespace, Name: "to-gateway"}, v1alpha1.ReasonCompleted)
	if want := contract.GatewayOutputs(namespace); tg.Spec.Assets == nil || string(tg.Spec.Assets.Outputs) != want {
		t.Fatalf("the results are in %+v, want %s", tg.Spec.Assets, want)
	}
	into := t.TempDir()
	download := commandLine(t, "results", "to-gateway", "--download", into)
	download.want(t, 0)
	if strings.Contains(download.stderr.String(), downloads) {
		t.Errorf("it started a pod: %s", download.stderr.String())
	}
	output := make([]byte, 7*256)
	for i := range output {
		output[i] = byte(i)
	}
	for name, want := range map[string]string{"output": string(output), "stdout": "42\n", "stderr": "grün\n"} {
		if got, err := os.ReadFile(filepath.Join(into, "0", name)); err != nil || string(got) != want {
			t.Errorf("the %s is %q, %v; want %q", name, got, err, want)
		}
	}
}
