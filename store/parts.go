package store

import "context"

// Multipart is a Backend that takes a large object in parts, so that a
// connection that breaks costs one part and not all.
type Multipart interface {
	// PartsAbove is the size up to which an object is one Put.
	PartsAbove() int64
	// PartSize is that of all parts but the last of an object of a size.
	PartSize(size int64) int64
	// Begin starts an upload, of which nothing is seen before Complete.
	Begin(ctx context.Context, uri string) (Upload, error)
}

// Upload is an object that is being written in parts.
type Upload interface {
	// Part writes one, from 0; a second time it replaces the first.
	Part(ctx context.Context, number int, r *Reader) error
	// Complete makes one object of all parts.
	Complete(ctx context.Context) error
	// Abort removes the parts of an upload that is given up.
	Abort(ctx context.Context)
}

// putParts sends one part after the other: they are hashed in their order, and
// nothing is held in memory.
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
			upload.Abort(ctx)
		}
	}()
	size := backend.PartSize(body.Size())
	for number, offset := 0, int64(0); offset < body.Size(); number, offset = number+1, offset+size {
		if err := s.send(ctx, body, func(ctx context.Context) error {
			return upload.Part(ctx, number, body.Part(offset, size))
		}); err != nil {
			return err
		}
	}
	return s.send(ctx, body, upload.Complete)
}
