package group

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/runner/cgroup"
	"github.com/taskgroup-operator/taskgroup-operator/runner/process"
	"github.com/taskgroup-operator/taskgroup-operator/runner/stage"
)

// Store keeps what tasks leave and fetches what they need.
type Store interface {
	stage.Fetcher
	// Put writes an asset.
	Put(ctx context.Context, uri string, r io.Reader) (contract.Asset, error)
	// Commit creates an object after all assets are durable; it never replaces
	// one that is there.
	Commit(ctx context.Context, uri string, r io.Reader) (contract.Asset, error)
	// Expect makes Fetch verify these.
	Expect(assets ...contract.Asset)
}

// Config is what a group runs with.
type Config struct {
	Plan   *contract.Plan
	Store  Store
	Reaper *process.Reaper
	// Memory is that of the container; it distinguishes OOM kills from others.
	Memory *cgroup.Memory
	// WorkDir is a directory of the runner's own; it is created.
	WorkDir string
	// CommandDir is the working directory of commands. If it is empty, each command
	// runs in the scratch directory of its task, as functions do.
	CommandDir string
	// Env is the environment of tasks, NAME=value.
	Env []string
	// Interpreter is the Python of the image, a name or a path.
	Interpreter string
	// Stdout and Stderr are the pod's log.
	Stdout, Stderr io.Writer
	// Grace is the pod's grace period: from SIGTERM to SIGKILL.
	Grace time.Duration
	// Flush is how often what a running task prints goes to the store;
	// DefaultFlush where it is zero.
	Flush time.Duration
	// StreamLimit is how much of a stream is kept, in bytes; stream.DefaultLimit
	// where it is zero.
	StreamLimit int64
	// Index is the task of a Parallel plan that is this pod's, from 0.
	Index int
}

// Result is how a group ended.
type Result struct {
	Message contract.TerminationMessage
	// Interrupted reports that the pod received SIGTERM before all tasks were
	// completed.
	Interrupted bool
}

// run is the state of one group.
type run struct {
	Config
	stage  *stage.Stage
	python *interpreter
	// outputs are where tasks of this group left their results.
	outputs map[contract.NodeID]output
	inGroup map[contract.NodeID]bool
	records []contract.TaskRecord
	// stopped is why no further task is started; empty while one may be.
	stopped string
	// terminating is closed when the pod receives SIGTERM.
	terminating <-chan struct{}
	earlier     earlier
	// unusable is why what is to be resumed cannot be; nil where it can.
	unusable *outcome
}

// output is the result of a task that completed: a file of this machine, or
// the URI of one that an earlier attempt left. Both are empty where the task
// left none.
type output struct {
	path, uri string
	command   bool
}

// Run runs the group. The cancellation of ctx is SIGTERM to the pod: the running
// task is stopped, and the results so far are uploaded and committed. The error is
// that of a plan or a pod in which no task could run.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	started := time.Now().UTC()
	r, err := newRun(cfg)
	if err != nil {
		return nil, err
	}
	r.terminating = ctx.Done()
	ctx, cancel := r.groupTime(ctx)
	defer cancel()
	r.resume(ctx)
	r.stage = stage.Start(ctx, cfg.Store, filepath.Join(cfg.WorkDir, "inputs"), assets(r.remaining(), r.sources()))
	r.python = newInterpreter(ctx, r)
	defer r.python.close()

	for i := range r.Plan.Tasks {
		r.records = append(r.records, r.runTask(ctx, i))
	}
	return r.finish(context.WithoutCancel(ctx), started), nil
}

func newRun(cfg Config) (*run, error) {
	if err := validate(cfg.Plan); err != nil {
		return nil, err
	}
	inGroup := make(map[contract.NodeID]bool, len(cfg.Plan.Tasks))
	for _, t := range cfg.Plan.Tasks {
		inGroup[t.NodeID] = true
	}
	cfg.Flush = cmp.Or(cfg.Flush, DefaultFlush)
	var err error
	if cfg.Plan, err = share(cfg.Plan, cfg.Index); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.WorkDir, 0o755); err != nil {
		return nil, fmt.Errorf("preparing the work directory: %w", err)
	}
	cfg.Env = taskEnvironment(cfg.Env, filepath.Join(cfg.WorkDir, "home"), cgroup.CPULimit("/"))
	return &run{Config: cfg, outputs: map[contract.NodeID]output{}, inGroup: inGroup}, nil
}

// runTask runs one task and keeps its assets.
func (r *run) runTask(ctx context.Context, index int) contract.TaskRecord {
	task := &r.Plan.Tasks[index]
	if record, ok := r.takeOver(task.NodeID); ok {
		return record
	}
	if r.stopped == "" && ctx.Err() != nil && !isDeadline(context.Cause(ctx)) {
		r.stopped = podTerminating
	}
	if r.stopped != "" {
		return contract.TaskRecord{NodeID: task.NodeID, State: contract.TaskCancelled, Reason: contract.ReasonNotStarted, Message: r.stopped}
	}
	started := time.Now().UTC()
	begun := ctx.Err() == nil
	if begun {
		r.mark(task.NodeID, "started")
	}
	place := placeAt(filepath.Join(r.WorkDir, "tasks", strconv.Itoa(index)))
	ended := r.performInTime(ctx, task, place)
	record := ended.record(task.NodeID)
	if begun && record.Reason != contract.ReasonNotStarted {
		record.StartTime, record.EndTime = &started, new(time.Now().UTC())
	}
	r.keep(context.WithoutCancel(ctx), &record, place, ended.traceback)
	if record.State == contract.TaskCompleted {
		r.outputs[task.NodeID] = output{path: ended.output, command: len(task.Command) > 0}
		r.mark(task.NodeID, fmt.Sprintf("completed in %.3f s", time.Since(started).Seconds()))
		return record
	}
	r.mark(task.NodeID, fmt.Sprintf("%s: %s: %s", record.State, record.Reason, record.Message))
	r.stopped = fmt.Sprintf("task %d before it failed: %s", task.NodeID, record.Reason)
	if record.State == contract.TaskCancelled {
		r.stopped = podTerminating
	}
	return record
}

// performInTime gives a task the time that a task may take.
func (r *run) performInTime(ctx context.Context, task *contract.PlanTask, place place) outcome {
	ctx, cancel := r.taskTime(ctx)
	defer cancel()
	return r.perform(ctx, task, place)
}

// perform runs a task between the start and the end of its streams.
func (r *run) perform(ctx context.Context, task *contract.PlanTask, place place) outcome {
	streams, err := place.open(r.Stdout, r.Stderr, r.StreamLimit)
	if err != nil {
		return failed(contract.ReasonOutputUploadFailed, "preparing the task's place in the work directory: %s", err)
	}
	flusher := r.startFlusher(context.WithoutCancel(ctx), task.NodeID, streams)
	defer flusher.stop()
	var ended outcome
	switch {
	case ctx.Err() != nil:
		ended = unfinished(ctx, "this task had not started")
	case r.unusable != nil:
		ended = *r.unusable
	case len(task.Command) > 0:
		ended = r.runCommand(ctx, task, place, streams)
	default:
		ended = r.runFunction(ctx, task, place, streams)
	}
	if err := streams.finish(); err != nil && ended.state == contract.TaskCompleted {
		return failed(contract.ReasonOutputUploadFailed,
			"%s: raise spec.pod.resources.limits for ephemeral-storage, or write less", err)
	}
	return ended
}

// mark writes a line of the runner's own between those of the tasks.
func (r *run) mark(node contract.NodeID, what string) {
	_, _ = fmt.Fprintf(r.Stderr, "[taskgroup] task %d: %s\n", node, what)
}
