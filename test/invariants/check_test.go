// SPDX-License-Identifier: Apache-2.0

package invariants_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/invariants"
)

// broken are the invariants that a story breaks, each once.
func broken(s *story) []string {
	s.history.End = s.now
	opts := invariants.Options{Operator: operatorUser, OrphanBound: 10 * time.Second, RestFrom: began.Add(time.Hour), RestTo: began.Add(2 * time.Hour)}
	var names []string
	for _, v := range invariants.Check(&s.history, opts) {
		if !slices.Contains(names, v.Invariant) {
			names = append(names, v.Invariant)
		}
	}
	return names
}

func parallel(tg *v1alpha1.TaskGroup) { tg.Spec.Execution = v1alpha1.Parallel }

const (
	foreground = metav1.FinalizerDeleteDependents
	orphan     = metav1.FinalizerOrphanDependents
)

// TestStoriesThatBreak each have one mistake, and are caught for nothing else
// than what follows from it.
func TestStoriesThatBreak(t *testing.T) {
	for name, tc := range map[string]struct {
		tell func(*story)
		want []string
	}{
		"I1: a second Job for one attempt": {func(s *story) {
			s.group("u")
			s.job("u", 1)
			s.gone("u/1")
			s.jobCalled("u", 1, "again")
		}, []string{"I1"}},
		"I2: the next Job before the last one has finished": {func(s *story) {
			s.group("u")
			s.job("u", 1)
			s.job("u", 2)
		}, []string{"I2"}},
		"I2: the next Job before the last pod has ended": {func(s *story) {
			s.group("u")
			s.runs("u", 1)
			s.gone("u/1")
			s.job("u", 2)
		}, []string{"I2"}},
		"I3: two live pods, one of them Terminating": {func(s *story) {
			s.group("u")
			s.runs("u", 1)
			s.deletes(person, "pods", "u/1/p", "")
			s.pod("u/1", "q", "")
		}, []string{"I3"}},
		"I3: two live pods of one index": {func(s *story) {
			s.group("u", parallel)
			s.job("u", 1)
			s.pod("u/1", "p0", "0")
			s.pod("u/1", "q0", "0")
		}, []string{"I3"}},
		"I4: a pod runs after Cancelled": {func(s *story) {
			s.group("u")
			s.job("u", 1)
			s.requests(person, "delete", "jobs", "u/1")
			s.gone("u/1")
			s.is("u", ends(v1alpha1.ReasonCancelled))
			s.pod("u/1", "late", "")
			s.podIs(corev1.PodRunning, "u/1/late")
		}, []string{"I4"}},
		"I5: Cancelled while its Job is there": {func(s *story) {
			s.group("u")
			s.job("u", 1)
			s.is("u", cancelled)
			s.is("u", ends(v1alpha1.ReasonCancelled))
		}, []string{"I5"}},
		"I5: Cancelled while its pod runs": {func(s *story) {
			s.group("u")
			s.runs("u", 1)
			s.requests(person, "delete", "jobs", "u/1")
			s.gone("u/1")
			s.is("u", ends(v1alpha1.ReasonCancelled))
		}, []string{"I5"}},
		"I6: the message changes after the end": {func(s *story) {
			s.group("u")
			s.succeeds("u", 1)
			s.is("u", ends(v1alpha1.ReasonCompleted))
			s.is("u", func(tg *v1alpha1.TaskGroup) { tg.Status.Conditions[0].Message = "on second thoughts" })
		}, []string{"I6"}},
		"I6: the end is taken back": {func(s *story) {
			s.group("u")
			s.succeeds("u", 1)
			s.is("u", ends(v1alpha1.ReasonCompleted))
			s.is("u", func(tg *v1alpha1.TaskGroup) { tg.Status = v1alpha1.TaskGroupStatus{ObservedGeneration: 1, Attempt: 1} })
		}, []string{"I6", "I7"}},
		"I7: Completed and then Cancelled": {func(s *story) {
			s.group("u")
			s.succeeds("u", 1)
			s.is("u", ends(v1alpha1.ReasonCompleted))
			s.is("u", cancelled, ends(v1alpha1.ReasonCancelled))
		}, []string{"I6", "I7"}},
		"I7: Completed by a pod that ended after its Job was deleted": {func(s *story) {
			s.group("u")
			s.runs("u", 1)
			s.deletes(person, "jobs", "u/1", foreground)
			s.podIs(corev1.PodSucceeded, "u/1/p")
			s.is("u", ends(v1alpha1.ReasonCompleted))
		}, []string{"I7"}},
		"I7: Completed by a record of a failure": {func(s *story) {
			s.group("u")
			s.runs("u", 1)
			s.records("u/1/p", `{"v":1,"states":"CF","failure":{"reason":"TaskError"}}`)
			s.is("u", ends(v1alpha1.ReasonCompleted))
		}, []string{"I7", "I8"}},
		"I7: Completed though its pod failed": {func(s *story) {
			s.group("u")
			s.runs("u", 1)
			s.podIs(corev1.PodFailed, "u/1/p")
			s.is("u", ends(v1alpha1.ReasonCompleted))
		}, []string{"I7", "I8"}},
		"I7: Cancelled though only the operator deleted its Job": {func(s *story) {
			s.group("u")
			s.runs("u", 1)
			s.deletes(operatorUser, "jobs", "u/1", foreground)
			s.gone("u/1/p", "u/1")
			s.is("u", ends(v1alpha1.ReasonCancelled))
		}, []string{"I7"}},
		"I9: a task of a completed group failed": {func(s *story) {
			s.group("u")
			s.succeeds("u", 1)
			s.is("u", ends(v1alpha1.ReasonCompleted), func(tg *v1alpha1.TaskGroup) { tg.Status.Tasks[1].State = v1alpha1.TaskFailed })
		}, []string{"I9"}},
		"I9: a completed group lacks a task": {func(s *story) {
			s.group("u")
			s.succeeds("u", 1)
			s.is("u", ends(v1alpha1.ReasonCompleted), func(tg *v1alpha1.TaskGroup) { tg.Status.Tasks = tg.Status.Tasks[:1] })
		}, []string{"I9"}},
		"I9: a completed group lacks its manifest": {func(s *story) {
			s.group("u")
			s.succeeds("u", 1)
			s.is("u", ends(v1alpha1.ReasonCompleted), func(tg *v1alpha1.TaskGroup) { tg.Status.Manifest = nil })
		}, []string{"I9"}},
		"I9: a task of a completed Parallel group lacks its manifest": {func(s *story) {
			s.group("u", parallel)
			s.succeeds("u", 1)
			s.is("u", ends(v1alpha1.ReasonCompleted), func(tg *v1alpha1.TaskGroup) { tg.Status.Tasks[1].Digest = "" })
		}, []string{"I8", "I9"}},
		"I11: a Job that never was": {func(s *story) {
			s.group("u")
			s.is("u", attempts(1))
		}, []string{"I11"}},
		"I11: a Job under another attempt's number": {func(s *story) {
			s.group("u")
			s.job("u", 1)
			s.is("u", attempts(1), func(tg *v1alpha1.TaskGroup) { tg.Status.Jobs[0].Attempt = 2 })
		}, []string{"I11"}},
		"I12: the former group's Job": {func(s *story) {
			s.group("u")
			s.job("u", 1)
			s.gone("u", "u/1")
			s.group("v")
			s.is("v", func(tg *v1alpha1.TaskGroup) {
				tg.Status.Jobs = []v1alpha1.JobReference{{Name: "job-u-1", UID: "u/1", Attempt: 1}}
			})
		}, []string{"I11", "I12"}},
		"I12: the former group's manifest": {func(s *story) {
			s.group("u")
			s.gone("u")
			s.group("v")
			s.succeeds("v", 1)
			s.is("v", ends(v1alpha1.ReasonCompleted), func(tg *v1alpha1.TaskGroup) { tg.Status.Manifest.URI = "file:///out/u/a1/manifest.json" })
		}, []string{"I12"}},
		"I12: the former group's start": {func(s *story) {
			s.group("u")
			s.gone("u")
			s.group("v")
			s.is("v", func(tg *v1alpha1.TaskGroup) { tg.Status.StartTime = &metav1.Time{Time: began} })
		}, []string{"I12", "I24"}},
		"I13: a Job outlives its group": {func(s *story) {
			s.group("u")
			s.job("u", 1)
			s.gone("u")
			s.now = s.now.Add(time.Minute)
		}, []string{"I13"}},
		"I13: a Job is made for a group that is gone, and stays": {func(s *story) {
			s.group("u")
			s.gone("u")
			s.job("u", 1)
			s.now = s.now.Add(time.Minute)
		}, []string{"I13"}},
		"I15: it deletes a Job of somebody else": {func(s *story) {
			s.add("f", &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "foreign"}})
			s.requests(operatorUser, "delete", "jobs", "f")
		}, []string{"I15"}},
		"I15: it deletes a pod": {func(s *story) {
			s.group("u")
			s.runs("u", 1)
			s.requests(operatorUser, "delete", "pods", "u/1/p")
		}, []string{"I15"}},
		"I15: it deletes a collection": {func(s *story) {
			s.requests(operatorUser, "deletecollection", "jobs", "")
		}, []string{"I15"}},
		"I15: a bare delete orphans the pods": {func(s *story) {
			s.group("u")
			s.runs("u", 1)
			s.is("u", cancelled)
			s.deletes(operatorUser, "jobs", "u/1", orphan)
		}, []string{"I15"}},
		"I15: a bare delete, long after somebody else deleted other Jobs": {func(s *story) {
			s.group("u")
			s.requests(person, "deletecollection", "jobs", "")
			s.runs("u", 1)
			s.is("u", cancelled)
			s.deletes(operatorUser, "jobs", "u/1", orphan)
		}, []string{"I15"}},
		"I15: a bare delete, while somebody else deletes other Jobs": {func(s *story) {
			s.group("u")
			s.runs("u", 1)
			s.is("u", cancelled)
			s.requests(person, "deletecollection", "jobs", "")
			s.history.Requests[0].URI = "/jobs?labelSelector=" + url.QueryEscape(v1alpha1.NameLabel+"=other")
			s.deletes(operatorUser, "jobs", "u/1", orphan)
		}, []string{"I15"}},
		"I16: a task is added": {func(s *story) {
			s.group("u")
			s.is("u", func(tg *v1alpha1.TaskGroup) { tg.Spec.Tasks = append(tg.Spec.Tasks, v1alpha1.TaskSpec{NodeID: 7}) })
		}, []string{"I16"}},
		"I16: cancel is taken back": {func(s *story) {
			s.group("u", cancelled)
			s.is("u", func(tg *v1alpha1.TaskGroup) { tg.Spec.Cancel = false })
		}, []string{"I16"}},
		"I17: attempt falls": {func(s *story) {
			s.group("u")
			s.is("u", func(tg *v1alpha1.TaskGroup) { tg.Status.Attempt = 2 })
			s.is("u", func(tg *v1alpha1.TaskGroup) { tg.Status.Attempt = 1 })
		}, []string{"I17"}},
		"I17: observedGeneration falls": {func(s *story) {
			s.group("u")
			s.is("u", reports(v1alpha1.ReasonQueued))
			s.is("u", func(tg *v1alpha1.TaskGroup) { tg.Status.ObservedGeneration = 0 })
		}, []string{"I17"}},
		"I17: observedGeneration is of the future": {func(s *story) {
			s.group("u")
			s.is("u", func(tg *v1alpha1.TaskGroup) { tg.Status.ObservedGeneration = 2 })
		}, []string{"I17"}},
		"I17: it ends before it starts": {func(s *story) {
			s.group("u")
			s.is("u", func(tg *v1alpha1.TaskGroup) {
				tg.Status.StartTime, tg.Status.CompletionTime = &metav1.Time{Time: s.now}, &metav1.Time{Time: began}
			})
		}, []string{"I17"}},
		"I18: a write at rest": {func(s *story) {
			s.group("u")
			s.requests(operatorUser, "patch", "taskgroups", "u")
			s.history.Requests[0].Received = began.Add(90 * time.Minute)
		}, []string{"I18"}},
		"I22: a third pod for a budget of two": {func(s *story) {
			s.group("u")
			s.fails("u", 1)
			s.fails("u", 2)
			s.fails("u", 3)
		}, []string{"I22"}},
		"I8: a completed task of an attempt that did not run it": {func(s *story) {
			s.group("u", parallel)
			s.succeeds("u", 1)
			s.is("u", ends(v1alpha1.ReasonCompleted), func(tg *v1alpha1.TaskGroup) { tg.Status.Tasks[1].Attempt = 2 })
		}, []string{"I8"}},
		"I22: a task that failed runs again for the budget of another": {func(s *story) {
			s.group("u", parallel)
			s.is("u", func(tg *v1alpha1.TaskGroup) {
				tg.Status.Tasks = []v1alpha1.TaskStatus{{NodeID: 0, State: v1alpha1.TaskFailed, Reason: v1alpha1.ReasonTaskError, Attempt: 1}}
			})
			s.is("u", func(tg *v1alpha1.TaskGroup) {
				tg.Status.Tasks = []v1alpha1.TaskStatus{{NodeID: 0, State: v1alpha1.TaskPending, Retries: &v1alpha1.RetryCounts{Infrastructure: 1}}}
			})
		}, []string{"I22"}},
		"I25: a finished Job is deleted before the status tells": {func(s *story) {
			s.group("u")
			s.succeeds("u", 1)
			s.deletes(operatorUser, "jobs", "u/1", foreground)
		}, []string{"I25"}},
		"I40: a read for a group whose Job a queue holds": {func(s *story) {
			s.group("u")
			s.job("u", 1)
			s.suspends("u/1", true)
			s.is("u", reports(v1alpha1.ReasonQueued), attempts(1))
			s.now = s.now.Add(20 * time.Second)
			s.requests(operatorUser, "list", "events", "u")
		}, []string{"I40"}},
		"I40: a read for a suspended group": {func(s *story) {
			s.group("u", func(tg *v1alpha1.TaskGroup) { tg.Spec.Suspend = true })
			s.is("u", reports(v1alpha1.ReasonSuspended))
			s.now = s.now.Add(20 * time.Second)
			s.requests(operatorUser, "list", "pods", "u")
		}, []string{"I40"}},
		"I40: a read long after another group was deleted": {func(s *story) {
			s.group("u", func(tg *v1alpha1.TaskGroup) { tg.Spec.Suspend = true })
			s.is("u", reports(v1alpha1.ReasonSuspended))
			s.group("v", func(tg *v1alpha1.TaskGroup) { tg.Spec.Suspend = true })
			s.is("v", reports(v1alpha1.ReasonSuspended))
			s.gone("v")
			s.now = s.now.Add(20 * time.Second)
			s.requests(operatorUser, "list", "pods", "u")
		}, []string{"I40"}},
		"I25: the operator deletes a group that has not ended": {func(s *story) {
			s.group("u")
			s.requests(operatorUser, "delete", "taskgroups", "u")
			s.gone("u")
		}, []string{"I25"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			tc.tell(s)
			if diff := cmp.Diff(tc.want, broken(s)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestReportShowsTheProof: a user reads both revisions and what was around them.
func TestReportShowsTheProof(t *testing.T) {
	s := newStory()
	s.group("u")
	s.job("u", 1)
	s.is("u", cancelled)
	s.is("u", ends(v1alpha1.ReasonCancelled))
	violations := invariants.Check(&s.history, invariants.Options{Operator: operatorUser})
	report := invariants.Report(&s.history, violations)
	for _, want := range []string{"I5: team-a/g (u): revisions 101 and 103: Cancelled while Job job-u-1 was there", "101 12:00:02.000 Job job-u-1", "103 12:00:04.000 group Cancelled"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
}

func TestUnsettled(t *testing.T) {
	s := newStory()
	s.group("u")
	s.job("u", 1)
	s.group("v", func(tg *v1alpha1.TaskGroup) { tg.Name = "h" })
	s.is("v", reports(v1alpha1.ReasonQueued))
	s.gone("u")
	want := []string{"team-a/h (v): Queued", "Job team-a/job-u-1"}
	if diff := cmp.Diff(want, s.history.Unsettled()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	s.is("v", ends(v1alpha1.ReasonCompleted))
	s.gone("u/1")
	if got := s.history.Unsettled(); len(got) != 0 {
		t.Errorf("unsettled are %v", got)
	}
}
