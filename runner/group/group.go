// SPDX-License-Identifier: Apache-2.0

package group

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/runner/cgroup"
	"github.com/taskgroup-operator/taskgroup-operator/runner/process"
	"github.com/taskgroup-operator/taskgroup-operator/runner/stage"
	"github.com/taskgroup-operator/taskgroup-operator/runner/stream"
)

// Store stores the assets of tasks and fetches their inputs.
type Store interface {
	stage.Fetcher
	// Probe creates a small object in order to find out whether objects can be written
	// at its location.
	Probe(ctx context.Context, uri string, content []byte) error
	// Put writes an asset.
	Put(ctx context.Context, uri string, r io.Reader) (contract.Asset, error)
	// Commit creates an object after all assets are durable; it never replaces one that
	// exists.
	Commit(ctx context.Context, uri string, r io.Reader) (contract.Asset, error)
	// Expect makes Fetch verify these.
	Expect(assets ...contract.Asset)
}

// Config are the settings of Run.
type Config struct {
	Plan   *contract.Plan
	Store  Store
	Reaper *process.Reaper
	// Memory is the memory of the container; it distinguishes OOM kills from others.
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
	// Flush is the shortest time between two uploads of what a running task has
	// written to a stream; DefaultFlush if it is zero.
	Flush time.Duration
	// Checkpoint is the shortest time between two checkpoints; DefaultCheckpoint if it is
	// zero.
	Checkpoint time.Duration
	// StreamLimit is how much of a stream is kept, in bytes; stream.DefaultLimit if it
	// is zero.
	StreamLimit int64
	// Index is the index of the task of a Parallel plan that this pod runs, from 0.
	Index int
}

func (c *Config) streamLimit() int64 { return cmp.Or(c.StreamLimit, stream.DefaultLimit) }

// Result is the outcome of a group.
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
	probe  *probe
	// outputs are the results of the completed tasks of this group.
	outputs map[contract.NodeID]output
	inGroup map[contract.NodeID]bool
	// lastReader is the index of the last task that reads the output of a node.
	lastReader map[contract.NodeID]int
	records    []contract.TaskRecord
	// stopped is why no further task is started; empty while one may be.
	stopped string
	// retry is how the failure of the first task that failed is retried.
	retry contract.RetryClass
	// terminating is closed when the pod receives SIGTERM.
	terminating <-chan struct{}
	earlier     earlier
	// unusable is why the index, or the manifest to resume from, cannot be used; nil if
	// they can.
	unusable *outcome
}

// output is the result of a completed task: a file of this machine, or the URI of one
// that an earlier attempt left. Both are empty if the task left none.
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
	r.readIndex(ctx)
	r.resume(ctx)
	r.python = newInterpreter(ctx, r)
	defer r.python.close()
	// It takes longest to get ready. The handshakes and the requests of the others come
	// after its process has begun.
	r.python.awaitProcess()
	r.probe = r.startProbe(ctx)
	r.stage = stage.Start(ctx, cfg.Store, filepath.Join(cfg.WorkDir, "inputs"), r.needs())
	defer r.stage.Stop()
	checkpoints := newCheckpoints(ctx, r)

	for i := range r.Plan.Tasks {
		r.stage.Advance(i)
		r.records = append(r.records, r.runTask(ctx, i))
		if r.stopped != "" {
			r.stage.Stop()
		}
		if record := &r.records[i]; record.State == contract.TaskCompleted && !r.isTakenOver(record.NodeID) {
			checkpoints.add(record)
		}
		r.removeOutputs(i)
	}
	checkpoints.finish()
	return r.finish(context.WithoutCancel(ctx), started), nil
}

// needs returns what each task reads, by its index. A task that an earlier attempt
// completed reads nothing.
func (r *run) needs() [][]string {
	needs, sources := make([][]string, len(r.Plan.Tasks)), r.sources()
	for i := range r.Plan.Tasks {
		if task := &r.Plan.Tasks[i]; r.unusable == nil && !r.isTakenOver(task.NodeID) {
			needs[i] = assets(task, sources)
		}
	}
	return needs
}

// removeOutputs removes the files of this machine that no task after the given one
// reads, if the store has them.
func (r *run) removeOutputs(index int) {
	if r.Plan.Outputs == "" {
		return
	}
	for node, out := range r.outputs {
		if out.path != "" && r.lastReader[node] <= index {
			_ = os.Remove(out.path)
			delete(r.outputs, node)
		}
	}
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
	cfg.Checkpoint = cmp.Or(cfg.Checkpoint, DefaultCheckpoint)
	var err error
	if cfg.Plan, err = podPlan(cfg.Plan, cfg.Index); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.WorkDir, 0o755); err != nil {
		return nil, fmt.Errorf("preparing the work directory: %w", err)
	}
	cfg.Env = taskEnvironment(cfg.Env, filepath.Join(cfg.WorkDir, "home"), cgroup.CPULimit("/"))
	return &run{
		Config: cfg, outputs: map[contract.NodeID]output{}, inGroup: inGroup, lastReader: lastReaders(cfg.Plan.Tasks),
		earlier: earlier{completed: map[contract.NodeID]takenOver{}},
	}, nil
}
