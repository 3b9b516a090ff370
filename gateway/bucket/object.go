// SPDX-License-Identifier: Apache-2.0

package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/gateway/objectpath"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/volume"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// drained is how much of a response is read so that its connection can be used again.
const drained = 64 << 10

var errReplaced = errors.New("the bucket has another object than the one that was being read")

// Open opens an object.
func (b *Bucket) Open(l objectpath.Location) (*volume.Object, error) {
	r := &reader{bucket: b, uri: b.uri(l)}
	if err := b.failed(classify(r.open())); err != nil {
		return nil, err
	}
	return volume.NewObject(r, r.info, r.close), nil
}

// reader reads an object. The first response has the record and the bytes from the
// beginning; a range needs another request.
type reader struct {
	bucket *Bucket
	uri    string
	info   volume.Info
	// version is the bucket's own name of the bytes.
	version string
	// position is the position of the next Read.
	position int64
	// response is nil if there is none; at is the position of its next byte.
	response *response
	at       int64
}

// open reads the record.
func (r *reader) open() error {
	response, err := r.bucket.get(r.uri, store.Position{})
	if err != nil {
		return err
	}
	record := make([]byte, min(max(response.Size, 0), int64(volume.RecordSize)))
	if _, err = io.ReadFull(response, record); err == nil {
		r.info, err = volume.ParseRecord(record, response.Size)
	}
	if err != nil {
		response.close(0)
		return err
	}
	r.response, r.version = response, response.Version
	return nil
}

// Seek implements io.Seeker. It sends no request.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.position
	case io.SeekEnd:
		offset += r.info.Size
	}
	if offset < 0 {
		return 0, errors.New("seeking before the start")
	}
	r.position = offset
	return offset, nil
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if r.position >= r.info.Size {
		return 0, io.EOF
	}
	if err := r.follow(); err != nil {
		return 0, r.bucket.failed(classify(err))
	}
	n, err := r.response.Read(p[:min(int64(len(p)), r.info.Size-r.position)])
	r.position += int64(n)
	r.at = r.position
	if errors.Is(err, io.EOF) {
		if r.position == r.info.Size {
			return n, nil
		}
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		// The next Read continues with another request.
		r.response.close(0)
		r.response = nil
	}
	return n, r.bucket.failed(classify(err))
}

// follow makes the response that of the position. The previous one ends first: a transfer
// that held a connection while it waited for another one could wait forever.
func (r *reader) follow() error {
	if r.response != nil && r.at == r.position {
		return nil
	}
	_ = r.close()
	stored := r.position + int64(volume.RecordSize)
	response, err := r.bucket.get(r.uri, store.Position{Offset: stored, Version: r.version})
	if err != nil {
		return err
	}
	if response.Version != r.version || response.Offset > stored {
		response.close(0)
		return fmt.Errorf("%w: %w", volume.ErrDamaged, errReplaced)
	}
	// A store without ranges sends the whole object.
	if _, err := io.CopyN(io.Discard, response, stored-response.Offset); err != nil {
		response.close(0)
		return err
	}
	r.response, r.at = response, r.position
	return nil
}

func (r *reader) close() error {
	if r.response != nil {
		r.response.close(r.info.Size - r.at)
		r.response = nil
	}
	return nil
}

// response is the response of the bucket to one request. It ends if no bytes are received for
// the time of a stall.
type response struct {
	*store.Object

	cancel context.CancelFunc
	timer  *time.Timer
	stall  time.Duration
}

// get sends a request for an object.
func (b *Bucket) get(uri string, from store.Position) (*response, error) {
	ctx, cancel := context.WithCancel(context.Background())
	timer := time.AfterFunc(b.config.Stall, cancel)
	object, err := b.config.Backend.Open(ctx, uri, from)
	timer.Stop()
	if err != nil {
		cancel()
		return nil, err
	}
	return &response{Object: object, cancel: cancel, timer: timer, stall: b.config.Stall}, nil
}

// Read implements io.Reader.
func (r *response) Read(p []byte) (int, error) {
	r.timer.Reset(r.stall)
	defer r.timer.Stop()
	return r.Object.Read(p)
}

// close ends a response of which a number of bytes were not read.
func (r *response) close(left int64) {
	if left > 0 && left <= drained {
		_, _ = io.CopyN(io.Discard, r, left)
	}
	_ = r.Close()
	r.cancel()
}
