// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"sync/atomic"

	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
)

// delivery is how the runner gets into new pods. Image volumes need the API server,
// the kubelet and the container runtime, and only a pod shows whether all of them
// support it. After a pod could not start the runner from an image volume, all later
// pods of this process get an init container.
type delivery struct {
	configured jobspec.Delivery
	fellBack   atomic.Bool
}

func (d *delivery) current() jobspec.Delivery {
	if d.fellBack.Load() {
		return jobspec.InitContainer
	}
	return d.configured
}

func (d *delivery) fallBack(ctx context.Context) {
	if d.configured == jobspec.InitContainer || d.fellBack.Swap(true) {
		return
	}
	deliveryFallbacks.Inc()
	logf.FromContext(ctx).Info("a pod could not start the runner from an image volume; later pods get an init container",
		"hint", "start the operator with --runner-delivery=InitContainer")
}
