package main

import (
	"context"
	"os"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/azure"
	"github.com/taskgroup-operator/taskgroup-operator/store/gcs"
	"github.com/taskgroup-operator/taskgroup-operator/store/s3"
	"github.com/taskgroup-operator/taskgroup-operator/store/web"
)

// terminationReserve is the part of the grace period that remains for the termination
// message when the retries of the stores end.
const terminationReserve = time.Second

// newStores returns the stores of this release. They read their credentials when they
// are first used; s3 needs none if its URLs were signed for this pod. The
// cancellation of ctx is SIGTERM to the pod.
func newStores(ctx context.Context, o *options) *store.Stores {
	http, blobs := &web.Store{}, &azure.Store{}
	var bucket store.Backend = &s3.Store{}
	if _, err := os.Stat(o.signedURLs); err == nil {
		bucket = &s3.Signed{Path: o.signedURLs, UID: o.plan.UID}
	}
	stores := store.New(map[string]store.Backend{
		"http": http, "https": http, "s3": bucket, "gs": &gcs.Store{}, "azblob": blobs, "blob": blobs,
	})
	stores.Patience, stores.Stall = o.patience, o.stall
	context.AfterFunc(ctx, func() { stores.EndBy(time.Now().Add(o.grace - terminationReserve)) })
	return stores
}
