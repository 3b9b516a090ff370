// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// losableNode is a node that takes only the pods of groups made for it.
func losableNode(t *testing.T, name string) *rig.Node {
	t.Helper()
	n, err := cluster.StartNodeWith(t.Context(), name, rig.NodeOptions{Heartbeat: heartbeat, Dedicated: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop("node "+name, n.Stop) })
	return n
}

// runsOn creates a group on a node and waits until its pod runs there.
func runsOn(t *testing.T, n *rig.Node, tg *v1alpha1.TaskGroup) client.ObjectKey {
	t.Helper()
	key := client.ObjectKeyFromObject(tg)
	if err := n.Behave(t.Context(), key, rig.Behaviour{Runs: true, Then: &rig.Behaviour{}}); err != nil {
		t.Fatal(err)
	}
	tg.Spec.Pod = &v1alpha1.PodOptions{NodeSelector: map[string]string{corev1.LabelHostname: n.Name}}
	if err := cluster.Client.Create(t.Context(), tg); err != nil {
		t.Fatal(err)
	}
	awaitReason(t, key, v1alpha1.ReasonRunning)
	return key
}

// awaitMessage waits until the status has a text in its message, before the group finishes.
func awaitMessage(t *testing.T, key client.ObjectKey, want string) *v1alpha1.TaskGroup {
	t.Helper()
	var tg v1alpha1.TaskGroup
	err := rig.Await(t.Context(), fmt.Sprintf("%s to say %q", key, want), func(ctx context.Context) (bool, string, error) {
		if err := cluster.Client.Get(ctx, key, &tg); err != nil {
			return false, "", err
		}
		c := tg.Status.Condition(v1alpha1.ConditionSucceeded)
		if tg.Status.IsFinished() {
			return false, "", fmt.Errorf("it ended as %s: %s", c.Reason, c.Message)
		}
		return strings.Contains(c.Message, want), c.Reason + ": " + c.Message, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return &tg
}

// nodeIsSilent: the node lifecycle controller deletes the pods, and their kubelet does
// not answer. They may still run, so nothing may follow them; the status names the
// node. When the kubelet is back, the groups complete.
func nodeIsSilent(t *testing.T, ns string) {
	n := losableNode(t, "silent")
	var keys []client.ObjectKey
	for _, k := range kinds {
		tg := k.commands(ns, k.name("silent"), 1)
		tg.Spec.Retries.InfrastructureLimit = new(int32(3))
		keys = append(keys, runsOn(t, n, tg))
	}
	n.Silence()
	for _, key := range keys {
		tg := awaitMessage(t, key, "node silent is not responding")
		if len(jobsOf(t, key)) != 1 || tg.Status.Attempt != 1 {
			t.Errorf("something followed a pod that may still run: %+v", tg.Status)
		}
	}
	if err := n.Speak(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		tg := awaitReason(t, key, v1alpha1.ReasonCompleted)
		if tg.Status.Jobs[0].Reason != v1alpha1.ReasonNodeLost || tg.Status.Retries.User != 0 {
			t.Errorf("status of %s is %+v", key.Name, tg.Status)
		}
	}
}

// nodeIsGone: the machine no longer exists, and its Node object is deleted. PodGC fails the
// pods; until then no attempt follows and no group is reported as Cancelled.
func nodeIsGone(t *testing.T, ns string) {
	n := losableNode(t, "gone")
	var retried, failed, cancelled []client.ObjectKey
	for _, k := range kinds {
		tg := k.commands(ns, k.name("gone-retried"), 1)
		tg.Spec.Retries.InfrastructureLimit = new(int32(1))
		retried = append(retried, runsOn(t, n, tg))
		failed = append(failed, runsOn(t, n, k.commands(ns, k.name("gone"), 1)))
		cancelled = append(cancelled, runsOn(t, n, k.commands(ns, k.name("gone-cancelled"), 1)))
	}
	n.Silence()
	if err := n.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, key := range cancelled {
		cancel(t, key)
	}
	for _, key := range cancelled {
		awaitReason(t, key, v1alpha1.ReasonCancelling)
	}
	for _, key := range failed {
		tg := awaitReason(t, key, v1alpha1.ReasonNodeLost)
		if c := tg.Status.Condition(v1alpha1.ConditionSucceeded); !strings.Contains(c.Message, "DeletionByPodGC") {
			t.Errorf("message of %s is %q", key.Name, c.Message)
		}
	}
	for _, key := range cancelled {
		awaitReason(t, key, v1alpha1.ReasonCancelled)
	}
	// Another machine of the same name replaces it.
	next := losableNode(t, "gone")
	for _, key := range retried {
		if err := next.Behave(t.Context(), key, rig.Behaviour{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range retried {
		tg := awaitReason(t, key, v1alpha1.ReasonCompleted)
		if tg.Status.Attempt != 2 || tg.Status.Retries.Infrastructure != 1 || tg.Status.Jobs[0].Reason != v1alpha1.ReasonNodeLost {
			t.Errorf("status of %s is %+v", key.Name, tg.Status)
		}
	}
}

// nodeIsOutOfService: an administrator confirms that the machine is down, so that
// PodGC need not wait for its kubelet.
func nodeIsOutOfService(t *testing.T, ns string) {
	n := losableNode(t, "out-of-service")
	var keys []client.ObjectKey
	for _, k := range kinds {
		keys = append(keys, runsOn(t, n, k.commands(ns, k.name("out-of-service"), 1)))
	}
	n.Silence()
	if err := n.OutOfService(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		awaitReason(t, key, v1alpha1.ReasonNodeLost)
	}
}
