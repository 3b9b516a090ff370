// SPDX-License-Identifier: Apache-2.0

package group

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// leftoverLimit bounds the wait for processes that were killed.
const leftoverLimit = 2 * time.Second

// runTask runs one task and uploads its assets.
func (r *run) runTask(ctx context.Context, index int) contract.TaskRecord {
	task := &r.Plan.Tasks[index]
	if record, ok := r.completedEarlier(task.NodeID); ok {
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
	files := filesIn(filepath.Join(r.WorkDir, "tasks", strconv.Itoa(index)))
	ended := r.performInTime(ctx, task, files)
	record := ended.record(task.NodeID)
	if begun && record.Reason != contract.ReasonNotStarted {
		record.StartTime, record.EndTime = &started, new(time.Now().UTC())
	}
	r.keep(context.WithoutCancel(ctx), &record, files, ended.traceback)
	if record.State == contract.TaskCompleted {
		r.offer(task, ended.output)
		r.mark(task.NodeID, fmt.Sprintf("completed in %.3f s", time.Since(started).Seconds()))
	} else {
		r.stop(&record, ended.retry)
	}
	return record
}

// offer makes the output of a completed task an input of later ones.
func (r *run) offer(task *contract.PlanTask, path string) {
	r.outputs[task.NodeID] = output{path: path, command: len(task.Command) > 0}
	if path != "" {
		// A later task that opens it for writing must not change what was recorded.
		_ = os.Chmod(path, 0o444)
	}
}

// stop lets no task start after one that did not complete.
func (r *run) stop(record *contract.TaskRecord, retry contract.RetryClass) {
	r.mark(record.NodeID, fmt.Sprintf("%s: %s: %s", record.State, record.Reason, record.Message))
	r.retry = cmp.Or(r.retry, retry)
	r.stopped = fmt.Sprintf("task %d before it failed: %s", record.NodeID, record.Reason)
	if record.State == contract.TaskCancelled {
		r.stopped = podTerminating
	}
}

// performInTime gives a task the time that a task may take.
func (r *run) performInTime(ctx context.Context, task *contract.PlanTask, files taskFiles) outcome {
	ctx, cancel := r.taskTime(ctx)
	defer cancel()
	return r.perform(ctx, task, files)
}

// perform runs a task between the start and the end of its streams.
func (r *run) perform(ctx context.Context, task *contract.PlanTask, files taskFiles) outcome {
	streams, err := files.open(r.Stdout, r.Stderr, r.StreamLimit, len(task.Command) == 0)
	if err != nil {
		return failed(contract.ReasonOutputUploadFailed, "preparing the task's folder in the work directory: %s", err)
	}
	ended := r.execute(ctx, task, files, streams)
	if err := streams.finish(); err != nil && ended.state == contract.TaskCompleted {
		return failed(contract.ReasonOutputUploadFailed,
			"%s: raise spec.pod.resources.limits for ephemeral-storage, or write less", err)
	}
	return ended
}

// execute runs the process of a task, unless something prevents that.
func (r *run) execute(ctx context.Context, task *contract.PlanTask, files taskFiles, streams *streams) outcome {
	switch {
	case ctx.Err() != nil:
		return unfinished(ctx, "this task had not started")
	case r.unusable != nil:
		return *r.unusable
	}
	if bad := r.unwritable(ctx); bad != nil {
		return *bad
	}
	segments := r.startSegments(context.WithoutCancel(ctx), task.NodeID, streams)
	defer segments.stop()
	defer r.killLeftovers(task.NodeID)
	if len(task.Command) > 0 {
		return r.runCommand(ctx, task, files, streams)
	}
	return r.runFunction(ctx, task, files, streams)
}

// killLeftovers kills what a task started and did not end: a later task must not share
// its processors, memory, ports and files with it.
func (r *run) killLeftovers(node contract.NodeID) {
	ctx, cancel := context.WithTimeout(context.Background(), leftoverLimit)
	defer cancel()
	if err := r.Reaper.KillOrphans(ctx); err != nil {
		r.mark(node, err.Error())
	}
}

// mark writes a line of the runner between those of the tasks.
func (r *run) mark(node contract.NodeID, what string) {
	_, _ = fmt.Fprintf(r.Stderr, "[taskgroup] task %d: %s\n", node, what)
}
