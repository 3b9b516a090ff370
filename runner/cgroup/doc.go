// SPDX-License-Identifier: Apache-2.0

// Package cgroup reads the kernel's accounts of a container: the limit and the peak of
// its memory, the count of its OOM kills, and its CPU limit. It supports version 1 and
// version 2, both with and without a cgroup namespace.
package cgroup
