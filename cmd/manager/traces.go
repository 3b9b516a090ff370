// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/taskgroup-operator/taskgroup-operator/controllers"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/tracing"
	"github.com/taskgroup-operator/taskgroup-operator/internal/version"
)

// addTraces adds the exporter of traces; nil if there is no collector.
func addTraces(mgr ctrl.Manager, options *Options, now clock.PassiveClock) (controllers.Traces, error) {
	if !options.TraceEnabled {
		return nil, nil
	}
	exporter, err := tracing.New(context.Background(), tracing.Config{
		Reader: mgr.GetClient(), APIReader: mgr.GetAPIReader(), Registry: metrics.Registry, Clock: now,
		Namespaces: options.Namespaces, Endpoint: options.TraceEndpoint, Window: options.TraceWindow, Version: version.Version,
	})
	if err != nil {
		return nil, err
	}
	if err := mgr.Add(exporter); err != nil {
		return nil, fmt.Errorf("adding the exporter of traces: %w", err)
	}
	return exporter, nil
}
