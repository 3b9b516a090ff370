package group

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/runner/stage"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// earlier is what the attempts before this one completed.
type earlier struct {
	// attempt is the one that committed the manifest.
	attempt int32
	python  *contract.PythonVersions
	// completed are the records that this attempt takes over.
	completed map[contract.NodeID]contract.TaskRecord
}

// resume takes over what an earlier attempt completed, where the plan names its
// manifest. A manifest that cannot be relied on fails the first task: nothing
// of it is used, since a task that ran on the wrong inputs is worse than none.
func (r *run) resume(ctx context.Context) {
	if r.Plan.Previous == nil {
		return
	}
	manifest, bad := r.readPrevious(ctx, r.Plan.Previous)
	if bad != nil {
		r.unusable = bad
		return
	}
	r.earlier = earlier{attempt: manifest.Attempt, python: manifest.Python, completed: map[contract.NodeID]contract.TaskRecord{}}
	for _, record := range manifest.Tasks {
		if record.State == contract.TaskCompleted {
			r.earlier.completed[record.NodeID] = record
		}
	}
	for _, t := range r.Plan.Tasks {
		if record, ok := r.earlier.completed[t.NodeID]; ok {
			asset := record.Assets[contract.AssetOutput]
			r.Store.Expect(asset)
			r.outputs[t.NodeID] = output{uri: asset.URI, command: len(t.Command) > 0}
		}
	}
}

// readPrevious fetches the manifest of an earlier attempt and verifies that it
// is the one that the plan means. Its second result is nil unless it is not.
func (r *run) readPrevious(ctx context.Context, reference *contract.ManifestReference) (*contract.Manifest, *outcome) {
	raw, err := r.fetchManifest(ctx, reference.URI)
	if err != nil {
		return nil, new(failed(contract.ReasonInputUnavailable, "the manifest of the attempt to resume cannot be read: %s", err))
	}
	sum := sha256.Sum256(raw)
	if got := hex.EncodeToString(sum[:]); got != reference.SHA256 {
		return nil, new(failed(contract.ReasonInputInvalid,
			"%s: the manifest of the attempt to resume was changed: its SHA-256 is %s, it was committed with %s", store.RedactURI(reference.URI), got, reference.SHA256))
	}
	manifest, err := contract.DecodeManifest(raw)
	switch {
	case err != nil:
		return nil, new(failed(contract.ReasonInputInvalid, "%s: %s", store.RedactURI(reference.URI), err))
	case manifest.UID != r.Plan.UID:
		return nil, new(failed(contract.ReasonInputInvalid,
			"%s: the manifest is of the group with UID %s, this group's is %s", store.RedactURI(reference.URI), manifest.UID, r.Plan.UID))
	}
	return manifest, nil
}

// fetchManifest goes by way of a stage, whose waiting ends with ctx whatever
// the store does.
func (r *run) fetchManifest(ctx context.Context, uri string) ([]byte, error) {
	if uri == "" {
		return nil, errors.New("the plan names no URI")
	}
	path, err := stage.Start(ctx, r.Store, filepath.Join(r.WorkDir, "previous"), []string{uri}).Path(ctx, uri)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", store.RedactURI(uri), err)
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, contract.MaxManifest+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", store.RedactURI(uri), err)
	}
	return raw, nil
}

// remaining are the tasks that this attempt has to run.
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

// sources are the URIs of outputs from before this attempt, by node.
func (r *run) sources() map[contract.NodeID]string {
	all := make(map[contract.NodeID]string, len(r.Plan.Inputs)+len(r.outputs))
	maps.Copy(all, r.Plan.Inputs)
	for node, out := range r.outputs {
		all[node] = out.uri
	}
	return all
}

// takeOver returns the record of a task that an earlier attempt completed.
func (r *run) takeOver(node contract.NodeID) (contract.TaskRecord, bool) {
	record, ok := r.earlier.completed[node]
	if ok {
		r.mark(node, fmt.Sprintf("completed in attempt %d", r.attemptOf(&record)))
	}
	return record, ok
}

// attemptOf is the attempt in whose folder a record's assets lie: the one that
// committed the manifest may have taken the record over in its turn.
func (r *run) attemptOf(record *contract.TaskRecord) int32 {
	attempts := strings.TrimSuffix(r.Plan.Outputs, strconv.Itoa(int(r.Plan.Attempt)))
	if rest, ok := strings.CutPrefix(record.Assets[contract.AssetStdout].URI, attempts); ok {
		digits, _, _ := strings.Cut(rest, "/")
		if n, err := strconv.ParseInt(digits, 10, 32); err == nil {
			return int32(n)
		}
	}
	return r.earlier.attempt
}
