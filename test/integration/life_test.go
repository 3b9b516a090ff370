//go:build integration

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/executor/contract"
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
	if tg.Status.Summary != "3/3" || tg.Status.CompletionTime == nil || !meta.IsStatusConditionTrue(tg.Status.Conditions, v1alpha1.ConditionSucceeded) {
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
	cases := map[string]struct {
		behaviour rig.Behaviour
		reason    v1alpha1.Reason
		message   string
		done      string
	}{
		"exception": {failed(contract.ReasonTaskError, "ValueError: bööm", nil), v1alpha1.ReasonTaskError, "Task 1: ValueError: bööm", "1/3"},
		"exit-code": {failed(contract.ReasonExitCode, "exit code 3", &code), v1alpha1.ReasonExitCode, "Task 1: exit code 3", "1/3"},
		"input":     {failed(contract.ReasonInputUnavailable, "file:///x: no such file", nil), v1alpha1.ReasonInputUnavailable, "file:///x", "1/3"},
		"oom":       {ended(137, "OOMKilled", nil), v1alpha1.ReasonOOMKilled, "memory limit", "0/3"},
		"silence":   {ended(1, "Error", nil), v1alpha1.ReasonUnknown, "left no record", "0/3"},
		"a-lie":     {ended(0, "Completed", nil), v1alpha1.ReasonUnknown, "left no record", "0/3"},
	}
	ns := namespace(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tg := awaitReason(t, create(t, commands(ns, name, 3), tc.behaviour), tc.reason)
			c := meta.FindStatusCondition(tg.Status.Conditions, v1alpha1.ConditionSucceeded)
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

func TestAPodThatCannotStartSaysWhy(t *testing.T) {
	ns := namespace(t)
	key := create(t, commands(ns, "no-image", 1), rig.Behaviour{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such image"}})
	tg := awaitReason(t, key, v1alpha1.ReasonStarting)
	if c := meta.FindStatusCondition(tg.Status.Conditions, v1alpha1.ConditionSucceeded); !strings.Contains(c.Message, "ImagePullBackOff: no such image") {
		t.Errorf("message is %q", c.Message)
	}
}

// TestQuotaIsNoFailure fills the quota on Jobs, then makes room.
func TestQuotaIsNoFailure(t *testing.T) {
	ns := namespace(t)
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "no-jobs"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/jobs.batch": resource.MustParse("0")}},
	}
	if err := cluster.Client.Create(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	awaitQuota(t, quota)
	key := create(t, commands(ns, "g", 1), rig.Behaviour{})
	tg := awaitReason(t, key, v1alpha1.ReasonQueued)
	if c := meta.FindStatusCondition(tg.Status.Conditions, v1alpha1.ConditionSucceeded); !strings.Contains(c.Message, "exceeded quota: no-jobs") {
		t.Errorf("message is %q", c.Message)
	}
	if err := cluster.Client.Delete(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	awaitReason(t, key, v1alpha1.ReasonCompleted)
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
// looks away: the name depends on the UID, which nobody knows before.
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
