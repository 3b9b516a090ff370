package controllers

import (
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

// progressInterval is how often the progress of a group that keeps running is
// written: 256 pods that end one after another are not 256 writes.
const progressInterval = time.Second

// progressShare is the part of the workers, one in so many, that may write
// progress at once.
const progressShare = 4

// progressRoom bounds how many statuses that only tell of progress are written at
// once. Where the API server answers in milliseconds, nobody notices. In a burst
// that keeps it busy for half a minute, telling of a thousand groups that they wait
// would make them wait for longer: what creates Jobs and ends groups goes first, and
// the slower the API server, the less is told meanwhile. Groups that find no room
// wait in a line.
type progressRoom struct {
	mu      sync.Mutex
	free    int
	line    []reconcile.Request
	waiting map[reconcile.Request]bool
}

func newProgressRoom(workers int) *progressRoom {
	return &progressRoom{free: max(1, workers/progressShare), waiting: map[reconcile.Request]bool{}}
}

// enter says whether there is room, and takes it; else the group joins the line.
func (p *progressRoom) enter(group reconcile.Request) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free > 0 {
		p.free--
		return true
	}
	if !p.waiting[group] {
		p.waiting[group] = true
		p.line = append(p.line, group)
	}
	return false
}

func (p *progressRoom) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free++
}

// next is who is first in the line, which it leaves, where there is room again.
func (p *progressRoom) next() (group reconcile.Request, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free == 0 || len(p.line) == 0 {
		return reconcile.Request{}, false
	}
	group, p.line = p.line[0], p.line[1:]
	delete(p.waiting, group)
	return group, true
}

// admitNext has the first in the line reconciled. Every pass ends with it, so that
// one that finds itself with nothing to tell any more passes its turn on.
func (r *TaskGroupReconciler) admitNext() {
	if group, ok := r.progress.next(); ok {
		r.enqueue(group)
	}
}

// progressWait is how long the progress of a group has to wait because the last
// was written a moment ago; 0 for not at all.
func (r *TaskGroupReconciler) progressWait(o *plan.Observed, status *v1alpha1.TaskGroupStatus, now time.Time) time.Duration {
	if o.TaskGroup.Spec.Execution != v1alpha1.Parallel ||
		status.Reason() != v1alpha1.ReasonRunning || o.TaskGroup.Status.Reason() != v1alpha1.ReasonRunning {
		return 0
	}
	return r.memory.progress(o.TaskGroup, now, progressInterval)
}
