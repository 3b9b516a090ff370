// SPDX-License-Identifier: Apache-2.0

package results

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/manifest"
)

// Records are the records of tasks, by node.
type Records map[contract.NodeID]*contract.TaskRecord

// committed is where a record of a task was committed, and by which attempt.
type committed struct {
	attempt int32
	uri     string
	// sha256 is empty if the pod was deleted before the operator read it.
	sha256 string
}

// sources returns where the records of these nodes are: the manifest of the last attempt
// of a Sequential group, or else of the newest attempt that committed one, and each
// task's own manifest of a Parallel group.
func sources(tg *v1alpha1.TaskGroup, nodes []contract.NodeID) map[contract.NodeID]committed {
	found := make(map[contract.NodeID]committed, len(nodes))
	outputs := tg.Spec.OutputsURI()
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

// groupSource returns the manifest of a Sequential group.
func groupSource(tg *v1alpha1.TaskGroup, outputs string) (committed, bool) {
	if m := tg.Status.Manifest; m != nil {
		return committed{tg.Status.Attempt, m.URI, m.SHA256}, true
	}
	return previousSource(tg, outputs)
}

// previousSource returns the manifest of the newest attempt that is known to have
// committed one.
func previousSource(tg *v1alpha1.TaskGroup, outputs string) (committed, bool) {
	for _, job := range slices.Backward(tg.Status.Jobs) {
		if job.ManifestSHA256 != "" {
			at := contract.AttemptURI(outputs, string(tg.UID), job.Attempt)
			return committed{job.Attempt, contract.ManifestURI(at), job.ManifestSHA256}, true
		}
	}
	return committed{}, false
}

// readManifest reads a manifest and checks that it is the one that the status names, and
// of this group.
func (r *Reader) readManifest(ctx context.Context, tg *v1alpha1.TaskGroup, source committed) (Records, error) {
	found, err := r.manifest(ctx, tg.Spec.OutputsURI(), manifest.Reference{URI: source.uri, SHA256: source.sha256, UID: string(tg.UID)})
	if err != nil {
		return nil, err
	}
	records := make(Records, len(found.Tasks))
	for i := range found.Tasks {
		records[found.Tasks[i].NodeID] = &found.Tasks[i]
	}
	return records, nil
}

func (r *Reader) manifest(ctx context.Context, outputs string, want manifest.Reference) (*contract.Manifest, error) {
	var found *contract.Manifest
	err := retry(ctx, func() error {
		object, _, err := r.Objects.Open(ctx, outputs, want.URI)
		if err != nil {
			return fmt.Errorf("opening %s: %w", want.URI, err)
		}
		defer object.Close()
		found, err = manifest.Read(object, want)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	return found, nil
}

// Completed looks for the manifest of an attempt of a Sequential group that completed all
// tasks, and returns nil if there is none. It is for a group whose status, and the digest in
// it, cannot be read any more.
func (r *Reader) Completed(ctx context.Context, outputs, uid string, attempts int32) (*contract.Manifest, error) {
	for attempt := int32(1); attempt <= attempts; attempt++ {
		uri := contract.ManifestURI(contract.AttemptURI(outputs, uid, attempt))
		found, err := r.manifest(ctx, outputs, manifest.Reference{URI: uri, UID: uid, Attempt: attempt})
		switch {
		case store.MayBeMissing(err):
		case err != nil:
			return nil, err
		case !slices.ContainsFunc(found.Tasks, func(t contract.TaskRecord) bool { return t.State != contract.TaskCompleted }):
			return found, nil
		}
	}
	return nil, nil
}

// readRecords reads a manifest. If the newest attempt was not known to have committed one
// and did not, it reads the manifest of a previous attempt.
func (r *Reader) readRecords(ctx context.Context, tg *v1alpha1.TaskGroup, source committed) (Records, error) {
	records, err := r.readManifest(ctx, tg, source)
	reason := tg.Status.Reason()
	if source.sha256 != "" || !store.MayBeMissing(err) || reason == v1alpha1.ReasonCompleted {
		return records, err
	}
	previous, ok := previousSource(tg, tg.Spec.OutputsURI())
	if !ok {
		return nil, nil
	}
	return r.readManifest(ctx, tg, previous)
}

// Records reads the records of these nodes, each manifest once. The errors are by node:
// manifest.ErrInvalid for a manifest that must not be used, otherwise the store's.
func (r *Reader) Records(ctx context.Context, tg *v1alpha1.TaskGroup, nodes []contract.NodeID) (Records, map[contract.NodeID]error) {
	type read struct {
		records Records
		err     error
	}
	done := map[committed]read{}
	records, failures := Records{}, map[contract.NodeID]error{}
	locations := sources(tg, nodes)
	for _, node := range nodes {
		source, ok := locations[node]
		if !ok {
			continue
		}
		answer, ok := done[source]
		if !ok {
			answer.records, answer.err = r.readRecords(ctx, tg, source)
			done[source] = answer
		}
		switch {
		case answer.err != nil:
			failures[node] = answer.err
		case answer.records[node] != nil:
			records[node] = answer.records[node]
		}
	}
	return records, failures
}
