// SPDX-License-Identifier: Apache-2.0

// Package process starts the long-running programs of a cluster and ends
// exactly those again.
//
// A program outlives the command that started it. What identifies it is its
// record: the pid together with the time at which the kernel started it and the
// boot it happened in, so a pid that was given to another process is never taken
// for ours. Every program also carries the cluster's folder in its environment,
// which its children inherit; that finds what is in no record (the
// shims of a container runtime, or a record lost to a crash).
package process
