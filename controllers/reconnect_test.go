// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
)

// TestReconnect checks which errors of a watch are repeated, and that the reflector
// sees every answer.
func TestReconnect(t *testing.T) {
	for name, tc := range map[string]struct {
		err   error
		calls int
	}{
		"connection refused":        {errors.New("dial tcp 127.0.0.1:6443: connect: connection refused"), 3},
		"an API server that starts": {apierrors.NewServiceUnavailable("starting"), 3},
		"too old a version":         {apierrors.NewResourceExpired("too old"), 1},
		"too many requests":         {apierrors.NewTooManyRequests("later", 1), 1},
		"forbidden":                 {apierrors.NewForbidden(corev1.Resource("pods"), "", errors.New("no")), 1},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			r := &reconnecting{interval: time.Millisecond, parent: &toolscache.ListWatch{
				WatchFuncWithContext: func(context.Context, metav1.ListOptions) (watch.Interface, error) {
					if calls++; calls < 3 {
						return nil, tc.err
					}
					return watch.NewFake(), nil
				},
			}}
			_, err := r.WatchWithContext(t.Context(), metav1.ListOptions{})
			if calls != tc.calls || (tc.calls == 1) != errors.Is(err, tc.err) {
				t.Errorf("%d calls and %v, want %d calls", calls, err, tc.calls)
			}
		})
	}
}

// TestReconnectStops checks that a list ends with its context.
func TestReconnectStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	refused := errors.New("connection refused")
	r := &reconnecting{interval: time.Hour, parent: &toolscache.ListWatch{
		ListWithContextFunc: func(context.Context, metav1.ListOptions) (runtime.Object, error) {
			cancel()
			return nil, refused
		},
	}}
	if _, err := r.ListWithContext(ctx, metav1.ListOptions{}); !errors.Is(err, refused) {
		t.Errorf("got %v, want %v", err, refused)
	}
}
