package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// WriteStreamsToFile appends streams to the files of the same positions
// (covalent/executor/base.py, write_streams_to_file). An empty path is skipped; a
// relative one is below resultsDir/dispatchID; folders are made.
func WriteStreamsToFile(streams, paths []string, dispatchID, resultsDir string) error {
	for i := range min(len(streams), len(paths)) {
		if paths[i] == "" {
			continue
		}
		file, err := openLog(paths[i], dispatchID, resultsDir)
		if err != nil {
			return err
		}
		_, err = file.WriteString(streams[i])
		if err = errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("writing a log: %w", err)
		}
	}
	return nil
}

// openLog opens a log for appending.
func openLog(path, dispatchID, resultsDir string) (*os.File, error) {
	path, err := expandHome(path)
	if err != nil {
		return nil, err
	}
	if !filepath.IsAbs(path) {
		if !filepath.IsLocal(dispatchID) {
			return nil, errorf(ErrInvalid, "dispatch %q cannot name a folder", dispatchID)
		}
		path = filepath.Join(resultsDir, dispatchID, path)
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

// copyStreams appends what the nodes printed to log_stdout and log_stderr. A log that
// cannot be written is a warning: the results do not depend on it.
func (e *Executor) copyStreams(ctx context.Context, tg *v1alpha1.TaskGroup, group contract.TaskGroupMetadata, updates []contract.TaskUpdate) {
	logs := map[contract.AssetKey]string{contract.AssetStdout: e.options.LogStdout, contract.AssetStderr: e.options.LogStderr}
	for key, path := range logs {
		if path == "" {
			continue
		}
		for _, update := range updates {
			asset, ok := update.Assets[key]
			if !ok {
				continue
			}
			if err := e.copyStream(ctx, tg, group, path, asset.RemoteURI); err != nil {
				e.warn(fmt.Errorf("copying the %s of node %d to %s: %w", key, update.NodeID, path, err))
			}
		}
	}
}

func (e *Executor) copyStream(ctx context.Context, tg *v1alpha1.TaskGroup, group contract.TaskGroupMetadata, path, uri string) error {
	var dir string
	if !filepath.IsAbs(path) {
		var err error
		if dir, err = e.cacheDir(); err != nil {
			return err
		}
	}
	log, err := openLog(path, group.DispatchID, dir)
	if err != nil {
		return err
	}
	return errors.Join(e.appendObject(ctx, log, tg, uri), log.Close())
}

func (e *Executor) appendObject(ctx context.Context, log io.Writer, tg *v1alpha1.TaskGroup, uri string) error {
	object, _, err := e.objects.Open(ctx, outputsOf(tg), uri)
	if err != nil {
		return err
	}
	defer object.Close()
	_, err = io.Copy(log, object)
	return err
}

// newPrefix begins the name of a file that is not whole yet.
const newPrefix = ".new-"

// writeFile makes a file appear whole: what is written a second time may be read at
// that moment.
func writeFile(path string, raw []byte, mode fs.FileMode) error {
	// A folder that others may enter only where they may read what is in it.
	if err := os.MkdirAll(filepath.Dir(path), mode|mode&0o444>>2); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), newPrefix+"*")
	if err != nil {
		return err
	}
	_, err = file.Write(raw)
	if err = errors.Join(err, file.Chmod(mode), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}
