// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

var (
	stateDesc = prometheus.NewDesc("taskgroups", "TaskGroups that exist, by the reason of their condition Succeeded.", []string{"reason"}, nil)
	waitDesc  = prometheus.NewDesc("taskgroup_waiting_since_timestamp_seconds", "Since when the TaskGroup has waited that has waited longest for a running pod, by reason: Pending, Queued or Starting.", []string{"reason"}, nil)
)

// stateCollector counts the cached TaskGroups at each collection: a gauge that is
// updated by events would drift.
type stateCollector struct{ reader client.Reader }

// Describe implements prometheus.Collector.
func (c stateCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- stateDesc
	descs <- waitDesc
}

// Collect implements prometheus.Collector.
func (c stateCollector) Collect(collected chan<- prometheus.Metric) {
	var groups v1alpha1.TaskGroupList
	if err := c.reader.List(context.Background(), &groups, client.UnsafeDisableDeepCopy); err != nil {
		logf.Log.Error(err, "counting TaskGroups for the metrics")
		return
	}
	counts := map[string]float64{}
	oldest := map[string]time.Time{}
	for i := range groups.Items {
		tg := &groups.Items[i]
		label := stateLabel(tg.Status.Reason())
		counts[label]++
		if !isWaiting(tg.Status.Reason()) {
			continue
		}
		since := waitingSince(tg)
		if first, ok := oldest[label]; !ok || since.Before(first) {
			oldest[label] = since
		}
	}
	for reason, count := range counts {
		collected <- prometheus.MustNewConstMetric(stateDesc, prometheus.GaugeValue, count, reason)
	}
	for reason, since := range oldest {
		collected <- prometheus.MustNewConstMetric(waitDesc, prometheus.GaugeValue, float64(since.Unix()), reason)
	}
}

// isWaiting reports whether a group with this reason waits for a running pod, which
// excludes suspended groups.
func isWaiting(reason v1alpha1.Reason) bool {
	return reason == v1alpha1.ReasonPending || reason == v1alpha1.ReasonQueued || reason == v1alpha1.ReasonStarting
}

// waitingSince returns the start of the current wait of a group that waits: its creation,
// the end of its suspension, or the end of its previous attempt.
func waitingSince(tg *v1alpha1.TaskGroup) time.Time {
	since := tg.CreationTimestamp.Time
	if suspended := meta.FindStatusCondition(tg.Status.Conditions, string(v1alpha1.ConditionSuspended)); suspended != nil && suspended.LastTransitionTime.After(since) {
		since = suspended.LastTransitionTime.Time
	}
	for i := range tg.Status.Jobs {
		if closed := tg.Status.Jobs[i].CompletionTime; closed != nil && closed.After(since) {
			since = closed.Time
		}
	}
	return since
}

// stateLabel returns the label of a reason. All reasons that are not the API's share
// one series.
func stateLabel(reason v1alpha1.Reason) string {
	if reason == "" || reason.IsKnown() {
		return string(reason)
	}
	return "Other"
}
