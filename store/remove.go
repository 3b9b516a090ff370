// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"io/fs"
)

// errCannotRemove is returned for a store that has no such operation.
var errCannotRemove = errors.New("objects of this store cannot be removed by this program")

// Remover is a Backend that can remove objects. Tasks never remove an object: only the
// checks of a store remove what they have written.
type Remover interface {
	// Remove removes an object. An object that does not exist is fs.ErrNotExist.
	Remove(ctx context.Context, uri string) error
}

// Remove removes an object. It succeeds if the object does not exist.
func (s *Stores) Remove(ctx context.Context, uri string) error {
	backend, err := s.backend(uri)
	if err != nil {
		return err
	}
	remover, ok := backend.(Remover)
	if !ok {
		return explain(uri, errCannotRemove)
	}
	t := &transfer{}
	err = s.retry(ctx, t, func(ctx context.Context) error {
		ctx, stop := s.watch(ctx, t)
		defer stop()
		err := remover.Remove(ctx, uri)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return withCause(ctx, err)
	})
	if err != nil {
		return explain(uri, err)
	}
	return nil
}
