package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// gcPercent is how much garbage there may be, as a share of what is kept, before it
	// is collected: the operator keeps little and does little at a time, so that
	// processor time is cheaper than memory here.
	gcPercent = 40
	// gcRoom is how many bytes of garbage there may be in any case. Of the few megabytes
	// that an operator of few groups keeps, a share would be collected every few groups.
	gcRoom = 16 << 20
)

// limitGarbage has garbage collected as gcPercent and gcRoom say, unless the
// environment says otherwise.
func limitGarbage() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
		afterEachCollection(func() { debug.SetGCPercent(percentFor(heapMetric("/gc/heap/live:bytes"))) })
	}
}

// percentFor is the share of what is kept after which garbage is collected next.
func percentFor(kept uint64) int {
	return int(max(gcPercent, gcRoom*100/max(kept, 1)))
}

// afterEachCollection calls do when garbage has been collected, for as long as the
// process runs.
func afterEachCollection(do func()) {
	// It is garbage at once. Without a pointer in it, the Go runtime might put it
	// where something else is that lives on.
	type canary struct{ _ *canary }
	runtime.AddCleanup(new(canary), func(int) {
		do()
		afterEachCollection(do)
	}, 0)
}

const (
	// restInterval is how long the operator has to do nothing to be at rest.
	restInterval = 3 * time.Second
	// restBytes is what is allocated in that time at most where nothing is done but
	// renew the lease, answer probes and serve the metrics.
	restBytes = 256 << 10
	// workBytes is what has to be allocated between two rests for the second to count.
	workBytes = 1 << 20
)

// giveBackAtRest gives the memory that work needed back to the system when the work
// is over: garbage, which the Go runtime else keeps for minutes, and the pages of
// the program file. It runs until ctx is done.
func giveBackAtRest(ctx context.Context) error {
	ticker := time.NewTicker(restInterval)
	defer ticker.Stop()
	var before, given uint64
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now := allocated()
		if now-before < restBytes && now-given > workBytes {
			debug.FreeOSMemory()
			unmapProgram()
			given = now
		}
		before = now
	}
}

// allocated is how many bytes of heap the process has ever allocated.
func allocated() uint64 { return heapMetric("/gc/heap/allocs:bytes") }

// heapMetric reads one of the Go runtime's metrics, in bytes.
func heapMetric(name string) uint64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
