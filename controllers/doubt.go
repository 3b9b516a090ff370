package controllers

import (
	"context"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

const (
	// beatInterval is how often the process shows itself that it runs.
	beatInterval = 100 * time.Millisecond
	// stallAfter is the gap between two beats after which the process takes itself
	// to have been stopped: by a signal, a frozen machine, a starved processor.
	stallAfter = 500 * time.Millisecond
)

// catchUpTime is how long after a stall what the watches bring may be old.
const catchUpTime = 10 * time.Second

// rivalTime is how long another operator is taken to be active after it was met.
const rivalTime = 10 * time.Minute

// epoch numbers the times between two stalls, from 1. What was vouched for in one
// epoch is open again in the next; 0 vouches for nothing.
type epoch int64

// doubt tells when the operator cannot vouch that it knows every Job that was
// created: another process may have created one before this one began, or while
// this one stood still and lost its lease without noticing, or beside it. Leader
// election does not fence. Its zero value is ready to use.
type doubt struct {
	mu     sync.Mutex
	stalls epoch
	beatAt time.Time
	// stalledUntil is when the latest stall ended.
	stalledUntil time.Time
	// rivalUntil is when another active operator is forgotten.
	rivalUntil time.Time
}

// epoch returns the current epoch.
func (d *doubt) epoch(now time.Time) epoch {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.look(now)
	return d.stalls + 1
}

// look ends the epoch after a stall. The lock is held.
func (d *doubt) look(now time.Time) {
	if !d.beatAt.IsZero() && now.Sub(d.beatAt) > stallAfter {
		d.stalls++
		d.beatAt, d.stalledUntil = now, now
	}
}

// eyewitness returns the current epoch; 0 while what the process sees happen may
// have happened while it stood still.
func (d *doubt) eyewitness(now time.Time) epoch {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.look(now)
	if !d.stalledUntil.IsZero() && now.Sub(d.stalledUntil) < catchUpTime {
		return 0
	}
	return d.stalls + 1
}

func (d *doubt) beat(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.look(now)
	d.beatAt = now
}

// meetRival notes that another operator is active; it says whether that is news.
func (d *doubt) meetRival(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	news := !now.Before(d.rivalUntil)
	d.rivalUntil = now.Add(rivalTime)
	return news
}

// hasRival says whether another operator was active of late.
func (d *doubt) hasRival(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return now.Before(d.rivalUntil)
}

// keepBeating runs until ctx is done.
func (d *doubt) keepBeating(ctx context.Context, c clock.WithTicker) error {
	ticker := c.NewTicker(beatInterval)
	defer ticker.Stop()
	for {
		d.beat(c.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}

// newcomers vouches for the groups that are created before this process's eyes:
// no other can have created a Job of theirs earlier. It lets every event through.
func (r *TaskGroupReconciler) newcomers() predicate.Predicate {
	return predicate.Funcs{CreateFunc: func(e event.CreateEvent) bool {
		if !e.IsInInitialList {
			r.memory.vouch(client.ObjectKeyFromObject(e.Object), e.Object.GetUID(), r.doubt.eyewitness(r.Stopwatch.Now()))
		}
		return true
	}}
}

// noteRival draws the conclusion from a Job that this process did not create,
// of a group for which it knows that no other had: another operator is active.
func (r *TaskGroupReconciler) noteRival(ctx context.Context, o *plan.Observed, job *batchv1.Job) {
	if job == nil || o.JobUID != "" || !metav1.IsControlledBy(job, o.TaskGroup) {
		return
	}
	now := r.Stopwatch.Now()
	if r.memory.vouchedIn(o.TaskGroup) == r.doubt.epoch(now) && r.doubt.meetRival(now) {
		logf.FromContext(ctx).Info("another operator is active: every Job is confirmed before it is created", "job", job.Name)
	}
}
