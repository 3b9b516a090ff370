// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/audit"
)

// Cluster is a cluster of hack/cluster, with nothing installed at first.
type Cluster struct {
	Name       string `json:"name"`
	Dir        string `json:"dir"`
	Kubeconfig string `json:"kubeconfig"`
	Kubectl    string `json:"kubectl"`
	AuditLog   string `json:"auditLog"`
	// HostIP is this machine as the pods of a real node reach it; empty without one.
	HostIP string `json:"hostIP"`
	// EtcdMetrics is where etcd serves its metrics.
	EtcdMetrics string `json:"etcdMetrics"`

	// Root is the top of the repository.
	Root string `json:"-"`
	// Manager is the operator's program; bin/manager if it is empty.
	Manager string `json:"-"`
	// Client does not cache.
	Client client.WithWatch `json:"-"`
	// Config is the config of the cluster's administrator.
	Config *rest.Config `json:"-"`

	// isCurrent is set for a cluster that was not started here.
	isCurrent bool
}

// Start brings up a cluster whose name is unique to this process, with further
// flags of `cluster up`.
func Start(ctx context.Context, purpose string, flags ...string) (*Cluster, error) {
	root, err := repositoryRoot()
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%s-%d", purpose, os.Getpid())
	args := append([]string{"up", "--name", name, "--output", "json"}, flags...)
	out, err := command(ctx, filepath.Join(root, "bin", "cluster"), args...)
	if err != nil {
		return nil, fmt.Errorf("starting a cluster (built by `make %s`): %w", purpose, err)
	}
	c := &Cluster{Root: root}
	if err := json.Unmarshal(out, c); err != nil {
		return nil, fmt.Errorf("reading where the cluster is: %w", err)
	}
	if err := c.connect(); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// Stop ends the cluster and removes all of it. Set KEEP_CLUSTER to look at what
// a failed test left.
func (c *Cluster) Stop() error {
	if c.isCurrent {
		return os.RemoveAll(filepath.Dir(c.Kubeconfig))
	}
	if os.Getenv("KEEP_CLUSTER") != "" {
		fmt.Fprintf(os.Stderr, "kept: export KUBECONFIG=%s; end it with bin/cluster down --name %s\n", c.Kubeconfig, c.Name)
		return nil
	}
	// Not the caller's context: it may be the one whose end brought us here.
	_, err := command(context.Background(), filepath.Join(c.Root, "bin", "cluster"), "down", "--name", c.Name)
	return err
}

func (c *Cluster) connect() error {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	scheme := runtime.NewScheme()
	err = errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme), apiextensionsv1.AddToScheme(scheme))
	if err != nil {
		return fmt.Errorf("registering the API types: %w", err)
	}
	c.Config = config
	c.Client, err = client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	return nil
}

// Request is one line of the API server's audit log.
type Request = audit.Request

// Requests reads the audit log so far, in its order.
func (c *Cluster) Requests() ([]Request, error) { return audit.Read(c.AuditLog) }

// Run runs kubectl against the cluster and returns what it prints on stdout.
func (c *Cluster) Run(ctx context.Context, args ...string) (string, error) {
	out, err := command(ctx, c.Kubectl, append([]string{"--kubeconfig", c.Kubeconfig}, args...)...)
	return string(out), err
}

// Pids are the processes of the control plane, by name.
func (c *Cluster) Pids(ctx context.Context) (map[string]int, error) {
	out, err := command(ctx, filepath.Join(c.Root, "bin", "cluster"), "status", "--name", c.Name, "--output", "json")
	if err != nil {
		return nil, err
	}
	var clusters []struct {
		Components []struct {
			Name string `json:"name"`
			Pid  int    `json:"pid"`
		} `json:"components"`
	}
	if err := json.Unmarshal(out, &clusters); err != nil {
		return nil, fmt.Errorf("reading the cluster's processes: %w", err)
	}
	pids := map[string]int{}
	for _, cluster := range clusters {
		for _, component := range cluster.Components {
			pids[component.Name] = component.Pid
		}
	}
	return pids, nil
}

// Install applies the CRD and the operator's role as users get them, and waits
// until the API server serves TaskGroups.
func (c *Cluster) Install(ctx context.Context) error {
	for _, args := range [][]string{
		{"apply", "-f", filepath.Join(c.Root, "config/manager/namespace.yaml")},
		{"apply", "-k", filepath.Join(c.Root, "config/crd")},
		{"apply", "-k", filepath.Join(c.Root, "config/rbac")},
		{"wait", "--for=condition=Established", "--timeout=60s", "crd/taskgroups." + v1alpha1.GroupName},
	} {
		if _, err := c.Run(ctx, args...); err != nil {
			return fmt.Errorf("installing: %w", err)
		}
	}
	return nil
}

// command returns stdout; an error holds what the program wrote on stderr.
func command(ctx context.Context, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.Bytes(), fmt.Errorf("running %s %s: %w\n%s", filepath.Base(program), args[0], err, stderr.Bytes())
	}
	return stdout.Bytes(), nil
}

func repositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the repository: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "PROJECT")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("finding the repository: no folder above this one has a PROJECT file")
		}
		dir = parent
	}
}
