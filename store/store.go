// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
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

// localRetryTimeout bounds the retries of files of this machine: what a network file
// system does not have after seconds, it does not have after minutes.
const localRetryTimeout = 10 * time.Second

// Backend is the storage of one scheme. It tries once. Its errors describe the failure
// without the URI; a StatusError, a Transient error or an error of the network may be
// retried.
type Backend interface {
	// Open reads an object, or the rest of an object of which a part was read.
	Open(ctx context.Context, uri string, from Position) (*Object, error)
	// Put writes an object, as a whole or not at all, and replaces one that exists.
	// It may be durable only after the next Commit.
	Put(ctx context.Context, uri string, body *Body) error
	// Commit creates an object, as a whole or not at all, or returns ErrExists. When
	// it returns, the object and everything that this Backend Put before are durable.
	Commit(ctx context.Context, uri string, body *Body) error
}

// Object is an object that is being read.
type Object struct {
	io.ReadCloser
	// Offset is where the bytes begin: at the Position, or at 0 if the store cannot
	// resume.
	Offset int64
	// Size is the size of the whole object, or -1 if the store does not report it.
	Size int64
	// Version identifies the bytes; empty if the store has no such name.
	Version string
}

// Position is how far an object was read before the connection broke. A Backend
// returns the rest only if the object still has this Version.
type Position struct {
	Offset  int64
	Version string
}

// Locator is a Backend whose objects are files of this machine.
type Locator interface {
	// Locate returns the path of an object that can be read.
	Locate(ctx context.Context, uri string) (string, error)
}

// ConditionVerifier is a Backend of many kinds of servers. Some of them ignore the
// condition of Commit and replace an object that exists.
type ConditionVerifier interface {
	// MustVerifyCondition reports whether the server of a URI may be of this kind.
	MustVerifyCondition(uri string) bool
}

// Stores selects the Backend by the scheme of a URI. The zero values of all fields but
// Backends are the defaults.
type Stores struct {
	// Backends are keyed by scheme.
	Backends map[string]Backend
	// RetryTimeout is how long a store may fail without any progress; 2 min if 0.
	RetryTimeout time.Duration
	// Stall is the time in which 32 KiB of a transfer have to pass; 30 s if 0.
	Stall time.Duration

	mu       sync.Mutex
	expected map[string]contract.Asset
	// verified are the servers that were seen to honour the condition of Commit: the
	// probe of an attempt verifies it, so that later commits need one request each.
	verified sync.Map
	// stopped is closed, once, at the time of EndBy.
	stopped chan struct{}
	once    sync.Once
}

// New returns stores of the given schemes.
func New(backends map[string]Backend) *Stores { return &Stores{Backends: backends} }

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

// Fetch returns a path of this machine with the object's bytes: the object itself if it
// is a file, else a copy at dest.
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
		err = s.retryFor(ctx, min(cmp.Or(s.RetryTimeout, localRetryTimeout), localRetryTimeout), &transfer{}, func(ctx context.Context) error {
			if path, err = locator.Locate(ctx, uri); err == nil {
				err = verifyFile(path, want)
			}
			return err
		})
	} else {
		err = s.download(ctx, backend, uri, dest, want)
	}
	if err != nil {
		return "", explain(uri, err)
	}
	return path, nil
}

// Put writes an object and returns its record. A reader that cannot seek is kept in
// memory, so that it can be sent again.
func (s *Stores) Put(ctx context.Context, uri string, r io.Reader) (contract.Asset, error) {
	return s.write(uri, r, func(backend Backend, body *Body) error {
		if parts, ok := backend.(Multipart); ok && body.Size() > parts.PartSizes().Above {
			return s.putParts(ctx, parts, uri, body)
		}
		tries := 0
		return s.send(ctx, body, func(ctx context.Context) error {
			tries++
			err := backend.Put(ctx, uri, body)
			if tries > 1 && IsPermanent(err) && s.holds(ctx, backend, uri, body) {
				// The response to an earlier try was lost, and this store replaces no object:
				// its permissions, or a retention policy, do not allow that.
				return nil
			}
			return err
		})
	})
}

// Commit creates an object and returns its record; see Backend.
func (s *Stores) Commit(ctx context.Context, uri string, r io.Reader) (contract.Asset, error) {
	return s.write(uri, r, func(backend Backend, body *Body) error { return s.create(ctx, backend, uri, body, false) })
}

// create creates an object. An object that exists with the same bytes is a success if
// the response to an earlier try may have been lost, or if adopt is set.
func (s *Stores) create(ctx context.Context, backend Backend, uri string, body *Body, adopt bool) error {
	return s.send(ctx, body, func(ctx context.Context) error {
		err := backend.Commit(ctx, uri, body)
		if errors.Is(err, ErrExists) && adopt && s.holds(ctx, backend, uri, body) {
			return nil
		}
		if errors.Is(err, ErrExists) {
			s.verified.Store(originOf(uri), true)
		}
		adopt = true
		verifier, ok := backend.(ConditionVerifier)
		if err != nil || !ok || !verifier.MustVerifyCondition(uri) {
			return err
		}
		origin := originOf(uri)
		if _, verified := s.verified.Load(origin); verified {
			return nil
		}
		if err = backend.Commit(ctx, uri, body); err == nil {
			return ErrUnconditional
		} else if errors.Is(err, ErrExists) {
			s.verified.Store(origin, true)
			// The server may have refused the body before it read all of it. The digest is
			// that of all bytes.
			_, err = io.Copy(io.Discard, body.Reader())
		}
		return err
	})
}

// originOf returns the scheme and the host of a URI.
func originOf(uri string) string {
	scheme, rest, _ := strings.Cut(uri, "://")
	host, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + host
}

func (s *Stores) write(uri string, r io.Reader, put func(Backend, *Body) error) (contract.Asset, error) {
	backend, err := s.backend(uri)
	if err != nil {
		return contract.Asset{}, err
	}
	body, err := newBody(r)
	if err == nil {
		err = put(backend, body)
		// A try that was given up may still read, but not after the source is closed.
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

// send retries until a body, or the next part of it, is sent.
func (s *Stores) send(ctx context.Context, body *Body, once func(context.Context) error) error {
	return s.retry(ctx, &body.transfer, func(ctx context.Context) error {
		ctx, stop := s.watch(ctx, &body.transfer)
		defer stop()
		return withCause(ctx, once(ctx))
	})
}

// holds reports whether the object has the body's bytes.
func (s *Stores) holds(ctx context.Context, backend Backend, uri string, body *Body) bool {
	object, err := backend.Open(ctx, uri, Position{})
	if err != nil {
		return false
	}
	defer func() { _ = object.Close() }()
	theirs, ours := sha256.New(), sha256.New()
	size, err := io.Copy(theirs, io.LimitReader(object, body.Size()+1))
	if err != nil || size != body.Size() {
		return false
	}
	_, err = io.Copy(ours, body.Reader())
	return err == nil && bytes.Equal(ours.Sum(nil), theirs.Sum(nil))
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
