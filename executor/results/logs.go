// SPDX-License-Identifier: Apache-2.0

package results

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// OpenLog opens a log for appending (covalent/executor/base.py, write_streams_to_file). A
// relative path is below dir/dispatchID; folders are created. The first part of the path
// may be ~.
func OpenLog(path, dispatchID, dir string) (*os.File, error) {
	path, err := ExpandHome(path)
	if err != nil {
		return nil, err
	}
	if !filepath.IsAbs(path) {
		if !filepath.IsLocal(dispatchID) {
			return nil, fmt.Errorf("dispatch %q cannot name a folder", dispatchID)
		}
		path = filepath.Join(dir, dispatchID, path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("making the folder of a log: %w", err)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening a log: %w", err)
	}
	return file, nil
}

// Logs are the files to which the streams of a dispatch are appended; none if empty.
type Logs struct {
	DispatchID     string
	Stdout, Stderr string
}

// CopyStreams appends the streams of nodes to logs. A log that cannot be written is a
// warning: the results do not depend on it.
func (r *Reader) CopyStreams(ctx context.Context, tg *v1alpha1.TaskGroup, logs Logs, updates []contract.TaskUpdate) {
	for key, path := range map[contract.AssetKey]string{contract.AssetStdout: logs.Stdout, contract.AssetStderr: logs.Stderr} {
		if path == "" {
			continue
		}
		for _, update := range updates {
			asset, ok := update.Assets[key]
			if !ok {
				continue
			}
			if err := r.copyStream(ctx, tg, logs.DispatchID, path, asset); err != nil {
				r.Warn(fmt.Errorf("copying the %s of node %d to %s: %w", key, update.NodeID, path, err))
			}
		}
	}
}

func (r *Reader) copyStream(ctx context.Context, tg *v1alpha1.TaskGroup, dispatchID, path string, asset contract.AssetUpdate) error {
	var dir string
	if !filepath.IsAbs(path) {
		var err error
		if dir, err = r.CacheDir(); err != nil {
			return err
		}
	}
	log, err := OpenLog(path, dispatchID, dir)
	if err != nil {
		return err
	}
	if asset.Size == 0 {
		// The gateway has no object of it. The log exists all the same.
		return log.Close()
	}
	return errors.Join(r.appendObject(ctx, log, tg, asset.RemoteURI), log.Close())
}

func (r *Reader) appendObject(ctx context.Context, log io.Writer, tg *v1alpha1.TaskGroup, uri string) error {
	object, _, err := r.Objects.Open(ctx, tg.Spec.OutputsURI(), uri)
	if err != nil {
		return err
	}
	defer object.Close()
	_, err = io.Copy(log, object)
	return err
}
