// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

const (
	// resting is how long the operator is left alone before it is measured: what live
	// groups wait for is written five seconds after their Jobs, and then it rests.
	resting = 30 * time.Second

	baseMiB     = 30
	finishedKiB = 8
	liveKiB     = 16
)

// measureMemory lets groups finish, then leaves some alive, then starts the
// operator again with all of them.
func measureMemory(ctx context.Context, b *bench) (err error) {
	// The operator's memory does not depend on the Job controller; time does.
	a, err := b.open(ctx, unthrottled, fake)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	m := &memory{bench: b, arena: a, section: section{b.report, "memory"}}
	finished := 0
	if err := m.measure("with no group", finished, 0); err != nil {
		return err
	}
	for _, n := range b.Memory {
		b.say("memory: up to %d finished groups", n)
		if _, err := a.try(ctx, groups, load{units: n - finished, tasks: 1}); err != nil {
			return err
		}
		finished = n
		if err := m.measure(fmt.Sprintf("with %d finished groups", n), finished, 0); err != nil {
			return err
		}
	}
	if err := m.leaveAlive(ctx, b.Live); err != nil {
		return err
	}
	if err := m.measure(fmt.Sprintf("with %d live groups more", b.Live), finished, b.Live); err != nil {
		return err
	}
	a.operator.Stop()
	if err := a.startOperator(ctx); err != nil {
		return err
	}
	return m.measure("with these after a restart", finished, b.Live)
}

// memory is the state of the scenario between its steps.
type memory struct {
	*bench
	arena   *arena
	section section
	// before is what the process had of its own after the step before, at this many groups.
	before   float64
	finished int
	live     int
}

// measure adds the row of a step, and its cost per group that has come since.
func (m *memory) measure(what string, finished, live int) error {
	time.Sleep(resting)
	pid := m.arena.operator.Pid()
	kib, err := memoryKiB(pid, "VmRSS")
	// The pages of the program file come and go, whatever groups there are.
	own, errOwn := memoryKiB(pid, "RssAnon")
	most, errMost := memoryKiB(pid, "VmHWM")
	if err := errors.Join(err, errOwn, errMost); err != nil {
		return err
	}
	const perMiB = 1024
	limit := baseMiB + float64(finishedKiB*finished+liveKiB*live)/perMiB
	m.section.row("resident "+what, "MiB", atMost(limit), kib/perMiB)
	m.section.row("most that was ever resident "+what, "MiB", noBudget, most/perMiB)
	if more := finished - m.finished; more > 0 {
		m.section.row(fmt.Sprintf("per finished group, %d to %d", m.finished, finished), "KiB", noBudget, (own-m.before)/float64(more))
	}
	if more := live - m.live; more > 0 {
		m.section.row("per live group", "KiB", noBudget, (own-m.before)/float64(more))
	}
	m.before, m.finished, m.live = own, finished, live
	return nil
}

// leaveAlive sends groups whose pods no node runs.
func (m *memory) leaveAlive(ctx context.Context, n int) error {
	if err := m.arena.stopNodes(); err != nil {
		return err
	}
	m.say("memory: %d live groups", n)
	ns := "default"
	t := &trial{kind: groups, load: load{units: n, tasks: 1}, namespace: ns}
	if err := m.arena.liveAlone(ctx, t); err != nil {
		return err
	}
	return rig.Await(ctx, "the Jobs of the live groups", func(ctx context.Context) (bool, string, error) {
		var jobs batchv1.JobList
		if err := m.arena.Client.List(ctx, &jobs, client.InNamespace(ns)); err != nil {
			return false, "", fmt.Errorf("listing Jobs: %w", err)
		}
		started := 0
		for i := range jobs.Items {
			if jobs.Items[i].Status.Active > 0 {
				started++
			}
		}
		return started == n, fmt.Sprintf("%d of %d have a pod", started, n), nil
	})
}
