// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package kueue

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// queued returns a group in the queue of its namespace. Its pods request an amount of
// CPU. A failure of the infrastructure would end it.
func queued(namespace, name, cpu string, commands ...string) *v1alpha1.TaskGroup {
	tg := testkit.New(namespace, name).Outputs("file:///assets/results").Pod(v1alpha1.PodOptions{
		Resources: &v1alpha1.Resources{Requests: v1alpha1.AmountsOf(corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)})},
		Volumes: []v1alpha1.Volume{{Name: "assets", PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{
			ClaimName: "assets",
		}}},
		VolumeMounts: []v1alpha1.VolumeMount{{Name: "assets", MountPath: "/assets"}},
	}).Obj()
	tg.Labels = map[string]string{v1alpha1.QueueLabel: namespace}
	for i, command := range commands {
		tg.Spec.Tasks = append(tg.Spec.Tasks, v1alpha1.TaskSpec{NodeID: v1alpha1.NodeID(i), Command: []string{"sh", "-c", command}})
	}
	return tg
}

// appends is a command that appends a line to a file of the assets.
func appends(file string) string { return "echo ran >> /assets/" + file }

// gated is the same, and then waits until the gate is opened.
func gated(file, gate string) string {
	return appends(file) + "; until test -e /assets/" + gate + "; do sleep 0.1; done"
}

// open opens a gate.
func open(t *testing.T, gate string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(assets, gate), nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

// lines is how often a command has appended to a file.
func lines(t *testing.T, file string) int {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(assets, file))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Count(string(content), "\n")
}

func awaitLines(t *testing.T, file string, want int) {
	t.Helper()
	await(t, fmt.Sprintf("%d lines in %s", want, file), func(context.Context) (bool, string, error) {
		got := lines(t, file)
		return got >= want, strconv.Itoa(got), nil
	})
}

func await(t *testing.T, what string, condition func(context.Context) (bool, string, error)) {
	t.Helper()
	if err := rig.Await(t.Context(), what, condition); err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, tg *v1alpha1.TaskGroup) client.ObjectKey {
	t.Helper()
	if err := cluster.Client.Create(t.Context(), tg); err != nil {
		t.Fatal(err)
	}
	return client.ObjectKeyFromObject(tg)
}

func awaitReason(t *testing.T, key client.ObjectKey, reason v1alpha1.Reason) *v1alpha1.TaskGroup {
	t.Helper()
	tg, err := cluster.AwaitReason(t.Context(), key, reason)
	if err != nil {
		t.Fatal(err)
	}
	return tg
}

// awaitQueued waits until a group reports that it waits for its queue.
func awaitQueued(t *testing.T, key client.ObjectKey) *v1alpha1.TaskGroup {
	t.Helper()
	var tg v1alpha1.TaskGroup
	want := "Waits for the queue " + key.Namespace + " (kueue.x-k8s.io) to admit Job "
	await(t, fmt.Sprintf("%s to wait for its queue", key), func(ctx context.Context) (bool, string, error) {
		err := cluster.Client.Get(ctx, key, &tg)
		seen := fmt.Sprintf("%s: %s", tg.Status.Reason(), tg.Status.Message())
		return tg.Status.Reason() == v1alpha1.ReasonQueued && strings.HasPrefix(tg.Status.Message(), want), seen, err
	})
	return &tg
}

func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := cluster.Run(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// awaitFree waits until no workload has or waits for the quota of a ClusterQueue.
func awaitFree(t *testing.T, clusterQueue string) {
	t.Helper()
	await(t, "the quota of "+clusterQueue+" to be free", func(ctx context.Context) (bool, string, error) {
		usage, err := cluster.Run(ctx, "get", "clusterqueue", clusterQueue, "-o",
			"jsonpath={.status.pendingWorkloads} pending, {.status.reservingWorkloads} reserving, {.status.flavorsReservation[0].resources[0].total} reserved")
		return usage == "0 pending, 0 reserving, 0 reserved", usage, err
	})
}
