// SPDX-License-Identifier: Apache-2.0

package evidence_test

import (
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/controllers/evidence"
)

// TestEpochsCountStalls: a gap between two heartbeats ends the epoch, whichever method
// detects it.
func TestEpochsCountStalls(t *testing.T) {
	var epochs evidence.Epochs
	at := now
	if got := epochs.Current(at.Add(time.Hour)); got != 1 {
		t.Errorf("before the first heartbeat the epoch is %d, want 1", got)
	}
	for range 100 {
		epochs.Beat(at)
		at = at.Add(evidence.BeatInterval)
	}
	if got := epochs.Current(at); got != 1 {
		t.Errorf("with regular heartbeats the epoch is %d, want 1", got)
	}
	epochs.Beat(at)
	at = at.Add(evidence.StallAfter)
	if got := epochs.Current(at); got != 1 {
		t.Errorf("after a gap of %s the epoch is %d, want 1", evidence.StallAfter, got)
	}
	at = at.Add(time.Millisecond)
	if got := epochs.Current(at); got != 2 {
		t.Errorf("after a longer gap the epoch is %d, want 2", got)
	}
	// The heartbeat of after the gap ends no further epoch.
	epochs.Beat(at)
	if got := epochs.Current(at); got != 2 {
		t.Errorf("the stall was counted %d times, want once", got-1)
	}
	epochs.Beat(at.Add(time.Hour))
	if got := epochs.Current(at.Add(time.Hour)); got != 3 {
		t.Errorf("after a second stall the epoch is %d, want 3", got)
	}
}

// TestObservationsAfterAStallAreOld: events that arrive in the first seconds after a
// stall may be from before it.
func TestObservationsAfterAStallAreOld(t *testing.T) {
	var epochs evidence.Epochs
	epochs.Beat(now)
	if got := epochs.Observation(now); got != 1 {
		t.Errorf("the epoch of an event is %d, want 1", got)
	}
	stalled := now.Add(time.Minute)
	if got := epochs.Observation(stalled); got != 0 {
		t.Errorf("the epoch of an event directly after a stall is %d, want 0", got)
	}
	for at := stalled; at.Before(stalled.Add(evidence.CatchUpTime)); at = at.Add(evidence.BeatInterval) {
		epochs.Beat(at)
		if got := epochs.Observation(at); got != 0 {
			t.Fatalf("the epoch of an event %s after a stall is %d, want 0", at.Sub(stalled), got)
		}
	}
	if got := epochs.Observation(stalled.Add(evidence.CatchUpTime)); got != 2 {
		t.Errorf("the epoch of an event after the process has caught up is %d, want 2", got)
	}
}

func TestOtherOperatorIsForgotten(t *testing.T) {
	var epochs evidence.Epochs
	if epochs.HasOther(now) {
		t.Error("another operator is known from the start")
	}
	if !epochs.DetectOther(now) || epochs.DetectOther(now.Add(time.Minute)) {
		t.Error("a detection is news once")
	}
	// The second detection extends the time.
	if end := now.Add(time.Minute + evidence.OtherOperatorTime); !epochs.HasOther(end.Add(-1)) || epochs.HasOther(end) {
		t.Errorf("another operator is not forgotten after %s", evidence.OtherOperatorTime)
	}
	if !epochs.DetectOther(now.Add(time.Hour)) {
		t.Error("a detection after that is no news")
	}
}
