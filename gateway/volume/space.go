// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Space describes the file system of a volume.
type Space struct {
	// Size and Free are in bytes. Free is what the gateway may still write.
	Size, Free uint64
	// IsReadOnly reports that the file system refuses writes.
	IsReadOnly bool
}

// Space returns the space of the file system of the volume.
func (v *Volume) Space() (Space, error) {
	folder, err := v.root.Load().Open(".")
	if err != nil {
		return Space{}, fmt.Errorf("opening the folder of the volume: %w", err)
	}
	defer func() { _ = folder.Close() }()
	var info unix.Statfs_t
	if err := unix.Fstatfs(int(folder.Fd()), &info); err != nil {
		return Space{}, fmt.Errorf("reading the space of the volume: %w", err)
	}
	block := uint64(info.Bsize)
	space := Space{Size: info.Blocks * block, Free: info.Bavail * block}
	// The flags of statfs(2) differ between systems; access(2) reports EROFS on all of them.
	space.IsReadOnly = errors.Is(unix.Faccessat(int(folder.Fd()), ".", unix.W_OK, 0), unix.EROFS)
	return space, nil
}
