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

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/runner/stage"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// checkpointBatch is how many checkpoints are read at a time.
const checkpointBatch = 8

// checkpoints are the checkpoints of an attempt that are being written while later
// tasks run.
type checkpoints struct {
	cancel  context.CancelFunc
	writing sync.WaitGroup
}

// checkpoint begins to write the checkpoint of a task whose assets were uploaded. The
// last task has none, since the manifest follows. An error is logged only: the manifest
// has the same record.
func (r *run) checkpoint(ctx context.Context, record *contract.TaskRecord) {
	last := r.Plan.Tasks[len(r.Plan.Tasks)-1].NodeID
	if r.Plan.Outputs == "" || r.Plan.Parallel || record.NodeID == last {
		return
	}
	raw, err := contract.EncodeCheckpoint(&contract.Checkpoint{
		UID: r.Plan.UID, Attempt: r.Plan.Attempt, Python: r.python.known(), Task: *record,
	})
	if err != nil {
		r.mark(record.NodeID, err.Error())
		return
	}
	node := record.NodeID
	r.checkpoints.writing.Go(func() {
		_, err := r.Store.Commit(ctx, contract.CheckpointURI(r.Plan.Outputs, node), bytes.NewReader(raw))
		if err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrExists) {
			r.mark(node, "writing its checkpoint: "+err.Error())
		}
	})
}

// finish gives up on the checkpoints that are still being written, and waits until none
// is: the manifest makes them unnecessary, and makes durable what was written before.
func (c *checkpoints) finish() {
	c.cancel()
	c.writing.Wait()
}

// readCheckpoints takes over the tasks that earlier attempts completed without
// committing a manifest. Tasks run in order, so that the first one without a checkpoint
// ends the search in an attempt. A checkpoint that cannot be read counts as missing:
// its task runs again.
func (r *run) readCheckpoints(ctx context.Context) {
	for _, attempt := range r.Plan.Uncommitted {
		var nodes []contract.NodeID
		for _, task := range r.remaining() {
			nodes = append(nodes, task.NodeID)
		}
		for len(nodes) > 0 {
			batch := nodes[:min(len(nodes), checkpointBatch)]
			read := r.readBatch(ctx, attempt, batch)
			for i := range read {
				r.takeOver(&read[i].Task, attempt, read[i].Python)
			}
			if len(read) < len(batch) {
				break
			}
			nodes = nodes[len(batch):]
		}
	}
}

// readBatch reads the checkpoints of tasks at the same time, and returns those before
// the first one that is missing.
func (r *run) readBatch(ctx context.Context, attempt int32, nodes []contract.NodeID) []*contract.Checkpoint {
	uris := make([]string, len(nodes))
	for i, node := range nodes {
		uris[i] = contract.CheckpointURI(r.attemptURI(attempt), node)
	}
	dir := filepath.Join(r.WorkDir, "checkpoints", strconv.Itoa(int(attempt)), nodes[0].String())
	staged := stage.Start(ctx, r.Store, dir, [][]string{uris})
	defer staged.Stop()
	var read []*contract.Checkpoint
	for i, node := range nodes {
		c, err := readCheckpoint(ctx, staged, uris[i], r.Plan.UID, attempt, node)
		if err != nil {
			if !errors.Is(err, os.ErrNotExist) {
				r.mark(node, fmt.Sprintf("its checkpoint of attempt %d cannot be used: %s", attempt, err))
			}
			break
		}
		read = append(read, c)
	}
	return read
}

func readCheckpoint(ctx context.Context, staged *stage.Stage, uri, uid string, attempt int32, node contract.NodeID) (*contract.Checkpoint, error) {
	path, err := staged.Path(ctx, uri)
	if err != nil {
		return nil, err
	}
	raw, err := readBounded(path, contract.MaxCheckpoint)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", store.RedactURI(uri), err)
	}
	return contract.DecodeCheckpoint(raw, uid, attempt, node)
}
