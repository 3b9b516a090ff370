// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultStall = 30 * time.Second
	// leastBytes have to be transferred in the time of a stall.
	leastBytes = 32 << 10
)

// errStalled is a transfer that is too slow to ever finish.
var errStalled = errors.New("the transfer stalled")

// transfer records the progress of the tries to send or to fetch an object.
type transfer struct {
	// bytes counts those of all tries.
	bytes atomic.Int64
	// active is set while bytes can be transferred: not while a connection, the
	// header of a response, or the response to an upload is awaited.
	active atomic.Bool

	mu          sync.Mutex
	offset      int64
	first, last time.Time
}

// begin starts a try.
func (t *transfer) begin() {
	t.active.Store(false)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.offset, t.first, t.last = 0, time.Time{}, time.Time{}
}

// record accounts for n bytes, after which the try is at an offset.
func (t *transfer) record(n int, offset int64) {
	if n == 0 {
		return
	}
	t.bytes.Add(int64(n))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.offset, t.last = max(t.offset, offset), time.Now()
	if t.first.IsZero() {
		t.first = t.last
	}
}

// extent returns how far the try came, and when it transferred its first and its
// last byte.
func (t *transfer) extent() (offset int64, first, last time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.offset, t.first, t.last
}

// watch cancels a transfer that stalls, with the cause. The transport bounds the
// phases in which it is not active, so that they are no stall.
func (s *Stores) watch(ctx context.Context, t *transfer) (context.Context, func()) {
	window := cmp.Or(s.Stall, defaultStall)
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		ticker := time.NewTicker(window)
		defer ticker.Stop()
		last, wasActive := t.bytes.Load(), t.active.Load()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			now, isActive := t.bytes.Load(), t.active.Load()
			// A window in which the transfer began is no measure of its speed.
			if wasActive && isActive && now-last < leastBytes {
				cancel(fmt.Errorf("%w: %d bytes in %s", errStalled, now-last, window))
				return
			}
			last, wasActive = now, isActive
		}
	}()
	return ctx, func() { cancel(nil) }
}

// withCause replaces the error of a transfer that was cancelled by the cause.
func withCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil && (errors.Is(cause, errStalled) || errors.Is(cause, errStopped)) {
		return cause
	}
	return err
}

// EndBy ends all operations at a time, also those that are running: the kubelet kills
// the pod soon after, and the report of their errors takes time too.
func (s *Stores) EndBy(end time.Time) {
	stopped := s.stopChannel()
	time.AfterFunc(time.Until(end), func() { s.once.Do(func() { close(stopped) }) })
}

// stopChannel returns the channel that is closed at the time of EndBy.
func (s *Stores) stopChannel() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped == nil {
		s.stopped = make(chan struct{})
	}
	return s.stopped
}

// bounded ends a context at the time of EndBy.
func (s *Stores) bounded(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stopped := s.stopChannel()
	go func() {
		select {
		case <-ctx.Done():
		case <-stopped:
			cancel(errStopped)
		}
	}()
	return ctx, func() { cancel(nil) }
}
