// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"math"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

const (
	// startErrorGrace is how long a transient start error is tolerated if
	// spec.timeouts.startingSeconds is not set. It counts from the first error.
	startErrorGrace = 5 * time.Minute
	// permanentRefusalGrace is how long a pod that policy refuses is waited for if
	// spec.timeouts.queuedSeconds is not set.
	permanentRefusalGrace = 5 * time.Minute
)

// timeout is one of spec.timeouts, or a default, for a pod that does not run yet.
type timeout struct {
	// name is the field; empty for a default.
	name  string
	began time.Time
	limit time.Duration
	// reason is the failure reason when the timeout has expired.
	reason v1alpha1.Reason
}

func (t *timeout) left(now time.Time) time.Duration { return t.limit - now.Sub(t.began) }

// expiry returns the verdict about a pod that cannot start, or has not started in
// time; nil if it may still start. pod is nil if the Job has not created it. The
// timeouts of a running pod are the runner's, and the pod's activeDeadlineSeconds:
// both hold without the operator.
func expiry(o *Observed, pod *corev1.Pod, now time.Time) *verdict {
	if e := startErrorOf(o, pod); e != nil {
		t := errorTimeout(o, pod, now)
		if e.permanent || t.left(now) <= 0 {
			return &verdict{reason: e.reason, message: e.message, permanent: e.permanent, unspent: e.redeliver, redeliver: e.redeliver}
		}
	}
	t := podTimeout(o, pod)
	if t == nil || t.left(now) > 0 {
		return nil
	}
	if t.name == "" {
		return &verdict{reason: t.reason, message: waitingFor(o, pod)}
	}
	return &verdict{reason: t.reason, message: fmt.Sprintf(
		"spec.timeouts.%s of %d s expired: %s", t.name, int64(t.limit/time.Second), waitingFor(o, pod))}
}

// nextTimeout is when the next timeout of a pod expires; 0 for never.
func nextTimeout(o *Observed, pod *corev1.Pod, now time.Time) time.Duration {
	next := time.Duration(0)
	for _, t := range []*timeout{podTimeout(o, pod), errorTimeout(o, pod, now)} {
		if t != nil {
			next = sooner(next, max(t.left(now), time.Second))
		}
	}
	return next
}

// errorTimeout bounds how long a start error is tolerated; nil without an error.
func errorTimeout(o *Observed, pod *corev1.Pod, now time.Time) *timeout {
	e := startErrorOf(o, pod)
	if e == nil {
		return nil
	}
	if t := startingTimeout(o, pod); t != nil {
		return t
	}
	began, known := o.ErrorSince[pod.UID]
	if !known {
		began = now
	}
	return &timeout{began: began, limit: startErrorGrace, reason: e.reason}
}

// podTimeout is the timeout that applies to a pod; nil for none.
func podTimeout(o *Observed, pod *corev1.Pod) *timeout {
	if pod != nil && pod.Spec.NodeName != "" {
		return startingTimeout(o, pod)
	}
	return queuedTimeout(o, pod)
}

// queuedTimeout counts from when the Job was released, and from the creation of
// its pod: it does not run while a queue holds the Job, whose start time is reset
// when it is released (k8s.io/api/batch/v1, JobStatus.StartTime).
func queuedTimeout(o *Observed, pod *corev1.Pod) *timeout {
	if jobIsHeld(o.Job) || o.Job.Status.StartTime == nil {
		return nil
	}
	began := later(o.Job.CreationTimestamp.Time, o.Job.Status.StartTime.Time)
	if pod != nil {
		began = later(began, pod.CreationTimestamp.Time)
	}
	refusal := ""
	if pod == nil {
		refusal = o.PodRefusal
	}
	limits := o.TaskGroup.Spec.Timeouts
	switch {
	case limits != nil && limits.QueuedSeconds != nil:
		t := &timeout{name: "queuedSeconds", began: began, limit: seconds(*limits.QueuedSeconds), reason: v1alpha1.ReasonUnschedulable}
		if refusal != "" {
			t.reason = RefusalOf(refusal).reason()
		}
		return t
	case refusal != "" && RefusalOf(refusal) == RefusedByPolicy:
		return &timeout{began: began, limit: permanentRefusalGrace, reason: v1alpha1.ReasonJobRejected}
	}
	return nil
}

func startingTimeout(o *Observed, pod *corev1.Pod) *timeout {
	t := o.TaskGroup.Spec.Timeouts
	if t == nil || t.StartingSeconds == nil || pod == nil || pod.Spec.NodeName == "" {
		return nil
	}
	return &timeout{name: "startingSeconds", began: scheduledAt(pod), limit: seconds(*t.StartingSeconds), reason: v1alpha1.ReasonDeadlineExceeded}
}

// scheduledAt is when the pod was scheduled, and not before it was created: the
// two times may come from different clocks.
func scheduledAt(pod *corev1.Pod) time.Time {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodScheduled && c.Status == corev1.ConditionTrue {
			return later(pod.CreationTimestamp.Time, c.LastTransitionTime.Time)
		}
	}
	return pod.CreationTimestamp.Time
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// seconds converts a number of seconds of the API, which may exceed what a Duration
// holds.
func seconds(n int64) time.Duration {
	if n > int64(math.MaxInt64/time.Second) {
		return math.MaxInt64
	}
	return time.Duration(n) * time.Second
}
