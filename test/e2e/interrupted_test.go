// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// TestInterruptedTaskIsRetried stops the pod of a task that saves its work on SIGTERM
// and exits with 0: the task is not completed, and the next attempt runs it again, but
// not the task before it.
func TestInterruptedTaskIsRetried(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		stop   func(t *testing.T, group string)
		reason v1alpha1.Reason
		// spent is what the retry spends of spec.retries.infrastructureLimit.
		spent int32
	}{
		"interrupted-by-deletion": {deletePod, v1alpha1.ReasonTerminated, 1},
		"interrupted-by-eviction": {func(t *testing.T, group string) { evict(t, v1alpha1.NameLabel+"="+group) }, v1alpha1.ReasonEvicted, 1},
		"interrupted-by-a-queue":  {suspendJob, v1alpha1.ReasonPreempted, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tg := group(name,
				v1alpha1.TaskSpec{NodeID: 1, Command: []string{"sh", "-c", "echo ran >> /assets/" + name}},
				v1alpha1.TaskSpec{NodeID: 2, Command: []string{"sh", "-c", `
if [ "$TASKGROUP_ATTEMPT" != 1 ]; then echo whole; exit 0; fi
trap 'echo saved; exit 0' TERM
echo started
sleep 300 &
wait`}},
			)
			tg.Spec.Retries.InfrastructureLimit = new(int32(1))
			key := create(t, tg)
			started(t, name)
			tc.stop(t, name)
			tg = awaitReason(t, key, v1alpha1.ReasonCompleted)
			spent := int32(0)
			if tg.Status.Retries != nil {
				spent = tg.Status.Retries.Infrastructure
			}
			if tg.Status.Attempt != 2 || tg.Status.Jobs[0].Reason != tc.reason || spent != tc.spent {
				t.Errorf("status is %+v", tg.Status)
			}
			if got := text(t, manifest(t, tg), 1, contract.AssetStdout); got != "whole\n" {
				t.Errorf("the second attempt printed %q", got)
			}
			if got, err := os.ReadFile(hostPath("file:///assets/" + name)); err != nil || string(got) != "ran\n" {
				t.Errorf("the first task ran as %q, %v", got, err)
			}
		})
	}
}

// TestTerminationGracePeriod stops a task that needs more time after SIGTERM than
// the default grace period of 30 s leaves.
func TestTerminationGracePeriod(t *testing.T) {
	t.Parallel()
	tg := commandGroup("slow-to-terminate", "sh", "-c", `
trap 'sleep 24; echo saved; exit 0' TERM
echo started
sleep 300 &
wait`)
	tg.Spec.Pod.TerminationGracePeriodSeconds = new(int64(60))
	key := create(t, tg)
	started(t, "slow-to-terminate")
	deletePod(t, "slow-to-terminate")
	tg = awaitReason(t, key, v1alpha1.ReasonTerminated)
	if !strings.Contains(messageOf(tg), "exit code 0") {
		t.Errorf("message is %q", messageOf(tg))
	}
	m := manifest(t, tg)
	if got := text(t, m, 0, contract.AssetStdout); got != "started\nsaved\n" || m.Tasks[0].State != contract.TaskCancelled {
		t.Errorf("the task is %s and printed %q", m.Tasks[0].State, got)
	}
}

// deletePod deletes the pod of a group, and not its Job.
func deletePod(t *testing.T, group string) {
	t.Helper()
	if _, err := cluster.Run(t.Context(), "-n", namespace, "delete", "pod", "--wait=false", "-l", v1alpha1.NameLabel+"="+group); err != nil {
		t.Fatal(err)
	}
}

// suspendJob suspends the Job of a group, as a queue does in favour of another
// workload.
func suspendJob(t *testing.T, group string) {
	t.Helper()
	job, err := cluster.Run(t.Context(), "-n", namespace, "get", "job", "-o", "name", "-l", v1alpha1.NameLabel+"="+group)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Run(t.Context(), "-n", namespace, "patch", strings.TrimSpace(job), "--type=merge", "-p", `{"spec":{"suspend":true}}`); err != nil {
		t.Fatal(err)
	}
}
