package controllers

import (
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

// progressInterval is how often the progress of a group that keeps running is
// written: 256 pods that end one after another are not 256 writes. It is also when
// to try again where there was no room for it.
const progressInterval = time.Second

// progressShare is the part of the workers, one in so many, that may write
// progress at once.
const progressShare = 4

// progressRoom bounds how many statuses that only tell of progress are written at
// once. Where the API server answers in milliseconds that is as good as no bound.
// In a burst that keeps it busy for half a minute, telling of a thousand groups
// that they wait would make them wait for longer: what creates Jobs and ends groups
// goes first, and the slower the API server, the less is told meanwhile.
type progressRoom chan struct{}

func newProgressRoom(workers int) progressRoom {
	return make(progressRoom, max(1, workers/progressShare))
}

// enter says whether there is room, and takes it.
func (p progressRoom) enter() bool {
	select {
	case p <- struct{}{}:
		return true
	default:
		return false
	}
}

func (p progressRoom) leave() { <-p }

// progressWait is how long the progress of a group has to wait because the last
// was written a moment ago; 0 for not at all.
func (r *TaskGroupReconciler) progressWait(o *plan.Observed, status *v1alpha1.TaskGroupStatus, now time.Time) time.Duration {
	if o.TaskGroup.Spec.Execution != v1alpha1.Parallel ||
		plan.ReasonOf(status) != v1alpha1.ReasonRunning || plan.ReasonOf(&o.TaskGroup.Status) != v1alpha1.ReasonRunning {
		return 0
	}
	return r.memory.progress(o.TaskGroup, now, progressInterval)
}
