// SPDX-License-Identifier: Apache-2.0

// Package stream captures what a task writes to a file descriptor: byte for
// byte into a file that becomes an asset, and at the same time into the pod's
// log.
package stream
