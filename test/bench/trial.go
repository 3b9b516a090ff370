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
	groups  kind = "groups"
	rawJobs kind = "jobs"
	// bare are groups without an operator: see tryBare.
	bare kind = "bare"
)

const (
	// senders is how many creates of a burst are under way at once.
	senders = 16
	// settling is how long after the last end late writes, as events, are waited for.
	settling = time.Second
	// patience is how long a trial may take.
	patience = 5 * time.Minute
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
	// unitOf is the group of each Job, or the raw Job itself.
	unitOf map[string]string
	// used is of the processes of the arena, until all Jobs are complete.
	used usage
	// requests are those for objects of the namespace, in the audit log's order.
	requests []rig.Request
}

// try runs one trial until everything that was sent is done.
func (a *arena) try(ctx context.Context, k kind, l load) (*trial, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: string(k) + "-"}}
	if err := a.Client.Create(ctx, ns); err != nil {
		return nil, fmt.Errorf("creating a namespace: %w", err)
	}
	t := &trial{kind: k, load: l, namespace: ns.Name, unitOf: map[string]string{}}
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
	return t, a.nameUnits(ctx, t)
}

// live takes all units of a trial from their creation to their end.
func (a *arena) live(ctx context.Context, t *trial) error {
	live := a.liveAlone
	if t.kind == bare {
		live = a.liveMinded
	}
	if err := live(ctx, t); err != nil {
		return err
	}
	return a.await(ctx, t)
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
	if t.kind == rawJobs {
		unit = a.rawJob(t.load)
	}
	unit.SetNamespace(t.namespace)
	unit.SetName(unitName(i))
	return unit
}

func unitName(i int) string { return fmt.Sprintf("unit-%05d", i) }

func (a *arena) rawJob(l load) *batchv1.Job {
	job := a.template.DeepCopy()
	if l.parallel {
		job.Spec.CompletionMode = new(batchv1.IndexedCompletion)
		job.Spec.Completions, job.Spec.Parallelism = new(int32(l.tasks)), new(int32(l.tasks))
	}
	return job
}

// await waits until all groups and all Jobs have ended well. The Job controller
// is a second later than the operator; what it writes then is part of the cost.
func (a *arena) await(ctx context.Context, t *trial) error {
	if t.kind != rawJobs {
		if err := a.awaitAll(ctx, t, &v1alpha1.TaskGroupList{}); err != nil {
			return err
		}
	}
	return a.awaitAll(ctx, t, &batchv1.JobList{})
}

// awaitAll waits until as many objects as the trial has units are done.
func (a *arena) awaitAll(ctx context.Context, t *trial, list client.ObjectList) error {
	finished := map[string]bool{}
	// The API server ends the watch of whoever is slow.
	for ctx.Err() == nil && len(finished) < t.load.units {
		if err := a.followAll(ctx, t, list, finished); err != nil {
			return err
		}
	}
	if len(finished) < t.load.units {
		return fmt.Errorf("waiting in namespace %s: %d of %d are done: %w", t.namespace, len(finished), t.load.units, ctx.Err())
	}
	return nil
}

// followAll notes what has finished, until all have or the watch ends.
func (a *arena) followAll(ctx context.Context, t *trial, list client.ObjectList, finished map[string]bool) error {
	w, err := a.Client.Watch(ctx, list, client.InNamespace(t.namespace))
	if err != nil {
		return fmt.Errorf("watching: %w", err)
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		unit, ok := event.Object.(client.Object)
		if !ok || event.Type == watch.Error {
			return fmt.Errorf("watching: %v", event.Object)
		}
		ended, err := state(unit)
		if err != nil {
			return err
		}
		if ended {
			finished[unit.GetName()] = true
		}
		if len(finished) == t.load.units {
			return nil
		}
	}
	return nil
}

// state says whether an object has ended; the error is an end that is not good.
func state(object client.Object) (ended bool, err error) {
	switch o := object.(type) {
	case *v1alpha1.TaskGroup:
		if reason := o.Status.Reason(); o.Status.IsFinished() && reason != v1alpha1.ReasonCompleted {
			return true, fmt.Errorf("TaskGroup %s ended as %s", o.Name, reason)
		}
		return o.Status.IsFinished(), nil
	case *batchv1.Job:
		for _, c := range o.Status.Conditions {
			if c.Type == batchv1.JobFailed {
				return true, fmt.Errorf("failed Job %s: %s", o.Name, c.Message)
			}
			ended = ended || c.Type == batchv1.JobComplete
		}
	}
	return ended, nil
}

// nameUnits notes whose each Job is.
func (a *arena) nameUnits(ctx context.Context, t *trial) error {
	var jobs batchv1.JobList
	if err := a.Client.List(ctx, &jobs, client.InNamespace(t.namespace)); err != nil {
		return fmt.Errorf("listing Jobs: %w", err)
	}
	for i := range jobs.Items {
		t.unitOf[jobs.Items[i].Name] = jobs.Items[i].Name
		if owner := metav1.GetControllerOf(&jobs.Items[i]); owner != nil {
			t.unitOf[jobs.Items[i].Name] = owner.Name
		}
	}
	return nil
}
