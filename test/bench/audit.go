// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// life is when what happened to one unit. The creates are in the audit log. The other
// times are when the client saw the change: kwok writes some statuses twice, which the
// audit log does not distinguish.
type life struct {
	sighting
	// sent is when the create reached the API server, created when it answered.
	sent, created time.Time
	jobCreated    time.Time
}

// collect gives each trial its part of the audit log.
func (a *arena) collect(trials ...*trial) error {
	requests, err := a.Requests()
	if err != nil {
		return err
	}
	byNamespace := map[string]*trial{}
	for _, t := range trials {
		byNamespace[t.namespace] = t
	}
	counted := []string{"taskgroups", "jobs", "pods", "events"}
	for i := range requests {
		t := byNamespace[requests[i].Object.Namespace]
		if t != nil && slices.Contains(counted, requests[i].Object.Resource) {
			t.requests = append(t.requests, requests[i])
		}
	}
	return nil
}

// lives returns what happened to every unit.
func (t *trial) lives() map[string]*life {
	lives := map[string]*life{}
	for unit, s := range t.seen {
		lives[unit] = &life{sighting: *s}
	}
	for i := range t.requests {
		r := &t.requests[i]
		l := lives[unitOf(r.Object.Name)]
		if l == nil || isRefused(r) {
			continue
		}
		switch action(r) {
		case "create taskgroups":
			l.sent, l.created = r.Received, r.Answered
		case "create jobs":
			l.jobCreated = r.Answered
			if t.kind.isJobs() {
				l.sent, l.created = r.Received, r.Answered
			}
		}
	}
	return lives
}

// latencies of all units, in milliseconds, sorted.
func latencies(lives map[string]*life, of func(*life) time.Duration) []float64 {
	var all []float64
	for _, l := range lives {
		all = append(all, float64(of(l).Microseconds())/1000)
	}
	slices.Sort(all)
	return all
}

func toDone(l *life) time.Duration         { return l.done.Sub(l.created) }
func toJob(l *life) time.Duration          { return l.jobCreated.Sub(l.created) }
func fromPodToDone(l *life) time.Duration  { return max(0, l.done.Sub(l.podEnded)) }
func fromJobToEnded(l *life) time.Duration { return l.podEnded.Sub(l.jobCreated) }

// makespan is from the first that is sent until the last is done, in seconds.
func makespan(lives map[string]*life) float64 {
	var first, last time.Time
	for _, l := range lives {
		if first.IsZero() || l.sent.Before(first) {
			first = l.sent
		}
		if l.done.After(last) {
			last = l.done
		}
	}
	return last.Sub(first).Seconds()
}

// action is a verb and a resource, as "update taskgroups/status".
func action(r *rig.Request) string {
	resource := r.Object.Resource
	if r.Object.Subresource != "" {
		resource += "/" + r.Object.Subresource
	}
	return r.Verb + " " + resource
}

func isRead(r *rig.Request) bool { return r.Verb == "get" || r.Verb == "list" || r.Verb == "watch" }

func isEvent(r *rig.Request) bool { return r.Object.Resource == "events" }

func isRefused(r *rig.Request) bool { return r.Response.Code >= 300 }

func isOwn(r *rig.Request) bool { return r.User.Username == rig.OperatorUser }

// perUnit is how many requests satisfy all conditions, per unit.
func (t *trial) perUnit(conditions ...func(*rig.Request) bool) float64 {
	n := 0
	for i := range t.requests {
		if !slices.ContainsFunc(conditions, func(is func(*rig.Request) bool) bool { return !is(&t.requests[i]) }) {
			n++
		}
	}
	return float64(n) / float64(t.load.units)
}

func not(is func(*rig.Request) bool) func(*rig.Request) bool {
	return func(r *rig.Request) bool { return !is(r) }
}
