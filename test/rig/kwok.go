// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	_ "embed"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

//go:embed kwok.yaml
var kwokConfig string

// kwokNodes is the number of nodes that kwok plays.
const kwokNodes = 20

// KwokFlags are the flags of `cluster up` for a cluster whose nodes kwok plays. The
// leases of such nodes are rarely renewed, so that nothing may watch them. The client
// limits of the scheduler are raised.
var KwokFlags = []string{
	"--control-plane-only",
	"--extra-apiserver-arg", "disable-admission-plugins=TaintNodesByCondition",
	"--extra-controller-manager-arg", "controllers=*,-node-lifecycle-controller",
	"--extra-scheduler-arg", "kube-api-qps=1000",
	"--extra-scheduler-arg", "kube-api-burst=2000",
}

// Kwok is kwok as a process of its own: the kubelet of a cluster with a scheduler.
// Each pod runs as soon as it is bound, and completes its tasks at once.
type Kwok struct {
	cmd *exec.Cmd
	// Log is the file that holds the output.
	Log string
}

// StartKwok registers nodes and starts kwok for them. The cluster was started with
// KwokFlags.
func (c *Cluster) StartKwok(ctx context.Context) (*Kwok, error) {
	config := filepath.Join(c.Dir, "kwok.yaml")
	if err := writeKwokConfig(config); err != nil {
		return nil, err
	}
	for i := range kwokNodes {
		if err := c.registerKwokNode(ctx, fmt.Sprintf("kwok-%02d", i)); err != nil {
			return nil, err
		}
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(c.Dir, "kwok.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of kwok: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(filepath.Dir(c.Kubectl), "kwok"), "--kubeconfig="+c.Kubeconfig, "--config="+config,
		"--manage-all-nodes=true", "--node-lease-duration-seconds=600", "--server-address="+port, "-v=WARN")
	cmd.Stdout, cmd.Stderr = log, log
	// kwok terminates with the test, even when the test is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting kwok (built by `cluster build --kwok`): %w", err)
	}
	return &Kwok{cmd: cmd, Log: log.Name()}, nil
}

// Pid returns the process ID.
func (k *Kwok) Pid() int { return k.cmd.Process.Pid }

// Stop terminates kwok. The pods stay as they are.
func (k *Kwok) Stop() {
	_ = k.cmd.Process.Kill()
	_ = k.cmd.Wait()
}

// writeKwokConfig writes the configuration with the termination message of a pod
// with one task.
func writeKwokConfig(file string) error {
	message, err := contract.EncodeTerminationMessage(&contract.TerminationMessage{
		States: []contract.TaskState{contract.TaskCompleted}, ManifestSHA256: AnyDigest,
	})
	if err != nil {
		return fmt.Errorf("encoding a termination message: %w", err)
	}
	text := strings.ReplaceAll(kwokConfig, "'MESSAGE'", "'"+string(message)+"'")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing the configuration of kwok: %w", err)
	}
	return nil
}

// registerKwokNode creates a node that has room for every pod.
func (c *Cluster) registerKwokNode(ctx context.Context, name string) error {
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("10k"), corev1.ResourceMemory: resource.MustParse("10Ti"), corev1.ResourcePods: resource.MustParse("1M"),
	}
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelOSStable: "linux", corev1.LabelHostname: name}},
		Status: corev1.NodeStatus{
			Allocatable: room, Capacity: room,
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
	}
	if err := c.Client.Create(ctx, node); err != nil {
		return fmt.Errorf("registering node %s: %w", name, err)
	}
	return nil
}

// freePort returns a loopback address on which no program listens.
func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
