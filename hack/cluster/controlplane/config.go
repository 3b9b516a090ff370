// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"fmt"
	"net/netip"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/layout"
	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/network"
)

// Ports are the host's ports of a control plane.
type Ports struct {
	EtcdClient  int `json:"etcdClient"`
	EtcdPeer    int `json:"etcdPeer"`
	EtcdMetrics int `json:"etcdMetrics"`
	APIServer   int `json:"apiServer"`
	Manager     int `json:"controllerManager"`
	Scheduler   int `json:"scheduler"`
}

// FreePorts chooses ports without a listener.
func FreePorts() (Ports, error) {
	free, err := network.FreePorts(6)
	if err != nil {
		return Ports{}, err
	}
	return Ports{
		EtcdClient: free[0], EtcdPeer: free[1], EtcdMetrics: free[2],
		APIServer: free[3], Manager: free[4], Scheduler: free[5],
	}, nil
}

// Config is what the command lines of a control plane follow from.
type Config struct {
	Layout layout.Layout
	// Bin is the folder of the programs.
	Bin   string
	Ports Ports
	// Host is the address at which the node calls the API server; the zero
	// value means that there is no node.
	Host netip.Addr
	// Audit turns the audit log on.
	Audit bool
	// NoScheduler leaves the scheduler out.
	NoScheduler bool
	// ExtraAPIServerArgs, ExtraManagerArgs and ExtraSchedulerArgs are "key=value".
	ExtraAPIServerArgs []string
	ExtraManagerArgs   []string
	ExtraSchedulerArgs []string
}

// LocalServer is the API server's address for clients on this machine.
func (c Config) LocalServer() string { return fmt.Sprintf("https://127.0.0.1:%d", c.Ports.APIServer) }

// NodeServer is the API server's address for the node.
func (c Config) NodeServer() string { return fmt.Sprintf("https://%s:%d", c.Host, c.Ports.APIServer) }

// EtcdMetrics is where etcd serves its metrics and its health, without certificates.
func (c Config) EtcdMetrics() string { return fmt.Sprintf("http://127.0.0.1:%d", c.Ports.EtcdMetrics) }

func (c Config) hasNode() bool { return c.Host.IsValid() }

// extra turns "key=value" into flags. They come last: the last one of a flag wins.
func extra(args []string) []string {
	flags := make([]string, 0, len(args))
	for _, arg := range args {
		flags = append(flags, "--"+arg)
	}
	return flags
}
