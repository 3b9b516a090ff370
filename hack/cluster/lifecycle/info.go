// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"path/filepath"

	"github.com/taskgroup-operator/taskgroup-operator/hack/cluster/layout"
)

// Info is what one needs to know to use a cluster.
type Info struct {
	Name              string `json:"name"`
	Dir               string `json:"dir"`
	KubernetesVersion string `json:"kubernetesVersion"`
	Kubeconfig        string `json:"kubeconfig"`
	Kubectl           string `json:"kubectl"`
	Server            string `json:"server"`
	Logs              string `json:"logs"`
	// EtcdMetrics serves etcd's metrics without certificates.
	EtcdMetrics string `json:"etcdMetrics"`
	// AuditLog is empty unless it is enabled.
	AuditLog string `json:"auditLog,omitempty"`
	// The rest is empty without a node.
	NodeName  string `json:"nodeName,omitempty"`
	NodeIP    string `json:"nodeIP,omitempty"`
	NodeNetns string `json:"nodeNetns,omitempty"`
	// HostIP is this machine for the pods; what listens there, they reach.
	HostIP           string `json:"hostIP,omitempty"`
	PodCIDR          string `json:"podCIDR,omitempty"`
	Ctr              string `json:"ctr,omitempty"`
	ContainerdSocket string `json:"containerdSocket,omitempty"`
	Cgroup           string `json:"cgroup,omitempty"`
	// Registries takes the hosts.toml of registries that are not reached over HTTPS.
	Registries string `json:"registries,omitempty"`
}

func (s State) info(l layout.Layout) Info {
	config := s.controlPlane(l)
	info := Info{
		Name: l.Name, Dir: l.Dir, KubernetesVersion: s.Version,
		Kubeconfig: l.Kubeconfig(), Kubectl: filepath.Join(s.Bin, "kubectl"),
		Server: config.LocalServer(), Logs: l.Logs(), EtcdMetrics: config.EtcdMetrics() + "/metrics",
	}
	if s.Options.Audit {
		info.AuditLog = l.AuditLog()
	}
	if s.Options.ControlPlaneOnly {
		return info
	}
	info.NodeName, info.NodeNetns = l.Name, l.Netns()
	info.NodeIP, info.HostIP = s.Block.Node().String(), s.Block.Host().String()
	info.PodCIDR = s.Block.Pods().String()
	info.Ctr, info.ContainerdSocket = filepath.Join(s.Bin, "ctr"), l.ContainerdSocket()
	info.Cgroup, info.Registries = l.Cgroup(), l.Registries()
	return info
}
