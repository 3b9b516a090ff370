// SPDX-License-Identifier: Apache-2.0

package asset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// Keys are the assets that a task may leave, in the order of their interest.
var Keys = []contract.AssetKey{contract.AssetOutput, contract.AssetStdout, contract.AssetStderr, contract.AssetError}

// Download copies the assets of a task to <dir>/<node>/<key>, checks their
// digests, and returns the paths. A file that exists is not replaced,
// and is an error unless it has the same bytes.
func Download(ctx context.Context, reader Reader, tg *v1alpha1.TaskGroup, record *contract.TaskRecord, dir string) ([]string, error) {
	var paths []string
	for _, key := range Keys {
		asset, ok := record.Assets[key]
		if !ok {
			continue
		}
		if err := belongs(tg, &asset); err != nil {
			return paths, err
		}
		path := filepath.Join(dir, record.NodeID.String(), string(key))
		if err := save(ctx, reader, &asset, path); err != nil {
			return paths, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// belongs refuses what is not below the group's own folder: a manifest is made
// in a pod, and this machine may be able to read what the pod may not.
func belongs(tg *v1alpha1.TaskGroup, asset *contract.Asset) error {
	own := strings.TrimRight(outputsOf(tg), "/") + "/" + string(tg.UID)
	if err := store.Below(own, asset.URI); err != nil {
		return fmt.Errorf("%s is not in the group's folder: it is not read: %w", store.RedactURI(asset.URI), err)
	}
	return nil
}

func save(ctx context.Context, reader Reader, asset *contract.Asset, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("making the folder of a download: %w", err)
	}
	if digest, err := digestOf(path); err == nil {
		if digest == asset.SHA256 {
			return nil
		}
		return fmt.Errorf("%s is there already and is not this result: name another folder", path)
	}
	temporary := path + ".part"
	defer os.Remove(temporary)
	if asset.IsEmpty() {
		if err := os.WriteFile(temporary, nil, 0o644); err != nil {
			return fmt.Errorf("keeping a download: %w", err)
		}
		return os.Rename(temporary, path)
	}
	source, err := reader.Fetch(ctx, asset.URI, temporary)
	if err != nil {
		return fmt.Errorf("downloading: %w", err)
	}
	if source != temporary {
		if err := duplicate(source, temporary); err != nil {
			return fmt.Errorf("downloading %s: %w", store.RedactURI(asset.URI), err)
		}
	}
	digest, err := digestOf(temporary)
	if err != nil {
		return fmt.Errorf("checking a download: %w", err)
	}
	if digest != asset.SHA256 {
		return fmt.Errorf("%s: %w: it was changed after the group's end", store.RedactURI(asset.URI), store.ErrDigest)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("keeping a download: %w", err)
	}
	return nil
}

func duplicate(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

func digestOf(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// Source names a stream of a task.
type Source struct {
	Attempt int32
	Node    v1alpha1.NodeID
	Key     contract.AssetKey
}

// Stream copies a stream: whole if its task has finished, else the segments that were
// uploaded so far.
func Stream(ctx context.Context, reader Reader, tg *v1alpha1.TaskGroup, source Source, w io.Writer) error {
	if outputsOf(tg) == "" {
		return ErrNone
	}
	node, key := source.Node, source.Key
	folder, err := os.MkdirTemp("", "taskgroup-")
	if err != nil {
		return fmt.Errorf("making a place for a stream: %w", err)
	}
	defer os.RemoveAll(folder)
	at, dest := contract.AttemptURI(outputsOf(tg), string(tg.UID), source.Attempt), filepath.Join(folder, string(key))
	err = copyObject(ctx, reader, contract.AssetURI(at, contract.NodeID(node), key), dest, w)
	if errors.Is(err, os.ErrNotExist) {
		segments := func(number int) string { return contract.SegmentURI(at, contract.NodeID(node), key, number) }
		if n, segmentErr := copySegments(ctx, reader, segments, dest, w); n > 0 || !errors.Is(segmentErr, os.ErrNotExist) {
			err = segmentErr
		}
	}
	if errors.Is(err, os.ErrNotExist) && isEmpty(ctx, reader, tg, source) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the %s of task %d: %w", key, node, err)
	}
	return nil
}

// isEmpty reports whether a committed manifest records a stream without bytes, of which the
// store may have no object; see contract.Asset.IsEmpty.
func isEmpty(ctx context.Context, reader Reader, tg *v1alpha1.TaskGroup, source Source) bool {
	manifests, _ := Manifests(ctx, reader, tg)
	if earlier, err := ManifestOf(ctx, reader, tg, source.Attempt); err == nil {
		manifests = append(manifests, *earlier)
	}
	at := contract.AttemptURI(outputsOf(tg), string(tg.UID), source.Attempt)
	uri := contract.AssetURI(at, contract.NodeID(source.Node), source.Key)
	for i := range manifests {
		for j := range manifests[i].Tasks {
			if stream := manifests[i].Tasks[j].Assets[source.Key]; stream.URI == uri {
				return stream.IsEmpty()
			}
		}
	}
	return false
}

// copySegments copies the segments of a stream in their order and returns their number.
// The error is the error of the first segment if there is none.
func copySegments(ctx context.Context, reader Reader, uri func(number int) string, dest string, w io.Writer) (n int, err error) {
	for {
		err := copyObject(ctx, reader, uri(n+1), dest, w)
		switch {
		case err == nil:
			n++
		case n > 0 && errors.Is(err, os.ErrNotExist):
			return n, nil
		default:
			return n, err
		}
	}
}

func copyObject(ctx context.Context, reader Reader, uri, dest string, w io.Writer) error {
	path, err := reader.Fetch(ctx, uri, dest)
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(w, file)
	return err
}
