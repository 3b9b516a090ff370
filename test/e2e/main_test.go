// SPDX-License-Identifier: Apache-2.0

//go:build e2e

// Package e2e tests the operator as users run it: a Deployment on a cluster with
// a real kubelet, real containers and a namespace that takes only restricted pods.
package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

const (
	namespace = "e2e"
	system    = "taskgroup-system"
)

var (
	cluster *rig.Cluster
	// assets is the folder that pods see as /assets.
	assets string
	// recording is nil unless it is enabled.
	recording *recorder
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	if err := setUp(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		_ = tearDown()
		return 1
	}
	code := m.Run()
	if err := tearDown(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func setUp(ctx context.Context) error {
	if err := connect(ctx); err != nil {
		return err
	}
	if err := errors.Join(os.MkdirAll(assets, 0o770), os.Chown(assets, 65532, 65532)); err != nil {
		return fmt.Errorf("making the assets' folder: %w", err)
	}
	for _, args := range [][]string{
		{"apply", "-k", filepath.Join(cluster.Root, "config/default")},
		{"-n", system, "rollout", "status", "--timeout=180s", "deployment/taskgroup-operator"},
		{"create", "namespace", namespace},
		{"label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted"},
		{"-n", namespace, "apply", "-f", filepath.Join(cluster.Root, "hack/demo/workbench.yaml")},
	} {
		if _, err := cluster.Run(ctx, args...); err != nil {
			return err
		}
	}
	claim, err := claim()
	if err != nil {
		return err
	}
	if err := apply(ctx, volume()+"---\n"+claim); err != nil {
		return err
	}
	if _, err := cluster.Run(ctx, "-n", namespace, "wait", "--for=condition=Ready", "--timeout=180s", "pod/workbench"); err != nil {
		return err
	}
	if _, err = workbench(ctx, "write", "/assets"); err != nil {
		return err
	}
	recording, err = startRecorder(ctx)
	return err
}

// connect starts a cluster, or uses the one that kubectl points at, whose nodes have the
// images of .cache/images.
func connect(ctx context.Context) error {
	isCurrent, err := rig.UsesCurrent()
	if err != nil {
		return err
	}
	if isCurrent {
		assets = os.Getenv(rig.AssetsVariable)
		cluster, err = rig.Current(ctx)
		return err
	}
	var flags []string
	for _, image := range []string{"manager", "runner", "gateway", "python"} {
		flags = append(flags, "--image", filepath.Join("..", "..", ".cache", "images", image+".tar"))
	}
	if cluster, err = rig.Start(ctx, "e2e", flags...); err != nil {
		return err
	}
	assets = filepath.Join(cluster.Dir, "assets")
	return nil
}

func tearDown() error {
	if cluster == nil {
		return nil
	}
	return errors.Join(recording.stop(), uninstall(), cluster.Stop())
}

// uninstall removes what setUp created in an existing cluster.
func uninstall() error {
	if isCurrent, err := rig.UsesCurrent(); err != nil || !isCurrent || os.Getenv("KEEP_CLUSTER") != "" {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var errs []error
	for _, args := range [][]string{
		// The TaskGroups first, while there is an operator that ends them.
		{"delete", "namespace", namespace, "--ignore-not-found", "--timeout=180s"},
		{"delete", "persistentvolume", "e2e-assets", "--ignore-not-found", "--timeout=60s"},
		{"delete", "-k", filepath.Join(cluster.Root, "config/default"), "--ignore-not-found", "--timeout=180s"},
	} {
		_, err := cluster.Run(ctx, args...)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// volume is the assets' folder for a cluster without a provisioner of volumes.
func volume() string {
	return fmt.Sprintf(`
apiVersion: v1
kind: PersistentVolume
metadata: {name: e2e-assets}
spec:
  capacity: {storage: 64Mi}
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  claimRef: {namespace: %s, name: taskgroup-assets}
  hostPath: {path: %q, type: Directory}
`, namespace, assets)
}

// claim is the claim of the samples, without the default class: it would get another volume.
func claim() (string, error) {
	raw, err := os.ReadFile(filepath.Join(cluster.Root, "config/samples/volume.yaml"))
	if err != nil {
		return "", fmt.Errorf("reading the claim: %w", err)
	}
	return strings.Replace(string(raw), "\nspec:\n", "\nspec:\n  storageClassName: \"\"\n", 1), nil
}

func apply(ctx context.Context, manifest string) error {
	return kubectl(ctx, strings.NewReader(manifest), nil, "-n", namespace, "apply", "-f", "-")
}

// workbench runs testdata/assets.py in a pod with the task image.
func workbench(ctx context.Context, args ...string) (string, error) {
	script, err := os.Open("testdata/assets.py")
	if err != nil {
		return "", fmt.Errorf("opening the script: %w", err)
	}
	defer script.Close()
	var out bytes.Buffer
	err = kubectl(ctx, script, &out, append([]string{"-n", namespace, "exec", "-i", "workbench", "--", "python3", "-"}, args...)...)
	return out.String(), err
}

func kubectl(ctx context.Context, stdin interface{ Read([]byte) (int, error) }, stdout *bytes.Buffer, args ...string) error {
	cmd := exec.CommandContext(ctx, cluster.Kubectl, append([]string{"--kubeconfig", cluster.Kubeconfig}, args...)...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = stdin, &stderr
	if stdout != nil {
		cmd.Stdout = stdout
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("running kubectl %s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return nil
}
