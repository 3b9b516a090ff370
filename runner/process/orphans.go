// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// orphanPoll is how soon the children are listed again after some were killed.
const orphanPoll = time.Millisecond

// KillOrphans kills every process that a task left behind, in whatever session or
// process group, and returns when none is left. Since the runner is the reaper of all
// processes below it (prctl(2), PR_SET_CHILD_SUBREAPER), a process whose parent has
// terminated is a child of the runner; the processes that it started become children
// of the runner in turn when it is killed. Children that Start started are not killed.
//
// The error names the processes that are still there when ctx is done: a process in
// uninterruptible sleep, such as one that waits for a network file system, does not
// react to SIGKILL.
func (r *Reaper) KillOrphans(ctx context.Context) error {
	for {
		left := r.killOrphans()
		if len(left) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("processes %v that the task left behind do not terminate", left)
		case <-time.After(orphanPoll):
		}
	}
}

// killOrphans kills the orphans of this moment and returns their PIDs. No child is
// collected meanwhile, so that no other process can have one of the PIDs.
func (r *Reaper) killOrphans() []int {
	r.collecting.Lock()
	defer r.collecting.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	var killed []int
	for _, pid := range orphans() {
		if r.children[pid] != nil {
			continue
		}
		killed = append(killed, pid)
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	return killed
}

// orphans returns the PIDs of the processes that fell to this one, zombies included, and
// of some that it started. The kernel makes orphans children of the first thread
// (find_new_reaper in kernel/exit.c), which a Go program keeps.
func orphans() []int {
	self := strconv.Itoa(os.Getpid())
	raw, err := os.ReadFile("/proc/self/task/" + self + "/children")
	if err != nil {
		// A kernel without CONFIG_PROC_CHILDREN.
		return childrenByParent("/proc", os.Getpid())
	}
	var pids []int
	for field := range bytes.FieldsSeq(raw) {
		if pid, err := strconv.Atoi(string(field)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// childrenByParent returns the PIDs of the processes with a parent, from
// /proc/PID/stat (proc_pid_stat(5)).
func childrenByParent(proc string, parent int) []int {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(proc, entry.Name(), "stat"))
		if err != nil {
			continue // it has terminated
		}
		// "PID (NAME) STATE PPID ...": NAME may contain anything, parentheses too.
		fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
		if len(fields) > 1 && string(fields[1]) == strconv.Itoa(parent) {
			pids = append(pids, pid)
		}
	}
	return pids
}
