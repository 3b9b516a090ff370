// SPDX-License-Identifier: Apache-2.0

// Package gateway connects dispatchers to the asset gateway of a cluster (docs/gateway.md):
// through the service proxy of the API server, so that it needs nothing but a kubeconfig, or
// by a URL.
package gateway
