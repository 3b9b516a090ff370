// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"os"
	"path/filepath"
	"strings"
)

// CPULimit returns the CPU limit of this process's container in CPUs, such as 0.5, or
// 0 if there is none. It looks below root, which is "/" except in tests.
//
// Version 2 has quota and period in cpu.max (Documentation/admin-guide/cgroup-v2.rst of
// Linux), version 1 in two files (Documentation/scheduler/sched-bwc.rst).
func CPULimit(root string) float64 {
	mount := filepath.Join(root, "sys/fs/cgroup")
	v1, v2 := ownPaths(filepath.Join(root, "proc/self/cgroup"), "cpu")
	// A container without a cgroup namespace sees the host's path in that file, and its
	// own cgroup at the mount.
	for _, dir := range []string{
		filepath.Join(mount, "cpu", v1), filepath.Join(mount, "cpu"),
		filepath.Join(mount, "cpu,cpuacct", v1), filepath.Join(mount, "cpu,cpuacct"),
	} {
		if quota, ok := readNumber(filepath.Join(dir, "cpu.cfs_quota_us")); ok {
			period, _ := readNumber(filepath.Join(dir, "cpu.cfs_period_us"))
			return cpus(quota, period)
		}
	}
	for _, dir := range []string{filepath.Join(mount, v2), mount} {
		if raw, err := os.ReadFile(filepath.Join(dir, "cpu.max")); err == nil {
			quota, period, _ := strings.Cut(strings.TrimSpace(string(raw)), " ")
			return cpus(number(quota), number(period))
		}
	}
	return 0
}

// cpus is 0 for the quota "max" of version 2 and the quota -1 of version 1.
func cpus(quota, period int64) float64 {
	if quota <= 0 || period <= 0 {
		return 0
	}
	return float64(quota) / float64(period)
}

func readNumber(file string) (int64, bool) {
	raw, err := os.ReadFile(file)
	return number(string(raw)), err == nil
}
