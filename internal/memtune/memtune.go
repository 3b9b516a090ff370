// SPDX-License-Identifier: Apache-2.0

package memtune

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/go-logr/logr"
)

const (
	// gcPercent is the garbage before a collection, as a percentage of the live heap.
	// The operator has a small heap and little work, so that CPU time is cheaper than
	// memory.
	gcPercent = 40
	// gcRoom is the garbage before a collection in bytes, if that is more. Without it,
	// an operator with a live heap of few megabytes would collect every few groups.
	gcRoom = 16 << 20
)

// LimitGarbage bounds the garbage by gcPercent and gcRoom, unless GOGC is set in the
// environment.
func LimitGarbage() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
		afterEachCollection(func() { debug.SetGCPercent(percentFor(heapMetric("/gc/heap/live:bytes"))) })
	}
}

// percentFor returns the percentage of garbage before the next collection for a live
// heap of a number of bytes.
func percentFor(live uint64) int {
	return int(max(gcPercent, gcRoom*100/max(live, 1)))
}

// afterEachCollection calls do after each garbage collection, until the process exits.
func afterEachCollection(do func()) {
	// The canary is garbage at once. Without a pointer in it, the Go runtime might
	// allocate it in one block with an object that lives on.
	type canary struct{ _ *canary }
	runtime.AddCleanup(new(canary), func(int) {
		do()
		afterEachCollection(do)
	}, 0)
}

const (
	// restInterval is the interval without work after which memory is returned.
	restInterval = 3 * time.Second
	// restBytes is the most that is allocated in an interval without work: renewing the
	// lease, answering probes and serving the metrics.
	restBytes = 256 << 10
	// workBytes is the least that is allocated between two returns of memory.
	workBytes = 1 << 20
)

// Reclaimer returns the memory of a burst of work to the operating system after the
// burst: garbage, which the Go runtime keeps for minutes, and the pages of the
// program file. It is a Runnable of a controller-runtime manager.
type Reclaimer struct {
	Log logr.Logger
}

// Start runs until ctx is cancelled.
func (r *Reclaimer) Start(ctx context.Context) error {
	ticker := time.NewTicker(restInterval)
	defer ticker.Stop()
	var before, reclaimed uint64
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now := allocated()
		if now-before < restBytes && now-reclaimed > workBytes {
			debug.FreeOSMemory()
			if err := unmapProgram(); err != nil {
				r.Log.V(1).Info("the pages of the program file stay in memory", "error", err.Error())
			}
			reclaimed = now
		}
		before = now
	}
}

// allocated returns the bytes of heap that the process has allocated since its start.
func allocated() uint64 { return heapMetric("/gc/heap/allocs:bytes") }

// heapMetric reads one of the Go runtime's metrics, in bytes.
func heapMetric(name string) uint64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
