package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// gcPercent lets garbage be collected when it is this share of what is kept, not
// when it is as much: the operator keeps little and does little at a time, so that
// processor time is cheaper than memory here.
const gcPercent = 40

// limitGarbage sets what the Go runtime is not told by the environment.
func limitGarbage() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
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
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
