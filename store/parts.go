// SPDX-License-Identifier: Apache-2.0

package store

import "context"

// Parts are the sizes in which a Backend takes large objects.
type Parts struct {
	// Above is the largest size of an object that is sent as one.
	Above int64
	// Least is the least size of a part, but for the last one.
	Least int64
	// Most is the largest number of parts.
	Most int64
}

// Size returns the size of all parts but the last one for an object of a size.
func (p Parts) Size(size int64) int64 {
	return max(p.Least, (size+p.Most-1)/p.Most)
}

// Multipart is a Backend that takes a large object in parts, so that a broken
// connection costs one part and not the whole object.
type Multipart interface {
	// PartSizes returns the sizes of parts.
	PartSizes() Parts
	// Begin starts an upload, of which nothing is visible before Complete.
	Begin(ctx context.Context, uri string) (Upload, error)
}

// Upload is an object that is being written in parts.
type Upload interface {
	// Part writes one, from 0. A second time it replaces the first.
	Part(ctx context.Context, number int, r *Reader) error
	// Complete makes one object of all parts.
	Complete(ctx context.Context) error
	// Abort removes the parts of an upload that was given up.
	Abort(ctx context.Context)
}

// putParts sends one part after another: they are hashed in order, and nothing is held
// in memory.
func (s *Stores) putParts(ctx context.Context, backend Multipart, uri string, body *Body) (err error) {
	var upload Upload
	if err := s.send(ctx, body, func(ctx context.Context) error {
		upload, err = backend.Begin(ctx, uri)
		return err
	}); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			ctx, cancel := s.bounded(ctx)
			defer cancel()
			upload.Abort(ctx)
		}
	}()
	size := backend.PartSizes().Size(body.Size())
	for number, offset := 0, int64(0); offset < body.Size(); number, offset = number+1, offset+size {
		if err := s.send(ctx, body, func(ctx context.Context) error {
			return upload.Part(ctx, number, body.Part(offset, size))
		}); err != nil {
			return err
		}
	}
	return s.send(ctx, body, upload.Complete)
}
