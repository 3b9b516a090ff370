// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// workingDir returns the working directory of commands: the directory that the
// container was started in, which is the image's WORKDIR or the container's
// workingDir. It is empty if tasks cannot use that directory.
//
// The root directory is the working directory of images without a WORKDIR. It is not writable in these
// pods, so that the first relative path that a command writes would fail. Commands
// then run in a copy of it in the work directory.
func workingDir(workDir string, log io.Writer) string {
	dir, err := os.Getwd()
	if err == nil {
		err = unix.Access(dir, unix.X_OK)
	}
	if err != nil {
		_, _ = fmt.Fprintf(log, "[taskgroup] the working directory of the container is not accessible: %s: commands run in $TASKGROUP_DIR\n", err)
		return ""
	}
	if dir != "/" || unix.Access(dir, unix.W_OK) == nil {
		return dir
	}
	writable := filepath.Join(workDir, "root")
	if err := linkEntries(dir, writable); err != nil {
		_, _ = fmt.Fprintf(log, "[taskgroup] preparing a writable working directory: %s: commands run in %s\n", err, dir)
		return dir
	}
	return writable
}

// linkEntries creates a directory with a symbolic link to each entry of another one:
// relative paths name the same files in both, and the new directory is writable.
func linkEntries(dir, writable string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(writable, 0o755); err != nil {
		return err
	}
	for _, entry := range entries {
		if err := os.Symlink(filepath.Join(dir, entry.Name()), filepath.Join(writable, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}
