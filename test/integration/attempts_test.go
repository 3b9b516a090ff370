// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

func patchSpec(t *testing.T, key client.ObjectKey, spec string) {
	t.Helper()
	tg := &v1alpha1.TaskGroup{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	if err := cluster.Client.Patch(t.Context(), tg, client.RawPatch("application/merge-patch+json", []byte(`{"spec":`+spec+`}`))); err != nil {
		t.Fatal(err)
	}
}

// jobsOf are a group's Jobs, by attempt.
func jobsOf(t *testing.T, key client.ObjectKey) map[string]*batchv1.Job {
	t.Helper()
	var jobs batchv1.JobList
	if err := cluster.Client.List(t.Context(), &jobs, client.InNamespace(key.Namespace), client.MatchingLabels{v1alpha1.NameLabel: key.Name}); err != nil {
		t.Fatal(err)
	}
	byAttempt := map[string]*batchv1.Job{}
	for i := range jobs.Items {
		byAttempt[jobs.Items[i].Labels[v1alpha1.AttemptLabel]] = &jobs.Items[i]
	}
	return byAttempt
}

func planOf(t *testing.T, job *batchv1.Job) *contract.Plan {
	t.Helper()
	for _, env := range job.Spec.Template.Spec.Containers[0].Env {
		if env.Name == contract.PlanEnv {
			plan, err := contract.DecodePlan(env.Value)
			if err != nil {
				t.Fatal(err)
			}
			return plan
		}
	}
	t.Fatalf("Job %s has no plan", job.Name)
	return nil
}

// failing is a pod whose second task raises; the first one's output is committed.
func failing(t *testing.T) rig.Behaviour {
	t.Helper()
	node := contract.NodeID(1)
	raw, err := contract.EncodeTerminationMessage(&contract.TerminationMessage{
		States:         []contract.TaskState{contract.TaskCompleted, contract.TaskFailed},
		Failure:        &contract.Failure{NodeID: &node, Reason: contract.ReasonTaskError, Message: "boom"},
		ManifestSHA256: rig.AnyDigest,
	})
	if err != nil {
		t.Fatal(err)
	}
	return rig.Behaviour{End: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: string(raw)}}
}

func TestRetryGoesOnWhereTheLastOneStopped(t *testing.T) {
	tg := commands(namespace(t), "g", 2)
	tg.Spec.Retries.Limit = 1
	key := create(t, tg, failing(t))
	awaitReason(t, key, v1alpha1.ReasonRetrying)
	if err := node.Behave(t.Context(), key, rig.Behaviour{}); err != nil {
		t.Fatal(err)
	}
	tg = awaitReason(t, key, v1alpha1.ReasonCompleted)
	if tg.Status.Attempt != 2 || tg.Status.Jobs[0].Reason != "TaskError" || tg.Status.Retries.User != 1 {
		t.Errorf("status is %+v", tg.Status)
	}
	previous := planOf(t, jobsOf(t, key)["2"]).Previous
	want := contract.ManifestReference{URI: "file:///out/" + string(tg.UID) + "/a1/manifest.json", SHA256: rig.AnyDigest}
	if previous == nil || *previous != want {
		t.Errorf("the second attempt goes on from %+v, want %+v", previous, want)
	}
}

func TestOOMGrowsMemory(t *testing.T) {
	forBothKinds(t, func(t *testing.T, k kind) {
		tg := k.commands(namespace(t), "g", 1)
		tg.Spec.Retries = &v1alpha1.Retries{Limit: 2, OOMMemoryFactor: "1.5"}
		tg.Spec.Pod = &v1alpha1.PodOptions{Resources: &v1alpha1.Resources{
			Requests: v1alpha1.Amounts{corev1.ResourceMemory: {Text: "64Mi"}},
			Limits:   v1alpha1.Amounts{corev1.ResourceMemory: {Text: "100Mi"}, corev1.ResourceCPU: {Text: "1"}},
		}}
		key := create(t, tg, rig.Behaviour{End: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}})
		tg = awaitReason(t, key, v1alpha1.ReasonOOMKilled)
		if tg.Status.Attempt != 3 || tg.Status.Retries.OOM != 2 {
			t.Errorf("status is %+v", tg.Status)
		}
		jobs := jobsOf(t, key)
		for attempt, want := range map[string][2]string{"1": {"64Mi", "100Mi"}, "2": {"96Mi", "150Mi"}, "3": {"144Mi", "225Mi"}} {
			if jobs[attempt] == nil {
				t.Fatalf("no attempt %s: %+v", attempt, tg.Status)
			}
			resources := jobs[attempt].Spec.Template.Spec.Containers[0].Resources
			if request, limit := resources.Requests.Memory().String(), resources.Limits.Memory().String(); request != want[0] || limit != want[1] {
				t.Errorf("attempt %s has %s and %s, want %v", attempt, request, limit, want)
			}
		}
	})
}

// TestDisruptionsSpendTheirOwnBudget: an eviction is not the user's.
func TestDisruptionsSpendTheirOwnBudget(t *testing.T) {
	forBothKinds(t, func(t *testing.T, k kind) {
		tg := k.commands(namespace(t), "g", 1)
		tg.Spec.Retries = &v1alpha1.Retries{InfrastructureLimit: new(int32(1))}
		key := create(t, tg, rig.Behaviour{
			End:       &corev1.ContainerStateTerminated{ExitCode: 143, Reason: "Error"},
			Disrupted: "PreemptionByScheduler",
		})
		tg = awaitReason(t, key, v1alpha1.ReasonPreempted)
		if tg.Status.Attempt != 2 || tg.Status.Retries.Infrastructure != 1 || tg.Status.Retries.User != 0 {
			t.Errorf("status is %+v", tg.Status)
		}
	})
}

func TestSuspendAndResume(t *testing.T) {
	forBothKinds(t, func(t *testing.T, k kind) {
		tg := k.commands(namespace(t), "g", 2)
		tg.Spec.Suspend = true
		key := create(t, tg, rig.Behaviour{Runs: true})
		tg = awaitReason(t, key, v1alpha1.ReasonSuspended)
		if !meta.IsStatusConditionTrue(tg.Status.Conditions, string(v1alpha1.ConditionSuspended)) || len(jobsOf(t, key)) != 0 {
			t.Errorf("suspended before it began: %+v", tg.Status)
		}
		patchSpec(t, key, `{"suspend":false}`)
		awaitReason(t, key, v1alpha1.ReasonRunning)
		patchSpec(t, key, `{"suspend":true}`)
		tg = awaitReason(t, key, v1alpha1.ReasonSuspended)
		wantQuiet(t, key.Namespace)
		// The pods of a Parallel group have a manifest each.
		if hasManifest := tg.Status.Jobs[0].ManifestSHA256 == rig.AnyDigest; hasManifest != (k == kind(v1alpha1.Sequential)) || tg.Status.Retries != nil {
			t.Errorf("suspended while it ran: %+v", tg.Status)
		}
		if err := node.Behave(t.Context(), key, rig.Behaviour{}); err != nil {
			t.Fatal(err)
		}
		patchSpec(t, key, `{"suspend":false}`)
		tg = awaitReason(t, key, v1alpha1.ReasonCompleted)
		if tg.Status.Attempt != 2 {
			t.Errorf("it took %d attempts", tg.Status.Attempt)
		}
	})
}

func TestKueueLabelReachesTheJob(t *testing.T) {
	forBothKinds(t, func(t *testing.T, k kind) {
		tg := k.commands(namespace(t), "g", 1)
		tg.Labels = map[string]string{v1alpha1.QueueLabel: "team-a"}
		key := create(t, tg, rig.Behaviour{})
		awaitReason(t, key, v1alpha1.ReasonCompleted)
		job := jobsOf(t, key)["1"]
		if job.Labels[v1alpha1.QueueLabel] != "team-a" {
			t.Errorf("the Job's labels are %v", job.Labels)
		}
		if _, ok := job.Spec.Template.Labels[v1alpha1.QueueLabel]; ok {
			t.Error("the pods carry the label too, so Kueue would queue them twice")
		}
	})
}

// TestQueueHoldsTheJob: the webhook of a queue suspends the Job. The operator waits,
// names the queue, and applies no timeout until the queue admits the Job.
func TestQueueHoldsTheJob(t *testing.T) {
	forBothKinds(t, func(t *testing.T, k kind) {
		ns := mutated(t, "jobs", suspendJob)
		tg := k.commands(ns, "g", 2)
		tg.Spec.Timeouts = &v1alpha1.Timeouts{QueuedSeconds: new(int64(1))}
		key := create(t, tg, rig.Behaviour{})
		tg = awaitMessage(t, key, "is held by its queue")
		<-time.After(time.Until(tg.CreationTimestamp.Add(3 * time.Second)))
		awaitMessage(t, key, "is held by its queue")
		job := jobsOf(t, key)["1"]
		if err := cluster.Client.Patch(t.Context(), job, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"suspend":false}}`))); err != nil {
			t.Fatal(err)
		}
		if tg = awaitReason(t, key, v1alpha1.ReasonCompleted); tg.Status.Attempt != 1 {
			t.Errorf("it took %d attempts", tg.Status.Attempt)
		}
	})
}

func TestClocks(t *testing.T) {
	forBothKinds(t, func(t *testing.T, k kind) {
		ns := namespace(t)
		for name, tc := range map[string]struct {
			timeouts  v1alpha1.Timeouts
			behaviour rig.Behaviour
			want      v1alpha1.Reason
		}{
			"queued":    {v1alpha1.Timeouts{QueuedSeconds: new(int64(2))}, rig.Behaviour{Unplaced: true}, v1alpha1.ReasonUnschedulable},
			"starting":  {v1alpha1.Timeouts{StartingSeconds: new(int64(2))}, rig.Behaviour{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}, v1alpha1.ReasonDeadlineExceeded},
			"pulling":   {v1alpha1.Timeouts{StartingSeconds: new(int64(2))}, rig.Behaviour{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}, v1alpha1.ReasonImagePullFailed},
			"never":     {v1alpha1.Timeouts{}, rig.Behaviour{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImageNeverPull", Message: "no such image"}}, v1alpha1.ReasonImagePullFailed},
			"secret":    {v1alpha1.Timeouts{StartingSeconds: new(int64(2))}, rig.Behaviour{Waiting: &corev1.ContainerStateWaiting{Reason: "CreateContainerConfigError"}}, v1alpha1.ReasonContainerConfigError},
			"container": {v1alpha1.Timeouts{StartingSeconds: new(int64(2))}, rig.Behaviour{Waiting: &corev1.ContainerStateWaiting{Reason: "CreateContainerError"}}, v1alpha1.ReasonContainerCreateError},
			"bad-image": {v1alpha1.Timeouts{}, rig.Behaviour{Waiting: &corev1.ContainerStateWaiting{Reason: "InvalidImageName"}}, v1alpha1.ReasonImagePullFailed},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				tg := k.commands(ns, name, 1)
				tg.Spec.Timeouts = &tc.timeouts
				key := create(t, tg, tc.behaviour)
				awaitReason(t, key, tc.want)
				if len(jobsOf(t, key)) != 0 {
					t.Error("the Job is still there")
				}
			})
		}
	})
}

// TestPodQuotaSaysWhy: the Job exists, and its pod is refused.
func TestPodQuotaSaysWhy(t *testing.T) {
	forBothKinds(t, func(t *testing.T, k kind) {
		ns := namespace(t)
		quota := &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "no-pods"},
			Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"pods": resource.MustParse("0")}},
		}
		if err := cluster.Client.Create(t.Context(), quota); err != nil {
			t.Fatal(err)
		}
		awaitQuota(t, quota)
		tg := k.commands(ns, "g", 1)
		tg.Spec.Timeouts = &v1alpha1.Timeouts{QueuedSeconds: new(int64(8))}
		key := create(t, tg, rig.Behaviour{})
		tg = awaitReason(t, key, v1alpha1.ReasonQueued)
		err := rig.Await(t.Context(), "the quota to be named", func(ctx context.Context) (bool, string, error) {
			err := cluster.Client.Get(ctx, key, tg)
			c := tg.Status.Condition(v1alpha1.ConditionSucceeded)
			return strings.Contains(c.Message, "exceeded quota: no-pods"), c.Message, err
		})
		if err != nil {
			t.Error(err)
		}
		awaitReason(t, key, v1alpha1.ReasonQuotaExceeded)
	})
}

func TestTimeToLive(t *testing.T) {
	forBothKinds(t, func(t *testing.T, k kind) {
		tg := k.commands(namespace(t), "g", 1)
		tg.Spec.TTLSecondsAfterFinished = new(int32(1))
		key := create(t, tg, rig.Behaviour{})
		err := rig.Await(t.Context(), "the group to be deleted", func(ctx context.Context) (bool, string, error) {
			err := cluster.Client.Get(ctx, key, tg)
			return apierrors.IsNotFound(err), fmt.Sprintf("%+v", tg.Status), client.IgnoreNotFound(err)
		})
		if err != nil {
			t.Fatal(err)
		}
		if tg.Status.Summary != "1/1" {
			t.Errorf("it was deleted as %+v", tg.Status)
		}
	})
}

// TestParallelGroupOf256 is the largest one: a pod for each task.
func TestParallelGroupOf256(t *testing.T) {
	tg := commands(namespace(t), "large", 256)
	tg.Spec.Execution = v1alpha1.Parallel
	key := create(t, tg, rig.Behaviour{})
	tg = awaitReason(t, key, v1alpha1.ReasonCompleted)
	if tg.Status.Summary != "256/256" {
		t.Errorf("done %s", tg.Status.Summary)
	}
	for _, task := range tg.Status.Tasks {
		if task.Digest == "" {
			t.Fatalf("task %d has no manifest", task.NodeID)
		}
	}
	raw, err := json.Marshal(tg.Status)
	if err != nil || len(raw) > 32<<10 {
		t.Errorf("the status is %d bytes, %v", len(raw), err)
	}
}

// TestParallelFailuresAreTheirOwn: every pod of the first attempt fails; the
// second attempt does well.
func TestParallelFailuresAreTheirOwn(t *testing.T) {
	tg := commands(namespace(t), "g", 3)
	tg.Spec.Execution, tg.Spec.Parallelism = v1alpha1.Parallel, new(int32(2))
	tg.Spec.Retries.Limit = 1
	raw, err := contract.EncodeTerminationMessage(&contract.TerminationMessage{
		States:  []contract.TaskState{contract.TaskFailed},
		Failure: &contract.Failure{Reason: contract.ReasonTaskError, Message: "boom"},
	})
	if err != nil {
		t.Fatal(err)
	}
	key := create(t, tg, rig.Behaviour{End: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: string(raw)}})
	tg = awaitReason(t, key, v1alpha1.ReasonRetrying)
	if c := tg.Status.Condition(v1alpha1.ConditionSucceeded); !strings.Contains(c.Message, "3 of 3 tasks failed") {
		t.Errorf("message is %q", c.Message)
	}
	if err := node.Behave(t.Context(), key, rig.Behaviour{}); err != nil {
		t.Fatal(err)
	}
	tg = awaitReason(t, key, v1alpha1.ReasonCompleted)
	if tg.Status.Attempt != 2 || tg.Status.Summary != "3/3" {
		t.Errorf("status is %+v", tg.Status)
	}
}

func TestParallelCancel(t *testing.T) {
	tg := commands(namespace(t), "g", 4)
	tg.Spec.Execution = v1alpha1.Parallel
	key := create(t, tg, rig.Behaviour{Runs: true})
	awaitReason(t, key, v1alpha1.ReasonRunning)
	cancel(t, key)
	awaitReason(t, key, v1alpha1.ReasonCancelled)
	wantQuiet(t, key.Namespace)
}
