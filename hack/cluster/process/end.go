// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// End kills the process that has this identity, if it still runs. The handle is
// taken before the identity is checked, so that the signal cannot reach a
// process that got the pid in between.
func (t Table) End(id Identity) error {
	handle, err := os.FindProcess(id.PID)
	if err != nil {
		return fmt.Errorf("opening process %d: %w", id.PID, err)
	}
	defer handle.Release()
	if !t.IsRunning(id) {
		return nil
	}
	if err := handle.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending process %d: %w", id.PID, err)
	}
	return nil
}

// EndAll kills what find returns until it returns nothing more. Calling it again
// catches what was being started while the first ones were killed.
func (t Table) EndAll(find func() ([]Identity, error), timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for {
		found, err := find()
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return nil
		}
		for _, id := range found {
			if err := t.End(id); err != nil {
				return err
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("ending %d processes (pid %d and others): still running after %s", len(found), found[0].PID, timeout)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
