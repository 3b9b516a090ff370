// SPDX-License-Identifier: Apache-2.0

package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/taskgroup-operator/taskgroup-operator/gateway/objectpath"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/volume"
)

// maxSize is what Azure accepts in one request; the others accept more.
const maxSize = 5000<<20 - int64(volume.RecordSize)

// Create stores an object of a size, or returns an error that matches volume.ErrExists. When
// it returns without an error, the object is in the bucket. Nothing is sent before the body
// was read as a whole.
func (b *Bucket) Create(l objectpath.Location, size int64, body io.Reader) (volume.Info, error) {
	if size > maxSize {
		return volume.Info{}, ErrTooLarge
	}
	received := b.received.Add(size)
	defer b.received.Add(-size)
	if limit := b.config.MaxReceived; limit > 0 && received > limit {
		return volume.Info{}, fmt.Errorf("%w: uploads have %d of %d bytes", ErrFull, received, limit)
	}
	info, err := b.create(l, size, body)
	return info, b.failed(classify(err))
}

func (b *Bucket) create(l objectpath.Location, size int64, body io.Reader) (volume.Info, error) {
	file, err := os.CreateTemp(b.config.Dir, "upload-")
	if err != nil {
		return volume.Info{}, err
	}
	defer func() { _ = file.Close() }()
	if err := os.Remove(file.Name()); err != nil {
		return volume.Info{}, err
	}
	info, err := receive(file, l, size, body)
	if err != nil {
		return volume.Info{}, err
	}
	// The client may close the connection. Whether the object exists then is as open as
	// with a request to the bucket that is cancelled.
	_, err = b.stores.Commit(context.Background(), b.uri(l), file)
	if errors.Is(err, fs.ErrNotExist) {
		// Only the bucket can be missing.
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return info, err
}

// receive writes the record and the body of an object to a file.
func receive(file *os.File, l objectpath.Location, size int64, body io.Reader) (volume.Info, error) {
	if _, err := file.Seek(int64(volume.RecordSize), io.SeekStart); err != nil {
		return volume.Info{}, err
	}
	info, err := volume.Receive(file, l, size, body)
	if err != nil {
		return volume.Info{}, err
	}
	record, err := info.Record()
	if err == nil {
		_, err = file.WriteAt(record, 0)
	}
	return info, err
}
