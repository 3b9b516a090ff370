// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/evidence"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

// No label contains a string of a user: reasons are the API's, and names or namespaces
// would create series without bound.
var (
	groupsFinished = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "taskgroup_finished_total",
		Help: "TaskGroups that finished, by reason.",
	}, []string{"reason"})
	tasksFinished = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "taskgroup_tasks_finished_total",
		Help: "Tasks of finished TaskGroups, by state and reason.",
	}, []string{"state", "reason"})
	retries = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "taskgroup_retries_total",
		Help: "Attempts that failed and were retried, by source and reason.",
	}, []string{"source", "reason"})
	podsAfterEnd = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "taskgroup_pods_after_end_total",
		Help: "Pods that the Job controller created for TaskGroups that had finished.",
	})
	stalePods = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "taskgroup_stale_pod_observations_total",
		Help: "Decisions that were not carried out because the cache of pods lagged behind the API server.",
	})
	fencedRequests = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "taskgroup_fenced_requests_total",
		Help: "Requests that were not sent because the evidence for them was too old.",
	})
	deliveryFallbacks = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "taskgroup_delivery_fallbacks_total",
		Help: "Switches from image volumes to init containers because a pod could not start the runner.",
	})
	cancellations = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "taskgroup_cancellations_total",
		Help: "Total TaskGroups for which cancellation was requested, whatever their outcome.",
	})
	startSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "taskgroup_start_duration_seconds",
		Help:    "Time from the creation of a TaskGroup's Job until its first pod started, in whole seconds.",
		Buckets: prometheus.ExponentialBuckets(0.1, 2, 14),
	})
	queueSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "taskgroup_queue_duration_seconds",
		Help:    "Time from the creation of a TaskGroup until the creation of its first Job.",
		Buckets: prometheus.ExponentialBuckets(0.1, 2, 14),
	})
	runSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "taskgroup_run_duration_seconds",
		Help:    "Time from the start of a TaskGroup's first pod until the TaskGroup finished, in whole seconds.",
		Buckets: prometheus.ExponentialBuckets(0.1, 2, 20),
	})
)

// registerMetrics registers the metrics of the reconciler, and the gauge of the groups
// that the reader has.
func registerMetrics(registry prometheus.Registerer, reader client.Reader) error {
	for _, c := range []prometheus.Collector{
		groupsFinished, tasksFinished, retries, cancellations, podsAfterEnd, stalePods, fencedRequests, deliveryFallbacks,
		startSeconds, queueSeconds, runSeconds, stateCollector{reader},
	} {
		if err := registry.Register(c); err != nil {
			return fmt.Errorf("registering the metrics: %w", err)
		}
	}
	return nil
}

// observe counts what a status that was just written reports for the first time.
func observe(before *v1alpha1.TaskGroup, after *v1alpha1.TaskGroupStatus, job *batchv1.Job) {
	if before.Status.StartTime == nil && after.StartTime != nil && job != nil {
		startSeconds.Observe(max(0, after.StartTime.Sub(job.CreationTimestamp.Time).Seconds()))
		queueSeconds.Observe(max(0, job.CreationTimestamp.Sub(before.CreationTimestamp.Time).Seconds()))
	}
	if spent(after) > spent(&before.Status) {
		reason := plan.LastJob(after).Reason
		retries.WithLabelValues(string(reason.Info().Source), stateLabel(reason)).Inc()
	}
	if isCancelled(after) && !isCancelled(&before.Status) {
		cancellations.Inc()
	}
	if !after.IsFinished() {
		return
	}
	groupsFinished.WithLabelValues(stateLabel(after.Reason())).Inc()
	for i := range after.Tasks {
		tasksFinished.WithLabelValues(string(after.Tasks[i].State), stateLabel(after.Tasks[i].Reason)).Inc()
	}
	if after.StartTime != nil && after.CompletionTime != nil {
		runSeconds.Observe(max(0, after.CompletionTime.Sub(after.StartTime.Time).Seconds()))
	}
}

// isCancelled reports whether a group is cancelled or being cancelled.
func isCancelled(status *v1alpha1.TaskGroupStatus) bool {
	reason := status.Reason()
	return reason == v1alpha1.ReasonCancelling || reason == v1alpha1.ReasonCancelled
}

func spent(status *v1alpha1.TaskGroupStatus) int32 {
	if status.Retries == nil {
		return 0
	}
	return status.Retries.User + status.Retries.Infrastructure
}

// Fence returns the wrapper of transports that refuses requests whose evidence is too
// old (package evidence), and counts them.
func Fence() func(http.RoundTripper) http.RoundTripper { return evidence.Fence(fencedRequests.Inc) }
