// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// progressInterval is how often the progress of a running group is written: 256 pods
// that terminate one after another are not 256 writes.
const progressInterval = time.Second

// progressShare is the share of the workers, one in this many, that may write
// progress at once.
const progressShare = 4

// progressLimiter caps concurrent progress-only status writes; other groups queue. If
// the API server answers in milliseconds, this has no visible effect. In a burst that
// keeps it busy for half a minute, progress of a thousand groups would delay them:
// Job creations and final status writes take priority.
type progressLimiter struct {
	mu      sync.Mutex
	free    int
	queue   []reconcile.Request
	waiting map[reconcile.Request]bool
}

func newProgressLimiter(workers int) *progressLimiter {
	return &progressLimiter{free: max(1, workers/progressShare), waiting: map[reconcile.Request]bool{}}
}

// acquire takes a slot, or else queues the group and returns false.
func (p *progressLimiter) acquire(group reconcile.Request) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free > 0 {
		p.free--
		return true
	}
	if !p.waiting[group] {
		p.waiting[group] = true
		p.queue = append(p.queue, group)
	}
	return false
}

// release frees a slot.
func (p *progressLimiter) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free++
}

// next removes and returns the first queued group, if a slot is free.
func (p *progressLimiter) next() (group reconcile.Request, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free == 0 || len(p.queue) == 0 {
		return reconcile.Request{}, false
	}
	group, p.queue = p.queue[0], p.queue[1:]
	delete(p.waiting, group)
	return group, true
}

// admitProgress has the first queued group reconciled. Every pass ends with it, so
// that a group without progress to report passes its turn on.
func (r *TaskGroupReconciler) admitProgress() {
	if group, ok := r.progress.next(); ok {
		r.wake(group)
	}
}

// progressWait is how long the progress of a group has to wait because the last one
// was written within progressInterval; 0 for not at all.
func (r *TaskGroupReconciler) progressWait(tg *v1alpha1.TaskGroup, status *v1alpha1.TaskGroupStatus, now time.Time) time.Duration {
	if tg.Spec.Execution != v1alpha1.Parallel || status.Reason() != v1alpha1.ReasonRunning || tg.Status.Reason() != v1alpha1.ReasonRunning {
		return 0
	}
	return r.ledger.ProgressWait(tg, now, progressInterval)
}
