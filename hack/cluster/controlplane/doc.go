// SPDX-License-Identifier: Apache-2.0

// Package controlplane starts etcd, the API server, the controller manager and
// the scheduler on the host, and reports when they are ready.
package controlplane
