// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/executor/doctor"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// statuses are the results of a report by their check, as JSON has them.
func statuses(t *testing.T, stdout string) map[doctor.Name]doctor.Check {
	t.Helper()
	var report doctor.Report
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("%v: %s", err, stdout)
	}
	all := map[doctor.Name]doctor.Check{}
	for _, check := range report.Checks {
		all[check.Name] = check
	}
	if len(all) != len(doctor.Names()) {
		t.Errorf("%d checks: %+v", len(all), report.Checks)
	}
	return all
}

// wantNoGroups waits until no TaskGroup remains in a namespace.
func wantNoGroups(t *testing.T, namespace string) {
	t.Helper()
	err := rig.Await(t.Context(), "no TaskGroup to remain", func(ctx context.Context) (bool, string, error) {
		var groups v1alpha1.TaskGroupList
		err := cluster.Client.List(ctx, &groups, client.InNamespace(namespace))
		return err == nil && len(groups.Items) == 0, "", err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestDoctor runs the checks on a real API server, whose OpenAPI document describes the
// CRD, as an administrator and with the role of a dispatcher, which may not delete. The
// pods of the fake node complete.
func TestDoctor(t *testing.T) {
	for name, tc := range map[string]struct {
		kubeconfig func(namespace string) string
		namespace  string
	}{
		"administrator": {func(string) string { return cluster.Kubeconfig }, "admits the pods"},
		"dispatcher":    {func(ns string) string { return dispatcherKubeconfig(t, cluster.Config, ns) }, "you may not read its Pod Security level"},
	} {
		t.Run(name, func(t *testing.T) {
			ns := namespace(t)
			stdout, stderr := wantCLI(t, ns, 0, "doctor", "--kubeconfig", tc.kubeconfig(ns), "-o", "json", "--timeout", "2m")
			all := statuses(t, stdout)
			for name, want := range map[doctor.Name]doctor.Status{
				doctor.CheckCluster: doctor.OK, doctor.CheckCRD: doctor.OK, doctor.CheckOperator: doctor.OK, doctor.CheckPermissions: doctor.OK,
				doctor.CheckNamespace: doctor.OK, doctor.CheckPod: doctor.OK, doctor.CheckPodStore: doctor.Skipped,
			} {
				if all[name].Status != want {
					t.Errorf("%s is %+v\n%s", name, all[name], stderr)
				}
			}
			// Other tests install the Service of a gateway, behind which no pod is.
			if check := all[doctor.CheckStore]; check.Status != doctor.Skipped && check.Status != doctor.Warning || !strings.Contains(check.Message, "no location is given") {
				t.Errorf("the store: %+v", check)
			}
			if !strings.Contains(all[doctor.CheckNamespace].Message, tc.namespace) {
				t.Errorf("the namespace: %s", all[doctor.CheckNamespace].Message)
			}
			wantNoGroups(t, ns)
		})
	}
}

// TestDoctorWithoutPermissions has an account without a role, and a namespace that does
// not exist.
func TestDoctorWithoutPermissions(t *testing.T) {
	ns := namespace(t)
	kubeconfig := dispatcherKubeconfig(t, cluster.Config, ns)
	stdout, _ := wantCLI(t, "default", 1, "doctor", "--kubeconfig", kubeconfig, "-o", "json")
	all := statuses(t, stdout)
	if check := all[doctor.CheckPermissions]; check.Status != doctor.Failed || !strings.Contains(check.Message, "you may not create taskgroups, get taskgroups") || !strings.Contains(check.Next, "rolebinding") {
		t.Errorf("permissions: %+v", check)
	}
	for _, name := range []doctor.Name{doctor.CheckOperator, doctor.CheckPod, doctor.CheckImage} {
		if all[name].Status != doctor.Skipped {
			t.Errorf("%s is %+v", name, all[name])
		}
	}
	stdout, _ = wantCLI(t, "no-such-namespace", 1, "doctor", "-o", "json")
	if check := statuses(t, stdout)[doctor.CheckNamespace]; check.Status != doctor.Failed || !strings.Contains(check.Next, "kubectl create namespace no-such-namespace") {
		t.Errorf("a missing namespace: %+v", check)
	}
}

// TestDoctorIsInterrupted sends SIGINT while the pod is waited for.
func TestDoctorIsInterrupted(t *testing.T) {
	ns := namespace(t)
	path, err := buildCLI()
	if err != nil {
		t.Fatal(err)
	}
	// The group waits for the quota.
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "no-jobs"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/jobs.batch": resource.MustParse("0")}},
	}
	if err := cluster.Client.Create(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), path, "--kubeconfig", cluster.Kubeconfig, "-n", ns, "doctor", "--timeout", "10m")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	err = rig.Await(t.Context(), "the group of the pod", func(ctx context.Context) (bool, string, error) {
		var groups v1alpha1.TaskGroupList
		if err := cluster.Client.List(ctx, &groups, client.InNamespace(ns)); err != nil {
			return false, "", err
		}
		return len(groups.Items) == 1 && groups.Items[0].Status.Reason() == v1alpha1.ReasonQueued, "", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d\n%s%s", code, stdout.String(), stderr.String())
	}
	wantNoGroups(t, ns)
	wantQuiet(t, ns)
}
