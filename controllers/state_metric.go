// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

var stateDesc = prometheus.NewDesc("taskgroups", "TaskGroups that exist, by the reason of their condition Succeeded.", []string{"reason"}, nil)

// stateCollector counts the cached TaskGroups at each collection: a gauge that is
// updated by events would drift.
type stateCollector struct{ reader client.Reader }

// Describe implements prometheus.Collector.
func (c stateCollector) Describe(descs chan<- *prometheus.Desc) { descs <- stateDesc }

// Collect implements prometheus.Collector.
func (c stateCollector) Collect(collected chan<- prometheus.Metric) {
	var groups v1alpha1.TaskGroupList
	if err := c.reader.List(context.Background(), &groups, client.UnsafeDisableDeepCopy); err != nil {
		logf.Log.Error(err, "counting TaskGroups for the metrics")
		return
	}
	counts := map[string]float64{}
	for i := range groups.Items {
		counts[stateLabel(groups.Items[i].Status.Reason())]++
	}
	for reason, count := range counts {
		collected <- prometheus.MustNewConstMetric(stateDesc, prometheus.GaugeValue, count, reason)
	}
}

// stateLabel returns the label of a reason. All reasons that are not the API's share
// one series.
func stateLabel(reason v1alpha1.Reason) string {
	if reason == "" || reason.IsKnown() {
		return string(reason)
	}
	return "Other"
}
