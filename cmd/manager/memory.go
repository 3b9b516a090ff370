package main

import (
	"os"
	"runtime/debug"
)

// gcPercent lets the garbage of a pass be collected when it is half of what is
// kept, not as much: the operator keeps little and does little at a time, so that
// processor time is cheaper than memory here.
const gcPercent = 50

// limitGarbage sets what the Go runtime is not told by the environment.
func limitGarbage() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
