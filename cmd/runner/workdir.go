package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// workingDir returns the directory that the container was started in: the image's
// WORKDIR, or the container's workingDir. It is empty if tasks cannot use it.
func workingDir(log io.Writer) string {
	dir, err := os.Getwd()
	if err == nil {
		err = unix.Access(dir, unix.X_OK)
	}
	if err != nil {
		_, _ = fmt.Fprintf(log, "[taskgroup] the working directory of the container is not accessible: %s: commands run in $TASKGROUP_DIR\n", err)
		return ""
	}
	return dir
}
