// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"sync"
)

// maxKept bounds what is kept in memory of a reader that cannot seek.
const maxKept = 16 << 20

var (
	errChanged  = errors.New("the file was changed while it was being uploaded")
	errRevoked  = errors.New("another try has started")
	errTooLarge = fmt.Errorf("a stream of more than %d bytes that cannot be read again", maxKept)
)

// Body is the content of an object to write. It can be read several times, as a whole
// or in parts, and hashes what is read, so that its digest is of the bytes that the
// store was sent and not of those that a file had before or after.
type Body struct {
	size     int64
	transfer transfer

	mu     sync.Mutex
	source io.ReadSeeker
	reader *Reader
	// hash has consumed the first hashed bytes.
	hash   hash.Hash
	hashed int64
}

func newBody(r io.Reader) (*Body, error) {
	source, ok := r.(io.ReadSeeker)
	size := int64(0)
	var err error
	if ok {
		size, err = source.Seek(0, io.SeekEnd)
	}
	if !ok || err != nil {
		raw, err := io.ReadAll(io.LimitReader(r, maxKept+1))
		if err == nil && len(raw) > maxKept {
			err = errTooLarge
		}
		if err != nil {
			return nil, err
		}
		source, size = bytes.NewReader(raw), int64(len(raw))
	}
	return &Body{source: source, size: size, hash: sha256.New()}, nil
}

// Size returns the number of bytes.
func (b *Body) Size() int64 { return b.size }

// Reader reads all bytes.
func (b *Body) Reader() *Reader { return b.Part(0, math.MaxInt64) }

// Part reads at most n bytes from an offset. Parts have to be read in order, each as
// often as necessary. The previous Reader ends: a connection that was given up
// cannot read bytes of the next one.
func (b *Body) Part(offset, n int64) *Reader {
	b.mu.Lock()
	defer b.mu.Unlock()
	if offset == 0 {
		b.hash, b.hashed = sha256.New(), 0
	} else if b.reader != nil && b.reader.start == offset && b.hashed != offset {
		b.hash, b.hashed = clone(b.reader.before), offset
	}
	b.transfer.active.Store(false)
	b.reader = &Reader{body: b, start: offset, length: min(n, b.size-offset), before: clone(b.hash)}
	return b.reader
}

// revoke ends the current Reader.
func (b *Body) revoke() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reader = nil
}

// digest returns the SHA-256 after all bytes were read.
func (b *Body) digest() (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hashed != b.size {
		return "", fmt.Errorf("%w: %d bytes of %d were sent", errChanged, b.hashed, b.size)
	}
	return hex.EncodeToString(b.hash.Sum(nil)), nil
}

// Reader is one reading of a Body.
type Reader struct {
	body          *Body
	start, length int64
	position      int64
	// before has consumed all bytes before start.
	before hash.Hash
}

// Len returns the number of bytes to read.
func (r *Reader) Len() int64 { return r.length }

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	b := r.body
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.reader != r:
		return 0, errRevoked
	case r.position >= r.length:
		return 0, io.EOF
	}
	if _, err := b.source.Seek(r.start+r.position, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := b.source.Read(p[:min(int64(len(p)), r.length-r.position)])
	if b.hashed == r.start+r.position {
		_, _ = b.hash.Write(p[:n])
		b.hashed += int64(n)
	}
	r.position += int64(n)
	b.transfer.record(n, r.position)
	b.transfer.active.Store(r.position < r.length)
	if errors.Is(err, io.EOF) && r.position < r.length {
		err = errChanged
	}
	return n, err
}

// Seek implements io.Seeker, for libraries that sign a body before they send it.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	b := r.body
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reader != r {
		return 0, errRevoked
	}
	switch whence {
	case io.SeekCurrent:
		offset += r.position
	case io.SeekEnd:
		offset += r.length
	}
	if offset < 0 {
		return 0, errors.New("seeking before the start")
	}
	if offset == 0 {
		b.hash, b.hashed = clone(r.before), r.start
		b.transfer.active.Store(false)
	}
	r.position = offset
	return offset, nil
}

// Close implements io.Closer. It leaves the source open.
func (r *Reader) Close() error { return nil }

func clone(h hash.Hash) hash.Hash {
	c, err := h.(hash.Cloner).Clone()
	if err != nil {
		panic(err) // SHA-256 of the standard library can be cloned
	}
	return c
}
