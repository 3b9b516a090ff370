// SPDX-License-Identifier: Apache-2.0

package cgroup_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/runner/cgroup"
)

func TestCPULimit(t *testing.T) {
	const cpu, both, v2 = "sys/fs/cgroup/cpu/", "sys/fs/cgroup/cpu,cpuacct/", "sys/fs/cgroup/"
	tests := map[string]struct {
		files map[string]string
		want  float64
	}{
		"none":                                   {map[string]string{}, 0},
		"version 2 in a namespace":               {map[string]string{"proc/self/cgroup": "0::/\n", v2 + "cpu.max": "150000 100000\n"}, 1.5},
		"version 2 without a limit":              {map[string]string{"proc/self/cgroup": "0::/\n", v2 + "cpu.max": "max 100000\n"}, 0},
		"version 2 with another period":          {map[string]string{"proc/self/cgroup": "0::/\n", v2 + "cpu.max": "10000 20000\n"}, 0.5},
		"version 2 with the host's path":         {map[string]string{"proc/self/cgroup": "0::/kubepods/c1\n", v2 + "kubepods/c1/cpu.max": "400000 100000\n"}, 4},
		"version 2 in a namespace, other's path": {map[string]string{"proc/self/cgroup": "0::/../c1\n", v2 + "cpu.max": "200000 100000\n"}, 2},
		"version 1 with the host's path": {map[string]string{
			"proc/self/cgroup": "5:cpu,cpuacct:/kubepods/c1\n4:memory:/x\n", cpu + "kubepods/c1/cpu.cfs_quota_us": "250000\n",
			cpu + "kubepods/c1/cpu.cfs_period_us": "100000\n", cpu + "cpu.cfs_quota_us": "-1\n",
		}, 2.5},
		"version 1, the container's own at the mount": {map[string]string{
			"proc/self/cgroup": "5:cpu,cpuacct:/kubepods/c1\n", both + "cpu.cfs_quota_us": "100000\n", both + "cpu.cfs_period_us": "100000\n",
		}, 1},
		"version 1 without a limit": {map[string]string{
			"proc/self/cgroup": "5:cpu:/\n", cpu + "cpu.cfs_quota_us": "-1\n", cpu + "cpu.cfs_period_us": "100000\n",
		}, 0},
		"version 1 without a period": {map[string]string{"proc/self/cgroup": "5:cpu:/\n", cpu + "cpu.cfs_quota_us": "100000\n"}, 0},
		"nonsense":                   {map[string]string{"proc/self/cgroup": "nonsense\n", v2 + "cpu.max": "many few\n"}, 0},
		"empty":                      {map[string]string{"proc/self/cgroup": "0::/\n", v2 + "cpu.max": ""}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			for file, text := range test.files {
				path := filepath.Join(root, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := cgroup.CPULimit(root); got != test.want {
				t.Errorf("CPULimit = %g, want %g", got, test.want)
			}
		})
	}
}
