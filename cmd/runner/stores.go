// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/store"
	"github.com/taskgroup-operator/taskgroup-operator/store/backends"
	"github.com/taskgroup-operator/taskgroup-operator/store/s3"
)

// terminationReserve is the part of the grace period that remains for the termination
// message when the retries of the stores end.
const terminationReserve = time.Second

// newStores returns the stores of this release. They read their credentials when they
// are first used; s3 needs none if its URLs were signed for this pod. The
// cancellation of ctx is SIGTERM to the pod.
func newStores(ctx context.Context, o *options) *store.Stores {
	schemes := backends.All()
	if _, err := os.Stat(o.signedURLs); err == nil {
		schemes["s3"] = &s3.Signed{Path: o.signedURLs, UID: o.plan.UID}
	}
	stores := store.New(schemes)
	stores.RetryTimeout, stores.Stall = o.storeRetry, o.storeStall
	context.AfterFunc(ctx, func() { stores.EndBy(time.Now().Add(o.grace - terminationReserve)) })
	return stores
}
