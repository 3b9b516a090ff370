package group

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/runner/stream"
)

const (
	// DefaultFlush is how often what a running task prints goes to the store.
	DefaultFlush = 5 * time.Second
	// flushShare bounds the part of the time that is spent on it: a stream that
	// takes long to upload is uploaded less often.
	flushShare = 10
)

// flusher uploads the streams of a task that runs every few seconds, so that a pod
// that is killed outright, OOM-killed or lost with its node, keeps them.
// No manifest names them then; they are where contract.AssetURI says.
type flusher struct {
	run    *run
	node   contract.NodeID
	cancel context.CancelFunc
	done   chan struct{}
}

// startFlusher begins; stop must be called before the streams are uploaded for good.
func (r *run) startFlusher(ctx context.Context, node contract.NodeID, streams *streams) *flusher {
	if r.Plan.Outputs == "" {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	f := &flusher{run: r, node: node, cancel: cancel, done: make(chan struct{})}
	go f.loop(ctx, map[contract.AssetKey]*stream.Capture{
		contract.AssetStdout: streams.stdout, contract.AssetStderr: streams.stderr,
	})
	return f
}

// stop waits until nothing is uploaded any more: what is under way must not come
// after the whole stream, and replace it.
func (f *flusher) stop() {
	if f == nil {
		return
	}
	f.cancel()
	<-f.done
}

func (f *flusher) loop(ctx context.Context, captures map[contract.AssetKey]*stream.Capture) {
	defer close(f.done)
	flushed := map[contract.AssetKey]int64{}
	wait := f.run.Flush
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		began := time.Now()
		for key, capture := range captures {
			n := capture.Len()
			if n == flushed[key] {
				continue
			}
			if err := f.upload(ctx, key, capture); err != nil && ctx.Err() == nil {
				// The last upload tells of a store that takes nothing.
				continue
			}
			flushed[key] = n
		}
		wait = max(f.run.Flush, flushShare*time.Since(began))
	}
}

func (f *flusher) upload(ctx context.Context, key contract.AssetKey, capture *stream.Capture) error {
	path := capture.Path + ".sofar"
	defer func() { _ = os.Remove(path) }()
	if err := capture.Snapshot(path); err != nil {
		return fmt.Errorf("task %d: %w", f.node, err)
	}
	_, err := f.run.putFile(ctx, f.node, key, path)
	return err
}
