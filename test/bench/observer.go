// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// sighting is when the client first saw what happened to one unit.
type sighting struct {
	// podEnded is when the last of the unit's pods was seen Succeeded.
	podEnded time.Time
	// done is when the unit was seen terminal.
	done time.Time
}

// observer is the client of a trial: it watches the units and the pods of the trial's
// namespace, and records when it sees them terminal.
type observer struct {
	arena *arena
	trial *trial
	// stop ends the watches, which running waits for.
	stop    context.CancelFunc
	running sync.WaitGroup
	// finished is closed when all units are terminal, or at the first error.
	finished chan struct{}

	mu   sync.Mutex
	seen map[string]*sighting
	pods map[types.UID]bool
	left int
	err  error
	once sync.Once
}

// observe starts the watches of a trial. The namespace is still empty.
func (a *arena) observe(ctx context.Context, t *trial) *observer {
	ctx, cancel := context.WithCancel(ctx)
	o := &observer{
		arena: a, trial: t, stop: cancel, finished: make(chan struct{}),
		seen: map[string]*sighting{}, pods: map[types.UID]bool{}, left: t.load.units,
	}
	var units client.ObjectList = &v1alpha1.TaskGroupList{}
	if t.kind.isJobs() {
		units = &batchv1.JobList{}
	}
	for _, list := range []client.ObjectList{units, &corev1.PodList{}} {
		o.running.Go(func() { o.follow(ctx, list) })
	}
	return o
}

// close ends the watches, and hands the sightings to the trial.
func (o *observer) close() {
	o.stop()
	o.running.Wait()
	o.trial.seen = o.seen
}

// await waits until all units are terminal.
func (o *observer) await(ctx context.Context) error {
	select {
	case <-o.finished:
	case <-ctx.Done():
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil && o.left > 0 {
		return fmt.Errorf("waiting in namespace %s: %d of %d units are not terminal: %w", o.trial.namespace, o.left, o.trial.load.units, ctx.Err())
	}
	return o.err
}

// follow watches one kind of object. The API server closes the watch of a slow
// client; a new watch begins with all objects.
func (o *observer) follow(ctx context.Context, list client.ObjectList) {
	for ctx.Err() == nil {
		w, err := o.arena.Client.Watch(ctx, list, client.InNamespace(o.trial.namespace))
		if err != nil {
			o.fail(ctx, fmt.Errorf("watching: %w", err))
			return
		}
		for event := range w.ResultChan() {
			if isBusy(event) {
				break
			}
			if err := o.see(event, time.Now()); err != nil {
				o.fail(ctx, err)
			}
		}
		w.Stop()
	}
}

// isBusy returns whether an event is the answer of an API server that is behind, as
// after a burst of writes on a busy machine. The watch is then started again.
func isBusy(event watch.Event) bool {
	if event.Type != watch.Error {
		return false
	}
	err := apierrors.FromObject(event.Object)
	return apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) || apierrors.IsTooManyRequests(err)
}

// see records what an event shows.
func (o *observer) see(event watch.Event, now time.Time) error {
	object, ok := event.Object.(client.Object)
	if !ok || event.Type == watch.Error {
		return fmt.Errorf("watching: %v", event.Object)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.seen[unitOf(object.GetName())]
	if s == nil {
		s = &sighting{}
		o.seen[unitOf(object.GetName())] = s
	}
	if pod, ok := object.(*corev1.Pod); ok {
		if pod.Status.Phase == corev1.PodSucceeded && !o.pods[pod.UID] {
			o.pods[pod.UID], s.podEnded = true, now
		}
		return nil
	}
	terminal, err := state(object)
	if err != nil || !terminal || !s.done.IsZero() {
		return err
	}
	s.done = now
	if o.left--; o.left == 0 {
		o.once.Do(func() { close(o.finished) })
	}
	return nil
}

// fail records the first error, unless the watches were ended.
func (o *observer) fail(ctx context.Context, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ctx.Err() != nil || o.err != nil {
		return
	}
	o.err = err
	o.once.Do(func() { close(o.finished) })
}

// state returns whether an object is terminal; the error is a failure.
func state(object client.Object) (terminal bool, err error) {
	switch o := object.(type) {
	case *v1alpha1.TaskGroup:
		if reason := o.Status.Reason(); o.Status.IsFinished() && reason != v1alpha1.ReasonCompleted {
			return true, fmt.Errorf("TaskGroup %s finished as %s", o.Name, reason)
		}
		return o.Status.IsFinished(), nil
	case *batchv1.Job:
		for _, c := range o.Status.Conditions {
			if c.Type == batchv1.JobFailed {
				return true, fmt.Errorf("failed Job %s: %s", o.Name, c.Message)
			}
			terminal = terminal || c.Type == batchv1.JobComplete
		}
	}
	return terminal, nil
}
