// SPDX-License-Identifier: Apache-2.0

//go:build e2e

// Package kueue tests TaskGroups in the queues of a real Kueue, with its controller and
// its webhooks, on a real node.
package kueue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// namespaces are the namespaces of the queues in testdata/queues.yaml.
var namespaces = []string{"team-a", "team-b", "scarce"}

var (
	cluster *rig.Cluster
	// assets is the folder that pods mount at /assets.
	assets string
	pods   *podWatch
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	code := 1
	err := setUp(ctx)
	if err == nil {
		code = m.Run()
	}
	if err = errors.Join(err, tearDown()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func setUp(ctx context.Context) error {
	var flags []string
	for _, image := range []string{"manager", "runner", "python", "kueue"} {
		flags = append(flags, "--image", filepath.Join("..", "..", ".cache", "images", image+".tar"))
	}
	var err error
	if cluster, err = rig.Start(ctx, "kueue", flags...); err != nil {
		return err
	}
	assets = filepath.Join(cluster.Dir, "assets")
	if err := errors.Join(os.MkdirAll(assets, 0o770), os.Chown(assets, 65532, 65532)); err != nil {
		return fmt.Errorf("making the folder of the assets: %w", err)
	}
	if _, err := cluster.Run(ctx, "apply", "-k", filepath.Join(cluster.Root, "config/minimal")); err != nil {
		return err
	}
	install := exec.CommandContext(ctx, filepath.Join(cluster.Root, "hack/kueue/install.sh"))
	install.Env = append(os.Environ(), "KUBECTL="+cluster.Kubectl, "KUBECONFIG="+cluster.Kubeconfig)
	if out, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("installing Kueue: %w\n%s", err, out)
	}
	if _, err := cluster.Run(ctx, "-n", "taskgroup-system", "rollout", "status", "--timeout=180s", "deployment/taskgroup-operator"); err != nil {
		return err
	}
	for _, namespace := range namespaces {
		if err := makeNamespace(ctx, namespace); err != nil {
			return err
		}
	}
	if _, err := cluster.Run(ctx, "apply", "-f", "testdata/queues.yaml"); err != nil {
		return err
	}
	pods, err = watchPods(ctx)
	return err
}

// makeNamespace makes a namespace for restricted pods with a claim of the assets.
func makeNamespace(ctx context.Context, namespace string) error {
	file := filepath.Join(cluster.Dir, namespace+".yaml")
	manifest := fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: assets-of-%[1]s}
spec:
  capacity: {storage: 64Mi}
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  claimRef: {namespace: %[1]s, name: assets}
  hostPath: {path: %[2]q, type: Directory}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {namespace: %[1]s, name: assets}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  resources: {requests: {storage: 64Mi}}
`, namespace, assets)
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		return fmt.Errorf("writing a manifest: %w", err)
	}
	_, err := cluster.Run(ctx, "apply", "-f", file)
	return err
}

func tearDown() error {
	if cluster == nil {
		return nil
	}
	pods.stop()
	return cluster.Stop()
}
