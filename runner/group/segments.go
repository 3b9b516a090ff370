// SPDX-License-Identifier: Apache-2.0

package group

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/runner/stream"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

const (
	// DefaultFlush is the shortest time between two segments of a stream.
	DefaultFlush = 5 * time.Second
	// longestFlush is the longest time between two segments of a stream that grows,
	// unless the upload of one takes longer than a tenth of it.
	longestFlush = 2 * time.Minute
	// flushShare is the fraction of the running time that may be missing from the
	// segments: 1/20. The number of segments grows with the logarithm of the time, until
	// longestFlush is reached after 40 minutes.
	flushShare = 20
	// uploadShare is the fraction of the time that is spent on segments: 1/10.
	uploadShare = 10
	// segmentBeyond bounds a segment of a stream of which more was uploaded than is kept
	// of it, in bytes: only its end is of interest.
	segmentBeyond = 256 << 10
)

// segments uploads what a running task writes to its streams, piece by piece, so that
// it is not lost if the pod is killed, for example by the OOM killer or with its node.
// Each byte is uploaded once. No manifest refers to the segments: contract.SegmentURI
// has their location. When the task has finished, the whole stream is uploaded under
// its own name, which is never overwritten.
type segments struct {
	run     *run
	node    contract.NodeID
	cancel  context.CancelFunc
	done    chan struct{}
	streams []segmentedStream
}

// segmentedStream is the state of one stream.
type segmentedStream struct {
	key     contract.AssetKey
	capture *stream.Capture
	// uploaded is how much of the stream the segments cover, and number that of the
	// last one.
	uploaded int64
	number   int
	// bytes is the sum of the segments' sizes.
	bytes int64
	// refused is set if the store does not take segments.
	refused bool
}

// startSegments starts to upload segments until stop.
func (r *run) startSegments(ctx context.Context, node contract.NodeID, streams *streams) *segments {
	if r.Plan.Outputs == "" {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &segments{run: r, node: node, cancel: cancel, done: make(chan struct{}), streams: []segmentedStream{
		{key: contract.AssetStdout, capture: streams.stdout}, {key: contract.AssetStderr, capture: streams.stderr},
	}}
	go s.loop(ctx)
	return s
}

// stop gives up the segment that is being uploaded.
func (s *segments) stop() {
	if s == nil {
		return
	}
	s.cancel()
	<-s.done
}

func (s *segments) loop(ctx context.Context) {
	defer close(s.done)
	started, wait := time.Now(), s.run.Flush
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		began := time.Now()
		for i := range s.streams {
			s.streams[i].upload(ctx, s.run, s.node)
		}
		wait = max(s.run.Flush, min(time.Since(started)/flushShare, longestFlush), uploadShare*time.Since(began))
	}
}

// upload uploads the next segment, if the stream has grown. After an error, the next
// try has the same number; the final upload reports a store that takes nothing.
func (s *segmentedStream) upload(ctx context.Context, r *run, node contract.NodeID) {
	if s.refused || s.capture.Len() == s.uploaded {
		return
	}
	next, size, err := s.put(ctx, r, contract.SegmentURI(r.Plan.Outputs, node, s.key, s.number+1))
	if err != nil {
		s.refused = ctx.Err() == nil && !store.IsTransient(err)
		return
	}
	s.uploaded, s.number, s.bytes = next, s.number+1, s.bytes+size
}

// put uploads one segment. It goes through a file, since it may be as large as all that
// is kept of the stream.
func (s *segmentedStream) put(ctx context.Context, r *run, uri string) (next, size int64, err error) {
	file, err := os.Create(s.capture.Path + ".segment")
	if err != nil {
		return 0, 0, fmt.Errorf("preparing a segment: %w", err)
	}
	defer func() {
		_ = file.Close()
		_ = os.Remove(file.Name())
	}()
	limit := max(r.streamLimit()-s.bytes, segmentBeyond)
	if next, err = s.capture.CopySince(file, s.uploaded, limit); err != nil {
		return 0, 0, err
	}
	asset, err := r.Store.Put(ctx, uri, file)
	return next, asset.Size, err
}
