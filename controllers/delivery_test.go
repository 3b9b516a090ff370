// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// initContainers counts those of the Job of an attempt.
func (r *rig) initContainers(attempt int32) int {
	r.t.Helper()
	job := testkit.JobOfAttempt(r.taskGroup(), attempt).Obj()
	if err := r.Client.Get(r.t.Context(), client.ObjectKeyFromObject(job), job); err != nil {
		r.t.Fatal(err)
	}
	return len(job.Spec.Template.Spec.InitContainers)
}

// TestDeliveryFallsBack: a pod cannot start the runner from its image volume. The
// attempt is repeated with an init container without spending a budget, and so are the
// Jobs of other groups.
func TestDeliveryFallsBack(t *testing.T) {
	for name, broken := range map[string]func(*testkit.PodBuilder) *testkit.PodBuilder{
		"the runtime mounts an empty directory": func(b *testkit.PodBuilder) *testkit.PodBuilder {
			return b.Ended(128, "StartError", `exec: "`+jobspec.RunnerDir+`/runner": no such file or directory`)
		},
		"the kubelet cannot mount it": func(b *testkit.PodBuilder) *testkit.PodBuilder {
			return b.Waiting("CreateContainerError", "failed to mount "+jobspec.RunnerDir)
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := testutil.ToFloat64(deliveryFallbacks)
			other := testkit.TaskGroup("other").Commands(1).Obj()
			r := newRig(t, testkit.TaskGroup("g").Commands(1).Retries(0, 0).Obj(), other)
			job := r.begin()
			if got := r.initContainers(1); got != 0 {
				t.Fatalf("%d init containers in the first Job", got)
			}
			pod := broken(testkit.Pod(job)).Obj()
			pod.Annotations = map[string]string{v1alpha1.DeliveryAnnotation: string(jobspec.ImageVolume)}
			if err := r.Client.Create(t.Context(), pod); err != nil {
				t.Fatal(err)
			}
			r.mustReconcile()
			r.wantReason(v1alpha1.ReasonRetrying)
			r.mustReconcile()
			// The Job is deleted, or finishes by itself.
			if err := r.Client.Delete(t.Context(), pod); err != nil {
				t.Fatal(err)
			}
			if err := client.IgnoreNotFound(r.Client.Delete(t.Context(), &batchv1.Job{ObjectMeta: job.ObjectMeta})); err != nil {
				t.Fatal(err)
			}
			r.clock.Step(time.Hour)
			r.mustReconcile()
			if got := r.initContainers(2); got != 1 {
				t.Errorf("%d init containers in the second Job, want 1", got)
			}
			if got := r.taskGroup().Status.Retries; got != nil {
				t.Errorf("the group spent %+v", got)
			}
			r.group = client.ObjectKeyFromObject(other)
			r.mustReconcile()
			if got := r.initContainers(1); got != 1 {
				t.Errorf("%d init containers in the Job of another group, want 1", got)
			}
			if got := testutil.ToFloat64(deliveryFallbacks) - before; got != 1 {
				t.Errorf("%v fallbacks are counted, want 1", got)
			}
		})
	}
}

// TestConfiguredInitContainer is no fallback.
func TestConfiguredInitContainer(t *testing.T) {
	before := testutil.ToFloat64(deliveryFallbacks)
	d := &delivery{configured: jobspec.InitContainer}
	d.fallBack(t.Context())
	if d.current() != jobspec.InitContainer || testutil.ToFloat64(deliveryFallbacks) != before {
		t.Error("a configured delivery is counted as a fallback")
	}
}
