// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"regexp"
)

// EnvironmentVariable marks every process of a cluster with the cluster's folder.
const EnvironmentVariable = "TASKGROUP_CLUSTER_DIR"

// RunRoot holds the run folders of all clusters of the machine.
const RunRoot = "/run/taskgroup-cluster"

// validName keeps names usable as node names and short enough for certificates.
var validName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$`)

// Layout is the places of one cluster.
type Layout struct {
	// Name is the cluster's name, and its node's.
	Name string
	// Dir has the state: certificates, etcd, images, logs.
	Dir string
	// Short is a digest of Dir: the part of names that must be short and unique.
	Short string
}

// New returns the layout of the cluster that lives in dir, an absolute path.
func New(name, dir string) (Layout, error) {
	if !validName.MatchString(name) {
		return Layout{}, fmt.Errorf("naming a cluster %q: use at most 40 lower-case letters, digits and dashes", name)
	}
	if !filepath.IsAbs(dir) {
		return Layout{}, fmt.Errorf("placing a cluster in %q: the folder must be absolute", dir)
	}
	dir = resolved(dir)
	digest := sha256.Sum256([]byte(dir))
	return Layout{Name: name, Dir: dir, Short: hex.EncodeToString(digest[:4])}, nil
}

// resolved follows symbolic links as far as the path exists: the kernel's list
// of mounts, by which a cluster is cleaned up, has real paths only.
func resolved(dir string) string {
	dir = filepath.Clean(dir)
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		return real
	}
	parent := filepath.Dir(dir)
	if parent == dir {
		return dir
	}
	return filepath.Join(resolved(parent), filepath.Base(dir))
}

// Marker is the environment variable that all processes of the cluster carry.
func (l Layout) Marker() string { return EnvironmentVariable + "=" + l.Dir }

// RunDir has sockets and what containerd keeps for a boot. It is outside of Dir
// because the path of a Unix socket must be shorter than 108 bytes.
func (l Layout) RunDir() string { return filepath.Join(RunRoot, l.Short) }

// Netns is the name of the node's network namespace.
func (l Layout) Netns() string { return "tgc-" + l.Short }

// NetnsFile is the file through which the network namespace is entered.
func (l Layout) NetnsFile() string { return filepath.Join("/run/netns", l.Netns()) }

// HostLink is the host's end of the veth pair; the kernel allows 15 bytes.
func (l Layout) HostLink() string { return "tgc" + l.Short }

// Cgroup is the root of all cgroups of the node. A kubelet removes pod cgroups
// that it does not know, so two of them must not share one.
func (l Layout) Cgroup() string { return "/tgc-" + l.Short }

// StateFile describes the cluster.
func (l Layout) StateFile() string { return filepath.Join(l.Dir, "cluster.json") }

// Logs has one file for each component.
func (l Layout) Logs() string { return filepath.Join(l.Dir, "logs") }

// PIDs has one record for each component.
func (l Layout) PIDs() string { return filepath.Join(l.Dir, "pids") }

// PKI has the certificates and keys.
func (l Layout) PKI() string { return filepath.Join(l.Dir, "pki") }

// Config has the components' configuration files and kubeconfigs.
func (l Layout) Config() string { return filepath.Join(l.Dir, "config") }

// ComponentKubeconfig is the kubeconfig of a component.
func (l Layout) ComponentKubeconfig(component string) string {
	return filepath.Join(l.Config(), component+".kubeconfig")
}

// Kubeconfig is for people: it has all rights.
func (l Layout) Kubeconfig() string { return filepath.Join(l.Dir, "kubeconfig") }

// AuditLog is where the API server writes its audit log, when enabled.
func (l Layout) AuditLog() string { return filepath.Join(l.Dir, "audit.log") }

// Etcd is etcd's data folder.
func (l Layout) Etcd() string { return filepath.Join(l.Dir, "etcd") }

// Registries has a folder <host>:<port> with a hosts.toml for each registry that is not
// reached over HTTPS; containerd reads it for each pull.
func (l Layout) Registries() string { return filepath.Join(l.Config(), "registries") }

// Containerd is containerd's root: images and snapshots.
func (l Layout) Containerd() string { return filepath.Join(l.Dir, "containerd") }

// ContainerdSocket is where containerd listens.
func (l Layout) ContainerdSocket() string { return filepath.Join(l.RunDir(), "containerd.sock") }

// KubeletData keeps the kubelet's files: pods and their volumes.
func (l Layout) KubeletData() string { return filepath.Join(l.Dir, "kubelet") }

// Kubelet is where KubeletData is mounted for the kubelet, which makes sockets
// in there.
func (l Layout) Kubelet() string { return filepath.Join(l.RunDir(), "kubelet") }

// PodLogs has the logs of containers.
func (l Layout) PodLogs() string { return filepath.Join(l.Dir, "pod-logs") }

// Volumes has a folder for each volume of the default StorageClass.
func (l Layout) Volumes() string { return filepath.Join(l.Dir, "volumes") }

// CNINetwork is the name of the pod network; its results carry it.
func (l Layout) CNINetwork() string { return "tgc-" + l.Short }
