// SPDX-License-Identifier: Apache-2.0

package mounts

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Bind shows the folder source at target as well. What is mounted below target
// shows nowhere else on the host, but reaches containers that mount it.
func Bind(source, target string) error {
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mounting %s at %s: %w", source, target, err)
	}
	// First private, to part from the mounts that it was copied from.
	for _, propagation := range []uintptr{unix.MS_PRIVATE, unix.MS_SHARED} {
		if err := unix.Mount("", target, "", propagation, ""); err != nil {
			return fmt.Errorf("setting the propagation of %s: %w", target, err)
		}
	}
	return nil
}
