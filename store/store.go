package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

var (
	// ErrExists is Commit on an object that is there.
	ErrExists = errors.New("already committed")
	// ErrScheme is a URI that no Backend serves.
	ErrScheme = errors.New("unknown scheme")
	// ErrDigest is an object with other bytes than were recorded.
	ErrDigest = errors.New("digest mismatch")
	// errUnconditional is a store that replaces what Commit must not.
	errUnconditional = errors.New("the store ignores If-None-Match: *, so that it cannot keep two attempts apart; use one that answers 412 where an object exists")
)

// Backend is the storage behind one scheme. Its errors say what is wrong,
// without the URI; a StatusError or an error of the network may be tried again.
type Backend interface {
	// Open streams an object, or the rest of one of which a part is here.
	Open(ctx context.Context, uri string, from Position) (*Object, error)
	// Put writes an object, whole or not at all, over one that is there. It
	// may be durable only after the next Commit.
	Put(ctx context.Context, uri string, body *Body) error
	// Commit creates an object, whole or not at all, or returns ErrExists. When
	// it returns, the object and all that this Backend Put before are durable.
	Commit(ctx context.Context, uri string, body *Body) error
}

// Object is an object that is being read.
type Object struct {
	io.ReadCloser
	// Offset is where the bytes begin: that of the Position, or 0 where the store
	// cannot resume.
	Offset int64
	// Size is that of the whole object, or -1 where the store does not tell.
	Size int64
	// Version names these very bytes; empty where the store has no such name.
	Version string
}

// Position is how far an object was read before the connection broke. A
// Backend returns the rest only where the object still has this Version.
type Position struct {
	Offset  int64
	Version string
}

// Locator is a Backend whose objects are files of this machine.
type Locator interface {
	// Locate returns the path of an object that can be read.
	Locate(ctx context.Context, uri string) (string, error)
}

// Doubtful is a Backend of many kinds of servers, some of which ignore the
// condition of Commit and replace what is there.
type Doubtful interface {
	Doubtful(uri string) bool
}

// Stores picks the Backend by the URI's scheme. The zero values of all but
// Backends are the defaults.
type Stores struct {
	// Backends are keyed by scheme.
	Backends map[string]Backend
	// Patience is how long a store may fail, without any progress, until it is
	// given up; 2 min if 0.
	Patience time.Duration
	// Stall is how long a transfer may take for 32 KiB; 30 s if 0.
	Stall time.Duration

	mu       sync.Mutex
	expected map[string]contract.Asset
	// ends is closed when time is over, once.
	ends chan struct{}
	once sync.Once
}

// New returns stores of files and of the given schemes.
func New(backends map[string]Backend) *Stores {
	all := map[string]Backend{"file": &fileStore{}}
	maps.Copy(all, backends)
	return &Stores{Backends: all}
}

// Expect makes Fetch verify the objects of these records.
func (s *Stores) Expect(assets ...contract.Asset) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.expected == nil {
		s.expected = map[string]contract.Asset{}
	}
	for _, asset := range assets {
		s.expected[asset.URI] = asset
	}
}

// Fetch returns a path of this machine with the object's bytes: the object
// itself where it is a file, else a copy at dest.
func (s *Stores) Fetch(ctx context.Context, uri, dest string) (string, error) {
	backend, err := s.backend(uri)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	want := s.expected[uri]
	s.mu.Unlock()
	path := dest
	if locator, ok := backend.(Locator); ok {
		if path, err = locator.Locate(ctx, uri); err == nil {
			err = verifyFile(path, want)
		}
	} else {
		err = s.download(ctx, backend, uri, dest, want)
	}
	if err != nil {
		return "", explain(uri, err)
	}
	return path, nil
}

// Put writes an object and returns its record. A reader that cannot seek is
// kept in memory, so that it can be sent again.
func (s *Stores) Put(ctx context.Context, uri string, r io.Reader) (contract.Asset, error) {
	return s.write(uri, r, func(backend Backend, body *Body) error {
		if parts, ok := backend.(Multipart); ok && body.Size() > parts.PartsAbove() {
			return s.putParts(ctx, parts, uri, body)
		}
		return s.send(ctx, body, func(ctx context.Context) error { return backend.Put(ctx, uri, body) })
	})
}

// Commit creates an object and returns its record; see Backend.
func (s *Stores) Commit(ctx context.Context, uri string, r io.Reader) (contract.Asset, error) {
	return s.write(uri, r, func(backend Backend, body *Body) error {
		tries := 0
		return s.send(ctx, body, func(ctx context.Context) error {
			tries++
			err := backend.Commit(ctx, uri, body)
			if errors.Is(err, ErrExists) && tries > 1 && s.holds(ctx, backend, uri, body) {
				// The answer to an earlier try was lost, not its effect.
				return nil
			}
			if doubtful, ok := backend.(Doubtful); err != nil || !ok || !doubtful.Doubtful(uri) {
				return err
			}
			if err = backend.Commit(ctx, uri, body); err == nil {
				return errUnconditional
			} else if errors.Is(err, ErrExists) {
				return nil
			}
			return err
		})
	})
}

func (s *Stores) write(uri string, r io.Reader, put func(Backend, *Body) error) (contract.Asset, error) {
	backend, err := s.backend(uri)
	if err != nil {
		return contract.Asset{}, err
	}
	body, err := newBody(r)
	if err == nil {
		err = put(backend, body)
		// What a try that was given up still reads must not outlive the source.
		body.revoke()
	}
	var digest string
	if err == nil {
		digest, err = body.digest()
	}
	if err != nil {
		return contract.Asset{}, explain(uri, err)
	}
	return contract.Asset{URI: uri, Size: body.Size(), SHA256: digest}, nil
}

// send tries until a body, or the next part of it, is sent.
func (s *Stores) send(ctx context.Context, body *Body, once func(context.Context) error) error {
	return s.persist(ctx, func(ctx context.Context) (bool, error) {
		ctx, stop := s.watch(ctx, body)
		defer stop()
		return false, stalled(ctx, once(ctx))
	})
}

// holds says whether the object has the body's bytes.
func (s *Stores) holds(ctx context.Context, backend Backend, uri string, body *Body) bool {
	object, err := backend.Open(ctx, uri, Position{})
	if err != nil {
		return false
	}
	defer func() { _ = object.Close() }()
	theirs, err := io.ReadAll(io.LimitReader(object, contract.MaxManifest+1))
	if err != nil || int64(len(theirs)) != body.Size() {
		return false
	}
	ours, err := io.ReadAll(body.Reader())
	return err == nil && bytes.Equal(ours, theirs)
}

func (s *Stores) backend(uri string) (Backend, error) {
	scheme, _, ok := strings.Cut(uri, ":")
	if !ok || strings.ContainsAny(scheme, "/?#") {
		scheme = ""
	}
	if strings.ContainsRune(uri, 0) {
		return nil, explain(uri, errors.New("a URI with a NUL character"))
	}
	backend, ok := s.Backends[scheme]
	if !ok {
		known := strings.Join(slices.Sorted(maps.Keys(s.Backends)), ", ")
		return nil, explain(uri, fmt.Errorf("%w %q: this runner knows %s", ErrScheme, scheme, known))
	}
	return backend, nil
}
