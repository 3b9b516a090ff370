// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Exit is the exit status of a process, and the resources it used.
type Exit struct {
	// Code is the exit code; 0 if a signal terminated the process.
	Code int
	// Signal is 0 if the process terminated by itself.
	Signal syscall.Signal
	// PeakMemoryBytes is the largest resident set of the process or of a child
	// that it waited for.
	PeakMemoryBytes int64
	// CPU is user and system time, children that it waited for included.
	CPU time.Duration
}

// Success reports whether the process terminated by itself with code 0.
func (e Exit) Success() bool { return e.Code == 0 && e.Signal == 0 }

// Status returns the exit status that a shell shows: the code, or 128 plus the signal.
func (e Exit) Status() int32 {
	if e.Signal != 0 {
		return int32(128 + e.Signal)
	}
	return int32(e.Code)
}

// Reaper waits for all children of this process: those that it started, and orphans.
type Reaper struct {
	mu       sync.Mutex
	children map[int]*Process
	// started wakes the waiting loop, which stops while there is no child.
	started chan struct{}
	// collecting is held while a child is collected: until then, its PID is its own.
	collecting sync.Mutex
}

// NewReaper makes this process the one that orphans below it fall to, as PID 1
// is in a pod, and starts to wait. A program has at most one Reaper and starts
// no child in another way.
func NewReaper() (*Reaper, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("becoming the reaper of orphans: %w", err)
	}
	r := &Reaper{children: map[int]*Process{}, started: make(chan struct{}, 1)}
	go r.loop()
	return r, nil
}

func (r *Reaper) loop() {
	for {
		pid, err := nextEnded()
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			// ECHILD: nothing to wait for until something is started.
			<-r.started
		default:
			r.reap(pid)
		}
	}
}

// reap kills the remaining processes of a child's process group, then collects
// the child. No other process can get its pid before that, so the signal goes to
// the right group.
func (r *Reaper) reap(pid int) {
	r.collecting.Lock()
	defer r.collecting.Unlock()
	r.mu.Lock()
	child := r.children[pid]
	delete(r.children, pid)
	r.mu.Unlock()
	if child != nil {
		child.mu.Lock()
		defer child.mu.Unlock()
		_ = unix.Kill(-pid, unix.SIGKILL)
	}
	var status unix.WaitStatus
	var usage unix.Rusage
	for {
		_, err := unix.Wait4(pid, &status, 0, &usage)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if child != nil {
		child.end(exitOf(status, &usage))
	}
}

func exitOf(status unix.WaitStatus, usage *unix.Rusage) Exit {
	exit := Exit{
		// ru_maxrss is in KiB on Linux.
		PeakMemoryBytes: usage.Maxrss * 1024,
		CPU:             time.Duration(usage.Utime.Nano() + usage.Stime.Nano()),
	}
	if status.Signaled() {
		exit.Signal = status.Signal()
	} else {
		exit.Code = status.ExitStatus()
	}
	return exit
}

// childInfo is the part of the kernel's siginfo_t that waitid(2) fills, on
// 64-bit Linux; unix.Siginfo leaves the pid unnamed.
type childInfo struct {
	signo, errno, code, _ int32
	pid                   int32
	_                     [108]byte
}

// nextEnded waits until some child has finished and returns its pid without
// collecting it.
func nextEnded() (int, error) {
	var info childInfo
	raw := (*unix.Siginfo)(unsafe.Pointer(&info)) //nolint:gosec // childInfo has the size and layout of the kernel's siginfo_t
	err := unix.Waitid(unix.P_ALL, 0, raw, unix.WEXITED|unix.WNOWAIT, nil)
	return int(info.pid), err
}

// isZombie reports whether a child has terminated, without waiting for it and
// without collecting it.
func isZombie(pid int) bool {
	var info childInfo
	raw := (*unix.Siginfo)(unsafe.Pointer(&info)) //nolint:gosec // childInfo has the size and layout of the kernel's siginfo_t
	err := unix.Waitid(unix.P_PID, pid, raw, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
	return err == nil && int(info.pid) == pid
}
