// SPDX-License-Identifier: Apache-2.0

package local

import (
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// remoteTypes are the file systems of statfs(2) that other machines may change: NFS,
// SMB (two versions), Ceph, FUSE (buckets, GlusterFS), 9p, Lustre, GPFS and AFS.
var remoteTypes = []uint32{0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x00c36400, 0x65735546, 0x01021997, 0x0bd00bd0, 0x47504653, 0x5346414f}

func renameNoReplace(from, to string) error {
	return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
}

func isRemote(dir string) bool {
	for {
		var info unix.Statfs_t
		if err := unix.Statfs(dir, &info); err == nil {
			return slices.Contains(remoteTypes, uint32(info.Type))
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return false
		}
		dir = parent
	}
}
