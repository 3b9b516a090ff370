// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// emptyRunnerVolume replaces the image volume, which is the last volume, by an empty
// directory: some container runtimes mount one in its place.
const emptyRunnerVolume = `[JSONPatch{op: "replace", path: "/spec/volumes/" + string(size(object.spec.volumes) - 1),
	value: Object.spec.volumes{name: "taskgroup-bin", emptyDir: Object.spec.volumes.emptyDir{}}}]`

const hasImageVolume = "object.spec.volumes.exists(v, has(v.image))"

// awaitOperator waits until the newest pod of the operator is its only one: the
// previous leader leads until its pod no longer exists.
func awaitOperator(ctx context.Context) error {
	if _, err := cluster.Run(ctx, "-n", system, "rollout", "status", "--timeout=120s", "deployment/taskgroup-operator"); err != nil {
		return err
	}
	return rig.Await(ctx, "one operator", func(ctx context.Context) (bool, string, error) {
		pods, err := cluster.Run(ctx, "-n", system, "get", "pods", "-l", "app.kubernetes.io/name=taskgroup-operator", "-o", "name")
		return len(strings.Fields(pods)) == 1, pods, err
	})
}

// changeOperator starts the operator again after a command of kubectl, and undoes
// that at the end of the test, before any parallel test continues.
func changeOperator(t *testing.T, change, undo []string) {
	t.Helper()
	run := func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return nil
		}
		if _, err := cluster.Run(ctx, append([]string{"-n", system}, args...)...); err != nil {
			return err
		}
		return awaitOperator(ctx)
	}
	t.Cleanup(func() {
		if err := run(context.Background(), undo); err != nil {
			t.Errorf("undoing the change of the operator: %v", err)
		}
	})
	if err := run(t.Context(), change); err != nil {
		t.Fatal(err)
	}
}

// TestRunnerDelivery changes the operator of all tests. So it is not parallel.
func TestRunnerDelivery(t *testing.T) {
	t.Run("fallback", runnerIsCopied)
	t.Run("InitContainer", initContainerDelivery)
}

// runnerIsCopied: on nodes that mount an empty directory in place of an image volume,
// the next attempt copies the runner, and no budget is spent. The operator starts
// again afterwards, because all later pods of the process copy the runner.
func runnerIsCopied(t *testing.T) {
	changeOperator(t, nil, []string{"rollout", "restart", "deployment/taskgroup-operator"})
	const name = "no-image-volumes"
	probe := probePod(name)
	probe.Spec.Volumes = []corev1.Volume{{Name: "taskgroup-bin", VolumeSource: corev1.VolumeSource{
		Image: &corev1.ImageVolumeSource{Reference: "localhost/taskgroup-operator/runner:dev"},
	}}}
	mutate(t, name, hasImageVolume, emptyRunnerVolume, probe, func(pod *corev1.Pod) bool { return pod.Spec.Volumes[0].EmptyDir != nil })
	tg := awaitReason(t, create(t, labelled(commandGroup(name, "echo", "done"), name)), v1alpha1.ReasonCompleted)
	if tg.Status.Attempt != 2 || tg.Status.Retries != nil {
		t.Errorf("status is %+v", tg.Status)
	}
	if got := text(t, manifest(t, tg), 0, contract.AssetStdout); got != "done\n" {
		t.Errorf("the task printed %q", got)
	}
	later := awaitReason(t, create(t, commandGroup("after-no-image-volumes", "true")), v1alpha1.ReasonCompleted)
	if later.Status.Attempt != 1 {
		t.Errorf("status of the next group is %+v", later.Status)
	}
}

// initContainerDelivery: the option for clusters without image volumes.
func initContainerDelivery(t *testing.T) {
	const patch = `[{"op":"add","path":"/spec/template/spec/containers/0/args/-","value":"--runner-delivery=InitContainer"}]`
	changeOperator(t, []string{"patch", "deployment", "taskgroup-operator", "--type=json", "-p", patch},
		[]string{"rollout", "undo", "deployment/taskgroup-operator"})
	key := create(t, functions("init-container", "whoami"))
	tg := awaitReason(t, key, v1alpha1.ReasonCompleted)
	if diff := cmp.Diff([]string{"(65532, 65532, 'read-only', False)"}, results(t, manifest(t, tg))); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	init, err := cluster.Run(t.Context(), "-n", namespace, "get", "pods", "-l", v1alpha1.NameLabel+"=init-container", "-o", "jsonpath={.items[*].spec.initContainers[*].name}")
	if err != nil || init != "runner" {
		t.Errorf("the pod's init containers are %q, %v", init, err)
	}
}
