package plan

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

const (
	// startErrorGrace is how long an error that may pass, such as a registry that
	// does not answer, is waited for where spec.timeouts.startingSeconds is not set.
	startErrorGrace = 5 * time.Minute
	// refusalInterval is how often a Job without a pod is looked at again.
	refusalInterval = 5 * time.Second
)

// clock is one of spec.timeouts as it stands for a pod that does not run yet.
type clock struct {
	name  string
	began time.Time
	limit time.Duration
	// reason is what the group fails with when the clock has run out.
	reason v1alpha1.Reason
}

func (c *clock) left(now time.Time) time.Duration { return c.limit - now.Sub(c.began) }

// overdue gives an attempt up that cannot start, or has not started in time.
// The clock of a pod that runs is the runner's own, and the pod's
// activeDeadlineSeconds behind it: both hold without the operator.
func overdue(o *Observed, now time.Time) *Plan {
	pod := o.attemptPod()
	if pod != nil && pod.Status.Phase != corev1.PodPending && pod.Status.Phase != "" {
		return nil
	}
	if reason, message, permanent := startError(pod); reason != "" {
		c := startingClock(o, pod)
		if c == nil {
			c = &clock{began: placedAt(pod), limit: startErrorGrace}
		}
		if permanent || c.left(now) <= 0 {
			return giveUp(o, verdict{reason: reason, message: message}, now)
		}
	}
	c := runningClock(o, pod)
	if c == nil || c.left(now) > 0 {
		return nil
	}
	return giveUp(o, verdict{reason: c.reason, message: fmt.Sprintf(
		"spec.timeouts.%s of %d s ran out: %s", c.name, int64(c.limit/time.Second), waitingFor(o, pod))}, now)
}

// nextClock is when the clock that runs has run out; 0 where none runs.
func nextClock(o *Observed, pod *corev1.Pod, now time.Time) time.Duration {
	c := runningClock(o, pod)
	if reason, _, _ := startError(pod); c == nil && reason != "" {
		c = &clock{began: placedAt(pod), limit: startErrorGrace}
	}
	if c == nil {
		return 0
	}
	return max(c.left(now), time.Second)
}

// runningClock is the one of the two clocks that is going; nil for none.
func runningClock(o *Observed, pod *corev1.Pod) *clock {
	if pod != nil && pod.Spec.NodeName != "" {
		return startingClock(o, pod)
	}
	return queuedClock(o)
}

// queuedClock goes from the time that the Job was let go: it stands still while
// a queue holds the Job, whose start time is set anew when it is let go
// (k8s.io/api/batch/v1, JobStatus.StartTime).
func queuedClock(o *Observed) *clock {
	t := o.TaskGroup.Spec.Timeouts
	if t == nil || t.QueuedSeconds == nil || jobIsHeld(o.Job) || o.Job.Status.StartTime == nil {
		return nil
	}
	began := later(o.Job.CreationTimestamp.Time, o.Job.Status.StartTime.Time)
	c := &clock{name: "queuedSeconds", began: began, limit: seconds(*t.QueuedSeconds), reason: v1alpha1.ReasonUnschedulable}
	if o.PodRefusal != "" {
		c.reason = refusalReason(o.PodRefusal)
	}
	return c
}

func startingClock(o *Observed, pod *corev1.Pod) *clock {
	t := o.TaskGroup.Spec.Timeouts
	if t == nil || t.StartingSeconds == nil || pod == nil {
		return nil
	}
	return &clock{name: "startingSeconds", began: placedAt(pod), limit: seconds(*t.StartingSeconds), reason: v1alpha1.ReasonDeadlineExceeded}
}

// placedAt is when the pod was given a node, and not before there was a pod: who
// writes the one may have another clock than who writes the other.
func placedAt(pod *corev1.Pod) time.Time {
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

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }
