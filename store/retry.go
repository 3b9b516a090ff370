// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	defaultRetryTimeout = 2 * time.Minute
	firstDelay          = 200 * time.Millisecond
	longestDelay        = 10 * time.Second
	// maxRestarts bounds the tries after the retry timeout that transfer an object
	// again and get no further than one before them.
	maxRestarts = 5
)

// retry runs once until it succeeds, its error is permanent, or the time is over.
func (s *Stores) retry(ctx context.Context, t *transfer, once func(context.Context) error) error {
	return s.retryFor(ctx, cmp.Or(s.RetryTimeout, defaultRetryTimeout), t, once)
}

func (s *Stores) retryFor(ctx context.Context, timeout time.Duration, t *transfer, once func(context.Context) error) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	tries := newTries(timeout)
	for {
		started := time.Now()
		t.begin()
		err := once(ctx)
		if err == nil {
			return nil
		}
		tries.failed(started, t, err)
		least, again := retryable(err)
		if !again || ctx.Err() != nil {
			return addStop(ctx, err)
		}
		delay := max(least, backoff(tries.failures-1))
		if tries.exceed(delay) {
			return fmt.Errorf("%w (gave up after %s)", err, tries)
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
			tries.idle += delay
		case <-ctx.Done():
			timer.Stop()
			return addStop(ctx, err)
		}
	}
}

// tries measures how long an operation has been failing. The time in which bytes are
// transferred does not count: an upload that takes longer than the timeout is
// retried as a short one is.
type tries struct {
	timeout time.Duration
	begun   time.Time
	count   int
	// furthest is the largest offset that a try reached, progressed when.
	furthest   int64
	progressed time.Time
	// idle is the time since then in which nothing was transferred, failures counts
	// the tries since then.
	idle     time.Duration
	failures int
}

func newTries(timeout time.Duration) *tries {
	now := time.Now()
	return &tries{timeout: timeout, begun: now, progressed: now}
}

// failed accounts for a try that has failed.
func (n *tries) failed(started time.Time, t *transfer, err error) {
	n.count++
	offset, first, last := t.extent()
	now := time.Now()
	switch {
	case errors.Is(err, errStalled):
		// Bytes at the speed of a stall are no progress, or it would never end.
		n.idle += now.Sub(started)
	case offset > n.furthest:
		n.furthest, n.progressed = offset, last
		n.idle, n.failures = now.Sub(last), 0
	default:
		n.idle += now.Sub(started) - last.Sub(first)
	}
	n.failures++
}

// exceed reports whether there is no time for another try after a delay.
func (n *tries) exceed(delay time.Duration) bool {
	return n.idle+delay > n.timeout || n.failures > maxRestarts && time.Since(n.progressed)+delay > n.timeout
}

// String implements fmt.Stringer.
func (n *tries) String() string {
	text := fmt.Sprintf("%s and %d tries", time.Since(n.begun).Round(time.Second), n.count)
	if n.count == 1 {
		text = text[:len(text)-len("ies")] + "y"
	}
	return text
}

// addStop adds to an error that the pod left no time for another try.
func addStop(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errStopped) && !errors.Is(err, errStopped) {
		return fmt.Errorf("%w (gave up: %w)", err, cause)
	}
	return err
}

// backoff doubles from try to try. Up to half of it is random, so that a thousand
// pods do not return at once.
func backoff(try int) time.Duration {
	delay := min(firstDelay<<min(try, 10), longestDelay)
	return delay/2 + rand.N(delay/2) //nolint:gosec // it spreads load, it hides nothing
}
