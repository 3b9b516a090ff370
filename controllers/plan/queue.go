package plan

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// Queue is the plan for a group whose Job is refused for now, by a quota on Jobs
// or a policy. It is asked for again until queuedSeconds ran out, if it is set.
func Queue(o *Observed, message string, now time.Time) Plan {
	if t := o.TaskGroup.Spec.Timeouts; t != nil && t.QueuedSeconds != nil {
		if now.Sub(refusedSince(o.TaskGroup, now)) >= seconds(*t.QueuedSeconds) {
			return Reject(o, refusalReason(message), fmt.Sprintf("spec.timeouts.queuedSeconds of %d s ran out: %s", *t.QueuedSeconds, message), now)
		}
	}
	return Plan{Status: queuedStatus(o, message, now), RequeueAfter: refusalInterval}
}

// refusedSince is the earliest that the attempt's Job can have been asked for:
// when the group was created, the attempt before ended, or a suspension did, for
// no clock runs while the group is suspended.
func refusedSince(tg *v1alpha1.TaskGroup, now time.Time) time.Time {
	began := tg.CreationTimestamp.Time
	if last := LastJob(&tg.Status); last != nil && last.CompletionTime != nil {
		began = later(began, last.CompletionTime.Time)
	}
	switch c := tg.Status.Condition(v1alpha1.ConditionSuspended); {
	case c == nil:
		return began
	case c.Status == metav1.ConditionTrue:
		// It is the status that follows which says that the suspension is over.
		return now
	default:
		return later(began, c.LastTransitionTime.Time)
	}
}
