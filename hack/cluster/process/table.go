// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Table reads the kernel's process table.
type Table struct {
	// Root is where proc is mounted.
	Root string
}

// Host is the process table of this machine.
var Host = Table{Root: "/proc"}

// ErrGone reports that no such process is running.
var ErrGone = errors.New("process is gone")

// Identity distinguishes a process from any other, before or after it, that has its pid.
type Identity struct {
	PID int `json:"pid"`
	// StartTicks is when the kernel started it, in clock ticks since the boot.
	StartTicks uint64 `json:"startTicks"`
	// Boot is the kernel's id of the boot that StartTicks counts from.
	Boot string `json:"boot"`
}

// Identify returns the identity of a running process. A zombie counts as gone.
func (t Table) Identify(pid int) (Identity, error) {
	stat, err := os.ReadFile(filepath.Join(t.Root, strconv.Itoa(pid), "stat"))
	if err != nil {
		return Identity{}, fmt.Errorf("identifying process %d: %w", pid, ErrGone)
	}
	state, ticks, err := parseStat(string(stat))
	if err != nil {
		return Identity{}, fmt.Errorf("identifying process %d: %w", pid, err)
	}
	if state == "Z" || state == "X" {
		return Identity{}, fmt.Errorf("identifying process %d: %w", pid, ErrGone)
	}
	boot, err := os.ReadFile(filepath.Join(t.Root, "sys/kernel/random/boot_id"))
	if err != nil {
		return Identity{}, fmt.Errorf("reading the id of this boot: %w", err)
	}
	return Identity{PID: pid, StartTicks: ticks, Boot: strings.TrimSpace(string(boot))}, nil
}

// IsRunning reports whether this very process is still running.
func (t Table) IsRunning(id Identity) bool {
	now, err := t.Identify(id.PID)
	return err == nil && now == id
}

// parseStat reads the state and the start time out of a stat line. The second
// field is the program's name in parentheses and may itself contain any character.
func parseStat(line string) (state string, startTicks uint64, err error) {
	end := strings.LastIndexByte(line, ')')
	if end < 0 {
		return "", 0, fmt.Errorf("parsing the stat line %q: no program name", line)
	}
	fields := strings.Fields(line[end+1:])
	const state3rd, start22nd = 0, 19
	if len(fields) <= start22nd {
		return "", 0, fmt.Errorf("parsing the stat line %q: too few fields", line)
	}
	startTicks, err = strconv.ParseUint(fields[start22nd], 10, 64)
	if err != nil {
		return "", 0, fmt.Errorf("parsing the start time of a process: %w", err)
	}
	return fields[state3rd], startTicks, nil
}

// WithEnvironment lists the processes that were started with exactly this
// variable in their environment.
func (t Table) WithEnvironment(variable string) ([]Identity, error) {
	entries, err := os.ReadDir(t.Root)
	if err != nil {
		return nil, fmt.Errorf("reading the process table: %w", err)
	}
	var found []Identity
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		// Other people's processes cannot be read, and are not ours.
		environment, err := os.ReadFile(filepath.Join(t.Root, entry.Name(), "environ"))
		if err != nil {
			continue
		}
		matches := func(one []byte) bool { return string(one) == variable }
		if !slices.ContainsFunc(bytes.Split(environment, []byte{0}), matches) {
			continue
		}
		if id, err := t.Identify(pid); err == nil {
			found = append(found, id)
		}
	}
	return found, nil
}
