// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// The variables of an existing cluster.
const (
	// ClusterVariable selects the cluster that kubectl points at with the value current.
	ClusterVariable = "CLUSTER"
	// AssetsVariable is a folder of this machine that the node has at the same path, such
	// as an extraMounts of kind.
	AssetsVariable = "TASKGROUP_E2E_ASSETS"
	// HostVariable is an address of this machine that pods reach. Without it, the tests
	// that serve something to pods are skipped.
	HostVariable = "TASKGROUP_E2E_HOST"
)

// UsesCurrent reports whether an existing cluster is to be used.
func UsesCurrent() (bool, error) {
	switch value := os.Getenv(ClusterVariable); value {
	case "":
		return false, nil
	case "current":
		return true, nil
	default:
		return false, fmt.Errorf("%s=%s: the only value is current, the cluster that kubectl points at", ClusterVariable, value)
	}
}

// Current returns the cluster that kubectl points at. It copies its kubeconfig: another
// context may become the current one while the tests run. Stop removes only the copy.
func Current(ctx context.Context) (*Cluster, error) {
	root, err := repositoryRoot()
	if err != nil {
		return nil, err
	}
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		return nil, fmt.Errorf("an existing cluster needs kubectl on the PATH: %w", err)
	}
	assets := os.Getenv(AssetsVariable)
	if assets == "" {
		return nil, fmt.Errorf("an existing cluster needs %s, a folder of this machine that its node has at the same path (for kind: extraMounts)", AssetsVariable)
	}
	raw, err := clientcmd.NewDefaultClientConfigLoadingRules().Load()
	if err == nil {
		err = errors.Join(clientcmdapi.MinifyConfig(raw), clientcmdapi.FlattenConfig(raw))
	}
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	dir, err := os.MkdirTemp("", "taskgroup-current-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for the kubeconfig: %w", err)
	}
	c := &Cluster{
		Name: raw.CurrentContext, Dir: filepath.Dir(assets), Root: root, Kubectl: kubectl,
		Kubeconfig: filepath.Join(dir, "kubeconfig"), HostIP: os.Getenv(HostVariable), isCurrent: true,
	}
	err = clientcmd.WriteToFile(*raw, c.Kubeconfig)
	if err == nil {
		err = c.connect()
	}
	if err == nil {
		_, err = c.Run(ctx, "version")
	}
	if err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}
