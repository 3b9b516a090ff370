// SPDX-License-Identifier: Apache-2.0

// Package cgroup makes and removes the cgroup below which everything of a node
// runs, on machines with cgroup v1, v2 or both.
package cgroup
