// SPDX-License-Identifier: Apache-2.0

package group

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// keep uploads the assets of a task and adds them to its record. A completed task fails
// if the store does not take its assets.
func (r *run) keep(ctx context.Context, record *contract.TaskRecord, files taskFiles, traceback string) {
	if r.Plan.Outputs == "" || !r.canWrite() {
		return
	}
	defer files.removeStreams()
	paths := map[contract.AssetKey]string{contract.AssetStdout: files.stdout, contract.AssetStderr: files.stderr}
	if record.State == contract.TaskCompleted {
		if _, err := os.Stat(files.output); err == nil {
			paths[contract.AssetOutput] = files.output
		}
	}
	kept, err := r.upload(ctx, record.NodeID, paths)
	record.Assets = kept
	if err != nil {
		r.mark(record.NodeID, "uploading: "+err.Error())
		if record.State == contract.TaskCompleted {
			record.State, record.Reason, record.Message = contract.TaskFailed, contract.ReasonOutputUploadFailed, err.Error()
			delete(record.Assets, contract.AssetOutput)
			r.retry = retryOfUpload(err)
		}
	}
	if record.State != contract.TaskFailed {
		return
	}
	text := fmt.Sprintf("%s: %s\n", record.Reason, record.Message)
	if traceback != "" {
		text += "\n" + traceback
	}
	if asset, err := r.put(ctx, record.NodeID, contract.AssetError, strings.NewReader(text)); err == nil {
		record.Assets[contract.AssetError] = asset
	} else {
		r.mark(record.NodeID, "uploading: "+err.Error())
	}
}

// upload uploads files at the same time. It returns those that succeeded, and the first
// error.
func (r *run) upload(ctx context.Context, node contract.NodeID, files map[contract.AssetKey]string) (map[contract.AssetKey]contract.Asset, error) {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		kept  = make(map[contract.AssetKey]contract.Asset, len(files)+1)
		first error
	)
	for key, path := range files {
		wg.Go(func() {
			asset, err := r.putFile(ctx, node, key, path)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				kept[key] = asset
			} else if first == nil {
				first = err
			}
		})
	}
	wg.Wait()
	return kept, first
}

func (r *run) putFile(ctx context.Context, node contract.NodeID, key contract.AssetKey, path string) (contract.Asset, error) {
	// The task may have replaced the file: opening a FIFO would wait for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return contract.Asset{}, fmt.Errorf("reading the task's %s: %w", key, err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return contract.Asset{}, fmt.Errorf("reading the task's %s: it is not a regular file", key)
	}
	if info.Size() == 0 && key != contract.AssetOutput && contract.IsGatewayURI(r.Plan.Outputs) {
		// Most tasks print nothing: two of their three uploads would have no bytes.
		return contract.EmptyAsset(contract.AssetURI(r.Plan.Outputs, node, key)), nil
	}
	return r.put(ctx, node, key, f)
}

func (r *run) put(ctx context.Context, node contract.NodeID, key contract.AssetKey, data io.Reader) (contract.Asset, error) {
	return r.Store.Put(ctx, contract.AssetURI(r.Plan.Outputs, node, key), data)
}

// finish commits the manifest and returns the outcome of the group.
func (r *run) finish(ctx context.Context, started time.Time) *Result {
	result := &Result{}
	if r.Plan.Parallel {
		result.Message.Node = &r.Plan.Tasks[0].NodeID
	}
	for i := range r.records {
		record := &r.records[i]
		result.Message.States = append(result.Message.States, record.State)
		if result.Message.Failure == nil && record.State != contract.TaskCompleted {
			result.Message.Failure = &contract.Failure{
				NodeID: &record.NodeID, Reason: record.Reason, Message: record.Message, ExitCode: record.ExitCode, Retry: r.retry,
			}
			// Only SIGTERM to the pod cancels the first task that did not complete.
			result.Interrupted = record.State == contract.TaskCancelled
		}
	}
	if r.Plan.Outputs != "" && r.canWrite() {
		digest, err := r.commit(ctx, started)
		result.Message.ManifestSHA256 = digest
		if err != nil {
			_, _ = fmt.Fprintf(r.Stderr, "[taskgroup] %s\n", err)
			if result.Message.Failure == nil {
				result.Message.Failure = &contract.Failure{
					Reason: contract.ReasonOutputUploadFailed, Message: err.Error(), Retry: retryOfUpload(err),
				}
			}
		}
	}
	return result
}

// commit writes the manifest and returns its digest.
func (r *run) commit(ctx context.Context, started time.Time) (string, error) {
	manifest := contract.Manifest{
		Version:     contract.ManifestVersion,
		DispatchID:  r.Plan.DispatchID,
		TaskGroupID: r.Plan.TaskGroupID,
		UID:         r.Plan.UID,
		Attempt:     r.Plan.Attempt,
		StartTime:   started,
		EndTime:     time.Now().UTC(),
		Python:      cmp.Or(r.python.versions(), r.earlier.python),
		Tasks:       r.records,
	}
	var raw bytes.Buffer
	encoder := json.NewEncoder(&raw)
	// URIs and messages are read by people: no \u0026 for &.
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(manifest); err != nil {
		return "", fmt.Errorf("encoding the manifest: %w", err)
	}
	if raw.Len() > contract.MaxManifest {
		return "", errors.New("committing the manifest: it is too large")
	}
	uri := contract.ManifestURI(r.Plan.Outputs)
	if r.Plan.Parallel {
		uri = contract.TaskManifestURI(r.Plan.Outputs, r.Plan.Tasks[0].NodeID)
	}
	asset, err := r.Store.Commit(ctx, uri, &raw)
	if err != nil {
		return "", fmt.Errorf("committing the manifest: %w", err)
	}
	return asset.SHA256, nil
}
