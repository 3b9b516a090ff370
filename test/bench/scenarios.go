package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

const (
	// packedTasks is how many tasks share a pod in the scenario packed.
	packedTasks = 20
	// fewPacked is of how many groups a trial takes half a second, which is little to
	// take a median of three of: it has three times the rounds.
	fewPacked = 20
)

// pair is a round: both kinds under comparable loads, one after the other, and
// where it was asked for the groups once more without an operator.
type pair struct{ groups, jobs, bare *trial }

// rounds lets the two kinds take turns; who is first alternates too.
func (b *bench) rounds(ctx context.Context, name string, many int, ofGroups, ofJobs load, withBare bool) (pairs []pair, err error) {
	a, err := b.open(ctx, b.Arm)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	loads := map[kind]load{groups: ofGroups, rawJobs: ofJobs}
	var all []*trial
	for i := range many {
		order := []kind{groups, rawJobs}
		if i%2 == 1 {
			slices.Reverse(order)
		}
		done := map[kind]*trial{}
		for _, k := range order {
			b.say("%s: round %d of %d: %d %s", name, i+1, many, loads[k].units, k)
			if done[k], err = a.try(ctx, k, loads[k]); err != nil {
				return nil, err
			}
			all = append(all, done[k])
		}
		if withBare {
			b.say("%s: round %d of %d: %d groups, no operator", name, i+1, many, ofGroups.units)
			if done[bare], err = a.tryBare(ctx, ofGroups); err != nil {
				return nil, err
			}
			all = append(all, done[bare])
		}
		pairs = append(pairs, pair{groups: done[groups], jobs: done[rawJobs], bare: done[bare]})
	}
	return pairs, a.collect(all...)
}

// each is a measure of every round.
func each(pairs []pair, measure func(pair) float64) []float64 {
	var values []float64
	for _, p := range pairs {
		values = append(values, measure(p))
	}
	return values
}

func measureBurst(ctx context.Context, b *bench) error {
	for _, units := range b.Groups {
		if err := b.measureBurstOf(ctx, units); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) measureBurstOf(ctx context.Context, units int) error {
	l := load{units: units, tasks: 1}
	name := fmt.Sprintf("burst %d", units)
	pairs, err := b.rounds(ctx, name, b.Rounds, l, l, true)
	if err != nil {
		return err
	}
	s := section{b.report, name}
	b.requestRows(s, pairs, atMost(15))
	s.row("etcd: bytes put per group", "kB", atMost(45), each(pairs, func(p pair) float64 { return p.groups.etcdKB() })...)
	s.row("etcd: bytes put per raw Job", "kB", noBudget, each(pairs, func(p pair) float64 { return p.jobs.etcdKB() })...)
	addedRows(s, pairs, noBudget, noBudget)
	endToEndRows(s, pairs, noBudget, noBudget)
	s.row("makespan of the groups", "s", noBudget, each(pairs, func(p pair) float64 { return makespan(p.groups.lives()) })...)
	s.row("makespan of the raw Jobs", "s", noBudget, each(pairs, func(p pair) float64 { return makespan(p.jobs.lives()) })...)
	ratio := func(p pair) float64 { return makespan(p.groups.lives()) / makespan(p.jobs.lives()) }
	s.row("makespan / raw Jobs'", "", atMost(1.05), each(pairs, ratio)...)
	throughput := atLeast(0.95)
	if b.Arm == stock {
		throughput = noBudget
	}
	s.row("throughput / raw Jobs'", "", throughput, each(pairs, func(p pair) float64 { return 1 / ratio(p) })...)
	b.processorRows(s, pairs, atMost(1.20))
	bareRatio := func(p pair) float64 { return makespan(p.bare.lives()) / makespan(p.jobs.lives()) }
	s.row("no operator: everyone's writes per group", "", noBudget, each(pairs, func(p pair) float64 { return p.bare.perUnit(not(isRead)) })...)
	s.row("no operator: makespan / raw Jobs'", "", noBudget, each(pairs, bareRatio)...)
	s.row("no operator: throughput / raw Jobs'", "", noBudget, each(pairs, func(p pair) float64 { return 1 / bareRatio(p) })...)
	s.row("no operator: processor time of all / with raw Jobs", "", noBudget, each(pairs, bareProcessor)...)
	return nil
}

func measureSteady(ctx context.Context, b *bench) error {
	for _, rate := range b.Rates {
		name := fmt.Sprintf("steady %d/s", rate)
		l := load{units: int(b.Steady.Seconds() * float64(rate)), tasks: 1, rate: rate}
		pairs, err := b.rounds(ctx, name, b.Rounds, l, l, false)
		if err != nil {
			return err
		}
		var writes, done *budget
		switch rate {
		case 8:
			writes, done = atMost(15.3), atMost(100)
		case 20:
			done = atMost(120)
		}
		s := section{b.report, name}
		b.requestRows(s, pairs, writes)
		addedRows(s, pairs, atMost(15), atMost(150))
		endToEndRows(s, pairs, done, atMost(1))
		b.processorRows(s, pairs, noBudget)
	}
	return nil
}

func measurePacked(ctx context.Context, b *bench) error {
	for _, units := range b.Groups {
		if err := b.measurePackedOf(ctx, max(units/10, 1)); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) measurePackedOf(ctx context.Context, many int) error {
	name := fmt.Sprintf("packed %dx%d", many, packedTasks)
	rounds := b.Rounds
	if many <= fewPacked {
		rounds *= 3
	}
	pairs, err := b.rounds(ctx, name, rounds, load{units: many, tasks: packedTasks}, load{units: many * packedTasks}, true)
	if err != nil {
		return err
	}
	tasks := float64(many * packedTasks)
	s := section{b.report, name}
	s.row("reconciles per group", "", noBudget, each(pairs, func(p pair) float64 { return p.groups.used.reconciles / float64(p.groups.load.units) })...)
	perSecond := func(t *trial) float64 { return tasks / makespan(t.lives()) }
	s.row("tasks/s of the groups", "", noBudget, each(pairs, func(p pair) float64 { return perSecond(p.groups) })...)
	s.row("tasks/s, a raw Job each", "", noBudget, each(pairs, func(p pair) float64 { return perSecond(p.jobs) })...)
	s.row("tasks/s / raw Jobs'", "", atLeast(15), each(pairs, func(p pair) float64 { return perSecond(p.groups) / perSecond(p.jobs) })...)
	b.processorRows(s, pairs, noBudget)
	s.row("no operator: tasks/s / raw Jobs'", "", noBudget, each(pairs, func(p pair) float64 { return perSecond(p.bare) / perSecond(p.jobs) })...)
	return nil
}

// bareProcessor is the processor time without an operator over that of raw Jobs.
func bareProcessor(p pair) float64 { return p.bare.used.all().Seconds() / p.jobs.used.all().Seconds() }

// requestRows are how many requests a group takes.
func (b *bench) requestRows(s section, pairs []pair, writes *budget) {
	count := func(conditions ...func(*rig.Request) bool) []float64 {
		return each(pairs, func(p pair) float64 { return p.groups.perUnit(conditions...) })
	}
	s.row("own writes per group", "", atMost(3), count(isOwn, not(isRead), not(isEvent))...)
	s.row("own writes refused per group", "", noBudget, count(isOwn, not(isRead), isRefused)...)
	s.row("own reads per group", "", atMost(0), count(isOwn, isRead)...)
	s.row("own events per group", "", atMost(1), count(isOwn, not(isRead), isEvent)...)
	s.row("reconciles per group", "", noBudget, each(pairs, func(p pair) float64 { return p.groups.used.reconciles / float64(p.groups.load.units) })...)
	for _, a := range actions(pairs, isOwn) {
		s.row("own: "+a, "", noBudget, count(isOwn, func(r *rig.Request) bool { return action(r) == a })...)
	}
	s.row("everyone's writes per group", "", writes, count(not(isRead))...)
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
		s.row(fmt.Sprintf("pod ended to group finished, p%.0f", percent.of), "ms", percent.limit, each(pairs, func(p pair) float64 {
			return percentile(latencies(p.groups.lives(), fromPodToDone), percent.of)
		})...)
	}
}

// endToEndRows are from the create to the end; the budgets are of the median.
func endToEndRows(s section, pairs []pair, limit, ratio *budget) {
	at := func(t *trial, percent float64) float64 { return percentile(latencies(t.lives(), toDone), percent) }
	between := func(p pair) float64 { return percentile(latencies(p.groups.lives(), fromJobToEnded), 50) }
	s.row("Job created to pod ended (not the operator), p50", "ms", noBudget, each(pairs, between)...)
	s.row("sent to Finished, p50", "ms", limit, each(pairs, func(p pair) float64 { return at(p.groups, 50) })...)
	s.row("sent to Finished, p99", "ms", noBudget, each(pairs, func(p pair) float64 { return at(p.groups, 99) })...)
	s.row("raw Job: sent to Complete, p50", "ms", noBudget, each(pairs, func(p pair) float64 { return at(p.jobs, 50) })...)
	s.row("raw Job: sent to Complete, p99", "ms", noBudget, each(pairs, func(p pair) float64 { return at(p.jobs, 99) })...)
	s.row("sent to Finished / raw Job's Complete, p50", "", ratio, each(pairs, func(p pair) float64 { return at(p.groups, 50) / at(p.jobs, 50) })...)
}

// processorRows are what the processes used; this program is not among them.
func (b *bench) processorRows(s section, pairs []pair, limit *budget) {
	perUnit := func(t *trial, used time.Duration) float64 { return used.Seconds() * 1000 / float64(t.load.units) }
	for _, name := range slices.Sorted(maps.Keys(pairs[0].groups.used.processor)) {
		if name != operatorName && !b.Details {
			continue
		}
		s.row("processor time of the "+name+" per group", "ms", noBudget, each(pairs, func(p pair) float64 {
			return perUnit(p.groups, p.groups.used.processor[name])
		})...)
		if b.Details {
			s.row("processor time of the "+name+" per raw Job", "ms", noBudget, each(pairs, func(p pair) float64 {
				return perUnit(p.jobs, p.jobs.used.processor[name])
			})...)
		}
	}
	s.row("processor time of all processes per group", "ms", noBudget, each(pairs, func(p pair) float64 {
		return perUnit(p.groups, p.groups.used.all())
	})...)
	s.row("processor time of all processes per raw Job", "ms", noBudget, each(pairs, func(p pair) float64 {
		return perUnit(p.jobs, p.jobs.used.all())
	})...)
	s.row("processor time of all / with raw Jobs", "", limit, each(pairs, func(p pair) float64 {
		return p.groups.used.all().Seconds() / p.jobs.used.all().Seconds()
	})...)
}

func (t *trial) etcdKB() float64 { return t.used.etcdBytes / 1000 / float64(t.load.units) }
