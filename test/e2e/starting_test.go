// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// TestWhatCannotStart must not hang, and must leave nothing: what waiting cannot
// mend fails at once, the rest when its clock has run out.
func TestWhatCannotStart(t *testing.T) {
	t.Parallel()
	waits := &v1alpha1.Timeouts{StartingSeconds: new(int64(30))}
	missingSecret := commandGroup("missing-secret", "true")
	missingSecret.Spec.Pod.EnvFrom = []corev1.EnvFromSource{{
		SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "nobody-made-it"}},
	}}
	missingSecret.Spec.Timeouts = waits
	unreachable := withImage(commandGroup("unreachable-registry", "true"), "localhost:1/does-not/exist:1")
	unreachable.Spec.Timeouts = waits
	for name, tc := range map[string]struct {
		tg      *v1alpha1.TaskGroup
		reason  v1alpha1.Reason
		message string
	}{
		"unreachable-registry": {unreachable, v1alpha1.ReasonImagePullFailed, "localhost:1/does-not/exist:1"},
		"invalid-image":        {withImage(commandGroup("invalid-image", "true"), "Not/An:Image:Name"), v1alpha1.ReasonImagePullFailed, "InvalidImageName"},
		"missing-secret":       {missingSecret, v1alpha1.ReasonContainerConfigError, `secret "nobody-made-it" not found`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tg := awaitReason(t, create(t, tc.tg), tc.reason)
			if !strings.Contains(messageOf(tg), tc.message) {
				t.Errorf("the message lacks %q: %s", tc.message, messageOf(tg))
			}
			if left := leftovers(t, string(tg.UID)); left != "" {
				t.Errorf("it has failed, and there are %s", left)
			}
		})
	}
}

// TestMissingVolume mounts a Secret that does not exist: the message of the waiting
// group names it, and startingSeconds bounds the wait.
func TestMissingVolume(t *testing.T) {
	t.Parallel()
	tg := commandGroup("missing-volume", "true")
	tg.Spec.Pod.Volumes = append(tg.Spec.Pod.Volumes, v1alpha1.Volume{Name: "keys", Secret: &corev1.SecretVolumeSource{SecretName: "no-such-secret"}})
	tg.Spec.Pod.VolumeMounts = append(tg.Spec.Pod.VolumeMounts, v1alpha1.VolumeMount{Name: "keys", MountPath: "/keys", ReadOnly: true})
	tg.Spec.Timeouts = &v1alpha1.Timeouts{StartingSeconds: new(int64(40))}
	key := create(t, tg)
	awaitMessage(t, key, v1alpha1.ReasonStarting, "no-such-secret", 30*time.Second)
	tg = awaitReason(t, key, v1alpha1.ReasonVolumeMountFailed)
	wantMessage(t, tg, "no-such-secret")
	if left := leftovers(t, string(tg.UID)); left != "" {
		t.Errorf("it has failed, and there are %s", left)
	}
}

// TestDeletedPod: a pod that a user deletes, and not its Job, is no
// cancellation. The runner has time to report that it was stopped.
func TestDeletedPod(t *testing.T) {
	t.Parallel()
	key := create(t, functions("deleted-pod", "lingers", "whoami"))
	started(t, "deleted-pod")
	if _, err := cluster.Run(t.Context(), "-n", namespace, "delete", "pod", "--wait=false", "-l", v1alpha1.NameLabel+"=deleted-pod"); err != nil {
		t.Fatal(err)
	}
	tg := awaitReason(t, key, v1alpha1.ReasonTerminated)
	if m := manifest(t, tg); len(m.Tasks) != 2 {
		t.Errorf("the manifest has %d tasks", len(m.Tasks))
	}
}

// TestKubeletsDeadline: the kubelet ends a pod that outlives its own deadline,
// without help (invariant I23). It is a pod without a group, since the
// runner's clock is earlier.
func TestKubeletsDeadline(t *testing.T) {
	t.Parallel()
	err := apply(t.Context(), `
apiVersion: v1
kind: Pod
metadata: {name: kubelets-deadline}
spec:
  activeDeadlineSeconds: 1
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: tasks
    image: localhost/taskgroup-operator/python:dev
    imagePullPolicy: Never
    command: [sleep, "600"]
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`)
	if err != nil {
		t.Fatal(err)
	}
	var pod corev1.Pod
	err = rig.Await(t.Context(), "the kubelet to end the pod", func(ctx context.Context) (bool, string, error) {
		err := cluster.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "kubelets-deadline"}, &pod)
		return pod.Status.Phase == corev1.PodFailed, string(pod.Status.Phase), err
	})
	if err != nil {
		t.Fatal(err)
	}
	if pod.Status.Reason != "DeadlineExceeded" {
		t.Errorf("it ended as %s: %s", pod.Status.Reason, pod.Status.Message)
	}
}
