// SPDX-License-Identifier: Apache-2.0

package group

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/runner/stage"
)

// fakeTask is a process that terminates some time after a signal.
type fakeTask struct {
	done chan struct{}
	// endsAfter is how long after SIGTERM it terminates; 0 is never.
	endsAfter time.Duration
	// terminated is set for a process that has terminated and was not collected.
	terminated bool
	signals    []signal
}

func (f *fakeTask) Done() <-chan struct{} { return f.done }

func (f *fakeTask) Terminated() bool { return f.terminated }

func (f *fakeTask) Signal(sig signal) {
	f.signals = append(f.signals, sig)
	switch {
	case sig == sigKill:
		close(f.done)
	case f.endsAfter > 0:
		time.AfterFunc(f.endsAfter, func() { close(f.done) })
	}
}

func TestAwait(t *testing.T) {
	const grace = 30 * time.Second // of which the task gets 20
	tests := map[string]struct {
		deadline, terminated time.Duration // 0 is never
		endsAfter            time.Duration
		wantTook             time.Duration
		wantSignals          []signal
		wantDeadline         bool
	}{
		"a deadline, obeyed":                      {deadline: time.Second, endsAfter: time.Second, wantTook: 2 * time.Second, wantSignals: []signal{sigTerm}, wantDeadline: true},
		"a deadline, ignored":                     {deadline: time.Second, wantTook: 6 * time.Second, wantSignals: []signal{sigTerm, sigKill}, wantDeadline: true},
		"a deadline, obeyed too late":             {deadline: time.Second, endsAfter: time.Minute, wantTook: 6 * time.Second, wantSignals: []signal{sigTerm, sigKill}, wantDeadline: true},
		"SIGTERM, ignored":                        {terminated: time.Second, wantTook: 21 * time.Second, wantSignals: []signal{sigTerm, sigKill}},
		"SIGTERM, obeyed":                         {terminated: time.Second, endsAfter: 10 * time.Second, wantTook: 11 * time.Second, wantSignals: []signal{sigTerm}},
		"a deadline after SIGTERM":                {terminated: time.Second, deadline: 2 * time.Second, wantTook: 21 * time.Second, wantSignals: []signal{sigTerm, sigKill}},
		"a long grace does not extend a deadline": {deadline: time.Second, terminated: 2 * time.Second, wantTook: 6 * time.Second, wantSignals: []signal{sigTerm, sigKill}, wantDeadline: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pod, tell := context.WithCancel(t.Context())
				defer tell()
				r := &run{Config: Config{Grace: grace, Plan: &contract.Plan{TaskSeconds: int64(test.deadline / time.Second)}}, terminating: pod.Done()}
				if test.terminated > 0 {
					time.AfterFunc(test.terminated, tell)
				}
				ctx, cancel := r.taskTime(pod)
				defer cancel()
				started, task := time.Now(), &fakeTask{done: make(chan struct{}), endsAfter: test.endsAfter}
				cause := r.await(ctx, task)
				if took := time.Since(started); took != test.wantTook || isDeadline(cause) != test.wantDeadline || cause == nil {
					t.Errorf("took %s with cause %v", took, cause)
				}
				if diff := cmp.Diff(test.wantSignals, task.signals); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestAwaitAShortGraceAfterADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod, tell := context.WithCancel(t.Context())
		r := &run{Config: Config{Grace: 1500 * time.Millisecond, Plan: &contract.Plan{RunningSeconds: 1}}, terminating: pod.Done()}
		time.AfterFunc(2*time.Second, tell)
		ctx, cancel := r.groupTime(pod)
		defer cancel()
		started, task := time.Now(), &fakeTask{done: make(chan struct{})}
		cause := r.await(ctx, task)
		// The deadline after 1 s, the pod's SIGTERM after 2, two thirds of its grace period.
		if took := time.Since(started); took != 3*time.Second || !isDeadline(cause) {
			t.Errorf("took %s with cause %v", took, cause)
		}
	})
}

func TestAwaitATaskThatEndsByItself(t *testing.T) {
	task := &fakeTask{done: make(chan struct{})}
	close(task.done)
	r := &run{}
	if cause := r.await(t.Context(), task); cause != nil || len(task.signals) != 0 {
		t.Errorf("cause %v, signals %v", cause, task.signals)
	}
}

// TestAwaitBothSidesOfTheRequest stops a task that terminated just before the
// request was handled, and one that still ran: only the second one was stopped.
func TestAwaitBothSidesOfTheRequest(t *testing.T) {
	sigterm := errors.New("SIGTERM")
	tests := map[string]struct {
		request     error
		terminated  bool
		want        error
		wantTook    time.Duration
		wantSignals []signal
	}{
		"SIGTERM, while it runs":          {request: sigterm, want: sigterm, wantTook: 20 * time.Second, wantSignals: []signal{sigTerm, sigKill}},
		"SIGTERM, after it terminated":    {request: sigterm, terminated: true, wantTook: time.Second},
		"a deadline, while it runs":       {request: late, want: late, wantTook: stopGrace, wantSignals: []signal{sigTerm, sigKill}},
		"a deadline, after it terminated": {request: late, terminated: true, wantTook: time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, request := context.WithCancelCause(t.Context())
				request(test.request)
				task := &fakeTask{done: make(chan struct{}), terminated: test.terminated}
				if test.terminated {
					time.AfterFunc(time.Second, func() { close(task.done) })
				}
				r := &run{Config: Config{Grace: 30 * time.Second}}
				started := time.Now()
				if cause := r.await(ctx, task); !errors.Is(cause, test.want) || time.Since(started) != test.wantTook {
					t.Errorf("stopped for %v after %s, want %v after %s", cause, time.Since(started), test.want, test.wantTook)
				}
				if diff := cmp.Diff(test.wantSignals, task.signals); diff != "" {
					t.Errorf("signals (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestAwaitAReportWhoseProcessHangs kills a process that reported its outcome and
// does not terminate. The report stands.
func TestAwaitAReportWhoseProcessHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		task := &fakeTask{done: make(chan struct{}), terminated: true}
		r := &run{Config: Config{Grace: 30 * time.Second}}
		started := time.Now()
		if cause := r.await(ctx, task); cause != nil || time.Since(started) != 20*time.Second {
			t.Errorf("stopped for %v after %s", cause, time.Since(started))
		}
		if diff := cmp.Diff([]signal{sigKill}, task.signals); diff != "" {
			t.Errorf("signals (-want +got):\n%s", diff)
		}
	})
}

// hangs is a store that never answers.
type hangs struct{ Store }

func (hangs) Fetch(context.Context, string, string) (string, error) { select {} }

// late is the cause of a context whose deadline has passed.
var late = &deadlineError{"too late"}

// afterDeadline returns a context whose deadline has passed.
func afterDeadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(late)
	return ctx
}

func TestDeadlineWhileInputsAreFetched(t *testing.T) {
	r := &run{stage: stage.Start(t.Context(), hangs{}, t.TempDir(), [][]string{{"s3://b/f"}})}
	in, bad := r.resolve(afterDeadline(t), &contract.PlanTask{Function: "s3://b/f"})
	want := failed(contract.ReasonDeadlineExceeded, "too late: its inputs were still being fetched")
	if in != nil || bad == nil || *bad != want {
		t.Errorf("outcome %+v", bad)
	}
}

func TestTimeIsOverBetweenTasks(t *testing.T) {
	plan := &contract.Plan{Tasks: []contract.PlanTask{{NodeID: 1, Command: []string{"true"}}, {NodeID: 2, Command: []string{"true"}}}}
	r := &run{Config: Config{Plan: plan, WorkDir: t.TempDir(), Stdout: io.Discard, Stderr: io.Discard}}
	ctx := afterDeadline(t)
	got := []contract.TaskRecord{r.runTask(ctx, 0), r.runTask(ctx, 1)}
	want := []contract.TaskRecord{
		{NodeID: 1, State: contract.TaskFailed, Reason: contract.ReasonDeadlineExceeded, Message: "too late: this task had not started"},
		{NodeID: 2, State: contract.TaskCancelled, Reason: contract.ReasonNotStarted, Message: "task 1 before it failed: DeadlineExceeded"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestUnfinishedAtThePodsEnd(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("a signal"))
	if got := unfinished(ctx, "Python was still starting"); got.state != contract.TaskCancelled || got.message != podTerminating {
		t.Errorf("outcome %+v", got)
	}
}

func TestVeryLongTimesDoNotOverflow(t *testing.T) {
	ctx, cancel := withDeadline(t.Context(), 1<<62, "%d s")
	defer cancel()
	if end, ok := ctx.Deadline(); !ok || time.Until(end) < 200*365*24*time.Hour {
		t.Errorf("deadline %s", end)
	}
}
