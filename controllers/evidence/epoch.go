// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"context"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

const (
	// BeatInterval is how often the process records that it runs.
	BeatInterval = 100 * time.Millisecond
	// StallAfter is the gap between two heartbeats after which the process is
	// considered to have been stopped.
	StallAfter = 500 * time.Millisecond
	// CatchUpTime is how long after a stall watch events may predate it.
	CatchUpTime = 10 * time.Second
	// OtherOperatorTime is how long another operator is considered active after it
	// was detected.
	OtherOperatorTime = 10 * time.Minute
)

// Epoch numbers the periods between two stalls, from 1. 0 is no epoch.
type Epoch int64

// Epochs tracks whether this process can have missed the creation of a Job. Its zero
// value is ready to use.
type Epochs struct {
	mu     sync.Mutex
	stalls Epoch
	beatAt time.Time
	// stalledUntil is when the latest stall ended.
	stalledUntil time.Time
	// otherUntil is when another active operator is forgotten.
	otherUntil time.Time
}

// Current returns the current epoch.
func (e *Epochs) Current(now time.Time) Epoch {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.detectStall(now)
	return e.stalls + 1
}

// detectStall ends the epoch after a stall. The lock is held.
func (e *Epochs) detectStall(now time.Time) {
	if !e.beatAt.IsZero() && now.Sub(e.beatAt) > StallAfter {
		e.stalls++
		e.beatAt, e.stalledUntil = now, now
	}
}

// Observation returns the epoch of events that arrive now; 0 while watch events may
// predate the latest stall.
func (e *Epochs) Observation(now time.Time) Epoch {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.detectStall(now)
	if !e.stalledUntil.IsZero() && now.Sub(e.stalledUntil) < CatchUpTime {
		return 0
	}
	return e.stalls + 1
}

// Beat records that the process runs.
func (e *Epochs) Beat(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.detectStall(now)
	e.beatAt = now
}

// DetectOther records that another operator is active. It returns whether that was
// not known.
func (e *Epochs) DetectOther(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	isNew := !now.Before(e.otherUntil)
	e.otherUntil = now.Add(OtherOperatorTime)
	return isNew
}

// HasOther reports whether another operator was active recently.
func (e *Epochs) HasOther(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return now.Before(e.otherUntil)
}

// Run records heartbeats until ctx is done.
func (e *Epochs) Run(ctx context.Context, c clock.WithTicker) error {
	ticker := c.NewTicker(BeatInterval)
	defer ticker.Stop()
	for {
		e.Beat(c.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}
