// Package rig runs what tests need of a cluster: a cluster of hack/cluster, the
// operator as a process under exactly its own role, a programmable node in the
// place of a kubelet, and the API server's audit log as the witness.
package rig
