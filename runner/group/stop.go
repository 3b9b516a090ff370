// SPDX-License-Identifier: Apache-2.0

package group

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// stopGrace is how long a task whose deadline has passed may take to terminate
	// after SIGTERM.
	stopGrace = 5 * time.Second
	// uploadReserve is the part of the pod's grace period that uploads and the commit
	// get after the running task was killed.
	uploadReserve = 10 * time.Second
)

// deadlineError is the cause of the end of a context whose time is over; its
// text begins the task's message.
type deadlineError struct{ text string }

func (e *deadlineError) Error() string { return e.text }

// isDeadline reports whether a deadline cancelled a context, and not the SIGTERM
// of the pod.
func isDeadline(cause error) bool {
	_, ok := errors.AsType[*deadlineError](cause)
	return ok
}

// withDeadline bounds a context by a number of seconds, 0 being no bound. Text
// has one verb for that number.
func withDeadline(ctx context.Context, seconds int64, text string) (context.Context, context.CancelFunc) {
	if seconds == 0 {
		return context.WithCancel(ctx)
	}
	// The most seconds that a Duration holds is a little over 1<<33.
	limit := time.Duration(min(seconds, 1<<33)) * time.Second
	return context.WithTimeoutCause(ctx, limit, &deadlineError{fmt.Sprintf(text, seconds)})
}

// groupTime bounds the whole group.
func (r *run) groupTime(ctx context.Context) (context.Context, context.CancelFunc) {
	return withDeadline(ctx, r.Plan.RunningSeconds, "the group ran longer than spec.timeouts.runningSeconds of %d s")
}

// taskTime bounds one task, from its start until its process has terminated: what it
// waits for its inputs and for Python is part of it.
func (r *run) taskTime(ctx context.Context) (context.Context, context.CancelFunc) {
	return withDeadline(ctx, r.Plan.TaskSeconds, "took longer than spec.timeouts.taskSeconds of %d s")
}

// running is a process that runs a task.
type running interface {
	Done() <-chan struct{}
	// Terminated reports whether the task terminated, or a function reported its
	// outcome, though Done may not be closed yet.
	Terminated() bool
	Signal(sig signal)
}

// await waits until a task has terminated, and stops it when ctx is cancelled. It
// returns why the task was stopped, or nil if it terminated by itself.
//
// A task that was stopped is never completed, whatever its exit code is: a program
// that saves its work on SIGTERM exits with 0. A task that terminated before the
// runner handled the request keeps its own outcome, so that no result is lost.
func (r *run) await(ctx context.Context, task running) error {
	select {
	case <-task.Done():
		return nil
	case <-ctx.Done():
	}
	cause := context.Cause(ctx)
	limit := killAfter(r.Grace)
	if isDeadline(cause) {
		limit = stopGrace
	}
	if task.Terminated() {
		cause = nil
	} else {
		task.Signal(sigTerm)
	}
	r.killAtLimit(task, limit)
	return cause
}

// killAtLimit waits until a task has terminated, and kills it after limit. SIGTERM
// to the pod, which may arrive in that time, shortens the limit.
func (r *run) killAtLimit(task running, limit time.Duration) {
	stopped := time.Now()
	kill := time.NewTimer(limit)
	defer kill.Stop()
	for terminating := r.terminating; ; {
		select {
		case <-task.Done():
			return
		case <-terminating:
			terminating = nil
			kill.Reset(min(limit-time.Since(stopped), killAfter(r.Grace)))
		case <-kill.C:
			task.Signal(sigKill)
			<-task.Done()
			return
		}
	}
}

// killAfter returns how long a task may take to terminate after SIGTERM to the pod:
// the grace period without uploadReserve, or without a third if that is shorter.
func killAfter(grace time.Duration) time.Duration {
	return grace - min(uploadReserve, grace/3)
}
