package command

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/azure"
	"github.com/taskgroup-operator/taskgroup-operator/store/gcs"
	"github.com/taskgroup-operator/taskgroup-operator/store/s3"
	"github.com/taskgroup-operator/taskgroup-operator/store/web"
)

// remoteObjects read manifests from the object stores, with the credentials of
// this process. They look for them when they are first used.
func remoteObjects() map[string]executor.ObjectReader {
	http, blobs := &web.Store{}, &azure.Store{}
	readers := map[string]executor.ObjectReader{}
	for scheme, backend := range map[string]store.Backend{
		"http": http, "https": http, "s3": &s3.Store{}, "gs": &gcs.Store{}, "azblob": blobs, "blob": blobs,
	} {
		readers[scheme] = remote{backend}
	}
	return readers
}

// remote is a store as the executor reads it.
type remote struct{ backend store.Backend }

// Open opens an object below a place: what a task wrote must not lead elsewhere.
func (r remote) Open(ctx context.Context, place, uri string) (io.ReadCloser, int64, error) {
	rest, below := strings.CutPrefix(uri, strings.TrimRight(place, "/")+"/")
	if !below || strings.Contains("/"+rest+"/", "/../") || strings.ContainsAny(rest, "?#") {
		return nil, 0, fmt.Errorf("%q is not below %q", uri, place)
	}
	object, err := r.backend.Open(ctx, uri, store.Position{})
	if err != nil {
		return nil, 0, fmt.Errorf("reading %s: %w", uri, err)
	}
	return object, object.Size, nil
}
