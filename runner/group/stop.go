package group

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// stopGrace is how much time a task whose deadline has passed gets to end by
// itself.
const stopGrace = 5 * time.Second

// deadlineError is the cause of the end of a context whose time is over; its
// text begins the task's message.
type deadlineError struct{ text string }

func (e *deadlineError) Error() string { return e.text }

// isDeadline says whether it was a deadline that ended a context, and not the
// pod being told to end.
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

// taskTime bounds one task, from its start until its process has ended: what it
// waits for its inputs and for Python is part of it.
func (r *run) taskTime(ctx context.Context) (context.Context, context.CancelFunc) {
	return withDeadline(ctx, r.Plan.TaskSeconds, "took longer than spec.timeouts.taskSeconds of %d s")
}

// running is a process that runs a task.
type running interface {
	Done() <-chan struct{}
	Signal(sig signal)
}

// await waits until a task has ended, and stops it at the end of ctx. It
// returns the cause of that, or nil where the task ended by itself.
func (r *run) await(ctx context.Context, task running) error {
	select {
	case <-task.Done():
		return nil
	case <-ctx.Done():
	}
	cause := context.Cause(ctx)
	patience := killAfter(r.Grace)
	if isDeadline(cause) {
		patience = stopGrace
	}
	stopped := time.Now()
	task.Signal(sigTerm)
	kill := time.NewTimer(patience)
	defer kill.Stop()
	for told := r.told; ; {
		select {
		case <-task.Done():
			return cause
		case <-told:
			// The pod's end may come before the task's patience is over.
			told = nil
			kill.Reset(min(patience-time.Since(stopped), killAfter(r.Grace)))
		case <-kill.C:
			task.Signal(sigKill)
			<-task.Done()
			return cause
		}
	}
}

// killAfter is how much of the grace period a task gets to end by itself: two
// thirds, but the upload needs 5 s, and a short grace period is split evenly.
func killAfter(grace time.Duration) time.Duration {
	return max(grace/2, min(grace*2/3, grace-5*time.Second))
}
