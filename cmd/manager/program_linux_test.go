package main

import (
	"testing"

	"github.com/prometheus/procfs"
)

// TestUnmapProgram: the pages go, and the program goes on.
func TestUnmapProgram(t *testing.T) {
	maps, err := programMaps()
	if err != nil {
		t.Fatal(err)
	}
	if len(maps) == 0 {
		t.Skip("this test's program is relocated at its start, and its pages are left alone")
	}
	before := residentFile(t)
	unmapProgram()
	// Reading it again brings back what that needs.
	if after := residentFile(t); after > before/2 {
		t.Errorf("%d bytes of the program are in memory, %d before", after, before)
	}
}

func residentFile(t *testing.T) uint64 {
	t.Helper()
	self, err := procfs.Self()
	if err != nil {
		t.Fatal(err)
	}
	status, err := self.NewStatus()
	if err != nil {
		t.Fatal(err)
	}
	return status.RssFile
}
