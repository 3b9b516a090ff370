// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// requestRows are how many requests a group takes.
func (b *bench) requestRows(s section, pairs []pair, writes *budget) {
	count := func(conditions ...func(*rig.Request) bool) []float64 {
		return each(pairs, func(p pair) float64 { return p.groups.perUnit(conditions...) })
	}
	s.row("own writes per group", "", writes, count(isOwn, not(isRead), not(isEvent))...)
	s.row("own writes refused per group", "", noBudget, count(isOwn, not(isRead), isRefused)...)
	s.row("own reads per group", "", atMost(0), count(isOwn, isRead)...)
	s.row("own events per group", "", atMost(1), count(isOwn, not(isRead), isEvent)...)
	s.row("reconciles per group", "", noBudget, each(pairs, func(p pair) float64 { return p.groups.used.reconciles / float64(p.groups.load.units) })...)
	for _, a := range actions(pairs, isOwn) {
		s.row("own: "+a, "", noBudget, count(isOwn, func(r *rig.Request) bool { return action(r) == a })...)
	}
	s.row("everyone's writes per group", "", noBudget, count(not(isRead))...)
	s.row("everyone's writes per raw Job", "", noBudget,
		each(pairs, func(p pair) float64 { return p.jobs.perUnit(not(isRead)) })...)
	if !b.Details {
		return
	}
	for _, by := range actions(pairs, func(r *rig.Request) bool { return !isOwn(r) && !isRead(r) }) {
		s.row("others': "+by, "", noBudget, count(not(isOwn), func(r *rig.Request) bool { return action(r) == by })...)
	}
}

// actions are all that groups brought about and that satisfy the condition.
func actions(pairs []pair, is func(*rig.Request) bool) []string {
	found := map[string]bool{}
	for _, p := range pairs {
		for i := range p.groups.requests {
			if r := &p.groups.requests[i]; is(r) {
				found[action(r)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// addedRows are the operator's share of a group's time.
func addedRows(s section, pairs []pair, p50, p99 *budget) {
	for _, percent := range []struct {
		of    float64
		limit *budget
	}{{50, p50}, {99, p99}} {
		s.row(fmt.Sprintf("group created to Job created, p%.0f", percent.of), "ms", percent.limit, each(pairs, func(p pair) float64 {
			return percentile(latencies(p.groups.lives(), toJob), percent.of)
		})...)
		s.row(fmt.Sprintf("pod terminated to group finished, p%.0f", percent.of), "ms", percent.limit, each(pairs, func(p pair) float64 {
			return percentile(latencies(p.groups.lives(), fromPodToDone), percent.of)
		})...)
	}
}

// endToEndRows are from the creation to the terminal status that the client sees.
func endToEndRows(s section, pairs []pair, p50, p99 *budget) {
	at := func(t *trial, percent float64) float64 { return percentile(latencies(t.lives(), toDone), percent) }
	between := func(p pair) float64 { return percentile(latencies(p.groups.lives(), fromJobToEnded), 50) }
	s.row("Job created to pod terminated (not the operator), p50", "ms", noBudget, each(pairs, between)...)
	s.row("created to Finished, p50", "ms", p50, each(pairs, func(p pair) float64 { return at(p.groups, 50) })...)
	s.row("created to Finished, p99", "ms", p99, each(pairs, func(p pair) float64 { return at(p.groups, 99) })...)
	s.row("raw Job: created to Complete, p50", "ms", noBudget, each(pairs, func(p pair) float64 { return at(p.jobs, 50) })...)
	s.row("raw Job: created to Complete, p99", "ms", noBudget, each(pairs, func(p pair) float64 { return at(p.jobs, 99) })...)
}

// comparedRows compare one kind with the raw Jobs of the same round.
func comparedRows(s section, pairs []pair, what string, of func(pair) *trial, time, processor *budget) {
	s.row(what+": makespan / raw Jobs'", "", time, each(pairs, func(p pair) float64 {
		return makespan(of(p).lives()) / makespan(p.jobs.lives())
	})...)
	s.row(what+": processor time of all processes / raw Jobs'", "", processor, each(pairs, func(p pair) float64 {
		return of(p).used.all().Seconds() / p.jobs.used.all().Seconds()
	})...)
}

// foreignRow is the share of the processors that other programs used.
func foreignRow(s section, trials ...*trial) {
	var shares []float64
	for _, t := range trials {
		shares = append(shares, t.used.foreign()*100)
	}
	s.row("processors used by other programs", "%", noBudget, shares...)
}

// processorRows are what the processes used.
func (b *bench) processorRows(s section, pairs []pair) {
	perUnit := func(t *trial, used time.Duration) float64 { return used.Seconds() * 1000 / float64(t.load.units) }
	for _, name := range slices.Sorted(maps.Keys(pairs[0].groups.used.processor)) {
		if name != operatorName && !b.Details {
			continue
		}
		for _, of := range processorColumns(pairs) {
			if name == operatorName && of.name != "group" {
				continue
			}
			s.row("processor time of the "+name+" per "+of.name, "ms", noBudget, each(pairs, func(p pair) float64 {
				return perUnit(of.trial(p), of.trial(p).used.processor[name])
			})...)
		}
	}
	var trials []*trial
	for _, p := range pairs {
		trials = append(trials, p.groups, p.jobs)
	}
	foreignRow(s, trials...)
	for _, of := range processorColumns(pairs) {
		s.row("processor time of all processes per "+of.name, "ms", noBudget, each(pairs, func(p pair) float64 {
			return perUnit(of.trial(p), of.trial(p).used.all())
		})...)
	}
}

// column is one kind of the rows of processor time.
type column struct {
	name  string
	trial func(pair) *trial
}

// processorColumns are the kinds that the rounds have.
func processorColumns(pairs []pair) []column {
	all := []column{
		{"group", func(p pair) *trial { return p.groups }},
		{"raw Job", func(p pair) *trial { return p.jobs }},
		{"Job with the pod of a group", func(p pair) *trial { return p.samePod }},
		{"group without an operator", func(p pair) *trial { return p.bare }},
	}
	return slices.DeleteFunc(all, func(c column) bool { return c.trial(pairs[0]) == nil })
}

func (t *trial) etcdKB() float64 { return t.used.etcdBytes / 1000 / float64(t.load.units) }
