// SPDX-License-Identifier: Apache-2.0

package group

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/runner/stage"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/manifest"
)

// earlier has the tasks that earlier attempts completed.
type earlier struct {
	python *contract.PythonVersions
	// completed are the tasks that this attempt takes over.
	completed map[contract.NodeID]takenOver
}

// takenOver is a task that an earlier attempt completed.
type takenOver struct {
	record contract.TaskRecord
	// attempt is the one whose manifest or checkpoint has the record.
	attempt int32
}

// resume takes over what earlier attempts completed: first what is in the manifest that
// the plan names, then what later attempts left checkpoints of. A manifest that cannot
// be relied on fails the first task, and nothing of it is used: a task that runs on the
// wrong inputs is worse than one that does not run.
func (r *run) resume(ctx context.Context) {
	if r.unusable != nil {
		return
	}
	if r.Plan.Previous != nil {
		previous, bad := r.readPrevious(ctx, r.Plan.Previous)
		if bad != nil {
			r.unusable = bad
			return
		}
		for i := range previous.Tasks {
			if record := &previous.Tasks[i]; record.State == contract.TaskCompleted {
				r.takeOver(record, previous.Attempt, previous.Python)
			}
		}
	}
	r.readCheckpoints(ctx)
}

// takeOver makes a record of an earlier attempt one of this attempt, if the plan has
// its task, and its output an input of later tasks.
func (r *run) takeOver(record *contract.TaskRecord, attempt int32, python *contract.PythonVersions) {
	i := slices.IndexFunc(r.Plan.Tasks, func(t contract.PlanTask) bool { return t.NodeID == record.NodeID })
	if i < 0 {
		return
	}
	r.earlier.completed[record.NodeID] = takenOver{*record, attempt}
	r.earlier.python = cmp.Or(python, r.earlier.python)
	asset := record.Assets[contract.AssetOutput]
	r.Store.Expect(asset)
	r.outputs[record.NodeID] = output{uri: asset.URI, command: len(r.Plan.Tasks[i].Command) > 0}
}

// readPrevious fetches the manifest of an earlier attempt and verifies that it is the
// one that the plan names. The second result is nil if it is. A stage fetches it, whose
// waiting ends with ctx, whatever the store does.
func (r *run) readPrevious(ctx context.Context, reference *contract.ManifestReference) (*contract.Manifest, *outcome) {
	if reference.URI == "" {
		return nil, new(failed(contract.ReasonInputUnavailable, "the manifest of the attempt to resume cannot be read: the plan names no URI"))
	}
	staged := stage.Start(ctx, r.Store, filepath.Join(r.WorkDir, "previous"), [][]string{{reference.URI}})
	defer staged.Stop()
	path, err := staged.Path(ctx, reference.URI)
	if err == nil {
		var found *contract.Manifest
		found, err = readManifest(path, manifest.Reference{URI: reference.URI, SHA256: reference.SHA256, UID: r.Plan.UID})
		if err == nil {
			return found, nil
		}
	}
	if errors.Is(err, manifest.ErrInvalid) {
		return nil, new(failed(contract.ReasonInputInvalid, "the manifest of the attempt to resume cannot be used: %s", err))
	}
	return nil, new(failed(contract.ReasonInputUnavailable, "the manifest of the attempt to resume cannot be read: %s", err).retried(retryOfFetch(err)))
}

func readManifest(path string, want manifest.Reference) (*contract.Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", store.RedactURI(want.URI), err)
	}
	defer func() { _ = f.Close() }()
	return manifest.Read(f, want)
}

// readBounded reads a file, and at most one byte more than the bound.
func readBounded(path string, bound int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, bound+1))
}

// remaining returns the tasks that this attempt has to run.
func (r *run) remaining() []contract.PlanTask {
	if r.unusable != nil {
		return nil
	}
	var tasks []contract.PlanTask
	for _, t := range r.Plan.Tasks {
		if _, ok := r.earlier.completed[t.NodeID]; !ok {
			tasks = append(tasks, t)
		}
	}
	return tasks
}

// sources returns the URIs of the outputs that existed before this attempt, by node.
func (r *run) sources() map[contract.NodeID]string {
	all := make(map[contract.NodeID]string, len(r.Plan.Inputs)+len(r.outputs))
	maps.Copy(all, r.Plan.Inputs)
	for node, out := range r.outputs {
		all[node] = out.uri
	}
	return all
}

// completedEarlier returns the record of a task that an earlier attempt completed.
func (r *run) completedEarlier(node contract.NodeID) (contract.TaskRecord, bool) {
	task, ok := r.earlier.completed[node]
	if ok {
		r.mark(node, fmt.Sprintf("completed in attempt %d", r.attemptOf(&task)))
	}
	return task.record, ok
}

func (r *run) isTakenOver(node contract.NodeID) bool {
	_, ok := r.earlier.completed[node]
	return ok
}

// attemptURI is the location of another attempt of this group.
func (r *run) attemptURI(attempt int32) string {
	return strings.TrimSuffix(r.Plan.Outputs, strconv.Itoa(int(r.Plan.Attempt))) + strconv.Itoa(int(attempt))
}

// attemptOf returns the attempt below whose location the assets of a record are: the
// attempt that committed the manifest may have taken the record over itself.
func (r *run) attemptOf(task *takenOver) int32 {
	attempts := strings.TrimSuffix(r.Plan.Outputs, strconv.Itoa(int(r.Plan.Attempt)))
	if rest, ok := strings.CutPrefix(task.record.Assets[contract.AssetStdout].URI, attempts); ok {
		digits, _, _ := strings.Cut(rest, "/")
		if n, err := strconv.ParseInt(digits, 10, 32); err == nil {
			return int32(n)
		}
	}
	return task.attempt
}
