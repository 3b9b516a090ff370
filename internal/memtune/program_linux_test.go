// SPDX-License-Identifier: Apache-2.0

package memtune

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// TestUnmapProgram removes the pages of the running program, which continues.
func TestUnmapProgram(t *testing.T) {
	maps, err := programMaps()
	if err != nil {
		t.Fatal(err)
	}
	if len(maps) == 0 {
		t.Skip("this test's program is relocated at its start, and its pages are left alone")
	}
	// A program that has just started has few of its pages in memory.
	for _, m := range maps {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.StartAddr, m.EndAddr-m.StartAddr, unix.MADV_POPULATE_READ); errno != 0 {
			t.Skipf("this kernel does not read the pages of a mapping: %v", errno)
		}
	}
	// What parses the numbers is in the program: it runs when both have been read.
	statm, err := unix.Open("/proc/self/statm", unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(statm) }()
	var before, after [128]byte
	_, beforeErr := unix.Pread(statm, before[:], 0)
	unmapErr := unmapProgram()
	_, afterErr := unix.Pread(statm, after[:], 0)
	if err := errors.Join(beforeErr, unmapErr, afterErr); err != nil {
		t.Fatal(err)
	}
	if filePages(t, after) > filePages(t, before)/2 {
		t.Errorf("%d pages of files are in memory, %d before", filePages(t, after), filePages(t, before))
	}
}

// filePages returns the number of pages of files from the text of statm.
func filePages(t *testing.T, statm [128]byte) int {
	t.Helper()
	var size, resident, shared int
	if _, err := fmt.Sscan(string(statm[:]), &size, &resident, &shared); err != nil {
		t.Fatal(err)
	}
	return shared
}
