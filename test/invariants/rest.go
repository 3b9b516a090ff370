// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// unsettled are written whatever the groups do: a lease is renewed, and an event
// that repeats is counted a while after.
var unsettled = []string{"leases", "events"}

// fixedPoint is I18: "reconciling a G in steady state issues zero writes". It looks at
// the time of rest in Options.
func fixedPoint(ix *index) []Violation {
	if ix.opts.RestFrom.IsZero() {
		return nil
	}
	var found []Violation
	for i := range ix.Requests {
		r := &ix.Requests[i]
		if r.User.Username != ix.opts.Operator || !r.Writes() || slices.Contains(unsettled, r.Object.Resource) {
			continue
		}
		if r.Received.Before(ix.opts.RestFrom) || r.Received.After(ix.opts.RestTo) {
			continue
		}
		last := ix.revisionAt(r.Received)
		found = append(found, Violation{
			Group: r.Object.Namespace + "/" + r.Object.Name, Before: last, After: last,
			Message: fmt.Sprintf("the operator's %s of %s/%s, answered with %d, when all had settled", r.Verb, r.Object.Resource, r.Object.Subresource, r.Response.Code),
		})
	}
	return found
}

// revisionAt is the newest revision that was known at a time.
func (h *History) revisionAt(at time.Time) int64 {
	var revision int64
	for _, e := range h.Events {
		if e.At.After(at) {
			break
		}
		revision = e.Revision
	}
	return revision
}

// Unsettled names the groups of a history that have not finished and are still
// there, and the Jobs that are left of groups which no longer exist.
func (h *History) Unsettled() []string {
	ix := newIndex(h, Options{})
	var names []string
	gone := map[types.UID]bool{}
	for _, g := range ix.groups {
		last := g.life.last()
		gone[g.uid] = last.gone
		if !last.gone && (!finished(last.obj) || last.obj.DeletionTimestamp != nil) {
			names = append(names, g.name()+": "+verdict(last.obj).Reason)
		}
	}
	for _, j := range ix.jobs {
		if last := j.life.last(); j.of != nil && gone[j.of.uid] && !last.gone && len(last.obj.OwnerReferences) > 0 {
			names = append(names, "Job "+last.obj.Namespace+"/"+j.name)
		}
	}
	return names
}

// excerptSize is how many lines of history a report has for a violation.
const excerptSize = 40

// excerpt is what the history has of a violation's group.
func excerpt(h *History, v Violation) []string {
	ix := newIndex(h, Options{})
	i := slices.IndexFunc(ix.groups, func(g *group) bool { return g.name() == v.Group })
	if i < 0 {
		return nil
	}
	g := ix.groups[i]
	type line struct {
		revision int64
		text     string
	}
	var lines []line
	add := func(revision int64, at time.Time, gone bool, format string, args ...any) {
		text := fmt.Sprintf("%d %s %s", revision, at.UTC().Format("15:04:05.000"), fmt.Sprintf(format, args...))
		if gone {
			text += ", gone"
		}
		lines = append(lines, line{revision, text})
	}
	for _, e := range g.life {
		add(e.revision, e.at, e.gone, "group %s, cancel %t, suspend %t, attempt %d", verdict(e.obj).Reason, e.obj.Spec.Cancel, e.obj.Spec.Suspend, e.obj.Status.Attempt)
	}
	for _, j := range g.jobs {
		for _, e := range j.life {
			add(e.revision, e.at, e.gone, "Job %s, finished %t, deleting %t", j.name, jobFinished(e.obj), e.obj.DeletionTimestamp != nil)
		}
	}
	for _, e := range g.podEvents() {
		add(e.revision, e.at, e.gone, "pod %s %s, deleting %t", e.pod.name, e.obj.Status.Phase, e.obj.DeletionTimestamp != nil)
	}
	slices.SortStableFunc(lines, func(a, b line) int { return int(a.revision - b.revision) })
	var texts []string
	for _, l := range lines[max(0, len(lines)-excerptSize):] {
		texts = append(texts, strings.TrimSpace(l.text))
	}
	return texts
}
