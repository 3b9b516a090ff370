// SPDX-License-Identifier: Apache-2.0

package mounts

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// UnmountBelow unmounts everything at or below dir, an absolute path without
// symbolic links.
func UnmountBelow(dir string) error {
	// Mounts can be stacked on one another; each pass takes the top one off.
	const passes = 10
	for range passes {
		table, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			return fmt.Errorf("reading the table of mounts: %w", err)
		}
		points := pointsBelow(string(table), dir)
		if len(points) == 0 {
			return nil
		}
		for _, point := range points {
			// Detached at once even if a dying process still has a file open there.
			err := unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
			if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
				return fmt.Errorf("unmounting %s: %w", point, err)
			}
		}
	}
	return fmt.Errorf("unmounting what is below %s: something keeps mounting there", dir)
}

// pointsBelow lists the mount points at or below dir, the latest first, so that
// a mount comes before the one that it lies on.
func pointsBelow(table, dir string) []string {
	var points []string
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		const mountPoint = 4
		if len(fields) <= mountPoint {
			continue
		}
		point := unescape(fields[mountPoint])
		if point == dir || strings.HasPrefix(point, dir+"/") {
			points = append([]string{point}, points...)
		}
	}
	return points
}

// unescape undoes the kernel's octal escapes of spaces and the like.
func unescape(field string) string {
	var text strings.Builder
	for i := 0; i < len(field); i++ {
		if field[i] == '\\' && i+3 < len(field) {
			if code, err := strconv.ParseUint(field[i+1:i+4], 8, 8); err == nil {
				text.WriteByte(byte(code))
				i += 3
				continue
			}
		}
		text.WriteByte(field[i])
	}
	return text.String()
}
