// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// started waits until the function of a group has printed its line.
func started(t *testing.T, name string) {
	t.Helper()
	err := rig.Await(t.Context(), "the function to print", func(ctx context.Context) (bool, string, error) {
		// An error is no reason to give up: the container may not run yet.
		log, err := cluster.Run(ctx, "-n", namespace, "logs", "-l", v1alpha1.NameLabel+"="+name, "--tail=-1")
		// The runner reports it too, before the function runs.
		return strings.Contains("\n"+log, "\nstarted\n"), fmt.Sprintf("%q, %v", log, err), nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	for name, do := range map[string][]string{
		"cancel-by-spec": {"patch", "tg", "cancel-by-spec", "--type=merge", "-p", `{"spec":{"cancel":true}}`},
		"cancel-by-job":  {"delete", "job", "--wait=false", "-l", v1alpha1.NameLabel + "=cancel-by-job"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := create(t, functions(name, "lingers", "whoami"))
			started(t, name)
			if _, err := cluster.Run(t.Context(), append([]string{"-n", namespace}, do...)...); err != nil {
				t.Fatal(err)
			}
			tg := awaitReason(t, key, v1alpha1.ReasonCancelled)
			if left := leftovers(t, string(tg.UID)); left != "" {
				t.Errorf("Cancelled, and there are %s", left)
			}
			m := manifest(t, tg)
			if got := text(t, m, 0, contract.AssetStdout); got != "started\n" {
				t.Errorf("stdout is %q", got)
			}
			if m.Tasks[0].State != contract.TaskCancelled || m.Tasks[1].State != contract.TaskCancelled {
				t.Errorf("the tasks are %s and %s", m.Tasks[0].State, m.Tasks[1].State)
			}
		})
	}
}

// TestCancelWhileRetrying deletes the Job of a failed attempt in the backoff before
// the next one.
func TestCancelWhileRetrying(t *testing.T) {
	t.Parallel()
	tg := commandGroup("cancel-retry", "sh", "-c", "echo ran >> /assets/cancel-retry; exit 3")
	tg.Spec.Retries.Limit = 10
	key := create(t, tg)
	// The backoff before the fifth attempt is 8 to 16 s.
	const attempts = 4
	var failed string
	err := rig.Await(t.Context(), "the fourth attempt to fail", func(ctx context.Context) (bool, string, error) {
		if err := cluster.Client.Get(ctx, key, tg); err != nil {
			return false, "", err
		}
		if n := len(tg.Status.Jobs); n > 0 {
			failed = tg.Status.Jobs[n-1].Name
		}
		return tg.Status.Attempt == attempts && tg.Status.Reason() == v1alpha1.ReasonRetrying, fmt.Sprintf("%+v", tg.Status), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Run(t.Context(), "-n", namespace, "delete", "job", "--wait=false", failed); err != nil {
		t.Fatal(err)
	}
	tg = awaitReason(t, key, v1alpha1.ReasonCancelled)
	wantMessage(t, tg, "Cancelled by deleting its Job")
	ran, err := os.ReadFile(hostPath("file:///assets/cancel-retry"))
	if got := strings.Count(string(ran), "ran\n"); err != nil || got != attempts || tg.Status.Attempt != attempts {
		t.Errorf("the task ran %d times in %d attempts, %v", got, tg.Status.Attempt, err)
	}
	if left := leftovers(t, string(tg.UID)); strings.Contains(left, "Pod/") {
		t.Errorf("Cancelled, and there are %s", left)
	}
}

// TestDeletedGroup: kubectl delete tg stops the pod and leaves the record.
func TestDeletedGroup(t *testing.T) {
	t.Parallel()
	tg := functions("deleted", "lingers")
	create(t, tg)
	started(t, "deleted")
	if _, err := cluster.Run(t.Context(), "-n", namespace, "delete", "tg", "deleted"); err != nil {
		t.Fatal(err)
	}
	err := rig.Await(t.Context(), "Jobs and pods to go", func(context.Context) (bool, string, error) {
		left := leftovers(t, string(tg.UID))
		return left == "", left, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	attempt := contract.AttemptURI("file:///assets/results", string(tg.UID), 1)
	if _, err := os.Stat(hostPath(contract.ManifestURI(attempt))); err != nil {
		t.Errorf("the stopped pod committed nothing: %v", err)
	}
}

// TestImageThatDoesNotExist must not hang: what waiting cannot mend fails at once.
func TestImageThatDoesNotExist(t *testing.T) {
	t.Parallel()
	tg := withImage(functions("no-image", "whoami"), "localhost/does-not/exist:1")
	tg.Spec.Pod.ImagePullPolicy = "Never"
	tg = awaitReason(t, create(t, tg), v1alpha1.ReasonImagePullFailed)
	if !strings.Contains(messageOf(tg), "ErrImageNeverPull") || !strings.Contains(messageOf(tg), "does-not/exist") {
		t.Errorf("message is %q", messageOf(tg))
	}
	if left := leftovers(t, string(tg.UID)); left != "" {
		t.Errorf("it has failed, and there are %s", left)
	}
}

// TestYOperatorRestart replaces the operator while a pod runs: the pod does not
// notice, and its end is reported.
func TestYOperatorRestart(t *testing.T) {
	key := create(t, commandGroup("restart", "sh", "-c", "until test -e /assets/go; do :; done"))
	awaitReason(t, key, v1alpha1.ReasonRunning)
	if _, err := cluster.Run(t.Context(), "-n", system, "delete", "pod", "-l", "app.kubernetes.io/name=taskgroup-operator", "--force", "--grace-period=0"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hostPath("file:///assets/go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	tg := awaitReason(t, key, v1alpha1.ReasonCompleted)
	if len(tg.Status.Jobs) != 1 {
		t.Errorf("it took Jobs %v", tg.Status.Jobs)
	}
}
