// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"math/rand/v2"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	// firstRetry doubles with each failure of a group's pass, up to maxRetry.
	// controller-runtime's default is 1000 s: after an outage of the API server no
	// event arrives for unchanged objects, so groups would resume as late as that.
	firstRetry = 5 * time.Millisecond
	maxRetry   = 10 * time.Second
)

// newRateLimiter returns the backoff of failed passes. Up to half of it is jitter, so
// that thousands of groups do not retry at the same time after an outage.
func newRateLimiter() workqueue.TypedRateLimiter[reconcile.Request] {
	return jittered{workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, maxRetry)}
}

type jittered struct {
	workqueue.TypedRateLimiter[reconcile.Request]
}

// When implements workqueue.TypedRateLimiter.
func (j jittered) When(item reconcile.Request) time.Duration {
	wait := j.TypedRateLimiter.When(item)
	return wait + rand.N(wait/2+1) //nolint:gosec // jitter needs no secret
}
