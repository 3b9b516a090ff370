package main

import (
	"context"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/runner/store"
	"github.com/taskgroup-operator/taskgroup-operator/runner/store/azure"
	"github.com/taskgroup-operator/taskgroup-operator/runner/store/gcs"
	"github.com/taskgroup-operator/taskgroup-operator/runner/store/s3"
	"github.com/taskgroup-operator/taskgroup-operator/runner/store/web"
)

// lastWords is what is left of the grace period when stores are given up: the
// termination message takes no more.
const lastWords = time.Second

// newStores returns the stores of this release. They look for credentials when
// they are first used. The end of ctx is the pod being told to end.
func newStores(ctx context.Context, o *options) *store.Stores {
	http, blobs := &web.Store{}, &azure.Store{}
	stores := store.New(map[string]store.Backend{
		"http": http, "https": http, "s3": &s3.Store{}, "gs": &gcs.Store{}, "azblob": blobs, "blob": blobs,
	})
	stores.Patience, stores.Stall = o.patience, o.stall
	context.AfterFunc(ctx, func() { stores.EndBy(time.Now().Add(o.grace - lastWords)) })
	return stores
}
