// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

func TestDecideCancel(t *testing.T) {
	group := func() *testkit.TaskGroupBuilder { return testkit.TaskGroup("g").Commands(2).Outputs("file:///out") }
	tg, asked := group().Obj(), group().Cancelled().Obj()
	job := testkit.Job(tg).Obj()
	// The pods of testkit end 10 s after Created.
	deletedBefore := testkit.Job(tg).Deleting(5 * time.Second).Obj()
	deletedAtTheSameSecond := testkit.Job(tg).Deleting(10 * time.Second).Obj()
	deletedAfter := testkit.Job(tg).Deleting(15 * time.Second).Obj()
	terminated := record(t, "CX", &contract.Failure{Reason: contract.ReasonTerminated, Message: "stopped"})
	completed := testkit.Pod(job).Ended(0, "Completed", record(t, "CC", nil)).Obj()
	runs := plan.Decide(observe(tg, job, testkit.Pod(job).Running().Obj()), now).Status
	cancelling := func(o *plan.Observed) *plan.Observed {
		p := plan.Decide(o, now)
		o.TaskGroup = group().Status(p.Status).Obj()
		return o
	}
	stopped := outcome{Reason: v1alpha1.ReasonCancelling, Done: "1/2", States: "CX", Manifest: digest, Message: "Its Job is being deleted"}
	cases := map[string]struct {
		observed *plan.Observed
		want     outcome
	}{
		"before there was a Job": {
			observed: observe(asked, nil),
			want:     outcome{Reason: v1alpha1.ReasonCancelled, Done: "0/2", States: "XX", Terminal: true, Message: "Cancelled through spec.cancel"},
		},
		"deletes the Job of a group that is asked to end": {
			observed: observe(asked, job, testkit.Pod(job).Running().Obj()),
			want:     outcome{Delete: job.UID, Reason: v1alpha1.ReasonCancelling, Done: "0/0", Message: "Its Job is being deleted"},
		},
		"does not delete what is being deleted": {
			observed: observe(asked, testkit.Job(asked).Deleting(55*time.Second).Obj(), testkit.Pod(job).Running().Obj()),
			want:     outcome{Reason: v1alpha1.ReasonCancelling, Done: "0/0", Message: "Its Job is being deleted", Requeue: 5 * time.Second},
		},
		"keeps what a stopped pod committed": {
			observed: observe(asked, deletedBefore, testkit.Pod(job).Ended(143, "Error", terminated).Obj()),
			want:     stopped,
		},
		"a Job that somebody deletes cancels the group": {
			observed: observe(tg, deletedBefore, testkit.Pod(job).Ended(143, "Error", terminated).Obj()),
			want:     stopped,
		},
		"waits for a pod that outlives its Job": {
			observed: known(observe(tg, nil, testkit.Pod(job).Running().Obj()), job.UID),
			want:     outcome{Reason: v1alpha1.ReasonCancelling, Done: "0/0", Message: "Pod " + job.Name + "-x has not terminated yet"},
		},
		"waits for an orphaned pod": {
			observed: known(observe(tg, nil, testkit.Pod(job).Orphaned().Running().Obj()), job.UID),
			want:     outcome{Reason: v1alpha1.ReasonCancelling, Done: "0/0", Message: "Pod " + job.Name + "-x has not terminated yet"},
		},
		"a Job that is gone, with its pods, is a cancelled group": {
			observed: known(observe(tg, nil), job.UID),
			want:     outcome{Reason: v1alpha1.ReasonCancelled, Done: "0/2", States: "XX", Terminal: true, Message: "Cancelled by deleting its Job"},
		},
		"a Job in the place of the one that was deleted is not ours": {
			observed: known(observe(tg, func() *batchv1.Job {
				later := testkit.Job(tg).Obj()
				later.UID = "another"
				return later
			}()), job.UID),
			want: outcome{Reason: v1alpha1.ReasonCancelled, Done: "0/2", States: "XX", Terminal: true, Message: "Cancelled by deleting its Job"},
		},
		"remembers what the pod committed when all is gone": {
			observed: func() *plan.Observed {
				o := cancelling(observe(tg, deletedBefore, testkit.Pod(job).Ended(143, "Error", terminated).Obj()))
				return known(observe(o.TaskGroup, nil), job.UID)
			}(),
			want: outcome{Reason: v1alpha1.ReasonCancelled, Done: "1/2", States: "CX", Manifest: digest, Terminal: true, Message: "Cancelled by deleting its Job"},
		},
		"a pod that was seen to run, and whose end was not, may have left a manifest": {
			observed: known(observe(group().Status(runs).Obj(), nil), job.UID),
			want:     outcome{Reason: v1alpha1.ReasonCancelled, Done: "0/2", States: "XX", Manifest: unread, Terminal: true, Message: "Cancelled by deleting its Job"},
		},
		"a pod that was seen to end without a word left none": {
			observed: func() *plan.Observed {
				o := cancelling(observe(group().Status(runs).Obj(), deletedBefore, testkit.Pod(job).Ended(137, "Error", "").Obj()))
				return known(observe(o.TaskGroup, nil), job.UID)
			}(),
			want: outcome{Reason: v1alpha1.ReasonCancelled, Done: "0/2", States: "XX", Terminal: true, Message: "Cancelled by deleting its Job"},
		},
		"comes too late for a pod that completed": {
			observed: observe(asked, job, completed),
			want:     outcome{Reason: v1alpha1.ReasonCompleted, Done: "2/2", States: "CC", Manifest: digest, Terminal: true, Message: "All 2 tasks completed"},
		},
		"comes too late for a pod that completed before its Job was deleted": {
			observed: observe(tg, deletedAfter, completed),
			want:     outcome{Reason: v1alpha1.ReasonCompleted, Done: "2/2", States: "CC", Manifest: digest, Terminal: true, Message: "All 2 tasks completed"},
		},
		"wins a tie": {
			observed: observe(tg, deletedAtTheSameSecond, completed),
			want:     outcome{Reason: v1alpha1.ReasonCancelling, Done: "2/2", States: "CC", Manifest: digest, Message: "Its Job is being deleted"},
		},
		"is not taken back by a pod that completes meanwhile": {
			observed: func() *plan.Observed {
				o := cancelling(observe(tg, deletedBefore, testkit.Pod(job).Running().Obj()))
				return observe(o.TaskGroup, deletedAfter, completed)
			}(),
			want: outcome{Reason: v1alpha1.ReasonCancelling, Done: "2/2", States: "CC", Manifest: digest, Message: "Its Job is being deleted"},
		},
		"a Job of the same name is not deleted when it is not ours": {
			observed: observe(asked, testkit.Job(tg).Foreign().Obj()),
			want: outcome{Reason: v1alpha1.ReasonNameConflict, Done: "0/2", States: "FF", Terminal: true,
				Message: "Job " + job.Name + " exists and does not belong to this TaskGroup: delete that Job, then recreate the TaskGroup"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, outcomeOf(plan.Decide(tc.observed, now))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestTerminalIsSticky feeds every terminal status all kinds of news.
func TestTerminalIsSticky(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(1).Obj()
	job := testkit.Job(tg).Obj()
	ends := []plan.Plan{
		plan.Decide(observe(tg, job, testkit.Pod(job).Ended(0, "Completed", record(t, "C", nil)).Obj()), now),
		plan.Decide(observe(tg, job, testkit.Pod(job).Ended(1, "Error", "").Obj()), now),
		plan.Decide(known(observe(tg, nil), job.UID), now),
	}
	for _, end := range ends {
		ended := testkit.TaskGroup("g").Commands(1).Cancelled().Status(end.Status).Obj()
		for name, news := range map[string]*plan.Observed{
			"no Job":       observe(ended, nil),
			"Job gone":     known(observe(ended, nil), job.UID),
			"Job deleting": observe(ended, testkit.Job(tg).Deleting(time.Second).Obj()),
			"Job failed":   observe(ended, testkit.Job(tg).Condition(batchv1.JobFailed, "x", "y").Obj()),
			"pod runs":     observe(ended, job, testkit.Pod(job).Running().Obj()),
			"pod ended":    observe(ended, job, testkit.Pod(job).Ended(0, "Completed", record(t, "C", nil)).Obj()),
			"foreign Job":  observe(ended, testkit.Job(tg).Foreign().Obj()),
		} {
			if diff := cmp.Diff(plan.Plan{}, plan.Decide(news, now.Add(time.Hour))); diff != "" {
				t.Errorf("%s after %s (-want +got):\n%s", name, end.Status.Reason(), diff)
			}
		}
	}
}

// TestDecideIsIdempotent applies each status and decides again on the same news.
func TestDecideIsIdempotent(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(2).Obj()
	job := testkit.Job(tg).Obj()
	for name, o := range map[string]*plan.Observed{
		"starting":   observe(tg, job),
		"running":    observe(tg, job, testkit.Pod(job).Running().Obj()),
		"cancelling": observe(tg, testkit.Job(tg).Deleting(time.Second).Obj(), testkit.Pod(job).Running().Obj()),
	} {
		t.Run(name, func(t *testing.T) {
			before := o.TaskGroup.DeepCopy()
			first := plan.Decide(o, now)
			if diff := cmp.Diff(before, o.TaskGroup); diff != "" {
				t.Fatalf("Decide changed what it observed:\n%s", diff)
			}
			o.TaskGroup.Status = *first.Status
			again := plan.Decide(o, now.Add(time.Minute))
			if diff := cmp.Diff(first.Status, again.Status); diff != "" {
				t.Errorf("nothing happened, and the status changed:\n%s", diff)
			}
		})
	}
}

// TestFailedUnseen has a pod that was seen to run, and whose end only the Job reports.
func TestFailedUnseen(t *testing.T) {
	tg := testkit.TaskGroup("g").Commands(2).Outputs("file:///out").Obj()
	job := testkit.Job(tg).Obj()
	runs := plan.Decide(observe(tg, job, testkit.Pod(job).Running().Obj()), now).Status
	for _, reason := range []string{batchv1.JobReasonDeadlineExceeded, batchv1.JobReasonBackoffLimitExceeded} {
		failed := testkit.Job(tg).Condition(batchv1.JobFailed, reason, "so it was").Obj()
		for before, want := range map[*v1alpha1.TaskGroupStatus]string{runs: unread, {}: ""} {
			seen := testkit.TaskGroup("g").Commands(2).Outputs("file:///out").Status(before).Obj()
			got := outcomeOf(plan.Decide(observe(seen, failed), now))
			if got.Manifest != want || !got.Terminal || got.States != "FF" {
				t.Errorf("%s after %q: got %+v, want the manifest %q", reason, before.Reason(), got, want)
			}
		}
	}
}
