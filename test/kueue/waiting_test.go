// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package kueue

import (
	"context"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// TestQueuedGroupIsRemoved cancels or deletes a group that waits for its queue. It never
// has a pod, and its place in the queue is free.
func TestQueuedGroupIsRemoved(t *testing.T) {
	for name, remove := range map[string]func(*testing.T, client.ObjectKey){
		"cancelled": func(t *testing.T, key client.ObjectKey) {
			kubectl(t, "-n", key.Namespace, "patch", "tg", key.Name, "--type=merge", "-p", `{"spec":{"cancel":true}}`)
			awaitReason(t, key, v1alpha1.ReasonCancelled)
		},
		"deleted": func(t *testing.T, key client.ObjectKey) {
			kubectl(t, "-n", key.Namespace, "delete", "tg", key.Name)
		},
	} {
		for _, execution := range []v1alpha1.Execution{v1alpha1.Sequential, v1alpha1.Parallel} {
			t.Run(name+"/"+string(execution), func(t *testing.T) {
				removeQueued(t, name+"-"+strings.ToLower(string(execution)), execution, remove)
			})
		}
	}
}

func removeQueued(t *testing.T, name string, execution v1alpha1.Execution, remove func(*testing.T, client.ObjectKey)) {
	blocker := create(t, queued("scarce", name+"-blocker", "20m", gated(name+"-blocker", name+"-gate")))
	awaitLines(t, name+"-blocker", 1)
	tg := queued("scarce", name, "10m", appends(name), appends(name))
	tg.Spec.Execution = execution
	key := create(t, tg)
	tg = awaitQueued(t, key)
	wide := strings.Split(kubectl(t, "-n", "scarce", "get", "tg", name, "-o", "wide"), "\n")
	if !slices.Contains(strings.Fields(wide[0]), "QUEUE") || !strings.Contains(wide[1], "  scarce  ") {
		t.Errorf("kubectl get tg -o wide does not show the queue:\n%s", strings.Join(wide, "\n"))
	}
	remove(t, key)
	await(t, "the Job to be deleted", func(ctx context.Context) (bool, string, error) {
		jobs, err := cluster.Run(ctx, "-n", "scarce", "get", "jobs", "-l", v1alpha1.UIDLabel+"="+string(tg.UID), "-o", "name")
		return jobs == "", jobs, err
	})

	// The next group takes the place.
	next := create(t, queued("scarce", name+"-next", "20m", "true"))
	open(t, name+"-gate")
	awaitReason(t, blocker, v1alpha1.ReasonCompleted)
	awaitReason(t, next, v1alpha1.ReasonCompleted)
	awaitFree(t, "scarce")
	if pods.had(tg.UID) {
		t.Error("the removed group had a pod")
	}
	if lines(t, name) != 0 {
		t.Error("the removed group ran")
	}
	if err := cluster.Client.Get(t.Context(), key, tg); err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
}
