// SPDX-License-Identifier: Apache-2.0

package asset

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/manifest"
)

// ErrNone reports that a group has committed no manifest.
var ErrNone = errors.New("the group has left no manifest")

// Reader gives the bytes of an object as a file of this machine: dest, or
// another one where it is a file already. *store.Stores is one.
type Reader interface {
	Fetch(ctx context.Context, uri, dest string) (path string, err error)
}

// reference is where a manifest is, and what its digest has to be.
type reference struct {
	uri    string
	sha256 string
	// node is the only task of the manifest; nil for all.
	node *v1alpha1.NodeID
}

// Manifests reads the committed record of a group: one manifest, or those of the
// tasks of a Parallel group. It returns what it could read, too, where it could
// not read all.
func Manifests(ctx context.Context, reader Reader, tg *v1alpha1.TaskGroup) ([]contract.Manifest, error) {
	references := referencesOf(tg)
	if len(references) == 0 {
		return nil, ErrNone
	}
	manifests, err := readAll(ctx, reader, references, string(tg.UID))
	if mayBeMissing(tg) && store.MayBeMissing(err) {
		return nil, ErrNone
	}
	return manifests, err
}

// mayBeMissing reports whether the manifest that the status names may never have been
// committed: the end of its pod was not observed.
func mayBeMissing(tg *v1alpha1.TaskGroup) bool {
	m := tg.Status.Manifest
	return m != nil && m.SHA256 == "" && tg.Status.Reason() != v1alpha1.ReasonCompleted
}

// ManifestOf reads that of one attempt of a Sequential group.
func ManifestOf(ctx context.Context, reader Reader, tg *v1alpha1.TaskGroup, attempt int32) (*contract.Manifest, error) {
	for i := range tg.Status.Jobs {
		job := &tg.Status.Jobs[i]
		if job.Attempt != attempt || job.ManifestSHA256 == "" || outputsOf(tg) == "" {
			continue
		}
		uri := contract.ManifestURI(contract.AttemptURI(outputsOf(tg), string(tg.UID), attempt))
		manifests, err := readAll(ctx, reader, []reference{{uri: uri, sha256: job.ManifestSHA256}}, string(tg.UID))
		if err != nil {
			return nil, err
		}
		return &manifests[0], nil
	}
	return nil, ErrNone
}

func outputsOf(tg *v1alpha1.TaskGroup) string {
	if tg.Spec.Assets == nil {
		return ""
	}
	return string(tg.Spec.Assets.Outputs)
}

func referencesOf(tg *v1alpha1.TaskGroup) (references []reference) {
	if manifest := tg.Status.Manifest; manifest != nil {
		return []reference{{uri: manifest.URI, sha256: manifest.SHA256}}
	}
	if outputsOf(tg) == "" {
		return nil
	}
	for i := range tg.Status.Tasks {
		task := &tg.Status.Tasks[i]
		digest, err := base64.RawURLEncoding.DecodeString(task.Digest)
		if err != nil || len(digest) == 0 {
			continue
		}
		attempt := task.Attempt
		if attempt == 0 {
			attempt = max(tg.Status.Attempt, 1)
		}
		place := contract.AttemptURI(outputsOf(tg), string(tg.UID), attempt)
		references = append(references, reference{
			uri:    contract.TaskManifestURI(place, contract.NodeID(task.NodeID)),
			sha256: hex.EncodeToString(digest),
			node:   &task.NodeID,
		})
	}
	return references
}

func readAll(ctx context.Context, reader Reader, references []reference, uid string) ([]contract.Manifest, error) {
	folder, err := os.MkdirTemp("", "taskgroup-")
	if err != nil {
		return nil, fmt.Errorf("making a place for manifests: %w", err)
	}
	defer os.RemoveAll(folder)
	var manifests []contract.Manifest
	var errs []error
	for _, reference := range references {
		found, err := read(ctx, reader, reference, uid, filepath.Join(folder, "manifest.json"))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		manifests = append(manifests, *found)
	}
	return manifests, errors.Join(errs...)
}

func read(ctx context.Context, reader Reader, reference reference, uid, dest string) (*contract.Manifest, error) {
	found, err := manifest.Fetch(ctx, reader, dest, manifest.Reference{URI: reference.uri, SHA256: reference.sha256, UID: uid})
	switch {
	case errors.Is(err, manifest.ErrChanged):
		return nil, fmt.Errorf("reading the manifest: it is not the manifest that the status names: %w", err)
	case err != nil:
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	return found, nil
}
