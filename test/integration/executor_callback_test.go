// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/executor/bridge"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// TestExecutorCallsBack kills the bridge while the dispatcher is away. The next one
// reports the end without a poll, once, and records it.
func TestExecutorCallsBack(t *testing.T) {
	t.Parallel()
	var back atomic.Bool
	told, refused := make(chan string, 100), make(chan struct{}, 100)
	dispatcher := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !back.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			refused <- struct{}{}
			return
		}
		told <- r.Method + " " + r.URL.Path
	}))
	defer dispatcher.Close()
	ns := namespace(t)
	dir, err := os.MkdirTemp("", "bridge") //nolint:usetesting // with the test's name it is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	kubeconfig := dispatcherKubeconfig(t, cluster.Config, ns)
	callback := []string{
		bridgeHostsEnv + "=" + strings.TrimPrefix(dispatcher.URL, "http://"), bridgeNamespaceEnv + "=" + ns, "KUBECONFIG=" + kubeconfig,
	}
	b := startBridge(t, filepath.Join(dir, "s"), callback...)
	options := executor.DefaultOptions()
	options.Kubeconfig, options.Namespace, options.Outputs, options.Callback = kubeconfig, ns, "file:///out", dispatcher.URL
	options.InfrastructureRetries = new(int32(0))
	options.Pod = &v1alpha1.PodOptions{
		Volumes:      []v1alpha1.Volume{{Name: "out", EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		VolumeMounts: []v1alpha1.VolumeMount{{Name: "out", MountPath: "/out"}},
	}
	tasks, resources, metadata := group("calls-back", 3)
	key := client.ObjectKey{Namespace: ns, Name: executor.Name("calls-back", 3)}
	behave(t, key, rig.Behaviour{End: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}})
	if _, err := post[bridge.HandleResponse](b, "/v1/send", bridge.SendRequest{Executor: options, TaskSpecs: tasks, Resources: resources, TaskGroupMetadata: metadata}); err != nil {
		t.Fatal(err)
	}
	<-refused
	_ = b.end(syscall.SIGKILL)
	back.Store(true)
	b = startBridge(t, b.socket, callback...)
	if got, want := <-told, "PUT /api/v2/dispatches/calls-back/electrons/3/job"; got != want {
		t.Errorf("told %s, want %s", got, want)
	}
	err = rig.Await(t.Context(), "the end to be recorded as told", func(ctx context.Context) (bool, string, error) {
		var tg v1alpha1.TaskGroup
		err := cluster.Client.Get(ctx, key, &tg)
		delivered := tg.Annotations[v1alpha1.DeliveredAnnotation]
		return delivered == "3", delivered, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.end(syscall.SIGTERM); err != nil {
		t.Errorf("stopping: %v", err)
	}
	if len(told) != 0 {
		t.Errorf("told again: %s", <-told)
	}
}
