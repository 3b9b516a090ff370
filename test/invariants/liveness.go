// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// deletionTerminates is I14: "G with deletionTimestamp disappears <=60 s after its
// pods end".
func deletionTerminates(ix *index) []Violation {
	var found []Violation
	for _, g := range ix.groups {
		deletion, ok := g.life.deletion()
		if !ok || deletion.gone {
			continue
		}
		since, until := deletion.at, ix.End
		for _, p := range g.pods {
			end, ended := p.life.when(func(v version[*corev1.Pod]) bool { return v.gone || podEnded(v.obj) })
			if !ended {
				since = until
			} else if end.at.After(since) {
				since = end.at
			}
		}
		last := g.life.last()
		if last.gone {
			until = last.at
		}
		if until.Sub(since) > ix.opts.LivenessBound {
			found = append(found, g.violation(deletion.revision, last.revision, fmt.Sprintf(
				"it was deleted, its pods had ended, and it stayed for %s", until.Sub(since).Round(time.Second))))
		}
	}
	return found
}

// movesOn is I20: "every group reaches T within deadline + 60 s, or carries a named
// blocking condition". So it is reported within a minute that there is a group, and
// that its Job has terminated.
func movesOn(ix *index) []Violation {
	var found []Violation
	for _, g := range ix.groups {
		first := g.life.first()
		told := func(since time.Time, says func(*v1alpha1.TaskGroup) bool) (revision int64, inTime bool) {
			v, ok := g.life.when(func(v version[*v1alpha1.TaskGroup]) bool {
				return v.gone || v.obj.DeletionTimestamp != nil || says(v.obj)
			})
			if ok {
				return v.revision, v.at.Sub(since) <= ix.opts.LivenessBound
			}
			return g.life.last().revision, ix.End.Sub(since) <= ix.opts.LivenessBound
		}
		revision, inTime := told(first.at, func(tg *v1alpha1.TaskGroup) bool {
			reason := verdict(tg).Reason
			return reason != "" && reason != string(v1alpha1.ReasonPending)
		})
		if !inTime {
			found = append(found, g.violation(first.revision, revision, "nothing was told of it for longer than "+ix.opts.LivenessBound.String()))
		}
		for _, j := range g.jobs {
			end, ok := j.life.when(func(v version[*batchv1.Job]) bool { return jobFinished(v.obj) })
			if !ok {
				continue
			}
			if revision, inTime := told(end.at, func(tg *v1alpha1.TaskGroup) bool { return recordsEndOf(tg, end.obj) }); !inTime {
				found = append(found, g.violation(end.revision, revision, fmt.Sprintf(
					"Job %s had finished, and the status did not tell for longer than %s", j.name, ix.opts.LivenessBound)))
			}
		}
	}
	return found
}

// deadlineDelegated is I23: "deadline holds with the operator dead (delegated to
// activeDeadlineSeconds)". The kubelet's clock is behind the runner's, so it is not
// the shorter one.
func deadlineDelegated(ix *index) []Violation {
	var found []Violation
	for _, g := range ix.groups {
		timeouts := g.life.first().obj.Spec.Timeouts
		if timeouts == nil || timeouts.RunningSeconds == nil {
			continue
		}
		for _, j := range g.jobs {
			made := j.life.first()
			if deadline := made.obj.Spec.Template.Spec.ActiveDeadlineSeconds; deadline == nil || *deadline <= *timeouts.RunningSeconds {
				found = append(found, g.violation(g.life.first().revision, made.revision, fmt.Sprintf(
					"the pods of Job %s have no deadline behind that of %d s", j.name, *timeouts.RunningSeconds)))
			}
		}
	}
	return found
}

// oneClock is I24: "jumps of the operator clock never produce a negative duration":
// no time in the status is before the group was created.
func oneClock(ix *index) []Violation {
	var found []Violation
	for _, g := range ix.groups {
		created := g.life.first()
		early, ok := g.life.when(func(v version[*v1alpha1.TaskGroup]) bool {
			return earliest(&v.obj.Status).Before(created.obj.CreationTimestamp.Time)
		})
		if ok {
			found = append(found, g.violation(created.revision, early.revision, fmt.Sprintf(
				"the status tells of %s, and it was created at %s", earliest(&early.obj.Status).UTC(), created.obj.CreationTimestamp.UTC())))
		}
	}
	return found
}

// earliest is the first time in a status; far off where it has none.
func earliest(status *v1alpha1.TaskGroupStatus) time.Time {
	first := time.Unix(1<<40, 0)
	consider := func(t *metav1.Time) {
		// The API server's preset of the conditions has the epoch.
		if t != nil && t.Unix() > 0 && t.Time.Before(first) {
			first = t.Time
		}
	}
	consider(status.StartTime)
	consider(status.CompletionTime)
	for i := range status.Jobs {
		consider(status.Jobs[i].CompletionTime)
	}
	for i := range status.Conditions {
		consider(&status.Conditions[i].LastTransitionTime)
	}
	return first
}
