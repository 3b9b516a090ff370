// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"
)

// TestRateLimiter: after an outage of any length, a group is reconciled within 15 s,
// because no event may arrive for it (I36).
func TestRateLimiter(t *testing.T) {
	const most = 15 * time.Second
	limiter := newRateLimiter()
	group, other := named("a"), named("b")
	waits := map[time.Duration]bool{}
	for range 1000 {
		wait := limiter.When(group)
		if wait > most || wait <= 0 {
			t.Fatalf("waits for %s, want at most %s", wait, most)
		}
		waits[wait] = true
	}
	if len(waits) < 100 {
		t.Errorf("%d different waits: groups that failed together are retried together", len(waits))
	}
	if wait := limiter.When(other); wait > 2*firstRetry {
		t.Errorf("the first failure of another group waits for %s", wait)
	}
	limiter.Forget(group)
	if wait := limiter.When(group); wait > 2*firstRetry {
		t.Errorf("the first failure after a success waits for %s", wait)
	}
}
