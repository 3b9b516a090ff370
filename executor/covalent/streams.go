// SPDX-License-Identifier: Apache-2.0

package covalent

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/executor/results"
)

// WriteStreamsToFile appends streams to the files of the same positions
// (covalent/executor/base.py, write_streams_to_file). An empty path is skipped. A
// relative path is below resultsDir/dispatchID. Folders are created.
func WriteStreamsToFile(streams, paths []string, dispatchID, resultsDir string) error {
	if !filepath.IsLocal(dispatchID) {
		return fmt.Errorf("%w dispatch: %q cannot name a folder", executor.ErrInvalid, dispatchID)
	}
	for i := range min(len(streams), len(paths)) {
		if paths[i] == "" {
			continue
		}
		file, err := results.OpenLog(paths[i], dispatchID, resultsDir)
		if err != nil {
			return fmt.Errorf("writing a stream: %w", err)
		}
		_, err = file.WriteString(streams[i])
		if err = errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("writing a log: %w", err)
		}
	}
	return nil
}
