// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Lock makes dir if need be and keeps every other command out of it until
// unlock is called. The lock is on the folder itself; one that was removed while
// we waited for it locks nothing, so then the wait starts again.
func Lock(dir string) (unlock func(), err error) {
	for {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("making %s: %w", dir, err)
		}
		handle, err := os.Open(dir)
		if err != nil {
			return nil, fmt.Errorf("locking %s: %w", dir, err)
		}
		if err := unix.Flock(int(handle.Fd()), unix.LOCK_EX); err != nil {
			handle.Close()
			return nil, fmt.Errorf("locking %s: %w", dir, err)
		}
		if isSame(handle, dir) {
			return func() { handle.Close() }, nil
		}
		handle.Close()
	}
}

func isSame(handle *os.File, dir string) bool {
	locked, err := handle.Stat()
	if err != nil {
		return false
	}
	now, err := os.Stat(dir)
	return err == nil && os.SameFile(locked, now)
}
