//go:build e2e

package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// TestInterruptedTaskIsRetried deletes the pod of a task that saves its work on
// SIGTERM and exits with 0: the task is not completed, and the next attempt runs it
// again, but not the task before it.
func TestInterruptedTaskIsRetried(t *testing.T) {
	t.Parallel()
	tg := group("interrupted",
		v1alpha1.TaskSpec{NodeID: 1, Command: []string{"sh", "-c", "echo ran >> /assets/interrupted-1"}},
		v1alpha1.TaskSpec{NodeID: 2, Command: []string{"sh", "-c", `
if [ "$TASKGROUP_ATTEMPT" != 1 ]; then echo whole; exit 0; fi
trap 'echo saved; exit 0' TERM
echo started
sleep 300 &
wait`}},
	)
	tg.Spec.Retries.InfrastructureLimit = new(int32(1))
	key := create(t, tg)
	started(t, "interrupted")
	deletePod(t, "interrupted")
	tg = awaitReason(t, key, v1alpha1.ReasonCompleted)
	if tg.Status.Attempt != 2 || tg.Status.Jobs[0].Reason != v1alpha1.ReasonTerminated || tg.Status.Retries.Infrastructure != 1 {
		t.Errorf("status is %+v", tg.Status)
	}
	if got := text(t, manifest(t, tg), 1, contract.AssetStdout); got != "whole\n" {
		t.Errorf("the second attempt printed %q", got)
	}
	if got, err := os.ReadFile(hostPath("file:///assets/interrupted-1")); err != nil || string(got) != "ran\n" {
		t.Errorf("the first task ran as %q, %v", got, err)
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
