// SPDX-License-Identifier: Apache-2.0

package invariants_test

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/invariants"
)

// TestStoriesThatHold are what the operator is for; none of them breaks anything.
func TestStoriesThatHold(t *testing.T) {
	for name, tell := range map[string]func(*story){
		"completes": func(s *story) {
			s.group("u")
			s.succeeds("u", 1)
			s.is("u", closed(1, "Completed"), ends(v1alpha1.ReasonCompleted))
			s.is("u", cancelled)
		},
		"a retry completes": func(s *story) {
			s.group("u")
			s.fails("u", 1)
			s.succeeds("u", 2)
			s.is("u", ends(v1alpha1.ReasonCompleted))
		},
		"the Job of a deleted group is read while others are held": func(s *story) {
			for _, group := range []string{"u", "v"} {
				s.group(group)
				s.job(group, 1)
				s.suspends(group+"/1", true)
				s.is(group, reports(v1alpha1.ReasonQueued), attempts(1))
			}
			s.now = s.now.Add(time.Minute)
			s.requests(person, "delete", "taskgroups", "u")
			s.gone("u", "u/1")
			s.requests(operatorUser, "get", "jobs", "u/1")
			s.now = s.now.Add(time.Minute)
		},
		"held by a queue, and released": func(s *story) {
			s.group("u")
			s.job("u", 1)
			s.suspends("u/1", true)
			s.is("u", reports(v1alpha1.ReasonQueued), attempts(1))
			s.requests(operatorUser, "list", "events", "u")
			s.now = s.now.Add(time.Minute)
			s.suspends("u/1", false)
			s.requests(operatorUser, "list", "pods", "u")
			s.pod("u/1", "p", "")
			s.podIs(corev1.PodRunning, "u/1/p")
			s.podIs(corev1.PodSucceeded, "u/1/p")
			s.jobIs("u/1", batchv1.JobComplete)
			s.is("u", ends(v1alpha1.ReasonCompleted))
		},
		"cancelled by spec.cancel": func(s *story) {
			s.group("u")
			s.runs("u", 1)
			s.is("u", cancelled)
			s.deletes(operatorUser, "jobs", "u/1", foreground)
			s.is("u", reports(v1alpha1.ReasonCancelling))
			s.podIs(corev1.PodFailed, "u/1/p")
			s.gone("u/1/p", "u/1")
			s.is("u", ends(v1alpha1.ReasonCancelled))
		},
		"cancelled by deleting its Job": func(s *story) {
			s.group("u")
			s.runs("u", 1)
			s.requests(person, "delete", "jobs", "u/1")
			s.gone("u/1")
			s.gone("u/1/p")
			s.is("u", ends(v1alpha1.ReasonCancelled))
		},
		"cancelled by deleting all Jobs while the operator deletes one": func(s *story) {
			s.group("u")
			s.runs("u", 1)
			s.requests(person, "deletecollection", "jobs", "")
			s.deletes(operatorUser, "jobs", "u/1", orphan)
			s.gone("u/1/p", "u/1")
			s.is("u", ends(v1alpha1.ReasonCancelled))
		},
		"completed just before its Job was deleted": func(s *story) {
			s.group("u")
			s.runs("u", 1)
			s.podIs(corev1.PodSucceeded, "u/1/p")
			s.deletes(person, "jobs", "u/1", foreground)
			s.is("u", ends(v1alpha1.ReasonCompleted))
		},
		"completed, while another container runs": func(s *story) {
			s.group("u")
			s.runs("u", 1)
			s.records("u/1/p", `{"v":1,"states":"CC","manifest":"`+strings.Repeat("0", 64)+`"}`)
			s.deletes(operatorUser, "jobs", "u/1", foreground)
			s.gone("u/1/p", "u/1")
			s.is("u", ends(v1alpha1.ReasonCompleted))
		},
		"suspended, and goes on": func(s *story) {
			s.group("u", func(tg *v1alpha1.TaskGroup) { tg.Spec.Retries.Limit = 0 })
			s.runs("u", 1)
			s.is("u", func(tg *v1alpha1.TaskGroup) { tg.Spec.Suspend = true }, closed(1, "Suspended"), reports(v1alpha1.ReasonSuspending))
			s.deletes(operatorUser, "jobs", "u/1", foreground)
			s.gone("u/1/p", "u/1")
			s.is("u", func(tg *v1alpha1.TaskGroup) { tg.Spec.Suspend = false })
			s.succeeds("u", 2)
			s.is("u", ends(v1alpha1.ReasonCompleted))
		},
		"suspended, and its last pod completes": func(s *story) {
			s.group("u", func(tg *v1alpha1.TaskGroup) { tg.Spec.Retries.Limit = 0 })
			s.runs("u", 1)
			s.is("u", func(tg *v1alpha1.TaskGroup) { tg.Spec.Suspend = true }, closed(1, "Suspended"), reports(v1alpha1.ReasonSuspending))
			s.deletes(operatorUser, "jobs", "u/1", foreground)
			s.podIs(corev1.PodSucceeded, "u/1/p")
			s.gone("u/1/p", "u/1")
			s.is("u", func(tg *v1alpha1.TaskGroup) { tg.Spec.Suspend = false }, ends(v1alpha1.ReasonCompleted))
		},
		"a queue holds its Job, and lets it go": func(s *story) {
			s.group("u", func(tg *v1alpha1.TaskGroup) { tg.Spec.Retries.Limit = 0 })
			s.job("u", 1)
			s.pod("u/1", "p", "")
			s.suspends("u/1", true)
			s.gone("u/1/p")
			s.suspends("u/1", false)
			s.pod("u/1", "q", "")
		},
		"two pods of a Parallel group": func(s *story) {
			s.group("u", parallel)
			s.job("u", 1)
			s.pod("u/1", "p0", "0")
			s.pod("u/1", "p1", "1")
			s.podIs(corev1.PodRunning, "u/1/p0", "u/1/p1")
			s.podIs(corev1.PodSucceeded, "u/1/p0", "u/1/p1")
			s.is("u", attempts(1), ends(v1alpha1.ReasonCompleted))
		},
		"the pod was gone before its record was read": func(s *story) {
			s.group("u")
			s.succeeds("u", 1)
			s.gone("u/1/p")
			s.is("u", ends(v1alpha1.ReasonCompleted), func(tg *v1alpha1.TaskGroup) {
				tg.Status.Manifest.SHA256 = ""
				tg.Status.Conditions[0].Message = "All 2 tasks completed; the pod was deleted before its termination message was read"
			})
		},
		"deleted and created anew": func(s *story) {
			s.group("u")
			s.succeeds("u", 1)
			s.is("u", ends(v1alpha1.ReasonCompleted))
			s.gone("u")
			s.gone("u/1/p", "u/1")
			s.group("v")
			s.succeeds("v", 1)
			s.is("v", ends(v1alpha1.ReasonCompleted))
		},
		"its time to live is over": func(s *story) {
			s.group("u")
			s.succeeds("u", 1)
			s.is("u", ends(v1alpha1.ReasonCompleted))
			s.requests(operatorUser, "delete", "taskgroups", "u")
			s.gone("u", "u/1/p", "u/1")
		},
		"rests but for its lease": func(s *story) {
			s.requests(operatorUser, "update", "leases", "")
			s.history.Requests[0].Received = began.Add(90 * time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			tell(s)
			if got := broken(s); got != nil {
				t.Errorf("%s broken:\n%s", got, invariants.Report(&s.history, invariants.Check(&s.history, invariants.Options{Operator: operatorUser})))
			}
		})
	}
}
