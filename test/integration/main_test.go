// SPDX-License-Identifier: Apache-2.0

//go:build integration

// Package integration tests the operator as a process on a real API server and
// controller-manager, under exactly its own role. A programmable node plays
// scheduler and kubelet.
package integration

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

var (
	cluster  *rig.Cluster
	node     *rig.Node
	operator *rig.Operator
)

// clusterFlags make a node that is silent a lost one in seconds, not minutes, and let
// the Job controller keep up with as many tests as run at once.
var clusterFlags = []string{
	"--control-plane-only", "--no-scheduler", "--audit",
	"--extra-controller-manager-arg", "node-monitor-grace-period=12s",
	"--extra-controller-manager-arg", "node-monitor-period=1s",
	"--extra-controller-manager-arg", "kube-api-qps=100",
	"--extra-controller-manager-arg", "kube-api-burst=200",
	"--extra-apiserver-arg", "default-not-ready-toleration-seconds=1",
	"--extra-apiserver-arg", "default-unreachable-toleration-seconds=1",
}

// heartbeat is how often a node sends a heartbeat.
const heartbeat = time.Second

// atOnce is how many tests run at once, whatever the machine: most of a test is
// waiting. The command line can override it.
const atOnce = "24"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var err error
	if cluster, err = rig.Start(ctx, "integration", clusterFlags...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer stop("the cluster", func() error { return cluster.Stop() })
	if err = cluster.Install(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err = record(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if node, err = cluster.StartNodeWith(ctx, "fake", rig.NodeOptions{Heartbeat: heartbeat}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer stop("the node", func() error { return node.Stop() })
	if operator, err = cluster.StartOperator(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// Not this one: tests take it away and start another.
	defer func() { operator.Stop() }()
	if err = flag.Set("test.parallel", atOnce); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return checked(m.Run())
}

func stop(what string, f func() error) {
	if err := f(); err != nil {
		fmt.Fprintf(os.Stderr, "stopping %s: %v\n", what, err)
	}
}

// namespace makes a namespace for one test, restricted as users' should be.
func namespace(t *testing.T) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "test-",
		Labels:       map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	if err := cluster.Client.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Client.Delete(context.Background(), ns) })
	return ns.Name
}

// commands returns a group of n plain commands with a location for outputs, which is never retried.
func commands(namespace, name string, n int) *v1alpha1.TaskGroup {
	return testkit.New(namespace, name).Commands(n).Outputs("file:///out").Obj()
}

// create creates a group whose pods behave as given.
func create(t *testing.T, tg *v1alpha1.TaskGroup, behaviour rig.Behaviour) client.ObjectKey {
	t.Helper()
	key := client.ObjectKeyFromObject(tg)
	if err := node.Behave(t.Context(), key, behaviour); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Client.Create(t.Context(), tg); err != nil {
		t.Fatal(err)
	}
	return key
}

func awaitReason(t *testing.T, key client.ObjectKey, reasons ...v1alpha1.Reason) *v1alpha1.TaskGroup {
	t.Helper()
	tg, err := cluster.AwaitReason(t.Context(), key, reasons...)
	if err != nil {
		t.Fatal(err)
	}
	return tg
}
