// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// kind is what is sent.
type kind string

const (
	groups kind = "groups"
	// plainJobs are the Jobs that a user writes for the same command: the image and the
	// command, without the parts that the operator adds to a pod.
	plainJobs kind = "plain-jobs"
	// rawJobs are Jobs with the pod that the operator makes, but for its plan.
	rawJobs kind = "jobs"
	// bare are groups without an operator: see tryBare.
	bare kind = "bare"
)

func (k kind) isJobs() bool { return k == plainJobs || k == rawJobs }

const (
	// senders is the number of concurrent creates of a burst.
	senders = 20
	// settling is how long after the last end late writes, as events, are waited for.
	settling = time.Second
	// timeout is how long a trial may take.
	timeout = 5 * time.Minute
)

// load is how much is sent, and how fast.
type load struct {
	units int
	// tasks is how many each group has; a raw Job has one.
	tasks int
	// parallel gives each task a pod of its own.
	parallel bool
	// rate is in units per second; zero sends all at once.
	rate int
}

// trial is one kind under one load, in a namespace of its own.
type trial struct {
	kind      kind
	load      load
	namespace string
	// used is of the processes of the arena, until all Jobs are complete.
	used usage
	// seen is what the client saw of each unit.
	seen map[string]*sighting
	// requests are the requests for objects of the namespace, in the audit log's order.
	requests []rig.Request
}

// try runs one trial until everything that was sent is done.
func (a *arena) try(ctx context.Context, k kind, l load) (*trial, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: string(k) + "-"}}
	if err := a.Client.Create(ctx, ns); err != nil {
		return nil, fmt.Errorf("creating a namespace: %w", err)
	}
	t := &trial{kind: k, load: l, namespace: ns.Name}
	before, err := a.usage(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.live(ctx, t); err != nil {
		return nil, err
	}
	time.Sleep(settling)
	after, err := a.usage(ctx)
	if err != nil {
		return nil, err
	}
	t.used = after.since(before)
	return t, nil
}

// live runs all units of a trial. The Job controller completes a Job up to a second
// after the operator finishes its group. These writes are part of the cost.
func (a *arena) live(ctx context.Context, t *trial) error {
	o := a.observe(ctx, t)
	defer o.close()
	live := a.liveAlone
	if t.kind == bare {
		live = a.liveMinded
	}
	if err := live(ctx, t); err != nil {
		return err
	}
	if err := o.await(ctx); err != nil || t.kind.isJobs() {
		return err
	}
	return a.awaitJobs(ctx, t)
}

// liveAlone leaves what becomes of the units to the cluster.
func (a *arena) liveAlone(ctx context.Context, t *trial) error {
	return a.send(t, func(i int) error { return a.Client.Create(ctx, a.unit(t, i)) })
}

// send creates all units of a trial at its rate.
func (a *arena) send(t *trial, create func(int) error) error {
	var (
		mu      sync.Mutex
		errs    []error
		running sync.WaitGroup
	)
	slots := make(chan struct{}, senders)
	begin := time.Now()
	for i := range t.load.units {
		if t.load.rate > 0 {
			time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(t.load.rate))))
		}
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			if err := create(i); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	running.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	return nil
}

func (a *arena) unit(t *trial, i int) client.Object {
	tg := group(t.load.tasks)
	if t.load.parallel {
		tg.Spec.Execution = v1alpha1.Parallel
	}
	var unit client.Object = tg
	switch t.kind {
	case rawJobs:
		unit = a.rawJob(t.load)
	case plainJobs:
		unit = plainJob()
	default:
	}
	unit.SetNamespace(t.namespace)
	unit.SetName(unitName(i))
	return unit
}

// unitName has a fixed length: see unitOf.
func unitName(i int) string { return fmt.Sprintf("unit-%05d", i) }

// unitOf returns the unit of an object. The names of Jobs and pods begin with it.
func unitOf(object string) string { return object[:min(len(unitName(0)), len(object))] }

func (a *arena) rawJob(l load) *batchv1.Job {
	job := a.template.DeepCopy()
	if l.parallel {
		job.Spec.CompletionMode = new(batchv1.IndexedCompletion)
		job.Spec.Completions, job.Spec.Parallelism = new(int32(l.tasks)), new(int32(l.tasks))
	}
	return job
}

// awaitJobs waits until the Jobs of all groups are complete.
func (a *arena) awaitJobs(ctx context.Context, t *trial) error {
	complete := map[string]bool{}
	// The API server closes the watch of a slow client.
	for ctx.Err() == nil && len(complete) < t.load.units {
		if err := a.followJobs(ctx, t, complete); err != nil {
			return err
		}
	}
	if len(complete) < t.load.units {
		return fmt.Errorf("waiting in namespace %s: %d of %d Jobs are complete: %w", t.namespace, len(complete), t.load.units, ctx.Err())
	}
	return nil
}

// followJobs records which Jobs are complete, until all are or the watch ends.
func (a *arena) followJobs(ctx context.Context, t *trial, complete map[string]bool) error {
	w, err := a.Client.Watch(ctx, &batchv1.JobList{}, client.InNamespace(t.namespace))
	if err != nil {
		return fmt.Errorf("watching Jobs: %w", err)
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		if isBusy(event) {
			return nil
		}
		job, ok := event.Object.(*batchv1.Job)
		if !ok || event.Type == watch.Error {
			return fmt.Errorf("watching Jobs: %v", event.Object)
		}
		terminal, err := state(job)
		if err != nil {
			return err
		}
		if terminal {
			complete[job.Name] = true
		}
		if len(complete) == t.load.units {
			return nil
		}
	}
	return nil
}
