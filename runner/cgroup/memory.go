// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// unlimited is where a limit is the kernel's way to report that there is none:
// version 1 has the largest number of pages.
const unlimited = 1 << 60

// Memory is the memory controller of a container.
type Memory struct {
	dir string
	v2  bool
}

// FindMemory looks below root ("/" but in tests) for the memory cgroup of this
// process. Without one the answers of Memory are all 0.
func FindMemory(root string) *Memory {
	mount := filepath.Join(root, "sys/fs/cgroup")
	v1, v2 := ownPaths(filepath.Join(root, "proc/self/cgroup"), "memory")
	candidates := []Memory{
		{dir: filepath.Join(mount, "memory", v1)},
		// A container without a cgroup namespace sees the host's path there, but
		// its own cgroup at the mount.
		{dir: filepath.Join(mount, "memory")},
		{dir: filepath.Join(mount, v2), v2: true},
		{dir: mount, v2: true},
	}
	for _, m := range candidates {
		if _, err := os.Stat(filepath.Join(m.dir, m.eventsFile())); err == nil {
			return &m
		}
	}
	return &Memory{}
}

// ownPaths returns this process's cgroups from lines such as "4:memory:/x", for a
// controller of version 1, and "0::/y", for version 2.
func ownPaths(file, controller string) (v1, v2 string) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", ""
	}
	for line := range strings.Lines(string(raw)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		for name := range strings.SplitSeq(fields[1], ",") {
			if name == controller {
				v1 = fields[2]
			}
		}
		if fields[0] == "0" {
			v2 = fields[2]
		}
	}
	return v1, v2
}

func (m *Memory) eventsFile() string {
	if m.v2 {
		return "memory.events"
	}
	return "memory.oom_control"
}

// Kills is how many processes the kernel has killed at the limit so far.
func (m *Memory) Kills() int64 {
	if m.dir == "" {
		return 0
	}
	f, err := os.Open(filepath.Join(m.dir, m.eventsFile()))
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "oom_kill "); ok {
			return number(value)
		}
	}
	return 0
}

// Limit is in bytes; 0 where there is none.
func (m *Memory) Limit() int64 {
	limit := m.read("memory.max", "memory.limit_in_bytes")
	if limit >= unlimited {
		return 0
	}
	return limit
}

// Peak is the most that was used, in bytes; 0 if the kernel does not report it.
func (m *Memory) Peak() int64 { return m.read("memory.peak", "memory.max_usage_in_bytes") }

func (m *Memory) read(v2, v1 string) int64 {
	name := v1
	if m.v2 {
		name = v2
	}
	if m.dir == "" {
		return 0
	}
	raw, err := os.ReadFile(filepath.Join(m.dir, name))
	if err != nil {
		return 0
	}
	return number(string(raw))
}

// number is 0 for "max".
func number(s string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
