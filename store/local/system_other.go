// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package local

import "syscall"

func renameNoReplace(string, string) error { return syscall.ENOSYS }

func isRemote(string) bool { return false }
