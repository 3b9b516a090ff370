// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"cmp"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// span is a span with all IDs and times.
type span struct {
	trace      trace.TraceID
	id         trace.SpanID
	parent     trace.SpanID
	name       string
	start, end time.Time
	attributes []attribute.KeyValue
	// failure is the description of a failed span; empty for others.
	failure string
	// started is when the container of a pod started; zero for none.
	started time.Time
}

// spansOf returns the spans of a finished group, parents first. Pods that were deleted have
// no span.
func spansOf(tg *v1alpha1.TaskGroup, pods []corev1.Pod) []span {
	if !tg.Status.IsFinished() || tg.Status.CompletionTime == nil {
		return nil
	}
	created, completed := tg.CreationTimestamp.Time, tg.Status.CompletionTime.Time
	reason := tg.Status.Reason()
	group := span{
		trace: traceID(tg), id: groupID(tg), parent: parentOf(tg).SpanID(), name: "TaskGroup", start: created, end: completed,
		attributes: []attribute.KeyValue{
			attribute.String("k8s.namespace.name", tg.Namespace),
			attribute.String("taskgroup.name", tg.Name),
			attribute.String("taskgroup.uid", string(tg.UID)),
			attribute.String("taskgroup.reason", string(reason)),
			attribute.String("taskgroup.tasks", tg.Status.Summary),
		},
	}
	if tg.Spec.DispatchID != "" {
		group.attributes = append(group.attributes, attribute.String("covalent.dispatch_id", tg.Spec.DispatchID))
	}
	if tg.Spec.TaskGroupID != nil {
		group.attributes = append(group.attributes, attribute.Int64("covalent.task_group_id", *tg.Spec.TaskGroupID))
	}
	if reason.IsFailure() {
		group.failure = cmp.Or(tg.Status.Message(), string(reason))
	}
	spans := []span{group}
	if start := tg.Status.StartTime; start != nil {
		spans = append(spans, group.child(waitID(tg), "Wait", created, start.Time))
	}
	return append(spans, attempts(tg, &group, pods)...)
}

// child returns a span below another one. Clocks of nodes differ, so that it may not end
// before it starts.
func (s *span) child(id trace.SpanID, name string, start, end time.Time, attributes ...attribute.KeyValue) span {
	if end.Before(start) {
		end = start
	}
	return span{trace: s.trace, id: id, parent: s.id, name: name, start: start, end: end, attributes: attributes}
}

// attempts returns the spans of the recorded attempts and of their pods.
func attempts(tg *v1alpha1.TaskGroup, group *span, pods []corev1.Pod) []span {
	var spans []span
	begin := group.start
	for i := range tg.Status.Jobs {
		job := &tg.Status.Jobs[i]
		end := group.end
		if job.CompletionTime != nil {
			end = job.CompletionTime.Time
		}
		reason := job.Reason
		if reason == "" {
			reason = tg.Status.Reason()
		}
		attempt := group.child(attemptID(tg, job.Attempt), "Attempt", begin, end,
			attribute.Int("taskgroup.attempt", int(job.Attempt)), attribute.String("k8s.job.name", job.Name),
			attribute.String("k8s.job.uid", string(job.UID)), attribute.String("taskgroup.reason", string(reason)))
		if reason.IsFailure() {
			attempt.failure = cmp.Or(job.Message, string(reason))
		}
		spans = append(spans, attempt)
		for j := range pods {
			if owner := metav1.GetControllerOf(&pods[j]); owner != nil && owner.UID == job.UID {
				spans = append(spans, podSpan(&attempt, &pods[j]))
			}
		}
		begin = end
	}
	return spans
}

// podSpan returns the span of a pod of an attempt.
func podSpan(attempt *span, pod *corev1.Pod) span {
	var started, ended time.Time
	for i := range pod.Status.ContainerStatuses {
		state := &pod.Status.ContainerStatuses[i].State
		switch {
		case state.Terminated != nil:
			started = earliest(started, state.Terminated.StartedAt.Time)
			if state.Terminated.FinishedAt.After(ended) {
				ended = state.Terminated.FinishedAt.Time
			}
		case state.Running != nil:
			started = earliest(started, state.Running.StartedAt.Time)
		}
	}
	if ended.IsZero() {
		ended = attempt.end
	}
	attributes := []attribute.KeyValue{attribute.String("k8s.pod.name", pod.Name), attribute.String("k8s.pod.uid", string(pod.UID))}
	if pod.Spec.NodeName != "" {
		attributes = append(attributes, attribute.String("k8s.node.name", pod.Spec.NodeName))
	}
	s := attempt.child(podID(pod.UID), "Pod", pod.CreationTimestamp.Time, ended, attributes...)
	s.started = started
	if pod.Status.Phase == corev1.PodFailed {
		s.failure = cmp.Or(pod.Status.Message, pod.Status.Reason, string(corev1.PodFailed))
	}
	return s
}

// earliest returns the earlier of two times, of which the zero time is unknown.
func earliest(times ...time.Time) time.Time {
	known := slices.DeleteFunc(times, time.Time.IsZero)
	if len(known) == 0 {
		return time.Time{}
	}
	return slices.MinFunc(known, time.Time.Compare)
}
