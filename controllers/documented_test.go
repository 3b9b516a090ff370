// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"flag"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/taskgroup-operator/taskgroup-operator/controllers/tracing"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
	"github.com/taskgroup-operator/taskgroup-operator/test/docs"
)

var update = flag.Bool("update", false, "write the table of the metrics")

// TestMetricsAreDocumented compares the metrics of the operator, with those of
// controller-runtime, with docs/metrics.md.
func TestMetricsAreDocumented(t *testing.T) {
	registry := prometheus.NewRegistry()
	if err := registerMetrics(registry, newRig(t, testkit.TaskGroup("a").Obj()).Client); err != nil {
		t.Fatal(err)
	}
	exported, failed := tracing.Metrics()
	registry.MustRegister(exported, failed)
	libraries, ok := metrics.Registry.(prometheus.Collector)
	if !ok {
		t.Fatal("the registry of controller-runtime cannot be described")
	}
	own, err := docs.RegisteredMetrics(registry)
	others, othersErr := docs.RegisteredMetrics(libraries)
	if err := errors.Join(err, othersErr); err != nil {
		t.Fatal(err)
	}
	all := slices.Concat(own, others)
	if len(own) < 13 || len(others) < 10 {
		t.Fatalf("metrics %v", all)
	}
	if err := docs.CompareMetrics("../docs/metrics.md", "operator", all, *update); err != nil {
		t.Error(err)
	}
}
