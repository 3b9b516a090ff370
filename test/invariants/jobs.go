// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/audit"
)

// oneJobPerAttempt is I1: "over the whole history, at most one Job UID is ever
// created for (G,a)".
func oneJobPerAttempt(ix *index) []Violation {
	var found []Violation
	for _, g := range ix.groups {
		first := map[string]*job{}
		for _, j := range g.jobs {
			if former := first[j.attempt]; former != nil {
				found = append(found, g.violation(former.life.first().revision, j.life.first().revision, fmt.Sprintf(
					"attempt %s has had the Jobs %s (%s) and %s (%s)", j.attempt, former.name, former.uid, j.name, j.uid)))
				continue
			}
			first[j.attempt] = j
		}
	}
	return found
}

// attemptOrder is I2: "Job(G,a+1) is created only after Job(G,a) is finished or
// gone and no pod of (G,a) is non-terminal".
func attemptOrder(ix *index) []Violation {
	var found []Violation
	for _, g := range ix.groups {
		for _, j := range g.jobs {
			created := j.life.first().revision
			for _, former := range g.jobs {
				if attemptNumber(former) >= attemptNumber(j) {
					continue
				}
				if v, ok := former.life.at(created); ok && !jobFinished(v.obj) {
					found = append(found, g.violation(v.revision, created, fmt.Sprintf(
						"attempt %s was created while Job %s of attempt %s had not finished", j.attempt, former.name, former.attempt)))
				}
			}
			for _, p := range g.pods {
				if v, ok := p.life.at(created); ok && !podEnded(v.obj) {
					found = append(found, g.violation(v.revision, created, fmt.Sprintf(
						"attempt %s was created while pod %s was %s", j.attempt, p.name, v.obj.Status.Phase)))
				}
			}
		}
	}
	return found
}

func attemptNumber(j *job) int {
	n, _ := strconv.Atoi(j.attempt)
	return n
}

// provenance is I11: "no status field derives from a Pod/Job whose controller
// owner UID differs from the recorded Job UID": each entry of status.jobs is a
// Job that this very TaskGroup controls, and the one of that name and attempt.
func provenance(ix *index) []Violation {
	jobs := map[types.UID]*job{}
	for _, j := range ix.jobs {
		jobs[j.uid] = j
	}
	var found []Violation
	for _, g := range ix.groups {
		seen := map[types.UID]bool{}
		for _, v := range g.life {
			for _, ref := range v.obj.Status.Jobs {
				if seen[ref.UID] {
					continue
				}
				seen[ref.UID] = true
				j := jobs[ref.UID]
				switch {
				case j == nil:
					found = append(found, g.violation(0, v.revision, fmt.Sprintf("status.jobs has %s (%s), which never was", ref.Name, ref.UID)))
				case j.of != g || j.life.first().revision > v.revision:
					found = append(found, g.violation(j.life.first().revision, v.revision, fmt.Sprintf("status.jobs has %s (%s), which is not this group's", ref.Name, ref.UID)))
				case j.name != ref.Name || j.attempt != strconv.Itoa(int(ref.Attempt)):
					found = append(found, g.violation(j.life.first().revision, v.revision, fmt.Sprintf(
						"status.jobs has %s of attempt %d for what is %s of attempt %s", ref.Name, ref.Attempt, j.name, j.attempt)))
				}
			}
		}
	}
	return found
}

// noOrphans is I13: "60 s after G was deleted and its pods terminated, zero Jobs carry G;
// at every revision each owned Job has a live owner or a deletionTimestamp", the
// latter within the same bound, since the garbage collector needs a moment. A
// Job that a user orphaned is theirs.
func noOrphans(ix *index) []Violation {
	var found []Violation
	for _, g := range ix.groups {
		last := g.life.last()
		if !last.gone {
			continue
		}
		for _, j := range g.jobs {
			if metav1.GetControllerOf(j.life.last().obj) == nil {
				continue
			}
			since := last.at
			if made := j.life.first().at; made.After(since) {
				since = made
			}
			until := ix.End
			deletion, deleted := j.life.deletion()
			if deleted {
				until = deletion.at
			}
			if until.Sub(since) > ix.opts.OrphanBound {
				found = append(found, g.violation(last.revision, j.life.last().revision, fmt.Sprintf(
					"Job %s outlived its group by more than %s", j.name, ix.opts.OrphanBound)))
			}
		}
	}
	return found
}

// ownOnly is I15: "every DELETE by the operator carries a UID precondition and
// targets an object owned by G". The audit log has no bodies, so it shows what
// was deleted and, by the Job's finalizer, that it was in the foreground; the
// precondition itself is checked where the request is made, by the unit tests of
// package controllers.
func ownOnly(ix *index) []Violation {
	var found []Violation
	for i := range ix.Requests {
		r := &ix.Requests[i]
		if r.User.Username != ix.opts.Operator || !r.Succeeded() || (r.Verb != "delete" && r.Verb != "deletecollection") {
			continue
		}
		found = append(found, notOwned(ix, r)...)
	}
	return found
}

// notOwned reports what is wrong with one DELETE by the operator.
func notOwned(ix *index, r *audit.Request) []Violation {
	target := fmt.Sprintf("%s/%s", r.Object.Namespace, r.Object.Name)
	wrong := func(before, after int64, message string) []Violation {
		return []Violation{{Group: target, Before: before, After: after, Message: fmt.Sprintf("the operator's %s of %s: %s", r.Verb, r.Object.Resource, message)}}
	}
	switch {
	case r.Verb == "deletecollection":
		return wrong(0, 0, "it deletes one object at a time")
	case r.Object.Resource == "taskgroups":
		return nil // noLostResult looks at those.
	case r.Object.Resource != "jobs":
		return wrong(0, 0, "only Jobs and TaskGroups are its to delete")
	}
	i := slices.IndexFunc(ix.jobs, func(j *job) bool {
		return j.name == r.Object.Name && j.life.first().obj.Namespace == r.Object.Namespace
	})
	if i < 0 {
		return wrong(0, 0, "no such Job was seen")
	}
	j := ix.jobs[i]
	if j.of == nil {
		return wrong(j.life.first().revision, j.life.last().revision, "no TaskGroup controls it")
	}
	deletion, ok := j.life.deletion()
	if ok && ix.deletedOnlyBy(r.User.Username, j) && !slices.Contains(deletion.obj.Finalizers, metav1.FinalizerDeleteDependents) {
		return wrong(j.life.first().revision, deletion.revision, "it was not in the foreground, so its end does not tell that the pods ended")
	}
	return nil
}

// collectionTime is how long after a request to delete a collection, and how
// little before it, the deletion of one of its Jobs may be seen.
const collectionTime = 2 * time.Second

// deletedOnlyBy reports whether all requests to delete a Job are from one user. A user who
// requested a collection around that time may have meant this Job too.
func (ix *index) deletedOnlyBy(user string, j *job) bool {
	made := j.life.first().obj
	deletion, _ := j.life.deletion()
	asked := false
	for i := range ix.Requests {
		r := &ix.Requests[i]
		if r.Object.Resource != "jobs" || r.Object.Namespace != made.Namespace || !r.Succeeded() {
			continue
		}
		one := r.Verb == "delete" && r.Object.Name == made.Name
		if !one && (r.Verb != "deletecollection" || deletion.at.Sub(r.Received).Abs() > collectionTime || !r.Selects(made.Labels)) {
			continue
		}
		if r.User.Username != user {
			return false
		}
		asked = asked || one
	}
	return asked
}

// noLostResult is I25: "T is persisted before the operator or any TTL it set
// deletes the Job or pod": a Job that had finished when the operator, and no other
// user, deleted it is one whose end the status has, unless the group is to be
// cancelled; a TaskGroup that it deletes has finished.
func noLostResult(ix *index) []Violation {
	var found []Violation
	for _, g := range ix.groups {
		for _, j := range g.jobs {
			deletion, ok := j.life.deletion()
			if !ok || !ix.deletedOnlyBy(ix.opts.Operator, j) {
				continue
			}
			before, _ := j.life.at(deletion.revision - 1)
			tg, alive := g.life.at(deletion.revision)
			if alive && before.obj != nil && jobFinished(before.obj) && !tg.obj.Spec.Cancel && !recordsEndOf(tg.obj, before.obj) {
				found = append(found, g.violation(before.revision, deletion.revision, fmt.Sprintf(
					"Job %s had finished, and was deleted before the status told of it", j.name)))
			}
		}
		found = append(found, deletedUnfinished(ix, g)...)
	}
	return found
}

// recordsEndOf reports whether a status has the end of a Job.
func recordsEndOf(tg *v1alpha1.TaskGroup, j *batchv1.Job) bool {
	return finished(tg) || slices.ContainsFunc(tg.Status.Jobs, func(ref v1alpha1.JobReference) bool {
		return ref.UID == j.UID && ref.Reason != ""
	})
}

// deletedUnfinished finds a group that the operator deleted before its end. A
// group of that name that existed before or after may be the one it meant.
func deletedUnfinished(ix *index, g *group) []Violation {
	deletion, ok := g.life.deletion()
	if !ok || finished(deletion.obj) {
		return nil
	}
	tg := g.life.first().obj
	others := slices.ContainsFunc(ix.groups, func(other *group) bool {
		o := other.life.first().obj
		return other != g && o.Name == tg.Name && o.Namespace == tg.Namespace
	})
	deletes := slices.ContainsFunc(ix.Requests, func(r audit.Request) bool {
		return r.User.Username == ix.opts.Operator && r.Verb == "delete" && r.Object.Resource == "taskgroups" &&
			r.Object.Namespace == tg.Namespace && r.Object.Name == tg.Name && r.Succeeded()
	})
	if others || !deletes {
		return nil
	}
	return []Violation{g.violation(g.life.first().revision, deletion.revision, "the operator deleted it before its end")}
}
