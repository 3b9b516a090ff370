package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// copyBuffers are what downloads copy with: with 32 KiB each a second goes into
// system calls, and far more is not faster.
var copyBuffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// download is an object on its way into a file.
type download struct {
	backend Backend
	uri     string
	file    *os.File
	want    contract.Asset
	// hash is nil where there is nothing to compare with.
	hash hash.Hash
	// at is how far the file is, version whose bytes it has.
	at      atomic.Int64
	version string
	// restarted says that an object was fetched whole and was not as recorded.
	restarted bool
}

func (d *download) passed() int64 { return d.at.Load() }
func (d *download) waits() bool   { return false }

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
	err = s.persist(ctx, func(ctx context.Context) (bool, error) {
		before := d.at.Load()
		ctx, stop := s.watch(ctx, d)
		defer stop()
		err := stalled(ctx, d.once(ctx))
		// What came at the speed of a stall is no progress, or it never ended.
		return d.at.Load() > before && !errors.Is(err, errStalled), err
	})
	if err = errors.Join(err, file.Close()); err != nil {
		_ = os.Remove(dest)
	}
	return err
}

// once goes on where the try before it ended.
func (d *download) once(ctx context.Context) error {
	from := Position{Offset: d.at.Load(), Version: d.version}
	if from.Version == "" {
		from = Position{}
	}
	object, err := d.backend.Open(ctx, d.uri, from)
	if err != nil {
		return err
	}
	defer func() { _ = object.Close() }()
	if err := d.begin(object); err != nil {
		return err
	}
	buffer := copyBuffers.Get().(*[256 << 10]byte)
	defer copyBuffers.Put(buffer)
	if _, err := io.CopyBuffer(d, struct{ io.Reader }{object}, buffer[:]); err != nil {
		return err
	}
	if object.Size >= 0 && d.at.Load() < object.Size {
		return io.ErrUnexpectedEOF
	}
	return d.verify()
}

// begin makes the file ready for the object's bytes.
func (d *download) begin(object *Object) error {
	d.version = object.Version
	if object.Offset == d.at.Load() && object.Offset > 0 {
		return nil
	}
	if object.Offset != 0 {
		return fmt.Errorf("the store answered with the bytes from %d on, not from %d on", object.Offset, d.at.Load())
	}
	d.hash = nil
	if d.want.SHA256 != "" {
		d.hash = sha256.New()
	}
	if d.at.Swap(0) == 0 {
		// Not truncated for nothing: ext4 would write such a file out at its close.
		return nil
	}
	_, err := d.file.Seek(0, io.SeekStart)
	return errors.Join(err, d.file.Truncate(0))
}

// Write is of the bytes that come.
func (d *download) Write(p []byte) (int, error) {
	n, err := d.file.Write(p)
	if d.hash != nil {
		_, _ = d.hash.Write(p[:n])
	}
	d.at.Add(int64(n))
	return n, err
}

func (d *download) verify() error {
	if d.hash == nil {
		return nil
	}
	err := mismatch(d.at.Load(), d.hash, d.want)
	if err != nil && !d.restarted {
		// Once more: the bytes may have been damaged on the way.
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
		return plain(err)
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err != nil {
		return plain(err)
	}
	return mismatch(n, sum, want)
}

func mismatch(size int64, sum hash.Hash, want contract.Asset) error {
	if got := hex.EncodeToString(sum.Sum(nil)); got != want.SHA256 {
		return fmt.Errorf("%w: it has %d bytes with SHA-256 %s, recorded are %d bytes with %s", ErrDigest, size, got, want.Size, want.SHA256)
	}
	return nil
}
