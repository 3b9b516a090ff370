package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	defaultStall = 30 * time.Second
	// leastBytes is what has to pass in the time of a stall.
	leastBytes = 32 << 10
)

// errStalled is a transfer that is as good as none.
var errStalled = errors.New("the transfer stalled")

// meter counts the bytes of a transfer.
type meter interface {
	passed() int64
	// waits says that there is nothing that could pass.
	waits() bool
}

func (b *Body) passed() int64 { return b.progress.Load() }
func (b *Body) waits() bool   { return b.sent.Load() }

// watch ends the context of a transfer that stalls. What waits for an answer
// is bounded by the connection's own timeout.
func (s *Stores) watch(ctx context.Context, m meter) (context.Context, func()) {
	window := s.Stall
	if window == 0 {
		window = defaultStall
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		ticker := time.NewTicker(window)
		defer ticker.Stop()
		for last := m.passed(); ; {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			now := m.passed()
			if now-last < leastBytes && !m.waits() {
				cancel(fmt.Errorf("%w: %d bytes in %s", errStalled, now-last, window))
				return
			}
			last = now
		}
	}()
	return ctx, func() { cancel(nil) }
}

// stalled puts the cause in the place of the error that it had.
func stalled(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil && (errors.Is(cause, errStalled) || errors.Is(cause, errEnds)) {
		return cause
	}
	return err
}

// errEnds is why an operation was given up.
var errEnds = errors.New("the pod ends")

// EndBy gives all operations, also those that go on, until a time: the pod is
// about to be killed, and what has to be said after them takes time too.
func (s *Stores) EndBy(end time.Time) {
	ended := s.ended()
	time.AfterFunc(time.Until(end), func() { s.once.Do(func() { close(ended) }) })
}

// ended is closed at the time of EndBy.
func (s *Stores) ended() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ends == nil {
		s.ends = make(chan struct{})
	}
	return s.ends
}

// bounded ends a context at the time of EndBy.
func (s *Stores) bounded(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := s.ended()
	go func() {
		select {
		case <-ctx.Done():
		case <-ended:
			cancel(errEnds)
		}
	}()
	return ctx, func() { cancel(nil) }
}
