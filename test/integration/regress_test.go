// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// podOf is the only pod of a group.
func podOf(t *testing.T, key client.ObjectKey) *corev1.Pod {
	t.Helper()
	var pods corev1.PodList
	if err := cluster.Client.List(t.Context(), &pods, client.InNamespace(key.Namespace), client.MatchingLabels{v1alpha1.NameLabel: key.Name}); err != nil {
		t.Fatal(err)
	}
	if len(pods.Items) != 1 {
		t.Fatalf("%s has %d pods", key, len(pods.Items))
	}
	return &pods.Items[0]
}

// kubeletSays writes a pod's status, byte for byte: this client sends pods as
// protobuf, as a kubelet does, where JSON would mend what is not UTF-8.
func kubeletSays(t *testing.T, key client.ObjectKey, phase corev1.PodPhase, states ...corev1.ContainerState) {
	t.Helper()
	err := rig.Await(t.Context(), "the kubelet's word to be taken", func(ctx context.Context) (bool, string, error) {
		pod := podOf(t, key)
		pod.Status.Phase, pod.Status.ContainerStatuses = phase, nil
		for _, state := range states {
			pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{Name: jobspec.TaskContainer, Image: "x", ImageID: "x", State: state})
		}
		err := cluster.Client.Status().Update(ctx, pod)
		return err == nil, fmt.Sprint(err), nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// untouched is a group whose pod runs, and whose kubelet the test is from then on.
func untouched(t *testing.T, tg *v1alpha1.TaskGroup) client.ObjectKey {
	t.Helper()
	key := create(t, tg, rig.Behaviour{Runs: true})
	awaitReason(t, key, v1alpha1.ReasonRunning)
	if err := node.Behave(t.Context(), key, rig.Behaviour{Untouched: true}); err != nil {
		t.Fatal(err)
	}
	return key
}

// passed waits until the operator has seen all that was written before, in the
// same way: what is made later ends later.
func passed(t *testing.T, ns string) {
	t.Helper()
	later := commands(ns, "", 1)
	later.GenerateName = "later-"
	if err := cluster.Client.Create(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	awaitReason(t, client.ObjectKeyFromObject(later), v1alpha1.ReasonCompleted)
}

// TestAStatusThatGoesBack is a kubelet that restarts and has forgotten: whatever
// it reports for a while, the pod is the one attempt, and its end is reported.
func TestAStatusThatGoesBack(t *testing.T) {
	ns := namespace(t)
	for name, phase := range map[string]corev1.PodPhase{"pending": corev1.PodPending, "unknown": corev1.PodUnknown, "running": corev1.PodRunning} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := untouched(t, commands(ns, name, 2))
			kubeletSays(t, key, phase)
			passed(t, ns)
			kubeletSays(t, key, corev1.PodRunning)
			if err := node.Behave(t.Context(), key, rig.Behaviour{}); err != nil {
				t.Fatal(err)
			}
			tg := awaitReason(t, key, v1alpha1.ReasonCompleted)
			if tg.Status.Attempt != 1 || tg.Status.Summary != "2/2" {
				t.Errorf("status is %+v", tg.Status)
			}
		})
	}
}

// TestAnEndThatIsTakenBack: nothing that a kubelet reports later changes what was
// reported once (invariant I6).
func TestAnEndThatIsTakenBack(t *testing.T) {
	ns := namespace(t)
	key := create(t, commands(ns, "g", 1), rig.Behaviour{})
	ended := awaitReason(t, key, v1alpha1.ReasonCompleted)
	if err := node.Behave(t.Context(), key, rig.Behaviour{Untouched: true}); err != nil {
		t.Fatal(err)
	}
	kubeletSays(t, key, corev1.PodFailed, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}})
	kubeletSays(t, key, corev1.PodSucceeded)
	passed(t, ns)
	var tg v1alpha1.TaskGroup
	if err := cluster.Client.Get(t.Context(), key, &tg); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ended.Status, tg.Status); diff != "" {
		t.Errorf("it changed after its end:\n%s", diff)
	}
}

// TestAnEndWithoutARecord: exit code 0 is not believed by itself, nor with a
// record that no runner can have written (invariant I9), and what is not text
// does no harm (I30).
func TestAnEndWithoutARecord(t *testing.T) {
	ns := namespace(t)
	for name, states := range map[string][]corev1.ContainerState{
		"no-statuses":  nil,
		"huge":         {{Terminated: &corev1.ContainerStateTerminated{Message: `{"v":1,"states":"C","manifest":"` + rig.AnyDigest + `"}` + strings.Repeat(" ", 100<<10)}}},
		"not-text":     {{Terminated: &corev1.ContainerStateTerminated{Message: "\xff\xfe\x00{", Reason: "\xff"}}},
		"still-begins": {{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := untouched(t, commands(ns, name, 1))
			kubeletSays(t, key, corev1.PodSucceeded, states...)
			tg := awaitReason(t, key, v1alpha1.ReasonUnknown)
			if c := tg.Status.Condition(v1alpha1.ConditionSucceeded); !strings.Contains(c.Message, "without reporting a result") {
				t.Errorf("message is %q", c.Message)
			}
		})
	}
}

// TestWordsThatAreNoText are written once: the API server keeps them as text, and
// what the operator compares with must be that (invariant I18).
func TestWordsThatAreNoText(t *testing.T) {
	ns := namespace(t)
	key := create(t, commands(ns, "g", 1), rig.Behaviour{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}})
	awaitReason(t, key, v1alpha1.ReasonStarting)
	if err := node.Behave(t.Context(), key, rig.Behaviour{Untouched: true}); err != nil {
		t.Fatal(err)
	}
	kubeletSays(t, key, corev1.PodPending, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CreateContainerError", Message: "no \xff\xfe text"}})
	awaitMessage(t, key, "CreateContainerError: no")
	passed(t, ns)
	before := patchesOf(t, key)
	// Something else changes about the pod, which causes another pass of the group.
	touched := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"touched":"yes"}}}`))
	if err := cluster.Client.Patch(t.Context(), podOf(t, key), touched); err != nil {
		t.Fatal(err)
	}
	passed(t, ns)
	if after := patchesOf(t, key); after != before {
		t.Errorf("the same words are written again: %d patches became %d", before, after)
	}
	if err := node.Behave(t.Context(), key, rig.Behaviour{}); err != nil {
		t.Fatal(err)
	}
	awaitReason(t, key, v1alpha1.ReasonCompleted)
}

// patchesOf counts what was written of a group's status, with an effect or not.
func patchesOf(t *testing.T, key client.ObjectKey) int {
	t.Helper()
	requests, err := cluster.Requests()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i := range requests {
		o := &requests[i].Object
		if o.Subresource == "status" && o.Resource == "taskgroups" && o.Namespace == key.Namespace && o.Name == key.Name {
			n++
		}
	}
	return n
}
