package command

import (
	"context"
	"fmt"
	"io"

	"github.com/taskgroup-operator/taskgroup-operator/executor/results"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/backends"
)

// remoteObjects read manifests from the object stores, with the credentials of this
// process. They look for them when they are first used. The executor reads files.
func remoteObjects() map[string]results.ObjectReader { return readersOf(backends.All()) }

func readersOf(stores map[string]store.Backend) map[string]results.ObjectReader {
	readers := map[string]results.ObjectReader{}
	for scheme, backend := range stores {
		if scheme != "file" {
			readers[scheme] = remote{backend}
		}
	}
	return readers
}

// remote is a store as the executor reads it.
type remote struct{ backend store.Backend }

// Open opens an object below a location: a record of a task must not lead elsewhere.
func (r remote) Open(ctx context.Context, location, uri string) (io.ReadCloser, int64, error) {
	if err := store.Below(location, uri); err != nil {
		return nil, 0, err
	}
	object, err := r.backend.Open(ctx, uri, store.Position{})
	if err != nil {
		return nil, 0, fmt.Errorf("reading %s: %w", store.RedactURI(uri), err)
	}
	return object, object.Size, nil
}
