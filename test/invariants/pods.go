// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// podEvent is one version of one pod of a group.
type podEvent struct {
	pod *pod
	version[*corev1.Pod]
}

// podEvents are the versions of all pods of a group, in order.
func (g *group) podEvents() []podEvent {
	var events []podEvent
	for _, p := range g.pods {
		for _, v := range p.life {
			events = append(events, podEvent{p, v})
		}
	}
	slices.SortFunc(events, func(a, b podEvent) int { return cmp.Compare(a.revision, b.revision) })
	return events
}

// oneLivePod is I3: "at every revision, pods of (G,i) with phase not in
// {Succeeded, Failed} number <=1, Terminating included". i is the completion
// index of a pod of an Indexed Job; a group without indices has one pod in all.
func oneLivePod(ix *index) []Violation {
	var found []Violation
	for _, g := range ix.groups {
		live := map[string]podEvent{}
		for _, e := range g.podEvents() {
			now, taken := live[e.pod.index]
			switch {
			case e.gone || podEnded(e.obj):
				if taken && now.pod == e.pod {
					delete(live, e.pod.index)
				}
			case !taken || now.pod == e.pod:
				live[e.pod.index] = e
			case e.pod.life.first().revision == e.revision:
				found = append(found, g.violation(now.revision, e.revision, fmt.Sprintf(
					"pod %s was created while pod %s was %s", e.pod.name, now.pod.name, now.obj.Status.Phase)))
			}
		}
	}
	return found
}

// noStartAfterCancel is I4: "no pod of G becomes Running at a revision after
// status.phase=Cancelled".
func noStartAfterCancel(ix *index) []Violation {
	var found []Violation
	for _, g := range ix.groups {
		end, ok := g.end()
		if !ok || !hasReason(end.obj, v1alpha1.ReasonCancelled) {
			continue
		}
		for _, p := range g.pods {
			started, ok := p.life.when(func(v version[*corev1.Pod]) bool { return v.obj.Status.Phase == corev1.PodRunning })
			if ok && started.revision > end.revision {
				found = append(found, g.violation(end.revision, started.revision, fmt.Sprintf("pod %s began to run after Cancelled", p.name)))
			}
		}
	}
	return found
}

// cancelledIsQuiet is I5: "at the revision of Cancelled, Job(G,*) is absent or
// finished and no non-terminal pod of G exists".
func cancelledIsQuiet(ix *index) []Violation {
	var found []Violation
	for _, g := range ix.groups {
		end, ok := g.end()
		if !ok || !hasReason(end.obj, v1alpha1.ReasonCancelled) {
			continue
		}
		for _, j := range g.jobs {
			if v, ok := j.life.at(end.revision); ok && !jobFinished(v.obj) {
				found = append(found, g.violation(v.revision, end.revision, fmt.Sprintf("Cancelled while Job %s was there and had not finished", j.name)))
			}
		}
		for _, p := range g.pods {
			if v, ok := p.life.at(end.revision); ok && p.live(end.revision) {
				found = append(found, g.violation(v.revision, end.revision, fmt.Sprintf("Cancelled while pod %s was %s", p.name, v.obj.Status.Phase)))
			}
		}
	}
	return found
}

// retryBudget is I22: "pods of (G,i) <= 1 + retries + observed disruptions",
// where disruptions are retried within a budget of their own, and a suspension, of
// the group or of its Job by a queue, costs a pod without spending any.
func retryBudget(ix *index) []Violation {
	var found []Violation
	for _, g := range ix.groups {
		tg := g.life.first().obj
		budget := 1 + int(v1alpha1.DefaultInfrastructureRetries) + suspensions(g) + holds(g)
		if r := tg.Spec.Retries; r != nil {
			budget += int(r.Limit)
			if r.InfrastructureLimit != nil {
				budget += int(*r.InfrastructureLimit - v1alpha1.DefaultInfrastructureRetries)
			}
		}
		pods := map[string]int{}
		for _, p := range g.pods {
			if pods[p.index]++; pods[p.index] == budget+1 {
				found = append(found, g.violation(g.life.first().revision, p.life.first().revision, fmt.Sprintf(
					"pod %s is number %d, and the budget is %d", p.name, budget+1, budget)))
			}
		}
	}
	return found
}

// suspensions counts the attempts that spec.suspend stopped, over the whole
// history: the status forgets the oldest.
func suspensions(g *group) int {
	attempts := map[int32]bool{}
	for _, v := range g.life {
		for _, ref := range v.obj.Status.Jobs {
			if ref.Reason == v1alpha1.ReasonSuspended {
				attempts[ref.Attempt] = true
			}
		}
	}
	return len(attempts)
}

// holds counts how often a queue suspended a Job of the group.
func holds(g *group) int {
	n := 0
	for _, j := range g.jobs {
		held := false
		for _, v := range j.life {
			suspend := v.obj.Spec.Suspend != nil && *v.obj.Spec.Suspend
			if suspend && !held {
				n++
			}
			held = suspend
		}
	}
	return n
}
