// SPDX-License-Identifier: Apache-2.0

// Package local is the store behind file:// URIs: volumes that the pod mounts.
//
// An object is written to a temporary file beside it. Put renames the file; Commit
// creates the name only if it does not exist, by the first of these that the file
// system has:
//
//	link(2)                        POSIX file systems, NFS
//	renameat2(RENAME_NOREPLACE)    SMB, FAT, some FUSE file systems
//	open(2) with O_CREAT|O_EXCL    others; a crash can leave a part of the object
//
// Permissions and durability are best effort: a file system that cannot change a mode
// or flush a file has its own rules for both.
package local
