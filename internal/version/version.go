// SPDX-License-Identifier: Apache-2.0

// Package version has the version of all programs of this module.
package version

import (
	"cmp"
	"runtime/debug"
)

// unlinked is the value of Version in a program that was built without a version.
const unlinked = "dev"

// Version is the release or the commit of the program. The linker sets it:
//
//	go build -ldflags "-X github.com/taskgroup-operator/taskgroup-operator/internal/version.Version=v0.1.0"
var Version = unlinked

// String returns Version. If the program was built without one, it returns the version
// that the Go toolchain recorded: that of the module or of the commit.
func String() string {
	if Version != unlinked {
		return Version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unlinked
	}
	return recorded(info)
}

func recorded(info *debug.BuildInfo) string {
	if module := info.Main.Version; module != "" && module != "(devel)" {
		return module
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return cmp.Or(setting.Value, unlinked)
		}
	}
	return unlinked
}
