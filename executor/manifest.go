package executor

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/manifest"
)

// committed says where a record of a task was committed, and by which attempt.
type committed struct {
	attempt int32
	uri     string
	// sha256 is empty where the pod was gone before the operator read it.
	sha256 string
}

// sources are where to look for the records of these nodes: the manifest of the
// attempt that ended a Sequential group, or else that of the newest attempt that
// left one, and each task's own of a Parallel group.
func sources(tg *v1alpha1.TaskGroup, nodes []contract.NodeID) map[contract.NodeID]committed {
	found := make(map[contract.NodeID]committed, len(nodes))
	outputs := outputsOf(tg)
	if outputs == "" {
		return found
	}
	if tg.Spec.Execution == v1alpha1.Parallel {
		for i := range tg.Status.Tasks {
			task := &tg.Status.Tasks[i]
			raw, err := base64.RawURLEncoding.DecodeString(task.Digest)
			if err != nil || task.Digest == "" {
				continue
			}
			attempt := tg.Status.Attempt
			if task.Attempt != 0 {
				attempt = task.Attempt
			}
			node := contract.NodeID(task.NodeID)
			at := contract.AttemptURI(outputs, string(tg.UID), attempt)
			found[node] = committed{attempt, contract.TaskManifestURI(at, node), hex.EncodeToString(raw)}
		}
		return found
	}
	if source, ok := groupSource(tg, outputs); ok {
		for _, node := range nodes {
			found[node] = source
		}
	}
	return found
}

// groupSource is the manifest of a Sequential group.
func groupSource(tg *v1alpha1.TaskGroup, outputs string) (committed, bool) {
	if m := tg.Status.Manifest; m != nil {
		return committed{tg.Status.Attempt, m.URI, m.SHA256}, true
	}
	return formerSource(tg, outputs)
}

// formerSource is the manifest of the newest attempt that is known to have left one.
func formerSource(tg *v1alpha1.TaskGroup, outputs string) (committed, bool) {
	for _, job := range slices.Backward(tg.Status.Jobs) {
		if job.ManifestSHA256 != "" {
			at := contract.AttemptURI(outputs, string(tg.UID), job.Attempt)
			return committed{job.Attempt, contract.ManifestURI(at), job.ManifestSHA256}, true
		}
	}
	return committed{}, false
}

// readManifest reads a manifest and checks that it is the one that the status
// names, of this very group.
func (e *Executor) readManifest(ctx context.Context, tg *v1alpha1.TaskGroup, source committed) (map[contract.NodeID]*contract.TaskRecord, error) {
	var found *contract.Manifest
	err := persistRead(ctx, func() error {
		object, _, err := e.objects.Open(ctx, outputsOf(tg), source.uri)
		if err != nil {
			return fmt.Errorf("opening %s: %w", source.uri, err)
		}
		defer object.Close()
		found, err = manifest.Read(object, manifest.Reference{URI: source.uri, SHA256: source.sha256, UID: string(tg.UID)})
		return err
	})
	if errors.Is(err, manifest.ErrInvalid) {
		return nil, errorf(ErrManifestInvalid, "reading the manifest: %w", err)
	} else if err != nil {
		return nil, errorf(ErrManifestUnavailable, "reading the manifest: %w", err)
	}
	records := make(map[contract.NodeID]*contract.TaskRecord, len(found.Tasks))
	for i := range found.Tasks {
		records[found.Tasks[i].NodeID] = &found.Tasks[i]
	}
	return records, nil
}

// readRecords is readManifest, and where the newest attempt may have left nothing, and
// did not, reads what a former one left.
func (e *Executor) readRecords(ctx context.Context, tg *v1alpha1.TaskGroup, source committed) (map[contract.NodeID]*contract.TaskRecord, error) {
	records, err := e.readManifest(ctx, tg, source)
	reason := tg.Status.Reason()
	if source.sha256 != "" || !isMissing(err) || reason == v1alpha1.ReasonCompleted {
		return records, err
	}
	former, ok := formerSource(tg, outputsOf(tg))
	if !ok {
		return nil, nil
	}
	return e.readManifest(ctx, tg, former)
}

// recordsOf reads the records of these nodes, each manifest once. The errors are by
// node.
func (e *Executor) recordsOf(ctx context.Context, tg *v1alpha1.TaskGroup, nodes []contract.NodeID) (map[contract.NodeID]*contract.TaskRecord, map[contract.NodeID]error) {
	type read struct {
		records map[contract.NodeID]*contract.TaskRecord
		err     error
	}
	done := map[committed]read{}
	records, failures := map[contract.NodeID]*contract.TaskRecord{}, map[contract.NodeID]error{}
	places := sources(tg, nodes)
	for _, node := range nodes {
		source, ok := places[node]
		if !ok {
			continue
		}
		r, ok := done[source]
		if !ok {
			r.records, r.err = e.readRecords(ctx, tg, source)
			done[source] = r
		}
		switch {
		case r.err != nil:
			failures[node] = r.err
		case r.records[node] != nil:
			records[node] = r.records[node]
		}
	}
	return records, failures
}

// assetUpdates returns the assets of a record that may be passed on: those below the
// group's own folder. A task can forge its record, but not where it may write; the
// dispatcher copies any file that an update names.
func (e *Executor) assetUpdates(ctx context.Context, tg *v1alpha1.TaskGroup, record *contract.TaskRecord) (map[contract.AssetKey]contract.AssetUpdate, error) {
	updates := make(map[contract.AssetKey]contract.AssetUpdate, len(record.Assets)+1)
	for key, asset := range record.Assets {
		if err := store.Below(placeOf(tg), asset.URI); err != nil {
			return updates, errorf(ErrManifestInvalid, "node %d: its %s: %w", record.NodeID, key, err)
		}
		if isFile(asset.URI) {
			size, err := sizeOf(ctx, e.objects, outputsOf(tg), asset.URI)
			if err == nil && size != asset.Size {
				err = fmt.Errorf("it has %d bytes, recorded are %d", size, asset.Size)
			}
			if err != nil && key == contract.AssetOutput {
				return updates, errorf(ErrManifestInvalid, "node %d: its %s %s: %w", record.NodeID, key, asset.URI, err)
			} else if err != nil {
				continue
			}
		}
		updates[key] = contract.AssetUpdate{RemoteURI: asset.URI, Size: asset.Size, DigestAlg: "sha256", Digest: asset.SHA256}
	}
	return updates, nil
}

// strayStreams returns what a killed pod had uploaded before: no record has it, so that
// the store is searched. A task that had finished has whole streams; one that was running
// has segments. An error is a warning: the result does not depend on it.
func (e *Executor) strayStreams(ctx context.Context, tg *v1alpha1.TaskGroup, node contract.NodeID) map[contract.AssetKey]contract.AssetUpdate {
	updates := map[contract.AssetKey]contract.AssetUpdate{}
	outputs := outputsOf(tg)
	if outputs == "" || tg.Status.Attempt == 0 {
		return updates
	}
	at := contract.AttemptURI(outputs, string(tg.UID), tg.Status.Attempt)
	for _, key := range []contract.AssetKey{contract.AssetStdout, contract.AssetStderr} {
		uri := contract.AssetURI(at, node, key)
		if size, err := sizeOf(ctx, e.objects, outputsOf(tg), uri); err == nil {
			updates[key] = contract.AssetUpdate{RemoteURI: uri, Size: size}
		} else if assembled, err := e.writeStream(ctx, tg, node, key); err != nil {
			e.warn(err)
		} else if assembled != nil {
			updates[key] = *assembled
		}
	}
	return updates
}

// placeOf is where a group, and no other one, writes.
func placeOf(tg *v1alpha1.TaskGroup) string {
	return strings.TrimRight(outputsOf(tg), "/") + "/" + string(tg.UID)
}

func outputsOf(tg *v1alpha1.TaskGroup) string {
	if tg.Spec.Assets == nil {
		return ""
	}
	return string(tg.Spec.Assets.Outputs)
}

func isFile(uri string) bool { return strings.HasPrefix(uri, "file:") }

func (e *Executor) files() Files { return Files{LocalPaths: e.options.LocalPaths} }

// mayPass says whether a manifest that could not be read may be read later.
func mayPass(err error) bool {
	return errors.Is(err, ErrManifestUnavailable) && !isMissing(err)
}
