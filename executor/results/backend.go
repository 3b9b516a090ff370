// SPDX-License-Identifier: Apache-2.0

package results

import (
	"context"
	"fmt"
	"io"

	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// OfBackend reads the objects of a store.
func OfBackend(backend store.Backend) ObjectReader { return backendReader{backend} }

type backendReader struct{ backend store.Backend }

// Open opens an object below a location: a record of a task must not lead elsewhere.
func (r backendReader) Open(ctx context.Context, location, uri string) (io.ReadCloser, int64, error) {
	if err := store.Below(location, uri); err != nil {
		return nil, 0, err
	}
	object, err := r.backend.Open(ctx, uri, store.Position{})
	if err != nil {
		return nil, 0, fmt.Errorf("reading %s: %w", store.RedactURI(uri), err)
	}
	return object, object.Size, nil
}
