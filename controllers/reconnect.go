// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
)

// reconnectInterval is how often an informer tries to reach an API server that does
// not answer, plus up to as much again as jitter. A reflector backs off to between 30
// and 60 seconds (k8s.io/client-go/tools/cache, reflector.go), and after a long outage
// all groups would wait for that.
const reconnectInterval = 2500 * time.Millisecond

// newInformer is toolscache.NewSharedIndexInformer with reconnecting lists and watches.
func newInformer(lw toolscache.ListerWatcher, obj runtime.Object, resync time.Duration, indexers toolscache.Indexers) toolscache.SharedIndexInformer {
	return toolscache.NewSharedIndexInformer(&reconnecting{parent: lw, interval: reconnectInterval}, obj, resync, indexers)
}

// reconnecting repeats lists and watches while the API server does not answer. All
// answers, errors included, are returned.
type reconnecting struct {
	parent   toolscache.ListerWatcher
	interval time.Duration
}

// List implements toolscache.Lister.
func (r *reconnecting) List(options metav1.ListOptions) (runtime.Object, error) {
	return r.ListWithContext(context.Background(), options)
}

// ListWithContext implements toolscache.ListerWithContext.
func (r *reconnecting) ListWithContext(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	return reconnect(ctx, r.interval, func() (runtime.Object, error) {
		return toolscache.ToListerWithContext(r.parent).ListWithContext(ctx, options)
	})
}

// Watch implements toolscache.Watcher.
func (r *reconnecting) Watch(options metav1.ListOptions) (watch.Interface, error) {
	return r.WatchWithContext(context.Background(), options)
}

// WatchWithContext implements toolscache.WatcherWithContext.
func (r *reconnecting) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	return reconnect(ctx, r.interval, func() (watch.Interface, error) {
		return toolscache.ToWatcherWithContext(r.parent).WatchWithContext(ctx, options)
	})
}

// IsWatchListSemanticsUnSupported is the parent's: a reflector calls this method
// whether to list by a watch (k8s.io/client-go/util/watchlist).
func (r *reconnecting) IsWatchListSemanticsUnSupported() bool {
	parent, ok := r.parent.(interface{ IsWatchListSemanticsUnSupported() bool })
	return ok && parent.IsWatchListSemanticsUnSupported()
}

// reconnect calls until the API server answers or ctx is done.
func reconnect[T any](ctx context.Context, interval time.Duration, call func() (T, error)) (T, error) {
	for attempt := 0; ; attempt++ {
		result, err := call()
		if !isUnreachable(err) {
			return result, err
		}
		if attempt == 0 {
			logf.FromContext(ctx).Info("the API server does not answer a list or watch; reconnecting", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return result, err
		case <-time.After(interval + rand.N(interval)): //nolint:gosec // jitter needs no secret
		}
	}
}

// isUnreachable reports whether the API server did not answer, or answered that it
// cannot serve requests.
func isUnreachable(err error) bool {
	if err == nil {
		return false
	}
	_, answered := codeOf(err)
	return !answered || apierrors.IsServiceUnavailable(err)
}
