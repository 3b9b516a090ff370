// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func install(_ context.Context, args []string) (int, error) { return 0, installTo(args[0]) }

// installTo copies this program to dest, whole or not at all.
func installTo(dest string) (err error) {
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("installing to %s: %w", dest, err)
	}
	defer func() { _ = self.Close() }()
	copied, err := os.CreateTemp(filepath.Dir(dest), ".runner.*")
	if err != nil {
		return fmt.Errorf("installing to %s: %w", dest, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(copied.Name())
		}
	}()
	_, err = io.Copy(copied, self)
	if err == nil {
		err = copied.Chmod(0o755)
	}
	if err = errors.Join(err, copied.Close()); err != nil {
		return fmt.Errorf("installing to %s: %w", dest, err)
	}
	if err = os.Rename(copied.Name(), dest); err != nil {
		return fmt.Errorf("installing to %s: %w", dest, err)
	}
	return nil
}
