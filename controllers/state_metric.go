package controllers

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

var stateDesc = prometheus.NewDesc("taskgroups", "TaskGroups that exist, by the reason of their condition Succeeded.", []string{"reason"}, nil)

// stateCollector counts the cached TaskGroups when it is asked: a gauge that is
// kept up by events would drift.
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
		counts[stateLabel(plan.ReasonOf(&groups.Items[i].Status))]++
	}
	for reason, count := range counts {
		collected <- prometheus.MustNewConstMetric(stateDesc, prometheus.GaugeValue, count, reason)
	}
}

// underWay are the reasons of groups that have not ended.
var underWay = map[v1alpha1.Reason]bool{
	v1alpha1.ReasonPending:    true,
	v1alpha1.ReasonQueued:     true,
	v1alpha1.ReasonStarting:   true,
	v1alpha1.ReasonRunning:    true,
	v1alpha1.ReasonSuspending: true,
	v1alpha1.ReasonSuspended:  true,
	v1alpha1.ReasonRetrying:   true,
	v1alpha1.ReasonStopping:   true,
	v1alpha1.ReasonCancelling: true,
}

// stateLabel is reasonLabel for groups that have not ended, too.
func stateLabel(reason v1alpha1.Reason) string {
	if underWay[reason] {
		return string(reason)
	}
	return reasonLabel(reason)
}
