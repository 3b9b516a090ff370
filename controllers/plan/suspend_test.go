// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

func TestSuspendBeforeTheFirstJob(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(1).Suspended(true).Obj())
	if p := l.decide(); p.CreateJob {
		t.Error("a Job is created")
	}
	l.wantReason(v1alpha1.ReasonSuspended)
	if !meta.IsStatusConditionTrue(l.tg.Status.Conditions, string(v1alpha1.ConditionSuspended)) {
		t.Error("the condition Suspended is not True")
	}
	l.tg.Spec.Suspend = false
	l.begin(1)
	l.decide()
	l.wantReason(v1alpha1.ReasonRunning)
	if !meta.IsStatusConditionFalse(l.tg.Status.Conditions, string(v1alpha1.ConditionSuspended)) {
		t.Error("the condition Suspended is not False")
	}
}

// TestSuspendStopsAndResumes: what the stopped pod had completed is kept, and no
// budget is spent.
func TestSuspendStopsAndResumes(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(2).Outputs("file:///out").Obj())
	l.begin(1)
	l.decide()
	l.tg.Spec.Suspend = true
	if p := l.decide(); p.DeleteJob != nil {
		t.Error("the Job is deleted before the status says why")
	}
	l.wantReason(v1alpha1.ReasonSuspending)
	if p := l.decide(); p.CreateJob || p.DeleteJob == nil || p.DeleteJob.UID != l.jobs[1].UID {
		t.Fatalf("the Job is not deleted: %+v", p)
	}

	stopped := record(t, "CX", &contract.Failure{Reason: contract.ReasonTerminated})
	l.jobs[1] = testkit.Job(l.tg).Deleting(time.Minute).Obj()
	l.pods[0] = testkit.Pod(l.jobs[1]).Ended(143, "Error", stopped).Obj()
	l.decide()
	delete(l.jobs, 1)
	l.decide()
	l.wantReason(v1alpha1.ReasonSuspended)
	if l.tg.Status.Summary != "1/2" || l.tg.Status.Retries != nil {
		t.Errorf("done %s, spent %v", l.tg.Status.Summary, l.tg.Status.Retries)
	}

	l.tg.Spec.Suspend = false
	l.begin(2)
	if previous := plan.AttemptOf(l.tg, 2).Previous; previous == nil || previous.SHA256 != digest {
		t.Errorf("goes on from %+v", previous)
	}
}

// TestSuspendRemembersWhatWentTooFast: the pod was deleted before any pass saw its
// record, and only its delete event brought it.
func TestSuspendRemembersWhatWentTooFast(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(2).Outputs("file:///out").Obj())
	l.begin(1)
	l.decide()
	l.tg.Spec.Suspend = true
	l.decide()
	l.pods[0] = testkit.Pod(l.jobs[1]).Ended(143, "Error", record(t, "CX", &contract.Failure{Reason: contract.ReasonTerminated})).Obj()
	delete(l.jobs, 1)
	l.decide()
	l.decide()
	l.wantReason(v1alpha1.ReasonSuspended)
	if l.tg.Status.Summary != "1/2" || plan.LastJob(&l.tg.Status).ManifestSHA256 != digest {
		t.Errorf("lost what the pod committed: %+v", l.tg.Status)
	}
}

// TestSuspendStopsTheLastTaskTooLate: the pods of a Parallel group complete while
// they are being stopped. There is nothing to resume.
func TestSuspendStopsTheLastTaskTooLate(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(1).Parallel().Obj())
	l.begin(1)
	l.decide()
	l.tg.Spec.Suspend = true
	l.decide()
	l.wantReason(v1alpha1.ReasonSuspending)
	l.jobs[1] = testkit.Job(l.tg).Deleting(time.Minute).Obj()
	l.pods[0] = testkit.Pod(l.jobs[1]).Index(0, "").Ended(0, "Completed", record(t, "C", nil)).Obj()
	l.decide()
	delete(l.jobs, 1)
	l.decide()
	l.wantReason(v1alpha1.ReasonCompleted)
}

func TestSuspendComesTooLate(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(1).Obj())
	l.begin(1)
	l.tg.Spec.Suspend = true
	l.end(1, testkit.Pod(l.jobs[1]).Ended(0, "Completed", record(t, "C", nil)).Obj())
	l.decide()
	l.wantReason(v1alpha1.ReasonCompleted)
}

func TestCancelWhileSuspended(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(1).Suspended(true).Obj())
	l.decide()
	l.wantReason(v1alpha1.ReasonSuspended)
	l.tg.Spec.Cancel = true
	l.decide()
	l.wantReason(v1alpha1.ReasonCancelled)
}

// TestAQueueIsNotFoughtOver: the Job that a queue holds is left alone, and no
// clock goes.
func TestAQueueIsNotFoughtOver(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(1).Timeouts(v1alpha1.Timeouts{QueuedSeconds: new(int64(10))}).Obj()
	p := plan.Decide(observe(tg, testkit.Job(tg).Held().Obj()), now.Add(time.Hour))
	if p.DeleteJob != nil || p.CreateJob || p.Status.Reason() != v1alpha1.ReasonQueued {
		t.Errorf("got %+v", outcomeOf(p))
	}
}

// TestMessageOfAHeldJob: the message names the queue of Kueue, if the group has one.
func TestMessageOfAHeldJob(t *testing.T) {
	for queue, want := range map[string]string{
		"":       "Job g-cd9e61d612c8-1 is held by its queue",
		"team-a": "Waits for the queue team-a (kueue.x-k8s.io) to admit Job g-cd9e61d612c8-1",
	} {
		tg := testkit.TaskGroup("g").Commands(1).Obj()
		if queue != "" {
			tg.Labels = map[string]string{v1alpha1.QueueLabel: queue}
		}
		p := plan.Decide(observe(tg, testkit.Job(tg).Held().Obj()), now.Add(time.Hour))
		if got := p.Status.Message(); got != want {
			t.Errorf("with the queue %q the message is %q, want %q", queue, got, want)
		}
	}
}

func TestTimeToLive(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(1).TTL(60).Obj())
	l.begin(1)
	l.end(1, testkit.Pod(l.jobs[1]).Ended(0, "Completed", record(t, "C", nil)).Obj())
	l.decide()
	l.wantReason(v1alpha1.ReasonCompleted)
	if p := l.decide(); p.DeleteGroup || p.RequeueAfter != time.Minute {
		t.Errorf("right after the end: %+v", p)
	}
	l.now = l.now.Add(time.Minute)
	if p := l.decide(); !p.DeleteGroup {
		t.Errorf("a minute later: %+v", p)
	}
}

// TestCancelWhileSuspendingNamesTheRightManifest: the pod that is being removed is
// the first attempt's, and so is its manifest.
func TestCancelWhileSuspendingNamesTheRightManifest(t *testing.T) {
	l := newLife(t, testkit.TaskGroup("g").Commands(2).Outputs("file:///out").Obj())
	l.begin(1)
	l.decide()
	l.tg.Spec.Suspend = true
	l.decide()
	l.wantReason(v1alpha1.ReasonSuspending)
	l.tg.Spec.Cancel = true
	l.jobs[1] = testkit.Job(l.tg).Deleting(time.Minute).Obj()
	l.pods[0] = testkit.Pod(l.jobs[1]).Ended(143, "Error", record(t, "CX", &contract.Failure{Reason: contract.ReasonTerminated})).Obj()
	l.decide()
	l.wantReason(v1alpha1.ReasonCancelling)
	delete(l.jobs, 1)
	l.pods = nil
	l.decide()
	l.wantReason(v1alpha1.ReasonCancelled)
	want := v1alpha1.ManifestReference{URI: "file:///out/uid-of-g/a1/manifest.json", SHA256: digest}
	if got := l.tg.Status.Manifest; got == nil || *got != want {
		t.Errorf("the manifest is %+v, want %+v", got, want)
	}
}
