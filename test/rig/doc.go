// SPDX-License-Identifier: Apache-2.0

// Package rig runs what tests need of a cluster: a cluster of hack/cluster, the
// operator as a process under exactly its own role, programmable nodes in the
// place of kubelets, a proxy that lets the operator's calls fail, and the API
// server's audit log as the witness.
package rig
