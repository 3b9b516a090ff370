// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// TestOperatorAlertMetrics injects the faults of the operator's alerts, and requires that
// the metrics move as the series in config/monitoring/testdata/alerts.yaml.
func TestOperatorAlertMetrics(t *testing.T) {
	stopOperator(t)
	proxy, err := cluster.StartProxy()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	ns, address := namespace(t), freePort(t)
	observed, err := cluster.StartOperatorWith(t.Context(), rig.OperatorOptions{
		Proxy: proxy, Namespaces: []string{ns},
		Flags: []string{"--metrics-bind-address=" + address, "--leader-elect", "--leader-election-namespace=" + rig.OperatorNamespace},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(observed.Stop)
	s := newScraper(t, ns, "https://"+address+"/metrics")
	ours := map[string]string{"controller": "taskgroup"}
	s.await(t, "leader_election_master_status", map[string]string{"name": "taskgroup-operator.kubernetes.covalent.xyz"}, exactly(1))
	s.await(t, "controller_runtime_reconcile_errors_total", ours, exactly(0))

	// The API server fails the first three writes.
	for n := range 3 {
		proxy.Break(ns, n+1, rig.Broken, nil)
	}
	awaitReason(t, create(t, commands(ns, "errors", 1), rig.Behaviour{}), v1alpha1.ReasonCompleted)
	s.await(t, "controller_runtime_reconcile_errors_total", ours, atLeast(1))
	s.await(t, "controller_runtime_reconcile_total", ours, atLeast(1))
	s.await(t, "workqueue_queue_duration_seconds", ours, atLeast(1))

	tg := commands(ns, "disrupted", 1)
	tg.Spec.Retries = &v1alpha1.Retries{InfrastructureLimit: new(int32(1))}
	awaitReason(t, create(t, tg, rig.Behaviour{
		End: &corev1.ContainerStateTerminated{ExitCode: 143, Reason: "Error"}, Disrupted: "PreemptionByScheduler", Then: &rig.Behaviour{},
	}), v1alpha1.ReasonCompleted)
	s.await(t, "taskgroup_retries_total", map[string]string{"source": "Infrastructure", "reason": "Preempted"}, exactly(1))
	s.await(t, "taskgroup_finished_total", map[string]string{"reason": "Completed"}, exactly(2))

	for reason, behaviour := range map[v1alpha1.Reason]rig.Behaviour{
		v1alpha1.ReasonQueued:   {Unplaced: true},
		v1alpha1.ReasonStarting: {Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}},
	} {
		key := create(t, commands(ns, strings.ToLower(string(reason)), 1), behaviour)
		waits := awaitReason(t, key, reason)
		label := map[string]string{"reason": string(reason)}
		s.await(t, "taskgroup_waiting_since_timestamp_seconds", label, exactly(float64(waits.CreationTimestamp.Unix())))
		if err := node.Behave(t.Context(), key, rig.Behaviour{}); err != nil {
			t.Fatal(err)
		}
		awaitReason(t, key, v1alpha1.ReasonCompleted)
		s.await(t, "taskgroup_waiting_since_timestamp_seconds", label, absent)
	}
	s.requireDocumented(t)
}

// TestGatewayAlertMetrics injects the faults of the gateway's alerts: a namespace at its
// quota, a volume that is full, lost and read-only, and a garbage collection that fails.
func TestGatewayAlertMetrics(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a file system needs root")
	}
	if err := cluster.InstallGateway(t.Context()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	mount(t, dir)
	ns := namespace(t)
	var g *rig.Gateway
	var s *scraper
	start := func() {
		t.Helper()
		var err error
		g, err = cluster.StartGateway(t.Context(), rig.GatewayOptions{Dir: dir, Flags: []string{"--quota=100Ki", "--collect-interval=200ms"}})
		if err != nil {
			t.Fatal(err)
		}
	}
	start()
	t.Cleanup(func() { g.Stop() })
	s = newScraper(t, ns, g.URL+"/metrics")
	s.await(t, "taskgroup_gateway_volume_available", nil, exactly(1))
	s.await(t, "taskgroup_gateway_volume_writable", nil, exactly(1))
	expires := s.await(t, "taskgroup_gateway_certificate_expiration_timestamp_seconds", nil, atLeast(1))
	if days := time.Until(time.Unix(int64(expires), 0)).Hours() / 24; days < 30 || days > 91 {
		t.Errorf("the certificate expires in %g days", days)
	}

	pod := runGatewayPod(t, ns, "g").find(t, 1)
	trusting, err := g.Client()
	if err != nil {
		t.Fatal(err)
	}
	if code, reason, _ := (&gatewayClient{g, trusting}).do(t, "PUT", pod.result(1, "0/output"), "Authorization", pod.token, strings.Repeat("x", 95<<10)); code != 201 {
		t.Fatalf("storing a result: %d %s", code, reason)
	}
	key := client.ObjectKeyFromObject(pod.group)
	if err := node.Behave(t.Context(), key, rig.Behaviour{}); err != nil {
		t.Fatal(err)
	}
	awaitReason(t, key, v1alpha1.ReasonCompleted)
	own := map[string]string{"namespace": ns}
	quota := s.await(t, "taskgroup_gateway_namespace_quota_bytes", own, exactly(100<<10))
	s.await(t, "taskgroup_gateway_namespace_bytes", own, atLeast(0.9*quota))

	size := s.await(t, "taskgroup_gateway_volume_size_bytes", nil, exactly(volumeSize))
	free := s.await(t, "taskgroup_gateway_volume_free_bytes", nil, atLeast(0.5*size))
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, int(free-0.05*size)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.await(t, "taskgroup_gateway_volume_free_bytes", nil, func(value float64, series int) bool { return series > 0 && value < 0.1*size })
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	s.await(t, "taskgroup_gateway_volume_free_bytes", nil, atLeast(0.5*size))

	// A pass fails while a new group is not in the watch yet, which is no fault.
	if failures := s.await(t, "taskgroup_gateway_collection_failures_total", nil, atLeast(0)); failures >= 3 {
		t.Errorf("%g passes failed before the fault", failures)
	}
	lose(t, dir)
	s.await(t, "taskgroup_gateway_volume_available", nil, exactly(0))
	find(t, dir)
	s.await(t, "taskgroup_gateway_volume_available", nil, exactly(1))
	s.requireDocumented(t)

	// The lock is a file that is open for writing, which prevents a remount.
	g.Stop()
	remount(t, dir, syscall.MS_RDONLY)
	start()
	s.url = g.URL + "/metrics"
	s.await(t, "taskgroup_gateway_volume_writable", nil, exactly(0))
	// The garbage collection cannot store what it found.
	s.await(t, "taskgroup_gateway_collection_failures_total", nil, atLeast(3))
	remount(t, dir, 0)
	s.await(t, "taskgroup_gateway_volume_writable", nil, exactly(1))
}

const volumeSize = 4 << 20

// mount mounts a file system in memory until the test ends.
func mount(t *testing.T, dir string) {
	t.Helper()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("mounting a file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmounting: %v", err)
		}
	})
}

func remount(t *testing.T, dir string, flags uintptr) {
	t.Helper()
	if err := syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT|flags, ""); err != nil {
		t.Fatal(err)
	}
}

// lose renames what a volume has, so that it looks like another one; find undoes it.
func lose(t *testing.T, dir string) { rename(t, dir, "", ".lost-") }
func find(t *testing.T, dir string) { rename(t, dir, ".lost-", "") }

func rename(t *testing.T, dir, from, to string) {
	t.Helper()
	for _, name := range []string{".taskgroup-gateway", "namespaces"} {
		if err := os.Rename(filepath.Join(dir, from+name), filepath.Join(dir, to+name)); err != nil {
			t.Fatal(err)
		}
	}
}
