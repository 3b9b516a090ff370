// SPDX-License-Identifier: Apache-2.0

package cgroup_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/runner/cgroup"
)

type numbers struct{ Kills, Limit, Peak int64 }

func TestMemory(t *testing.T) {
	const v1, v2 = "sys/fs/cgroup/memory/", "sys/fs/cgroup/"
	tests := map[string]struct {
		files map[string]string
		want  numbers
	}{
		"none": {map[string]string{}, numbers{}},
		"version 2 in a namespace": {map[string]string{
			"proc/self/cgroup": "0::/\n", v2 + "memory.events": "low 0\nhigh 0\nmax 5\noom 2\noom_kill 2\noom_group_kill 0\n",
			v2 + "memory.max": "536870912\n", v2 + "memory.peak": "536000000\n",
		}, numbers{2, 536870912, 536000000}},
		"version 2 without a limit, before memory.peak": {map[string]string{
			"proc/self/cgroup": "0::/\n", v2 + "memory.events": "oom_kill 0\n", v2 + "memory.max": "max\n",
		}, numbers{}},
		"version 2 with the host's path": {map[string]string{
			"proc/self/cgroup": "0::/kubepods/pod1/c1\n", v2 + "kubepods/pod1/c1/memory.events": "oom_kill 7\n",
			v2 + "kubepods/pod1/c1/memory.max": "1024\n",
		}, numbers{7, 1024, 0}},
		"version 1 with the host's path": {map[string]string{
			"proc/self/cgroup":                           "5:cpu,cpuacct:/x\n4:memory:/kubepods/c1\n0::/\n",
			v1 + "kubepods/c1/memory.oom_control":        "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
			v1 + "kubepods/c1/memory.limit_in_bytes":     "1048576\n",
			v1 + "kubepods/c1/memory.max_usage_in_bytes": "1048576\n",
		}, numbers{1, 1048576, 1048576}},
		"version 1, the container's own at the mount": {map[string]string{
			"proc/self/cgroup": "4:memory:/kubepods/c1\n", v1 + "memory.oom_control": "oom_kill 3\n",
			v1 + "memory.limit_in_bytes": "9223372036854771712\n",
		}, numbers{3, 0, 0}},
		"version 1 of an old kernel": {map[string]string{
			"proc/self/cgroup": "4:memory:/\n", v1 + "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\n",
		}, numbers{}},
		"nonsense": {map[string]string{
			"proc/self/cgroup": "nonsense\n\n", v2 + "memory.events": "oom_kill many\n", v2 + "memory.max": "",
		}, numbers{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
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
			m := cgroup.FindMemory(root)
			if diff := cmp.Diff(test.want, numbers{m.Kills(), m.Limit(), m.Peak()}); diff != "" {
				t.Error(diff)
			}
		})
	}
}
