// Package controlplane starts etcd, the API server, the controller manager and
// the scheduler on the host, and tells when they are ready.
package controlplane
