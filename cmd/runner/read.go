// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// hold waits for SIGTERM.
func hold(ctx context.Context, _ []string) (int, error) {
	fmt.Println("waiting for SIGTERM")
	<-ctx.Done()
	return 0, nil
}

// readFile writes a file below a directory to the standard output.
func readFile(_ context.Context, args []string) (int, error) {
	var offset int64
	if len(args) > 2 {
		var err error
		if offset, err = strconv.ParseInt(args[2], 10, 64); err != nil || offset < 0 {
			return 0, fmt.Errorf("the offset is %q: want a number of bytes", args[2])
		}
	}
	err := copyFile(os.Stdout, args[0], args[1], offset)
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(os.Stderr, "runner:", err)
		return contract.ReadMissing, nil
	}
	return 0, err
}

// copyFile copies a regular file from an offset. It follows no symbolic link out of the
// directory: tasks can create links.
func copyFile(to io.Writer, dir, path string, offset int64) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	// Opening a pipe would wait for its writer.
	info, err := root.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		return err
	}
	file, err := root.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	_, err = io.Copy(to, file)
	return err
}
