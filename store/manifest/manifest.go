// SPDX-License-Identifier: Apache-2.0

// Package manifest reads the record that an attempt of a group has committed. The pod of
// the next attempt, the executor and the command line read it with the same checks.
package manifest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

var (
	// ErrInvalid is returned for a manifest that was read and must not be used. Other
	// errors are the errors of its store.
	ErrInvalid = errors.New("invalid manifest")
	// ErrChanged is an ErrInvalid of a manifest whose bytes are not the committed ones.
	ErrChanged = fmt.Errorf("%w: %w", ErrInvalid, store.ErrDigest)
	// ErrOtherGroup is an ErrInvalid of a manifest of another group or attempt.
	ErrOtherGroup = fmt.Errorf("%w of another group", ErrInvalid)
)

// Reference identifies a manifest. Fields that are zero are not checked.
type Reference struct {
	// URI is where the manifest is.
	URI string
	// SHA256 is the digest of its bytes, in hexadecimal digits.
	SHA256 string
	// UID is the UID of the TaskGroup.
	UID string
	// Attempt is the number of the attempt that committed it.
	Attempt int32
}

// Fetcher returns a path of this machine with an object's bytes: of the object itself, or
// of a copy at dest. *store.Stores is one.
type Fetcher interface {
	Fetch(ctx context.Context, uri, dest string) (path string, err error)
}

// Fetch reads a manifest by a Fetcher; dest is a path for a copy.
func Fetch(ctx context.Context, fetcher Fetcher, dest string, want Reference) (*contract.Manifest, error) {
	path, err := fetcher.Fetch(ctx, want.URI, dest)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", store.RedactURI(want.URI), err)
	}
	defer func() { _ = file.Close() }()
	return Read(file, want)
}

// Read reads and verifies a manifest. The error contains the URI, without secrets.
func Read(r io.Reader, want Reference) (*contract.Manifest, error) {
	raw, err := io.ReadAll(io.LimitReader(r, contract.MaxManifest+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", store.RedactURI(want.URI), err)
	}
	found, err := decode(raw, want)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", store.RedactURI(want.URI), err)
	}
	return found, nil
}

func decode(raw []byte, want Reference) (*contract.Manifest, error) {
	if len(raw) > contract.MaxManifest {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrInvalid, contract.MaxManifest)
	}
	if sum := sha256.Sum256(raw); want.SHA256 != "" && hex.EncodeToString(sum[:]) != want.SHA256 {
		return nil, fmt.Errorf("%w: its SHA-256 is %x, it was committed with %s", ErrChanged, sum, want.SHA256)
	}
	found, err := contract.DecodeManifest(raw)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	case want.UID != "" && found.UID != want.UID:
		return nil, fmt.Errorf("%w: its UID is %s, this group's is %s", ErrOtherGroup, found.UID, want.UID)
	case want.Attempt != 0 && found.Attempt != want.Attempt:
		return nil, fmt.Errorf("%w: it is of attempt %d, not of %d", ErrOtherGroup, found.Attempt, want.Attempt)
	}
	return found, nil
}
