// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"path/filepath"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/process"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/progress"
)

// systemPath is where the distribution has runc, nft and mount.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Start starts the kubelet, kube-proxy and CoreDNS, and returns when isReady reports that
// pods can run on the node, and the names of Services resolve. The API server has the
// node's objects by then.
func Start(ctx context.Context, c Config, isReady func(context.Context) error, report *progress.Reporter) error {
	if _, err := c.start("kube-proxy", "--config="+filepath.Join(c.Layout.Config(), "kube-proxy.yaml")); err != nil {
		return err
	}
	return report.Step("starting the node", func() error {
		dns, err := c.start("coredns", "-conf="+filepath.Join(c.Layout.Config(), "Corefile"))
		if err != nil {
			return err
		}
		kubelet, err := c.start("kubelet", c.kubeletFlags()...)
		if err != nil {
			return err
		}
		if err := process.Await(ctx, kubelet, readyTimeout, isReady); err != nil {
			return err
		}
		return process.Await(ctx, dns, readyTimeout, c.dnsIsReady)
	})
}

// kubeletFlags are the settings that the kubelet's configuration file does not have.
func (c Config) kubeletFlags() []string {
	return []string{
		"--config=" + filepath.Join(c.Layout.Config(), "kubelet.yaml"),
		"--kubeconfig=" + c.Layout.ComponentKubeconfig("kubelet"),
		"--hostname-override=" + c.Layout.Name,
		"--node-ip=" + c.Block.Node().String(),
		"--root-dir=" + c.Layout.Kubelet(),
	}
}

// start starts a program inside the node's network namespace.
func (c Config) start(name string, flags ...string) (*process.Running, error) {
	return process.Start(process.Spec{
		Name: name, Path: filepath.Join(c.Bin, name), Args: flags,
		Netns: c.Layout.NetnsFile(),
		// The folder of the programs comes first: it has containerd's shim.
		Env:    []string{c.Layout.Marker(), "PATH=" + c.Bin + ":" + systemPath, "HOME=" + c.Layout.Dir},
		LogDir: c.Layout.Logs(), PIDDir: c.Layout.PIDs(),
	})
}
