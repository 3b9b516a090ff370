// SPDX-License-Identifier: Apache-2.0

package results

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/local"
)

// ObjectReader opens objects of groups: manifests, and streams if log_stdout or
// log_stderr is set. The dispatcher fetches all other objects itself.
type ObjectReader interface {
	// Open opens an object below a location: a record of a task must not lead
	// elsewhere; see store.Below. Size is -1 if the store does not report it. A
	// missing object is fs.ErrNotExist.
	Open(ctx context.Context, location, uri string) (object io.ReadCloser, size int64, err error)
}

// Files reads file:// URIs: volumes of pods that this machine has too.
type Files struct {
	// LocalPaths maps folders, as pods see them, to folders of this machine.
	LocalPaths map[string]string
}

// Open opens a regular file. It follows no symbolic link out of the location: tasks can
// create links to files that they must not read.
func (f Files) Open(_ context.Context, location, uri string) (io.ReadCloser, int64, error) {
	dir, err := FilePath(location)
	if err != nil {
		return nil, 0, err
	}
	path, err := FilePath(uri)
	if err != nil {
		return nil, 0, err
	}
	if err := store.Below(location, uri); err != nil {
		return nil, 0, err
	}
	relative, err := filepath.Rel(dir, path)
	if err != nil {
		return nil, 0, err
	}
	root, err := os.OpenRoot(f.Local(dir))
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = root.Close() }()
	// A pipe would be waited for.
	info, err := root.Stat(relative)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", uri)
	}
	if err != nil {
		return nil, 0, err
	}
	file, err := root.Open(relative)
	if err != nil {
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// LocalURI returns a file:// URI as this machine finds it, and other URIs unchanged.
func (f Files) LocalURI(uri string) string {
	path, err := FilePath(uri)
	if err != nil || len(f.LocalPaths) == 0 {
		return uri
	}
	return local.URI(f.Local(path))
}

// Local returns the path on this machine of a path in the pods.
func (f Files) Local(path string) string { return local.Translate(f.LocalPaths, path) }

// FilePath returns the path of a file:// URI.
func FilePath(uri string) (string, error) {
	parsed, err := url.Parse(uri)
	switch {
	case err != nil:
		return "", errors.New("malformed URI")
	case parsed.Scheme != "file":
		return "", fmt.Errorf("this executor does not read %s:// objects", parsed.Scheme)
	case parsed.Host != "" || parsed.RawQuery != "" || parsed.Fragment != "":
		return "", errors.New("a file URI with a host, query or fragment: write file:///path")
	case !filepath.IsAbs(parsed.Path) || filepath.Clean(parsed.Path) != strings.TrimRight(parsed.Path, "/"):
		return "", errors.New("a file URI without a plain absolute path: write file:///path")
	}
	return filepath.Clean(parsed.Path), nil
}

// Read reads an object of at most limit bytes.
func Read(ctx context.Context, from ObjectReader, location, uri string, limit int64) ([]byte, error) {
	object, _, err := from.Open(ctx, location, uri)
	if err != nil {
		return nil, err
	}
	defer object.Close()
	raw, err := io.ReadAll(io.LimitReader(object, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return raw, err
}

// ErrOtherBytes is returned by ReadRecorded for an object that is not as it was recorded.
var ErrOtherBytes = errors.New("it has other bytes than were recorded")

// ReadRecorded reads an object whose size and SHA-256 are known, without a copy of it.
func ReadRecorded(ctx context.Context, from ObjectReader, location string, asset contract.AssetUpdate) ([]byte, error) {
	if asset.Size < 0 {
		return nil, ErrOtherBytes
	}
	object, _, err := from.Open(ctx, location, asset.RemoteURI)
	if err != nil {
		return nil, err
	}
	defer object.Close()
	raw := make([]byte, asset.Size)
	if _, err = io.ReadFull(object, raw); errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return nil, ErrOtherBytes
	}
	if err != nil {
		return nil, err
	}
	if more, err := io.CopyN(io.Discard, object, 1); more > 0 {
		return nil, ErrOtherBytes
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) != asset.Digest {
		return nil, ErrOtherBytes
	}
	return raw, nil
}

// sizeOf returns the size of an object that exists.
func sizeOf(ctx context.Context, from ObjectReader, location, uri string) (int64, error) {
	object, size, err := from.Open(ctx, location, uri)
	if err != nil {
		return 0, err
	}
	defer object.Close()
	if size < 0 {
		size, err = io.Copy(io.Discard, object)
	}
	return size, err
}

// IsMissing reports whether an object does not exist.
func IsMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
