// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// TestSilentNodeIsNamed: a pod that should have finished holds the group back, and
// the status reports it, whatever the group is about.
func TestSilentNodeIsNamed(t *testing.T) {
	ending := func(job *batchv1.Job) *corev1.Pod {
		pod := testkit.Pod(job).Running().Obj()
		pod.DeletionTimestamp = &metav1.Time{Time: testkit.Created.Add(time.Minute)}
		return pod
	}
	for name, tc := range map[string]struct {
		tg     *v1alpha1.TaskGroup
		reason v1alpha1.Reason
	}{
		"while it runs":             {testkit.TaskGroup("g").Commands(1).Obj(), v1alpha1.ReasonRunning},
		"while it is cancelled":     {testkit.TaskGroup("g").Commands(1).Cancelled().Obj(), v1alpha1.ReasonCancelling},
		"while it runs in parallel": {testkit.TaskGroup("g").Commands(2).Parallel().Obj(), v1alpha1.ReasonRunning},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, tc.tg)
			job := testkit.Job(l.tg).Deleting(time.Minute).Obj()
			if !l.tg.Spec.Cancel {
				job = testkit.Job(l.tg).Obj()
			}
			l.jobs[1] = job
			l.pods = []*corev1.Pod{ending(job)}
			if l.tg.Spec.Execution == v1alpha1.Parallel {
				l.pods[0].Annotations = map[string]string{batchv1.JobCompletionIndexAnnotation: "0"}
			}
			l.now = testkit.Created.Add(69 * time.Second)
			p := l.decide()
			l.wantReason(tc.reason)
			if got := outcomeOf(p).Message; strings.Contains(got, "not responding") || p.RequeueAfter != time.Second {
				t.Errorf("within its time it says %q, and looks again after %v", got, p.RequeueAfter)
			}
			l.now = testkit.Created.Add(70 * time.Second)
			p = l.decide()
			l.wantReason(tc.reason)
			if got := outcomeOf(p).Message; !strings.Contains(got, "node node-1 is not responding") {
				t.Errorf("later it says %q", got)
			}
			if again := l.decide(); again.Status == nil || again.Status.Reason() != tc.reason || outcomeOf(again).Message != outcomeOf(p).Message {
				t.Errorf("and then %+v", outcomeOf(again))
			}
		})
	}
}
