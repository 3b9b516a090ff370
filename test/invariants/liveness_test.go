// SPDX-License-Identifier: Apache-2.0

package invariants_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// deadline gives a group a clock that holds without the operator.
func deadline(tg *v1alpha1.TaskGroup) {
	tg.Spec.Timeouts = &v1alpha1.Timeouts{RunningSeconds: new(int64(60))}
}

func deleting(tg *v1alpha1.TaskGroup) { tg.DeletionTimestamp = &metav1.Time{Time: began} }

// TestLiveness are stories that continue for too long, and their like that do not.
func TestLiveness(t *testing.T) {
	for name, tc := range map[string]struct {
		tell func(*story)
		want []string
	}{
		"I14: a deleted group stays": {func(s *story) {
			s.group("u")
			s.runs("u", 1)
			s.is("u", deleting)
			s.podIs(corev1.PodFailed, "u/1/p")
			s.now = s.now.Add(61 * time.Second)
		}, []string{"I14"}},
		"a deleted group waits for its pod": {func(s *story) {
			s.group("u")
			s.runs("u", 1)
			s.is("u", deleting)
			s.now = s.now.Add(time.Hour)
		}, nil},
		"a deleted group goes": {func(s *story) {
			s.group("u")
			s.is("u", deleting)
			s.gone("u")
			s.now = s.now.Add(time.Hour)
		}, nil},
		"I20: nobody looks at a group": {func(s *story) {
			s.group("u")
			s.is("u", reports(v1alpha1.ReasonPending))
			s.now = s.now.Add(61 * time.Second)
		}, []string{"I20"}},
		"I20: nobody looks at a group for long": {func(s *story) {
			s.group("u")
			s.now = s.now.Add(61 * time.Second)
			s.is("u", reports(v1alpha1.ReasonQueued))
		}, []string{"I20"}},
		"a group waits, and says for what": {func(s *story) {
			s.group("u")
			s.is("u", reports(v1alpha1.ReasonQueued))
			s.now = s.now.Add(time.Hour)
		}, nil},
		"I20: a Job has finished and nobody tells": {func(s *story) {
			s.group("u")
			s.runs("u", 1)
			s.podIs(corev1.PodFailed, "u/1/p")
			s.jobIs("u/1", batchv1.JobFailed)
			s.now = s.now.Add(61 * time.Second)
		}, []string{"I20"}},
		"I23: the kubelet has no deadline": {func(s *story) {
			s.group("u", deadline)
			s.job("u", 1)
		}, []string{"I23"}},
		"I24: the status tells of a time before there was a group": {func(s *story) {
			s.group("u")
			s.is("u", func(tg *v1alpha1.TaskGroup) { tg.Status.StartTime = &metav1.Time{Time: began.Add(-time.Hour)} })
		}, []string{"I24"}},
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
