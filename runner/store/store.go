package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/executor/contract"
)

var (
	// ErrExists is Commit on an object that is there.
	ErrExists = errors.New("already committed")
	// ErrScheme is a URI that no Backend serves.
	ErrScheme = errors.New("unknown scheme")
)

// Backend is the storage behind one scheme.
type Backend interface {
	// Open streams an object. The error says what is wrong, without the URI.
	Open(ctx context.Context, uri *url.URL) (io.ReadCloser, error)
	// Put writes an object, whole or not at all, over one that is there. It
	// may be durable only after the next Commit.
	Put(ctx context.Context, uri *url.URL, r io.Reader) error
	// Commit creates an object, whole or not at all, or returns ErrExists. When
	// it returns, the object and all that this Backend Put before are durable.
	Commit(ctx context.Context, uri *url.URL, r io.Reader) error
}

// Locator is a Backend whose objects are files of this machine.
type Locator interface {
	// Locate returns the path of an object that can be read.
	Locate(ctx context.Context, uri *url.URL) (string, error)
}

// Stores picks the Backend by the URI's scheme.
type Stores struct {
	// Backends are keyed by scheme.
	Backends map[string]Backend
}

// New returns the stores of this release.
func New() *Stores { return &Stores{Backends: map[string]Backend{"file": &fileStore{}}} }

// Fetch returns a path of this machine with the object's bytes: the object
// itself where it is a file, else a copy at dest.
func (s *Stores) Fetch(ctx context.Context, uri, dest string) (string, error) {
	backend, parsed, err := s.backend(uri)
	if err != nil {
		return "", err
	}
	if locator, ok := backend.(Locator); ok {
		path, err := locator.Locate(ctx, parsed)
		if err != nil {
			return "", fmt.Errorf("%s: %w", uri, err)
		}
		return path, nil
	}
	if err := download(ctx, backend, parsed, dest); err != nil {
		return "", fmt.Errorf("%s: %w", uri, err)
	}
	return dest, nil
}

func download(ctx context.Context, backend Backend, uri *url.URL, dest string) (err error) {
	r, err := backend.Open(ctx, uri)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	if err := os.MkdirAll(filepath.Dir(dest), 0o755); err != nil {
		return err
	}
	f, err := os.Create(dest)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(f, r)
	return err
}

// Put writes an object and returns its record.
func (s *Stores) Put(ctx context.Context, uri string, r io.Reader) (contract.Asset, error) {
	return s.write(uri, r, func(b Backend, u *url.URL, r io.Reader) error { return b.Put(ctx, u, r) })
}

// Commit creates an object and returns its record; see Backend.
func (s *Stores) Commit(ctx context.Context, uri string, r io.Reader) (contract.Asset, error) {
	return s.write(uri, r, func(b Backend, u *url.URL, r io.Reader) error { return b.Commit(ctx, u, r) })
}

func (s *Stores) write(uri string, r io.Reader, write func(Backend, *url.URL, io.Reader) error) (contract.Asset, error) {
	backend, parsed, err := s.backend(uri)
	if err != nil {
		return contract.Asset{}, err
	}
	counted := &digest{hash: sha256.New()}
	if err := write(backend, parsed, io.TeeReader(r, counted)); err != nil {
		return contract.Asset{}, fmt.Errorf("%s: %w", uri, err)
	}
	return contract.Asset{URI: uri, Size: counted.size, SHA256: hex.EncodeToString(counted.hash.Sum(nil))}, nil
}

func (s *Stores) backend(uri string) (Backend, *url.URL, error) {
	parsed, err := url.Parse(uri)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: malformed URI", uri)
	}
	backend, ok := s.Backends[parsed.Scheme]
	if !ok {
		known := strings.Join(slices.Sorted(maps.Keys(s.Backends)), ", ")
		return nil, nil, fmt.Errorf("%s: %w %q: this runner knows %s", uri, ErrScheme, parsed.Scheme, known)
	}
	return backend, parsed, nil
}

// digest counts and hashes what streams through.
type digest struct {
	hash hash.Hash
	size int64
}

func (d *digest) Write(p []byte) (int, error) {
	d.size += int64(len(p))
	return d.hash.Write(p)
}
