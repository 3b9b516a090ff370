package group

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/executor/contract"
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
}

// Config is what a group runs with.
type Config struct {
	Plan   *contract.Plan
	Store  Store
	Reaper *process.Reaper
	// Memory is the container's; it tells a kill for want of memory from others.
	Memory *cgroup.Memory
	// WorkDir is a directory of the runner's own; it is created.
	WorkDir string
	// Env is the environment of tasks, NAME=value.
	Env []string
	// Interpreter is the Python of the image, a name or a path.
	Interpreter string
	// Stdout and Stderr are the pod's log.
	Stdout, Stderr io.Writer
	// Grace is how long the pod has from being told to end until it is killed.
	Grace time.Duration
}

// Result is how a group ended.
type Result struct {
	Message contract.TerminationMessage
	// Interrupted says that the pod was told to end before all was done.
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
}

// output is the result of an earlier task; path is empty where it left none.
type output struct {
	path    string
	command bool
}

// Run runs the group. The end of ctx is the pod being told to end: the running
// task is stopped, and what there is is kept and committed all the same. The
// error is of a plan or a pod in which no task could run.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	if err := validate(cfg.Plan); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.WorkDir, 0o755); err != nil {
		return nil, fmt.Errorf("preparing the work directory: %w", err)
	}
	started := time.Now().UTC()
	r := &run{Config: cfg, outputs: map[contract.NodeID]output{}, inGroup: map[contract.NodeID]bool{}}
	r.Env = withHome(cfg.Env, filepath.Join(cfg.WorkDir, "home"))
	for _, t := range cfg.Plan.Tasks {
		r.inGroup[t.NodeID] = true
	}
	staging, cancel := context.WithCancel(ctx)
	defer cancel()
	r.stage = stage.Start(staging, cfg.Store, filepath.Join(cfg.WorkDir, "inputs"), assets(cfg.Plan))
	r.python = newInterpreter(ctx, r)
	defer r.python.close()

	for i := range cfg.Plan.Tasks {
		r.records = append(r.records, r.runTask(ctx, i))
	}
	return r.finish(context.WithoutCancel(ctx), started), nil
}

// runTask runs one task and keeps its assets.
func (r *run) runTask(ctx context.Context, index int) contract.TaskRecord {
	task := &r.Plan.Tasks[index]
	if r.stopped == "" && ctx.Err() != nil {
		r.stopped = "the pod was told to end before this task started"
	}
	if r.stopped != "" {
		return contract.TaskRecord{NodeID: task.NodeID, State: contract.TaskCancelled, Reason: contract.ReasonNotStarted, Message: r.stopped}
	}
	started := time.Now().UTC()
	r.mark(task.NodeID, "started")
	place := placeAt(filepath.Join(r.WorkDir, "tasks", strconv.Itoa(index)))
	ended := r.perform(ctx, task, place)
	record := ended.record(task.NodeID)
	if record.Reason != contract.ReasonNotStarted {
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
		r.stopped = "the pod was told to end before this task started"
	}
	return record
}

// perform runs a task between the start and the end of its streams.
func (r *run) perform(ctx context.Context, task *contract.PlanTask, place place) outcome {
	streams, err := place.open(r.Stdout, r.Stderr)
	if err != nil {
		return failed(contract.ReasonOutputUploadFailed, "preparing the task's place in the work directory: %s", err)
	}
	var ended outcome
	if len(task.Command) > 0 {
		ended = r.runCommand(ctx, task, place, streams)
	} else {
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

// running is a process that runs a task.
type running interface {
	Done() <-chan struct{}
	Signal(sig signal)
}

// await waits until a task has ended, and stops it when the pod is told to end.
// It says whether it stopped it.
func (r *run) await(ctx context.Context, task running) bool {
	select {
	case <-task.Done():
		return false
	case <-ctx.Done():
	}
	task.Signal(sigTerm)
	timer := time.NewTimer(killAfter(r.Grace))
	defer timer.Stop()
	select {
	case <-task.Done():
	case <-timer.C:
		task.Signal(sigKill)
		<-task.Done()
	}
	return true
}

// killAfter is how much of the grace period a task gets to end by itself: two
// thirds, but the upload needs 5 s, and a short grace period is split evenly.
func killAfter(grace time.Duration) time.Duration {
	return max(grace/2, min(grace*2/3, grace-5*time.Second))
}

// assets are the URIs that a plan reads, in the order of need.
func assets(plan *contract.Plan) []string {
	var uris []string
	for _, t := range plan.Tasks {
		uris = append(uris, t.Function, t.Hooks)
		for _, node := range t.Args {
			uris = append(uris, plan.Inputs[node])
		}
		for _, node := range t.Kwargs {
			uris = append(uris, plan.Inputs[node])
		}
	}
	return uris
}

// ErrPlan is a plan that no runner can run.
var ErrPlan = errors.New("invalid plan")

func validate(plan *contract.Plan) error {
	seen := map[contract.NodeID]bool{}
	for _, t := range plan.Tasks {
		switch {
		case seen[t.NodeID]:
			return fmt.Errorf("%w: node %d comes twice", ErrPlan, t.NodeID)
		case (len(t.Command) > 0) == (t.Function != ""):
			return fmt.Errorf("%w: task %d needs either a command or a function", ErrPlan, t.NodeID)
		case t.Function != "" && plan.Outputs == "":
			return fmt.Errorf("%w: task %d is a function, and there is no place for its result", ErrPlan, t.NodeID)
		}
		seen[t.NodeID] = true
	}
	if len(seen) == 0 {
		return fmt.Errorf("%w: no tasks", ErrPlan)
	}
	return nil
}
