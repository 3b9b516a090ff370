// SPDX-License-Identifier: Apache-2.0

// Package node starts containerd, the kubelet, kube-proxy and CoreDNS in the network
// namespace of a cluster, and loads images into its containerd.
//
// Only the network is separate. The node shares the mount namespace with the
// host, so that volumes which the kubelet mounts reach the containers, and the
// process namespace; what it keeps on disk is below the cluster's folder.
package node
