// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

func pod(uid string, phase corev1.PodPhase) runtime.Object {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "unit-00000-" + uid, UID: types.UID(uid)}, Status: corev1.PodStatus{Phase: phase}}
}

func job(conditions ...batchv1.JobConditionType) runtime.Object {
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "unit-00000"}}
	for _, c := range conditions {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{Type: c})
	}
	return job
}

// TestObserver shows one event per second to the observer of one unit.
func TestObserver(t *testing.T) {
	start := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	second := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	tests := map[string]struct {
		objects      []runtime.Object
		want         sighting
		wantFinished bool
	}{
		"a pod that is written again after it succeeded": {
			objects: []runtime.Object{pod("a", corev1.PodRunning), pod("a", corev1.PodSucceeded), pod("a", corev1.PodSucceeded)},
			want:    sighting{podEnded: second(1)},
		},
		"the last of two pods": {
			objects: []runtime.Object{pod("a", corev1.PodSucceeded), pod("b", corev1.PodSucceeded)},
			want:    sighting{podEnded: second(1)},
		},
		"a Job that is written again after it completed": {
			objects:      []runtime.Object{job(), job(batchv1.JobComplete), job(batchv1.JobComplete)},
			want:         sighting{done: second(1)},
			wantFinished: true,
		},
		"a Job that is about to complete": {
			objects: []runtime.Object{job(batchv1.JobSuccessCriteriaMet)},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := &observer{finished: make(chan struct{}), seen: map[string]*sighting{}, pods: map[types.UID]bool{}, left: 1}
			for i, object := range test.objects {
				if err := o.see(watch.Event{Type: watch.Modified, Object: object}, second(i)); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(test.want, *o.seen["unit-00000"], cmp.AllowUnexported(sighting{})); diff != "" {
				t.Errorf("sighting (-want +got):\n%s", diff)
			}
			if finished := o.left == 0; finished != test.wantFinished {
				t.Errorf("finished is %t, want %t", finished, test.wantFinished)
			}
		})
	}
}

func TestObserverReportsAFailedJob(t *testing.T) {
	o := &observer{finished: make(chan struct{}), seen: map[string]*sighting{}, pods: map[types.UID]bool{}, left: 1}
	if err := o.see(watch.Event{Type: watch.Modified, Object: job(batchv1.JobFailed)}, time.Now()); err == nil {
		t.Error("a failed Job is no error")
	}
}

func TestIsBusy(t *testing.T) {
	status := func(err *apierrors.StatusError) watch.Event {
		return watch.Event{Type: watch.Error, Object: &err.ErrStatus}
	}
	tests := map[string]struct {
		event watch.Event
		want  bool
	}{
		"a cache that is behind": {status(apierrors.NewTimeoutError("Too large resource version", 1)), true},
		"too many requests":      {status(apierrors.NewTooManyRequests("", 1)), true},
		"an expired version":     {status(apierrors.NewResourceExpired("")), false},
		"an object":              {watch.Event{Type: watch.Added, Object: pod("a", corev1.PodRunning)}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := isBusy(test.event); got != test.want {
				t.Errorf("isBusy = %t, want %t", got, test.want)
			}
		})
	}
}
