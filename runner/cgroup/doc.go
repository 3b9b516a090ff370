// Package cgroup reads what the kernel tells of a container's memory: its
// limit, its peak, and how often it killed for want of it. It knows version 1,
// version 2, and both with and without a cgroup namespace.
package cgroup
