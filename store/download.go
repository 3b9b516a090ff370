// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// copyBuffers are what downloads copy with: with 32 KiB each a second goes into
// system calls, and far more is not faster.
var copyBuffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// download copies an object into a file.
type download struct {
	transfer
	backend Backend
	uri     string
	file    *os.File
	want    contract.Asset
	// hash is nil if there is no record to compare with.
	hash hash.Hash
	// at is the size of the file so far, version the object's that it has bytes of.
	at      int64
	version string
	// restarted is set after a complete object differed from its record.
	restarted bool
}

// download copies an object to a file.
func (s *Stores) download(ctx context.Context, backend Backend, uri, dest string, want contract.Asset) error {
	if err := os.MkdirAll(filepath.Dir(dest), 0o755); err != nil {
		return err
	}
	file, err := os.Create(dest)
	if err != nil {
		return err
	}
	d := &download{backend: backend, uri: uri, file: file, want: want}
	err = s.retry(ctx, &d.transfer, func(ctx context.Context) error {
		ctx, stop := s.watch(ctx, &d.transfer)
		defer stop()
		return withCause(ctx, d.once(ctx))
	})
	if err = errors.Join(err, file.Close()); err != nil {
		_ = os.Remove(dest)
	}
	return err
}

// once continues from where the previous try ended.
func (d *download) once(ctx context.Context) error {
	from := Position{Offset: d.at, Version: d.version}
	if from.Version == "" {
		from = Position{}
	}
	object, err := d.backend.Open(ctx, d.uri, from)
	if err != nil {
		return err
	}
	defer func() { _ = object.Close() }()
	if err := d.prepare(object); err != nil {
		return err
	}
	d.active.Store(true)
	buffer := copyBuffers.Get().(*[256 << 10]byte)
	defer copyBuffers.Put(buffer)
	if _, err := io.CopyBuffer(d, struct{ io.Reader }{object}, buffer[:]); err != nil {
		return err
	}
	if object.Size >= 0 && d.at < object.Size {
		return io.ErrUnexpectedEOF
	}
	return d.verify()
}

// prepare makes the file ready for the object's bytes.
func (d *download) prepare(object *Object) error {
	d.version = object.Version
	if object.Offset == d.at && object.Offset > 0 {
		return nil
	}
	if object.Offset != 0 {
		return fmt.Errorf("the store answered with the bytes from %d on, not from %d on", object.Offset, d.at)
	}
	d.hash = nil
	if d.want.SHA256 != "" {
		d.hash = sha256.New()
	}
	if d.at == 0 {
		// An empty file is not truncated: ext4 would write it out at its close.
		return nil
	}
	d.at = 0
	_, err := d.file.Seek(0, io.SeekStart)
	return errors.Join(err, d.file.Truncate(0))
}

// Write appends received bytes.
func (d *download) Write(p []byte) (int, error) {
	n, err := d.file.Write(p)
	if d.hash != nil {
		_, _ = d.hash.Write(p[:n])
	}
	d.at += int64(n)
	d.record(n, d.at)
	return n, err
}

func (d *download) verify() error {
	if d.hash == nil {
		return nil
	}
	err := mismatch(d.at, d.hash, d.want)
	if err != nil && !d.restarted {
		// Retried once: the bytes may have been damaged in transit.
		d.restarted, d.version = true, ""
		return &StatusError{Code: 200, Text: err.Error(), Temporary: true}
	}
	return err
}

// verifyFile compares a file with its record; an empty record is no record.
func verifyFile(path string, want contract.Asset) error {
	if want.SHA256 == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return readError(err)
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err != nil {
		return readError(err)
	}
	return mismatch(n, sum, want)
}

func mismatch(size int64, sum hash.Hash, want contract.Asset) error {
	if got := hex.EncodeToString(sum.Sum(nil)); got != want.SHA256 {
		return fmt.Errorf("%w: it has %d bytes with SHA-256 %s, recorded are %d bytes with %s", ErrDigest, size, got, want.Size, want.SHA256)
	}
	return nil
}

// readError removes the path from the error of a file, and marks the errors of a network
// file system whose server was restarted.
func readError(err error) error {
	transient := errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ESTALE)
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		err = failed.Err
	}
	if transient {
		return Transient(err)
	}
	return err
}
