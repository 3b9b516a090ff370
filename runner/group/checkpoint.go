// SPDX-License-Identifier: Apache-2.0

package group

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/runner/stage"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

const (
	// checkpointBatch is how many checkpoints are read at a time.
	checkpointBatch = 8
	// DefaultCheckpoint is the shortest time between two checkpoints. A checkpoint has to
	// reach the disk of its store, which takes as long as many a task: less than a second
	// of work is not worth it.
	DefaultCheckpoint = time.Second
)

// checkpoints writes the records of completed tasks while later tasks run: at once if
// the last checkpoint is older than the interval, else when it is.
type checkpoints struct {
	run    *run
	ctx    context.Context
	cancel context.CancelFunc
	// writing is done when no checkpoint is being written.
	writing sync.WaitGroup

	mu      sync.Mutex
	active  bool
	pending []contract.TaskRecord
	// number is the number of the last checkpoint, and last when it was written or tried.
	number int
	last   time.Time
}

// newCheckpoints returns the checkpoints of an attempt. SIGTERM to the pod, which cancels
// ctx, leaves time for them.
func newCheckpoints(ctx context.Context, r *run) *checkpoints {
	c := &checkpoints{run: r, last: time.Now().Add(-r.Checkpoint)}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return c
}

// add adds the record of a task whose assets were uploaded. The last task has none, since
// the manifest follows. An error is logged only: the manifest has the same record.
func (c *checkpoints) add(record *contract.TaskRecord) {
	plan := c.run.Plan
	if plan.Outputs == "" || plan.Parallel || record.NodeID == plan.Tasks[len(plan.Tasks)-1].NodeID {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = append(c.pending, *record)
	if !c.active {
		c.active = true
		c.writing.Go(c.loop)
	}
}

// loop writes checkpoints until no record is left.
func (c *checkpoints) loop() {
	for {
		c.mu.Lock()
		wait := time.Until(c.last.Add(c.run.Checkpoint))
		c.mu.Unlock()
		select {
		case <-time.After(wait):
		case <-c.ctx.Done():
			return
		}
		c.mu.Lock()
		records := c.pending
		if c.active = len(records) > 0; !c.active {
			c.mu.Unlock()
			return
		}
		c.pending = nil
		c.mu.Unlock()
		err := c.write(records)
		c.mu.Lock()
		c.last = time.Now()
		if err == nil {
			c.number++
		} else {
			c.pending = append(records, c.pending...)
		}
		c.mu.Unlock()
		if err != nil && c.ctx.Err() == nil {
			c.run.mark(records[0].NodeID, "writing a checkpoint: "+err.Error())
			if !store.IsTransient(err) {
				return
			}
		}
	}
}

func (c *checkpoints) write(records []contract.TaskRecord) error {
	plan, number := c.run.Plan, c.number+1
	raw, err := contract.EncodeCheckpoint(&contract.Checkpoint{
		UID: plan.UID, Attempt: plan.Attempt, Number: number, Python: c.run.python.known(), Tasks: records,
	})
	if err != nil {
		return err
	}
	_, err = c.run.Store.Commit(c.ctx, contract.CheckpointURI(plan.Outputs, number), bytes.NewReader(raw))
	return err
}

// finish gives up on the checkpoints that are still to be written, and waits until none
// is: the manifest makes them unnecessary, and makes durable what was written before.
func (c *checkpoints) finish() {
	c.cancel()
	c.writing.Wait()
}

// readCheckpoints takes over the tasks that earlier attempts completed without committing
// a manifest. A checkpoint that cannot be read ends the search in its attempt: its tasks
// run again.
func (r *run) readCheckpoints(ctx context.Context) {
	for _, attempt := range r.Plan.Uncommitted {
		for first := 1; ; first += checkpointBatch {
			read := r.readBatch(ctx, attempt, first)
			for _, c := range read {
				for i := range c.Tasks {
					r.takeOver(&c.Tasks[i], attempt, c.Python)
				}
			}
			if len(read) < checkpointBatch {
				break
			}
		}
	}
}

// readBatch reads checkpoints at the same time, and returns those before the first one
// that is missing.
func (r *run) readBatch(ctx context.Context, attempt int32, first int) []*contract.Checkpoint {
	uris := make([]string, checkpointBatch)
	for i := range uris {
		uris[i] = contract.CheckpointURI(r.attemptURI(attempt), first+i)
	}
	dir := filepath.Join(r.WorkDir, "checkpoints", strconv.Itoa(int(attempt)), strconv.Itoa(first))
	staged := stage.Start(ctx, r.Store, dir, [][]string{uris})
	defer staged.Stop()
	var read []*contract.Checkpoint
	for i, uri := range uris {
		c, err := r.readCheckpoint(ctx, staged, uri, attempt, first+i)
		if err != nil {
			if !errors.Is(err, os.ErrNotExist) && ctx.Err() == nil {
				_, _ = fmt.Fprintf(r.Stderr, "[taskgroup] a checkpoint of attempt %d cannot be used: %s\n", attempt, err)
			}
			break
		}
		read = append(read, c)
	}
	return read
}

func (r *run) readCheckpoint(ctx context.Context, staged *stage.Stage, uri string, attempt int32, number int) (*contract.Checkpoint, error) {
	path, err := staged.Path(ctx, uri)
	if err != nil {
		return nil, err
	}
	raw, err := readBounded(path, contract.MaxCheckpoint)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", store.RedactURI(uri), err)
	}
	return contract.DecodeCheckpoint(raw, r.Plan.UID, attempt, number)
}
