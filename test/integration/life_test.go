// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

func TestLifeOfAGroup(t *testing.T) {
	key := create(t, commands(namespace(t), "g", 3), rig.Behaviour{Runs: true})
	tg := awaitReason(t, key, v1alpha1.ReasonRunning)
	if tg.Status.Summary != "0/3" || tg.Status.Attempt != 1 || tg.Status.NodeName != node.Name || tg.Status.StartTime == nil {
		t.Errorf("while it runs: %+v", tg.Status)
	}
	if err := node.Behave(t.Context(), key, rig.Behaviour{}); err != nil {
		t.Fatal(err)
	}
	tg = awaitReason(t, key, v1alpha1.ReasonCompleted)
	if tg.Status.Summary != "3/3" || tg.Status.CompletionTime == nil || !meta.IsStatusConditionTrue(tg.Status.Conditions, string(v1alpha1.ConditionSucceeded)) {
		t.Errorf("at the end: %+v", tg.Status)
	}
	want := v1alpha1.ManifestReference{URI: "file:///out/" + string(tg.UID) + "/a1/manifest.json", SHA256: rig.AnyDigest}
	if tg.Status.Manifest == nil || *tg.Status.Manifest != want {
		t.Errorf("manifest is %+v, want %+v", tg.Status.Manifest, want)
	}
}

// TestGroupOf256Tasks is the largest group there can be.
func TestGroupOf256Tasks(t *testing.T) {
	tg := commands(namespace(t), "large", 256)
	for i := range tg.Spec.Tasks {
		tg.Spec.Tasks[i].Command = []string{"python3", "-c", fmt.Sprintf("print(%d)", i)}
	}
	tg = awaitReason(t, create(t, tg, rig.Behaviour{}), v1alpha1.ReasonCompleted)
	if tg.Status.Summary != "256/256" {
		t.Errorf("done %s", tg.Status.Summary)
	}
}

func TestFailures(t *testing.T) {
	nodeID, code := contract.NodeID(1), int32(3)
	ended := func(exitCode int32, reason string, message *contract.TerminationMessage) rig.Behaviour {
		end := &corev1.ContainerStateTerminated{ExitCode: exitCode, Reason: reason}
		if message != nil {
			raw, err := contract.EncodeTerminationMessage(message)
			if err != nil {
				t.Fatal(err)
			}
			end.Message = string(raw)
		}
		return rig.Behaviour{End: end}
	}
	failed := func(reason contract.Reason, message string, exitCode *int32) rig.Behaviour {
		return ended(1, "Error", &contract.TerminationMessage{
			States:         []contract.TaskState{contract.TaskCompleted, contract.TaskFailed, contract.TaskCancelled},
			Failure:        &contract.Failure{NodeID: &nodeID, Reason: reason, Message: message, ExitCode: exitCode},
			ManifestSHA256: rig.AnyDigest,
		})
	}
	disrupted := func(by string) rig.Behaviour {
		b := ended(143, "Error", nil)
		b.Disrupted = by
		return b
	}
	cases := map[string]struct {
		behaviour rig.Behaviour
		reason    v1alpha1.Reason
		message   string
		done      string
	}{
		"exception": {failed(contract.ReasonTaskError, "ValueError: bööm", nil), v1alpha1.ReasonTaskError, "Task 1: ValueError: bööm", "1/3"},
		"exit-code": {failed(contract.ReasonExitCode, "exit code 3", &code), v1alpha1.ReasonExitCode, "Task 1: exit code 3", "1/3"},
		"input":     {failed(contract.ReasonInputUnavailable, "file:///x: no such file", nil), v1alpha1.ReasonInputUnavailable, "file:///x", "1/3"},
		"hook":      {failed(contract.ReasonHookFailed, "bash hook 'exit 3': exit code 3", &code), v1alpha1.ReasonHookFailed, "Task 1: bash hook", "1/3"},
		"pickle":    {failed(contract.ReasonInputInvalid, "no module 'numpy'", nil), v1alpha1.ReasonInputInvalid, "numpy", "1/3"},
		"result":    {failed(contract.ReasonOutputInvalid, "a lock cannot be pickled", nil), v1alpha1.ReasonOutputInvalid, "lock", "1/3"},
		"upload":    {failed(contract.ReasonOutputUploadFailed, "read-only file system", nil), v1alpha1.ReasonOutputUploadFailed, "read-only", "1/3"},
		"version":   {failed(contract.ReasonPythonVersionMismatch, "pickled with 2.7", nil), v1alpha1.ReasonPythonVersionMismatch, "2.7", "1/3"},
		"no-python": {failed(contract.ReasonPythonUnavailable, "no usable python3", nil), v1alpha1.ReasonPythonUnavailable, "python3", "1/3"},
		"deadline":  {failed(contract.ReasonDeadlineExceeded, "took longer than taskSeconds", nil), v1alpha1.ReasonDeadlineExceeded, "taskSeconds", "1/3"},
		"plan":      {failed(contract.ReasonPlanInvalid, "version 9", nil), v1alpha1.ReasonPlanInvalid, "version 9", "1/3"},
		"stopped":   {failed(contract.ReasonTerminated, "stopped", nil), v1alpha1.ReasonTerminated, "Its pod was deleted or its node was shut down", "1/3"},
		"invented":  {failed("Whatever", "what the runner never says", nil), "Whatever", "never says", "1/3"},
		"no-word":   {failed("not a word", "what no API takes", nil), v1alpha1.ReasonUnknown, "no API", "1/3"},
		"evicted":   {rig.Behaviour{Refused: "Evicted"}, v1alpha1.ReasonEvicted, "terminated by its node: Evicted: the node said so", "0/3"},
		"no-room":   {rig.Behaviour{Refused: "OutOfcpu"}, v1alpha1.ReasonEvicted, "OutOfcpu", "0/3"},
		"affinity":  {rig.Behaviour{Refused: "NodeAffinity"}, v1alpha1.ReasonEvicted, "NodeAffinity", "0/3"},
		"shutdown":  {rig.Behaviour{Refused: "NodeShutdown"}, v1alpha1.ReasonNodeLost, "NodeShutdown", "0/3"},
		"kubelets":  {rig.Behaviour{Refused: "DeadlineExceeded"}, v1alpha1.ReasonDeadlineExceeded, "DeadlineExceeded", "0/3"},
		"refused":   {rig.Behaviour{Refused: "SomethingNew"}, v1alpha1.ReasonEvicted, "terminated by its node: SomethingNew", "0/3"},
		"preempted": {disrupted("PreemptionByScheduler"), v1alpha1.ReasonPreempted, "PreemptionByScheduler", "0/3"},
		"drained":   {disrupted("EvictionByEvictionAPI"), v1alpha1.ReasonEvicted, "EvictionByEvictionAPI", "0/3"},
		"pressure":  {disrupted("TerminationByKubelet"), v1alpha1.ReasonEvicted, "TerminationByKubelet", "0/3"},
		"tainted":   {disrupted("DeletionByTaintManager"), v1alpha1.ReasonNodeLost, "DeletionByTaintManager", "0/3"},
		"oom":       {ended(137, "OOMKilled", nil), v1alpha1.ReasonOOMKilled, "memory limit", "0/3"},
		"exit-137":  {failed(contract.ReasonExitCode, "killed by signal 9 (SIGKILL)", new(int32(137))), v1alpha1.ReasonExitCode, "SIGKILL", "1/3"},
		"silence":   {ended(1, "Error", nil), v1alpha1.ReasonUnknown, "without reporting a result", "0/3"},
		"a-lie":     {ended(0, "Completed", nil), v1alpha1.ReasonUnknown, "without reporting a result", "0/3"},
	}
	ns := namespace(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tg := awaitReason(t, create(t, commands(ns, name, 3), tc.behaviour), tc.reason)
			c := tg.Status.Condition(v1alpha1.ConditionSucceeded)
			if c.Status != metav1.ConditionFalse || !strings.Contains(c.Message, tc.message) || tg.Status.Summary != tc.done {
				t.Errorf("got %s %q, done %s; want False %q, done %s", c.Status, c.Message, tg.Status.Summary, tc.message, tc.done)
			}
			for _, task := range tg.Status.Tasks {
				if !contract.TaskState(task.State).IsTerminal() {
					t.Errorf("task %d is left %s", task.NodeID, task.State)
				}
			}
		})
	}
}

// TestAPodThatCannotStartSaysWhy, and is waited for: what keeps it may pass.
func TestAPodThatCannotStartSaysWhy(t *testing.T) {
	forBothKinds(t, func(t *testing.T, k kind) {
		ns := namespace(t)
		for name, reason := range map[string]string{"image": "ImagePullBackOff", "registry": "ErrImagePull", "secret": "CreateContainerConfigError"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				key := create(t, k.commands(ns, name, 1), rig.Behaviour{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "not yet"}})
				awaitMessage(t, key, reason+": not yet")
				behave(t, key, rig.Behaviour{})
				if tg := awaitReason(t, key, v1alpha1.ReasonCompleted); tg.Status.Attempt != 1 {
					t.Errorf("it took %d attempts", tg.Status.Attempt)
				}
			})
		}
	})
}

// TestJobsThatCanNeverBe fail the group at once, with a message that names the error.
func TestJobsThatCanNeverBe(t *testing.T) {
	ns := namespace(t)
	tooLarge := commands(ns, "too-large", 10)
	for i := range tooLarge.Spec.Tasks {
		noise := make([]byte, 12000)
		for j := range noise {
			noise[j] = byte('0' + rand.IntN(75))
		}
		tooLarge.Spec.Tasks[i].Command = []string{"sh", "-c", string(noise)}
	}
	rejected := commands(ns, "rejected", 1)
	rejected.Spec.Pod = &v1alpha1.PodOptions{Resources: &v1alpha1.Resources{
		Requests: v1alpha1.Amounts{corev1.ResourceMemory: {Text: "2Gi"}},
		Limits:   v1alpha1.Amounts{corev1.ResourceMemory: {Text: "1Gi"}},
	}}
	longLabel := commands(ns, "long-label", 1)
	longLabel.Spec.Pod = &v1alpha1.PodOptions{Labels: map[string]string{"team": strings.Repeat("a", 64)}}
	for tg, want := range map[*v1alpha1.TaskGroup]v1alpha1.Reason{
		tooLarge: v1alpha1.ReasonTooLarge, rejected: v1alpha1.ReasonJobRejected, longLabel: v1alpha1.ReasonJobRejected,
	} {
		key := create(t, tg, rig.Behaviour{})
		awaitReason(t, key, want)
		if jobs := jobsOf(t, key); len(jobs) != 0 {
			t.Errorf("%s has Jobs: %v", key.Name, jobs)
		}
	}
}

// TestQuotaIsNoFailure fills the quota on Jobs, then makes room.
func TestQuotaIsNoFailure(t *testing.T) {
	forBothKinds(t, func(t *testing.T, k kind) {
		ns := namespace(t)
		quota := &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "no-jobs"},
			Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/jobs.batch": resource.MustParse("0")}},
		}
		if err := cluster.Client.Create(t.Context(), quota); err != nil {
			t.Fatal(err)
		}
		awaitQuota(t, quota)
		key := create(t, k.commands(ns, "g", 1), rig.Behaviour{})
		tg := awaitReason(t, key, v1alpha1.ReasonQueued)
		if c := tg.Status.Condition(v1alpha1.ConditionSucceeded); !strings.Contains(c.Message, "exceeded quota: no-jobs") {
			t.Errorf("message is %q", c.Message)
		}
		if err := cluster.Client.Delete(t.Context(), quota); err != nil {
			t.Fatal(err)
		}
		awaitReason(t, key, v1alpha1.ReasonCompleted)
	})
}

// awaitQuota waits until admission counts a quota.
func awaitQuota(t *testing.T, quota *corev1.ResourceQuota) {
	t.Helper()
	err := rig.Await(t.Context(), "the quota to be counted", func(ctx context.Context) (bool, string, error) {
		err := cluster.Client.Get(ctx, client.ObjectKeyFromObject(quota), quota)
		return len(quota.Status.Hard) > 0, "", err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestAForeignJobInTheWay puts a Job of the group's name there while the operator
// looks away: the name depends on the UID, which does not exist before.
func TestAForeignJobInTheWay(t *testing.T) {
	operator.Pause()
	defer operator.Resume()
	tg := commands(namespace(t), "g", 1)
	key := create(t, tg, rig.Behaviour{})
	foreign := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: tg.Namespace, Name: jobspec.JobName(tg.Name, tg.UID, 1)},
		Spec: batchv1.JobSpec{Suspend: new(true), Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers:    []corev1.Container{{Name: "x", Image: "x"}},
		}}},
	}
	if err := cluster.Client.Create(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	operator.Resume()
	awaitReason(t, key, v1alpha1.ReasonNameConflict)
	if err := cluster.Client.Get(t.Context(), client.ObjectKeyFromObject(foreign), foreign); err != nil || foreign.DeletionTimestamp != nil {
		t.Errorf("the foreign Job was touched: %v", err)
	}
}
