// SPDX-License-Identifier: Apache-2.0

package local

import "os"

// system are the calls that some file systems refuse. Tests replace them.
type system struct {
	open            func(path string, flag int, mode os.FileMode) (*os.File, error)
	link            func(from, to string) error
	renameNoReplace func(from, to string) error
	chmod           func(f *os.File, mode os.FileMode) error
	sync            func(f *os.File) error
	// isRemote reports whether a directory is on a file system that other machines
	// change.
	isRemote func(dir string) bool
}

var kernel = system{
	open:            os.OpenFile,
	link:            os.Link,
	renameNoReplace: renameNoReplace,
	chmod:           (*os.File).Chmod,
	sync:            (*os.File).Sync,
	isRemote:        isRemote,
}
