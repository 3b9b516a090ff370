// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
)

// parallelTasks is how many pods the one group of the scenario parallel has.
const parallelTasks = 100

// measureParallel runs one group of many pods, the same pods as a Job each, and
// as one Indexed Job.
func measureParallel(ctx context.Context, b *bench) (err error) {
	a, err := b.open(ctx, b.Arm, fake)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	loads := []struct {
		name string
		kind kind
		load load
	}{
		{"the group", groups, load{units: 1, tasks: parallelTasks, parallel: true}},
		{"raw Jobs", rawJobs, load{units: parallelTasks, tasks: 1}},
		{"a raw Indexed Job", rawJobs, load{units: 1, tasks: parallelTasks, parallel: true}},
	}
	trials := make([][]*trial, len(loads))
	var all []*trial
	for round := range b.Rounds {
		for i := range loads {
			at := (i + round) % len(loads)
			b.say("parallel: round %d of %d: %d tasks of %s", round+1, b.Rounds, parallelTasks, loads[at].name)
			t, err := a.try(ctx, loads[at].kind, loads[at].load)
			if err != nil {
				return err
			}
			trials[at] = append(trials[at], t)
			all = append(all, t)
		}
	}
	if err := a.collect(all...); err != nil {
		return err
	}
	s := section{b.report, fmt.Sprintf("parallel 1x%d", parallelTasks)}
	for i := range loads {
		ofEach := func(measure func(*trial) float64) (values []float64) {
			for _, t := range trials[i] {
				values = append(values, measure(t))
			}
			return values
		}
		s.row("makespan, "+loads[i].name, "s", noBudget, ofEach(func(t *trial) float64 { return makespan(t.lives()) })...)
		s.row("everyone's writes per task, "+loads[i].name, "", noBudget, ofEach(func(t *trial) float64 {
			return t.perUnit(not(isRead)) * float64(t.load.units) / parallelTasks
		})...)
		s.row("processor time of all processes per task, "+loads[i].name, "ms", noBudget, ofEach(func(t *trial) float64 {
			return t.used.all().Seconds() * 1000 / parallelTasks
		})...)
	}
	return nil
}
