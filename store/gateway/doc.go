// SPDX-License-Identifier: Apache-2.0

// Package gateway is the store behind gateway://<namespace>/<path>: the objects of the
// asset gateway of the cluster (docs/gateway.md). It needs no configuration of the user:
// the operator gives the pod the address, a token and the certificates.
package gateway
