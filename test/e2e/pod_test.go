// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// TestRelativePaths checks which files the relative paths of commands name.
func TestRelativePaths(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		workingDir string
		tasks      []string
		stdout     string
		// file is the file on the volume that has to exist afterwards; empty for none.
		file string
	}{
		"workdir-of-image":        {tasks: []string{"ls usr/bin/python3"}, stdout: "usr/bin/python3\n"},
		"file-of-previous-task":   {tasks: []string{"mkdir -p build && echo built > build/product", "cat build/product"}, stdout: "built\n"},
		"working-dir":             {workingDir: "/usr/bin", tasks: []string{"ls python3"}, stdout: "python3\n"},
		"working-dir-on-a-volume": {workingDir: "/assets", tasks: []string{"echo built > relative-product", "cat relative-product"}, stdout: "built\n", file: "relative-product"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tg := group(name)
			tg.Spec.Pod.WorkingDir = tc.workingDir
			for i, line := range tc.tasks {
				tg.Spec.Tasks = append(tg.Spec.Tasks, v1alpha1.TaskSpec{NodeID: v1alpha1.NodeID(i), Command: []string{"sh", "-c", line}})
			}
			tg = awaitReason(t, create(t, tg), v1alpha1.ReasonCompleted)
			if got := text(t, manifest(t, tg), len(tc.tasks)-1, contract.AssetStdout); got != tc.stdout {
				t.Errorf("the last task printed %q, want %q", got, tc.stdout)
			}
			if tc.file == "" {
				return
			}
			if got, err := os.ReadFile(hostPath("file:///assets/" + tc.file)); err != nil || string(got) != tc.stdout {
				t.Errorf("%s contains %q, %v", tc.file, got, err)
			}
		})
	}
}

// TestPodMetadata checks that the pod has the labels, the annotations and the grace
// period of spec.pod.
func TestPodMetadata(t *testing.T) {
	t.Parallel()
	labels := map[string]string{
		"app.kubernetes.io/name": "training", "app.kubernetes.io/part-of": "team-a",
		"team": "a", "kueue.x-k8s.io/podset-group-name": "g",
	}
	annotations := map[string]string{
		"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true",
		"kueue.x-k8s.io/podset-required-topology": "rack",
	}
	tg := commandGroup("metadata", "true")
	tg.Spec.Pod.Labels, tg.Spec.Pod.Annotations = labels, annotations
	tg.Spec.Pod.TerminationGracePeriodSeconds = new(int64(120))
	tg = awaitReason(t, create(t, tg), v1alpha1.ReasonCompleted)
	var pods corev1.PodList
	err := cluster.Client.List(t.Context(), &pods, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.UIDLabel: string(tg.UID)})
	if err != nil || len(pods.Items) != 1 {
		t.Fatalf("%d pods, %v", len(pods.Items), err)
	}
	pod := &pods.Items[0]
	for key, want := range labels {
		if pod.Labels[key] != want {
			t.Errorf("label %s is %q, want %q", key, pod.Labels[key], want)
		}
	}
	for key, want := range annotations {
		if pod.Annotations[key] != want {
			t.Errorf("annotation %s is %q, want %q", key, pod.Annotations[key], want)
		}
	}
	if got := pod.Spec.TerminationGracePeriodSeconds; got == nil || *got != 120 {
		t.Errorf("the grace period is %v", got)
	}
}

// TestStorageExceeded writes more than the pod's own limit of ephemeral storage: the
// kubelet evicts the pod, and another attempt would be evicted as well. The kubelet
// measures the usage about once a minute.
func TestStorageExceeded(t *testing.T) {
	t.Parallel()
	tg := commandGroup("storage-exceeded", "sh", "-c", `dd if=/dev/zero of="$TASKGROUP_DIR/big" bs=1048576 count=48 && sleep 300`)
	tg.Spec.Pod.Resources = &v1alpha1.Resources{
		Requests: v1alpha1.Amounts{corev1.ResourceEphemeralStorage: {Text: "8Mi"}},
		Limits:   v1alpha1.Amounts{corev1.ResourceEphemeralStorage: {Text: "16Mi"}},
	}
	tg.Spec.Retries.InfrastructureLimit = new(int32(1))
	tg = awaitReason(t, create(t, tg), v1alpha1.ReasonEvicted)
	if tg.Status.Attempt != 1 || len(tg.Status.Jobs) != 1 {
		t.Errorf("status is %+v", tg.Status)
	}
	wantMessage(t, tg, "ephemeral", "16Mi")
}
