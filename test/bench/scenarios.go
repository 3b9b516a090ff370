// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

const (
	// packedTasks is how many tasks share a pod in the scenario packed.
	packedTasks = 20
	// fewPacked is of how many groups a trial takes half a second, which is little to
	// take a median of three of: it has three times the rounds.
	fewPacked = 20
	// burstMakespan and burstProcessor bound what a burst of groups takes, divided by
	// what the same burst of raw Jobs takes. The first is the ratio of the best other
	// controller, the second the operator's own when the bounds were set. The aim is 1.
	burstMakespan, burstProcessor = 1.54, 1.67
	// steadyWrites is the Job and the terminal status, and some room for a group that
	// waits longer than the others.
	steadyWrites = 2.05
)

// pair is a round: one trial of each kind.
type pair struct {
	groups *trial
	// jobs are the Jobs that the groups are compared with.
	jobs *trial
	// samePod are Jobs with the pod of the groups, where the comparison has them.
	samePod *trial
	// bare are the groups without an operator, where the comparison has them.
	bare *trial
}

// comparison is the loads of a scenario.
type comparison struct {
	name   string
	rounds int
	node   nodeKind
	groups load
	// jobs is the load of the Jobs, and floor their kind.
	jobs  load
	floor kind
	// samePod and bare add these kinds to each round.
	samePod, bare bool
}

func (p *comparison) kinds() []kind {
	kinds := []kind{groups, p.floor}
	if p.samePod {
		kinds = append(kinds, rawJobs)
	}
	return kinds
}

func (p *comparison) load(k kind) load {
	if k.isJobs() {
		return p.jobs
	}
	return p.groups
}

// measureRounds runs the rounds of a comparison in one cluster. Every second round is in the
// opposite order.
func (b *bench) measureRounds(ctx context.Context, p *comparison) (pairs []pair, err error) {
	a, err := b.open(ctx, b.Arm, p.node)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	var all []*trial
	for i := range p.rounds {
		order := p.kinds()
		if i%2 == 1 {
			slices.Reverse(order)
		}
		done := map[kind]*trial{}
		for _, k := range order {
			b.say("%s: round %d of %d: %d %s", p.name, i+1, p.rounds, p.load(k).units, k)
			if done[k], err = a.try(ctx, k, p.load(k)); err != nil {
				return nil, err
			}
			all = append(all, done[k])
		}
		if p.bare {
			b.say("%s: round %d of %d: %d groups, no operator", p.name, i+1, p.rounds, p.groups.units)
			if done[bare], err = a.tryBare(ctx, p.groups); err != nil {
				return nil, err
			}
			all = append(all, done[bare])
		}
		pairs = append(pairs, pair{groups: done[groups], jobs: done[p.floor], samePod: done[rawJobs], bare: done[bare]})
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
	pairs, err := b.measureRounds(ctx, &comparison{
		name: name, rounds: b.Rounds, node: b.Node, groups: l, jobs: l, floor: plainJobs, samePod: true, bare: true,
	})
	if err != nil {
		return err
	}
	s := section{b.report, name}
	b.requestRows(s, pairs, atMost(3))
	s.row("etcd: bytes put per group", "kB", noBudget, each(pairs, func(p pair) float64 { return p.groups.etcdKB() })...)
	s.row("etcd: bytes put per raw Job", "kB", noBudget, each(pairs, func(p pair) float64 { return p.jobs.etcdKB() })...)
	addedRows(s, pairs, noBudget, noBudget)
	endToEndRows(s, pairs, noBudget, noBudget)
	s.row("makespan of the groups", "s", noBudget, each(pairs, func(p pair) float64 { return makespan(p.groups.lives()) })...)
	s.row("makespan of the raw Jobs", "s", noBudget, each(pairs, func(p pair) float64 { return makespan(p.jobs.lives()) })...)
	b.processorRows(s, pairs)
	var time, cpu *budget
	if b.Arm == unthrottled {
		time, cpu = atMost(burstMakespan), atMost(burstProcessor)
	}
	comparedRows(s, pairs, "groups", func(p pair) *trial { return p.groups }, time, cpu)
	comparedRows(s, pairs, "Jobs with the pod of a group", func(p pair) *trial { return p.samePod }, noBudget, noBudget)
	comparedRows(s, pairs, "groups without an operator", func(p pair) *trial { return p.bare }, noBudget, noBudget)
	return nil
}

func measureSteady(ctx context.Context, b *bench) error {
	for _, rate := range b.Rates {
		name := fmt.Sprintf("steady %d/s", rate)
		l := load{units: int(b.Steady.Seconds() * float64(rate)), tasks: 1, rate: rate}
		pairs, err := b.measureRounds(ctx, &comparison{name: name, rounds: b.Rounds, node: b.Node, groups: l, jobs: l, floor: plainJobs})
		if err != nil {
			return err
		}
		s := section{b.report, name}
		b.requestRows(s, pairs, atMost(steadyWrites))
		addedRows(s, pairs, atMost(15), atMost(150))
		p50, p99 := steadyBudgets(rate)
		endToEndRows(s, pairs, p50, p99)
		b.processorRows(s, pairs)
		comparedRows(s, pairs, "groups", func(p pair) *trial { return p.groups }, noBudget, noBudget)
	}
	return nil
}

// steadyBudgets are of the time from the creation to the terminal status, in
// milliseconds. They are for the rates that were measured with other controllers.
func steadyBudgets(rate int) (p50, p99 *budget) {
	switch rate {
	case 8:
		return atMost(50), atMost(150)
	case 20:
		return atMost(60), atMost(250)
	}
	return noBudget, noBudget
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
	pairs, err := b.measureRounds(ctx, &comparison{
		name: name, rounds: rounds, node: fake, groups: load{units: many, tasks: packedTasks}, jobs: load{units: many * packedTasks}, floor: rawJobs, bare: true,
	})
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
	b.processorRows(s, pairs)
	s.row("no operator: tasks/s / raw Jobs'", "", noBudget, each(pairs, func(p pair) float64 { return perSecond(p.bare) / perSecond(p.jobs) })...)
	return nil
}
