// SPDX-License-Identifier: Apache-2.0

package memtune

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

func TestPercentFor(t *testing.T) {
	for _, tc := range []struct {
		live uint64
		want int
	}{
		{0, 1677721600},
		{4 << 20, 400},
		{16 << 20, 100},
		{40 << 20, 40},
		{400 << 20, 40},
	} {
		if got := percentFor(tc.live); got != tc.want {
			t.Errorf("percentFor(%d) = %d, want %d", tc.live, got, tc.want)
		}
	}
}

// TestAfterEachCollection collects garbage until the function was called three times.
// A collection may come before the function is registered again, and calls nothing.
func TestAfterEachCollection(t *testing.T) {
	var calls atomic.Int32
	afterEachCollection(func() { calls.Add(1) })
	for deadline := time.Now().Add(20 * time.Second); calls.Load() < 3; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatalf("the function was called %d times", calls.Load())
		}
	}
}
