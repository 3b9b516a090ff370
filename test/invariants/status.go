// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

// terminalLatch is I6: after a group is terminal, its status is byte-identical until
// deletion. Only observedGeneration may still follow the object.
func terminalLatch(ix *index) []Violation {
	var found []Violation
	for _, g := range ix.groups {
		end, ok := g.end()
		if !ok {
			continue
		}
		want := statusJSON(end.obj)
		changed, ok := g.life.when(func(v version[*v1alpha1.TaskGroup]) bool {
			return v.revision > end.revision && statusJSON(v.obj) != want
		})
		if ok {
			found = append(found, g.violation(end.revision, changed.revision, fmt.Sprintf(
				"the status changed after its end: %s became %s", want, statusJSON(changed.obj))))
		}
	}
	return found
}

func statusJSON(tg *v1alpha1.TaskGroup) string {
	status := tg.Status.DeepCopy()
	status.ObservedGeneration = 0
	raw, err := json.Marshal(status)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// oneVerdict is I7: "cancel racing completion yields exactly one of T; Succeeded
// only if every output was committed before the Job DELETE; never Succeeded then
// Cancelled". So Completed has a pod that succeeded, or a Job that reports it, from
// before its Job was deleted; and Cancelled was requested.
func oneVerdict(ix *index) []Violation {
	var found []Violation
	for _, g := range ix.groups {
		end, ok := g.end()
		if !ok {
			continue
		}
		other, ok := g.life.when(func(v version[*v1alpha1.TaskGroup]) bool {
			return v.revision > end.revision && verdict(v.obj).Reason != verdict(end.obj).Reason
		})
		if ok {
			found = append(found, g.violation(end.revision, other.revision, fmt.Sprintf(
				"it was %s and then %s", verdict(end.obj).Reason, verdict(other.obj).Reason)))
		}
		switch verdict(end.obj).Reason {
		case string(v1alpha1.ReasonCompleted):
			if !completed(g, end.revision) {
				found = append(found, g.violation(g.life.first().revision, end.revision, "Completed, and nothing had succeeded before its Job was deleted"))
			}
		case string(v1alpha1.ReasonCancelled):
			if !cancelAsked(ix, g, end) {
				found = append(found, g.violation(g.life.first().revision, end.revision, "Cancelled, and nobody had asked for it"))
			}
		}
	}
	return found
}

// completed reports whether one of the group's Jobs had something that succeeded
// before it was deleted. An object's timestamps have a second's resolution; a pod
// that ended in time may report it later. What an attempt still completed counts too
// that the operator had given up before: its deletion was no cancellation.
func completed(g *group, by int64) bool {
	return slices.ContainsFunc(g.jobs, func(j *job) bool {
		limit := by
		deletion, deleted := j.life.deletion()
		if deleted && !givenUp(g, j, deletion.revision) {
			limit = min(limit, deletion.revision)
		}
		if c, ok := j.life.when(func(v version[*batchv1.Job]) bool { return jobHas(v.obj, batchv1.JobComplete) }); ok && c.revision <= limit {
			return true
		}
		return slices.ContainsFunc(g.pods, func(p *pod) bool {
			v, ok := p.life.when(func(v version[*corev1.Pod]) bool { return succeeds(v.obj) })
			if !ok || p.job != j.uid || v.revision > by {
				return false
			}
			return v.revision <= limit || (deleted && endedBefore(v.obj, deletion.obj))
		})
	})
}

// succeeds reports whether a pod succeeded, or its record shows that all tasks are
// completed: another container may keep running, or fail (invariant I42).
func succeeds(p *corev1.Pod) bool {
	if p.Status.Phase == corev1.PodSucceeded {
		return true
	}
	record := recordOf(p)
	return record != nil && record.Failure == nil &&
		!slices.ContainsFunc(record.States, func(s contract.TaskState) bool { return s != contract.TaskCompleted })
}

// givenUp reports whether the status had closed a Job's attempt at a revision.
func givenUp(g *group, j *job, at int64) bool {
	tg, ok := g.life.at(at)
	return ok && slices.ContainsFunc(tg.obj.Status.Jobs, func(ref v1alpha1.JobReference) bool { return ref.UID == j.uid && ref.Reason != "" })
}

// endedBefore reports whether the container of the tasks, the first one, terminated
// before the Job of its pod was deleted.
func endedBefore(p *corev1.Pod, j *batchv1.Job) bool {
	statuses := p.Status.ContainerStatuses
	return j.DeletionTimestamp != nil && len(statuses) > 0 && statuses[0].State.Terminated != nil &&
		statuses[0].State.Terminated.FinishedAt.Before(j.DeletionTimestamp)
}

// cancelAsked reports whether spec.cancel was set or a user other than the
// operator had deleted a Job of the group.
func cancelAsked(ix *index, g *group, end version[*v1alpha1.TaskGroup]) bool {
	return end.obj.Spec.Cancel || slices.ContainsFunc(g.jobs, func(j *job) bool {
		deletion, ok := j.life.deletion()
		return ok && deletion.revision < end.revision && !ix.deletedOnlyBy(ix.opts.Operator, j)
	})
}

// completedIsComplete is I9: "Succeeded implies all i in 0..n-1 have a recorded
// outcome 0 and all declared outputs recorded". The manifest's digest may be
// missing where the pod no longer existed before it could be read, and the message states it.
func completedIsComplete(ix *index) []Violation {
	var found []Violation
	for _, g := range ix.groups {
		end, ok := g.end()
		if !ok || !hasReason(end.obj, v1alpha1.ReasonCompleted) {
			continue
		}
		if lacks := lacking(end.obj); lacks != "" {
			found = append(found, g.violation(end.revision, end.revision, "Completed, and "+lacks))
		}
	}
	return found
}

// lacking is what a completed group lacks; empty for nothing.
func lacking(tg *v1alpha1.TaskGroup) string {
	if len(tg.Status.Tasks) != len(tg.Spec.Tasks) {
		return fmt.Sprintf("%d of %d tasks have a state", len(tg.Status.Tasks), len(tg.Spec.Tasks))
	}
	for i := range tg.Status.Tasks {
		task := &tg.Status.Tasks[i]
		if task.NodeID != tg.Spec.Tasks[i].NodeID || task.State != v1alpha1.TaskCompleted {
			return fmt.Sprintf("task %d is %s", task.NodeID, task.State)
		}
	}
	if tg.Spec.Assets == nil || tg.Spec.Assets.Outputs == "" || strings.Contains(verdict(tg).Message, "deleted before its termination message") {
		return ""
	}
	return lackingManifest(tg)
}

// lackingManifest is which record of a completed group is missing. The tasks of a
// Parallel group have one each.
func lackingManifest(tg *v1alpha1.TaskGroup) string {
	if tg.Spec.Execution == v1alpha1.Parallel {
		for i := range tg.Status.Tasks {
			if tg.Status.Tasks[i].Digest == "" {
				return fmt.Sprintf("the manifest of task %d has no digest, and the message does not say why", tg.Status.Tasks[i].NodeID)
			}
		}
		return ""
	}
	if m := tg.Status.Manifest; m == nil || m.SHA256 == "" {
		return "its manifest has no digest, and the message does not say why"
	}
	return ""
}

// rebirth is I12: "delete+create with the same name shows no data, Job, or output
// of the previous uid".
func rebirth(ix *index) []Violation {
	former := map[string]*group{}
	owner := map[types.UID]*group{}
	var found []Violation
	for _, g := range ix.groups {
		for _, j := range g.jobs {
			owner[j.uid] = g
		}
	}
	for _, g := range ix.groups {
		tg := g.life.first().obj
		key := tg.Namespace + "/" + tg.Name
		if before := former[key]; before != nil {
			v, ok := g.life.when(func(v version[*v1alpha1.TaskGroup]) bool { return inherited(v.obj, before, owner) != "" })
			if ok {
				found = append(found, g.violation(before.life.last().revision, v.revision, inherited(v.obj, before, owner)))
			}
		}
		former[key] = g
	}
	return found
}

// inherited is what a status shows of an earlier group; empty for nothing.
func inherited(tg *v1alpha1.TaskGroup, before *group, owner map[types.UID]*group) string {
	for _, ref := range tg.Status.Jobs {
		if owner[ref.UID] == before {
			return "it shows Job " + ref.Name + " of the former group"
		}
	}
	if m := tg.Status.Manifest; m != nil && !strings.Contains(m.URI, string(tg.UID)) {
		return "its manifest is elsewhere: " + m.URI
	}
	if s := tg.Status.StartTime; s != nil && s.Before(&tg.CreationTimestamp) {
		return "it started before it was created"
	}
	if c := tg.Status.CompletionTime; c != nil && c.Before(&tg.CreationTimestamp) {
		return "it ended before it was created"
	}
	return ""
}

// specImmutable is I16: "after creation only cancel/suspend/ttl may change; the
// apiserver rejects every other edit", and cancel is one-way.
func specImmutable(ix *index) []Violation {
	var found []Violation
	for _, g := range ix.groups {
		first := g.life.first()
		before := first
		for _, v := range g.life {
			if !equality.Semantic.DeepEqual(fixedSpec(first.obj), fixedSpec(v.obj)) {
				found = append(found, g.violation(first.revision, v.revision, "its spec changed"))
				break
			}
			if before.obj.Spec.Cancel && !v.obj.Spec.Cancel {
				found = append(found, g.violation(before.revision, v.revision, "spec.cancel was taken back"))
			}
			before = v
		}
	}
	return found
}

// fixedSpec is the part of a spec that never changes.
func fixedSpec(tg *v1alpha1.TaskGroup) *v1alpha1.TaskGroupSpec {
	spec := tg.Spec.DeepCopy()
	spec.Cancel, spec.Suspend, spec.TTLSecondsAfterFinished = false, false, nil
	return spec
}

// monotonic is I17: "observedGeneration and attempt never decrease;
// completionTime >= startTime".
func monotonic(ix *index) []Violation {
	var found []Violation
	for _, g := range ix.groups {
		before := g.life.first()
		for _, v := range g.life {
			was, is := &before.obj.Status, &v.obj.Status
			switch {
			case is.ObservedGeneration < was.ObservedGeneration:
				found = append(found, g.violation(before.revision, v.revision, fmt.Sprintf("observedGeneration fell from %d to %d", was.ObservedGeneration, is.ObservedGeneration)))
			case is.ObservedGeneration > v.obj.Generation:
				found = append(found, g.violation(before.revision, v.revision, fmt.Sprintf("observedGeneration is %d of %d", is.ObservedGeneration, v.obj.Generation)))
			case is.Attempt < was.Attempt:
				found = append(found, g.violation(before.revision, v.revision, fmt.Sprintf("attempt fell from %d to %d", was.Attempt, is.Attempt)))
			case is.StartTime != nil && is.CompletionTime != nil && is.CompletionTime.Before(is.StartTime):
				found = append(found, g.violation(before.revision, v.revision, "completionTime is before startTime"))
			}
			before = v
		}
	}
	return found
}
