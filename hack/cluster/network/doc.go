// SPDX-License-Identifier: Apache-2.0

// Package network gives each cluster addresses and ports of its own.
//
// The node lives in a network namespace that a veth pair connects to the host.
// Packet filter rules, pod interfaces and routes of the node are in there, so
// removing the namespace removes them all, and clusters cannot disturb each
// other or the host. On the host there are only the veth's end and one route to
// the pods, so that the API server can call webhooks that run in the cluster.
package network
