// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

const (
	// waitingRate is the rate of the groups that run beside the suspended ones.
	waitingRate = 8
	// waitingWatch is the time in which the requests at rest are counted.
	waitingWatch = 30 * time.Second
	// waitingRatio bounds how much the suspended groups may raise the p99 of the others.
	// The p99 of a trial is one of its slowest groups, and varies from trial to trial.
	waitingRatio = 1.25
)

// measureWaiting measures a steady arrival of groups before and while many suspended
// groups exist, and counts the operator's requests while nothing else runs.
func measureWaiting(ctx context.Context, b *bench) (err error) {
	a, err := b.open(ctx, b.Arm, b.Node)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	before, err := b.steadyTrials(ctx, a, "without suspended groups")
	if err != nil {
		return err
	}
	b.say("waiting: %d suspended groups", b.Waiting)
	suspended, err := a.suspend(ctx, b.Waiting)
	if err != nil {
		return err
	}
	at, err := a.rest(ctx)
	if err != nil {
		return err
	}
	beside, err := b.steadyTrials(ctx, a, fmt.Sprintf("beside %d suspended groups", b.Waiting))
	if err != nil {
		return err
	}
	if err := a.collect(slices.Concat(before, beside, []*trial{suspended})...); err != nil {
		return err
	}
	b.waitingRows(before, beside, suspended, at)
	return nil
}

// steadyTrials runs a steady arrival of groups once for each round.
func (b *bench) steadyTrials(ctx context.Context, a *arena, what string) (trials []*trial, err error) {
	l := load{units: int(b.Steady.Seconds() * waitingRate), tasks: 1, rate: waitingRate}
	for i := range b.Rounds {
		b.say("waiting: round %d of %d: %d groups %s", i+1, b.Rounds, l.units, what)
		t, err := a.try(ctx, groups, l)
		if err != nil {
			return nil, err
		}
		trials = append(trials, t)
	}
	return trials, nil
}

// suspend creates suspended groups, and waits until the operator has written their
// status.
func (a *arena) suspend(ctx context.Context, n int) (*trial, error) {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "suspended-"}}
	if err := a.Client.Create(ctx, ns); err != nil {
		return nil, fmt.Errorf("creating a namespace: %w", err)
	}
	t := &trial{kind: groups, load: load{units: n, tasks: 1}, namespace: ns.Name}
	err := a.send(t, func(i int) error {
		tg := group(1)
		tg.Namespace, tg.Name, tg.Spec.Suspend = t.namespace, unitName(i), true
		return a.Client.Create(ctx, tg)
	})
	if err != nil {
		return nil, err
	}
	return t, rig.Await(ctx, "the status of the suspended groups", func(ctx context.Context) (bool, string, error) {
		var list v1alpha1.TaskGroupList
		if err := a.Client.List(ctx, &list, client.InNamespace(t.namespace)); err != nil {
			return false, "", fmt.Errorf("listing TaskGroups: %w", err)
		}
		suspended := 0
		for i := range list.Items {
			if list.Items[i].Status.Reason() == v1alpha1.ReasonSuspended {
				suspended++
			}
		}
		if suspended < n {
			// Lists of thousands of groups would slow down what is waited for.
			time.Sleep(time.Second)
		}
		return suspended == n, fmt.Sprintf("%d of %d are suspended", suspended, n), nil
	})
}

// span is an interval of time.
type span struct {
	from, to time.Time
	// processor is what the operator used in it.
	processor time.Duration
}

// rest lets nothing happen for a while.
func (a *arena) rest(ctx context.Context) (span, error) {
	time.Sleep(settling)
	from := time.Now()
	used, err := a.using(ctx, func() error {
		time.Sleep(waitingWatch)
		return nil
	})
	return span{from: from, to: time.Now(), processor: used.processor[operatorName]}, err
}

func (b *bench) waitingRows(before, beside []*trial, suspended *trial, at span) {
	s := section{b.report, fmt.Sprintf("waiting %d", b.Waiting)}
	s.row("own writes per suspended group", "", noBudget, suspended.perUnit(isOwn, not(isRead), not(isEvent)))
	atRest := suspended.perUnit(isOwn, func(r *rig.Request) bool { return r.Received.After(at.from) && r.Received.Before(at.to) })
	s.row(fmt.Sprintf("own requests in %.0f s at rest", waitingWatch.Seconds()), "", atMost(0), atRest*float64(suspended.load.units))
	s.row(fmt.Sprintf("processor time of the operator in %.0f s at rest", waitingWatch.Seconds()), "ms", noBudget, at.processor.Seconds()*1000)
	p99 := func(trials []*trial) (values []float64) {
		for _, t := range trials {
			values = append(values, percentile(latencies(t.lives(), toDone), 99))
		}
		return values
	}
	s.row("other groups: created to Finished, p99, before", "ms", noBudget, p99(before)...)
	s.row("other groups: created to Finished, p99, beside", "ms", noBudget, p99(beside)...)
	foreignRow(s, slices.Concat(before, beside)...)
	s.row("other groups: p99 beside / before", "", atMost(waitingRatio), median(p99(beside))/median(p99(before)))
}
