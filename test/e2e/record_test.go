// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// recordedOn is the annotation that reports which Kubernetes a recording is from.
const recordedOn = "recorded-on"

// recorded are the groups, and the pod without one, whose end is recorded.
var recorded = []string{
	"cancel-by-spec", "command-fails", "deleted-pod", "evicted", "exception", "grows", "invalid-image", "kubelets-deadline",
	"missing-secret", "no-image", "no-image-volumes", "out-of-memory", "running-seconds", "segfault", "sidecar-fails",
	"storage-exceeded", "unreachable-registry",
}

// recorder keeps the status of pods that fail or cannot start, as a real kubelet
// writes it. The tests of package plan read what it leaves:
//
//	TASKGROUP_RECORD=$PWD/controllers/plan/testdata/pods make e2e
type recorder struct {
	folder  string
	version string
	done    chan struct{}
	cancel  context.CancelFunc
	pods    map[string]*corev1.Pod
}

// startRecorder is nil where TASKGROUP_RECORD names no folder.
func startRecorder(ctx context.Context) (*recorder, error) {
	folder := os.Getenv("TASKGROUP_RECORD")
	if folder == "" {
		return nil, nil
	}
	versions, err := discovery.NewDiscoveryClientForConfig(cluster.Config)
	if err != nil {
		return nil, fmt.Errorf("asking for the version of Kubernetes: %w", err)
	}
	version, err := versions.ServerVersion()
	if err != nil {
		return nil, fmt.Errorf("asking for the version of Kubernetes: %w", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w, err := cluster.Client.Watch(ctx, &corev1.PodList{}, client.InNamespace(namespace))
	if err != nil {
		cancel()
		return nil, fmt.Errorf("watching pods: %w", err)
	}
	r := &recorder{folder: folder, version: version.GitVersion, done: make(chan struct{}), cancel: cancel, pods: map[string]*corev1.Pod{}}
	go func() {
		defer close(r.done)
		for event := range w.ResultChan() {
			if pod, ok := event.Object.(*corev1.Pod); ok {
				r.keep(pod)
			}
		}
	}()
	return r, nil
}

// keep takes the newest informative status of a group's first attempt, or of a pod
// without a group.
func (r *recorder) keep(pod *corev1.Pod) {
	attempt := pod.Labels[v1alpha1.AttemptLabel]
	if !telling(pod) || (attempt != "" && attempt != "1") {
		return
	}
	name := pod.Annotations[v1alpha1.NameAnnotation]
	if name == "" {
		name = pod.Name
	}
	if !slices.Contains(recorded, name) {
		return
	}
	if known := r.pods[name]; known != nil && known.Status.Phase == corev1.PodPending && pod.Status.Phase == corev1.PodFailed {
		// Why it could not start is what was wrong; its end is the operator's doing.
		return
	}
	r.pods[name] = pod
}

func telling(pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodFailed {
		return true
	}
	for i := range pod.Status.ContainerStatuses {
		if w := pod.Status.ContainerStatuses[i].State.Waiting; w != nil && w.Reason != "ContainerCreating" && w.Reason != "PodInitializing" {
			return true
		}
	}
	return false
}

// stop writes what was kept, a file for each.
func (r *recorder) stop() error {
	if r == nil {
		return nil
	}
	r.cancel()
	<-r.done
	for name, pod := range r.pods {
		raw, err := json.MarshalIndent(r.scrubbed(pod), "", "  ")
		if err != nil {
			return fmt.Errorf("recording pod %s: %w", name, err)
		}
		text := strings.ReplaceAll(string(raw), pod.Spec.NodeName, "node-1") + "\n"
		if err := os.WriteFile(filepath.Join(r.folder, name+".json"), []byte(text), 0o644); err != nil {
			return fmt.Errorf("recording pod %s: %w", name, err)
		}
	}
	return nil
}

// scrubbed is the part of a pod that decisions read, without what names the machine.
func (r *recorder) scrubbed(pod *corev1.Pod) *corev1.Pod {
	status := pod.Status.DeepCopy()
	status.HostIP, status.HostIPs, status.PodIP, status.PodIPs, status.Resources = "", nil, "", nil, nil
	for _, statuses := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses} {
		for i := range statuses {
			statuses[i].ContainerID, statuses[i].ImageID, statuses[i].VolumeMounts, statuses[i].User = "", "", nil, nil
			if t := statuses[i].State.Terminated; t != nil {
				t.ContainerID = ""
			}
		}
	}
	var containers []corev1.Container
	for i := range pod.Spec.Containers {
		containers = append(containers, corev1.Container{Name: pod.Spec.Containers[i].Name, Resources: pod.Spec.Containers[i].Resources})
	}
	return &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Name:              pod.Name,
			Annotations:       map[string]string{recordedOn: r.version},
			CreationTimestamp: pod.CreationTimestamp,
			DeletionTimestamp: pod.DeletionTimestamp,
		},
		Spec:   corev1.PodSpec{NodeName: pod.Spec.NodeName, Containers: containers},
		Status: *status,
	}
}
