package plan_test

import (
	"testing"
	"time"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

const fullQuota = "exceeded quota: q"

// queue is a pass of a group whose Job is refused.
func (l *life) queue() plan.Plan {
	l.t.Helper()
	if p := l.decide(); !p.CreateJob {
		l.t.Fatalf("no Job is asked for: %+v", outcomeOf(p))
	}
	p := plan.Queue(observe(l.tg, nil), fullQuota, l.now)
	l.tg = l.tg.DeepCopy()
	l.tg.Status = *p.Status
	return p
}

func TestAFullQuotaHasItsClock(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(1).Timeouts(v1alpha1.Timeouts{QueuedSeconds: new(int64(30))}).Obj())
	l.now = testkit.Created.Add(29 * time.Second)
	if p := l.queue(); p.RequeueAfter == 0 {
		t.Error("the Job is not asked for again")
	}
	l.wantReason(v1alpha1.ReasonQueued)
	l.now = testkit.Created.Add(30 * time.Second)
	l.queue()
	l.wantReason(v1alpha1.ReasonQuotaExceeded)
}

// TestAFullQuotaDoesNotCountASuspension: the clock goes from the end of the
// suspension, however long that was and whichever pass sees its end.
func TestAFullQuotaDoesNotCountASuspension(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(1).Timeouts(v1alpha1.Timeouts{QueuedSeconds: new(int64(30))}).Obj())
	l.now = testkit.Created.Add(10 * time.Second)
	l.queue()
	l.tg.Spec.Suspend = true
	l.decide()
	l.wantReason(v1alpha1.ReasonSuspended)

	l.now = testkit.Created.Add(time.Hour)
	l.tg.Spec.Suspend = false
	l.queue()
	l.wantReason(v1alpha1.ReasonQueued)
	l.now = l.now.Add(29 * time.Second)
	l.queue()
	l.wantReason(v1alpha1.ReasonQueued)
	l.now = l.now.Add(time.Second)
	l.queue()
	l.wantReason(v1alpha1.ReasonQuotaExceeded)
}
