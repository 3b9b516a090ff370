package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/runner/store"
)

// StoreReader reads manifests from one of the runner's stores: what a pod can write,
// the bridge can read, with its own credentials. It is for Options.Objects; files
// have a reader of their own, which follows no link out of its place.
func StoreReader(backend store.Backend) executor.ObjectReader { return storeReader{backend} }

type storeReader struct{ backend store.Backend }

// Open opens an object from its beginning.
func (s storeReader) Open(ctx context.Context, place, uri string) (io.ReadCloser, int64, error) {
	if !strings.HasPrefix(uri, strings.TrimRight(place, "/")+"/") {
		return nil, 0, fmt.Errorf("%s is not below %s", store.RedactURI(uri), store.RedactURI(place))
	}
	object, err := s.backend.Open(ctx, uri, store.Position{})
	var status *store.StatusError
	if errors.Is(err, fs.ErrNotExist) || (errors.As(err, &status) && status.Code == http.StatusNotFound) {
		return nil, 0, fmt.Errorf("%s: %w", store.RedactURI(uri), fs.ErrNotExist)
	}
	if err != nil {
		// As text: what is wrapped may have the URI's query in it.
		return nil, 0, errors.New(store.RedactURI(uri) + ": " + store.Redact(err.Error()))
	}
	return object, object.Size, nil
}
