// SPDX-License-Identifier: Apache-2.0

package python

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/runner/process"
)

// ErrHarnessDied is a harness that ended while it ran a task: the task killed
// it, or the kernel did.
var ErrHarnessDied = errors.New("the Python process that runs the tasks ended")

// Task is one function that runs.
type Task struct {
	session *Session
	pid     int
	// report is the file of the task's Report.
	report string
	done   chan struct{}
	exit   process.Exit
	err    error
}

// Run has the harness fork a task that writes to the given streams, and returns
// once the task's own process runs. Tasks run one at a time. The end of ctx
// ends a harness that does not report soon that the task runs.
func (s *Session) Run(ctx context.Context, request Request, stdout, stderr *os.File) (*Task, error) {
	reported := make(chan struct{})
	defer close(reported)
	stop := context.AfterFunc(ctx, func() { s.killUnless(reported) })
	defer stop()
	err := s.channel.send(request, stdout, stderr)
	var e *event
	if err == nil {
		e, err = s.channel.receive()
	}
	if err != nil {
		err = s.died(err)
		return nil, fmt.Errorf("%w before it could start this one (%s)%s", err, ending(s.process.Exit()), s.quoted())
	}
	t := &Task{session: s, pid: e.PID, report: request.Report, done: make(chan struct{})}
	if e.Event == "ended" {
		// It was killed before it could report that it started.
		t.exit = e.exit()
		close(t.done)
		return t, nil
	}
	go t.wait()
	return t, nil
}

// startGrace is how long a harness gets to report that a task runs which may run
// already, and then is stopped as any other.
const startGrace = 500 * time.Millisecond

// killUnless ends the harness unless it is heard of.
func (s *Session) killUnless(reported <-chan struct{}) {
	select {
	case <-reported:
	case <-time.After(startGrace):
		s.process.Signal(syscall.SIGKILL)
	}
}

func (t *Task) wait() {
	defer close(t.done)
	e, err := t.session.channel.receive()
	if err != nil {
		t.err = t.session.died(err)
		// No exit of the task will arrive: kill what is left of it.
		_ = syscall.Kill(-t.pid, syscall.SIGKILL)
		return
	}
	t.exit = e.exit()
}

// Done is closed when the task's process has terminated.
func (t *Task) Done() <-chan struct{} { return t.done }

// Terminated reports whether the function has returned and reported its outcome,
// or its process has terminated. Done follows with a delay.
func (t *Task) Terminated() bool {
	select {
	case <-t.done:
		return true
	default:
		_, err := ReadReport(t.report)
		return err == nil
	}
}

// Exit waits for the end of the task's process. The error is ErrHarnessDied
// if the task's own exit is unknown; the Exit is the harness's then.
func (t *Task) Exit() (process.Exit, error) {
	<-t.done
	if errors.Is(t.err, ErrHarnessDied) {
		return t.session.process.Exit(), t.err
	}
	return t.exit, t.err
}

// Signal sends a signal to the task's process group. SIGKILL wakes the harness
// too: a task may have stopped it, and then no exit would be reported.
func (t *Task) Signal(sig syscall.Signal) {
	select {
	case <-t.done:
		return
	default:
		_ = syscall.Kill(-t.pid, sig)
	}
	if sig == syscall.SIGKILL {
		t.session.process.Signal(syscall.SIGCONT)
	}
}

// exitGrace is how long a harness that closed its socket gets to end by itself,
// so that its exit is known.
const exitGrace = 5 * time.Second

// died makes ErrHarnessDied of a broken channel, and sees to it that the
// harness has terminated.
func (s *Session) died(err error) error {
	gone := errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE)
	if gone {
		select {
		case <-s.process.Done():
			return ErrHarnessDied
		case <-time.After(exitGrace):
			err = errors.New("it closed its socket")
		}
	}
	s.process.Signal(syscall.SIGKILL)
	return fmt.Errorf("%w: %w", ErrHarnessDied, err)
}

func (e *event) exit() process.Exit {
	return process.Exit{
		Code:            e.Code,
		Signal:          syscall.Signal(e.Signal),
		PeakMemoryBytes: e.PeakMemoryBytes,
		CPU:             time.Duration(e.CPUSeconds * float64(time.Second)),
	}
}
