// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// frozenPods is a cache of pods that receives no events.
type frozenPods struct {
	client.Client
	pods []corev1.Pod
}

func (f frozenPods) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if pods, ok := list.(*corev1.PodList); ok {
		pods.Items = f.pods
		return nil
	}
	return f.Client.List(ctx, list, opts...)
}

// freezePods stops the events of pods.
func (r *rig) freezePods() {
	r.t.Helper()
	var pods corev1.PodList
	if err := r.Client.List(r.t.Context(), &pods); err != nil {
		r.t.Fatal(err)
	}
	r.Client = frozenPods{r.Client, pods.Items}
}

// begin lets the operator create the Job of the first attempt, and the Job
// controller start it.
func (r *rig) begin() *batchv1.Job {
	r.t.Helper()
	r.mustReconcile()
	job := r.job()
	job.Status.StartTime = &metav1.Time{Time: r.clock.Now()}
	if err := r.Client.Status().Update(r.t.Context(), job); err != nil {
		r.t.Fatal(err)
	}
	return job
}

// createPod creates a pod that exists since now.
func (r *rig) createPod(b *testkit.PodBuilder) *corev1.Pod {
	r.t.Helper()
	pod := b.Obj()
	pod.CreationTimestamp = metav1.Time{Time: r.clock.Now()}
	if err := r.Client.Create(r.t.Context(), pod); err != nil {
		r.t.Fatal(err)
	}
	return pod
}

func (r *rig) setPodStatus(pod, to *corev1.Pod) {
	r.t.Helper()
	pod.Status = to.Status
	if err := r.Client.Status().Update(r.t.Context(), pod); err != nil {
		r.t.Fatal(err)
	}
}

// executions are the two kinds of groups.
var executions = map[string]func(*testkit.TaskGroupBuilder) *testkit.TaskGroupBuilder{
	"Sequential": (*testkit.TaskGroupBuilder).Sequential, "Parallel": (*testkit.TaskGroupBuilder).Parallel,
}

// TestFrozenPodCacheGivesUpNothing: the cached pod is pending and its queuedSeconds
// have expired, but the pod runs (I39).
func TestFrozenPodCacheGivesUpNothing(t *testing.T) {
	for name, kind := range executions {
		t.Run(name, func(t *testing.T) {
			tg := kind(testkit.TaskGroup("g").Commands(1).Timeouts(v1alpha1.Timeouts{QueuedSeconds: new(int64(30))})).Obj()
			r := newRig(t, tg)
			job := r.begin()
			pod := r.createPod(testkit.Pod(job).Index(0, "").Unplaced("Unschedulable", "0/1 nodes are available"))
			r.freezePods()
			r.setPodStatus(pod, testkit.Pod(job).Running().Obj())
			r.clock.Step(time.Minute)
			result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: r.group})
			if err != nil || result.RequeueAfter == 0 || result.RequeueAfter > time.Second {
				t.Errorf("got %+v, %v; want another pass at once", result, err)
			}
			r.mustReconcile()
			r.wantReason(v1alpha1.ReasonRunning)
			if len(r.deletes) != 0 {
				t.Error("the Job of a running pod was deleted")
			}
		})
	}
}

// TestExpiredPodIsGivenUp is the counterpart: the pod is stored as it is cached.
func TestExpiredPodIsGivenUp(t *testing.T) {
	for name, kind := range executions {
		t.Run(name, func(t *testing.T) {
			tg := kind(testkit.TaskGroup("g").Commands(1).Timeouts(v1alpha1.Timeouts{QueuedSeconds: new(int64(30))})).Obj()
			r := newRig(t, tg)
			r.createPod(testkit.Pod(r.begin()).Index(0, "").Unplaced("Unschedulable", "0/1 nodes are available"))
			r.freezePods()
			r.clock.Step(time.Minute)
			r.mustReconcile()
			r.wantReason(v1alpha1.ReasonStopping)
		})
	}
}

// TestFinishedJobWithoutPodInTheCache: the cache of Jobs is ahead of the cache of
// pods. The stored pod decides: a task that failed is not run again, and a manifest
// keeps its digest (I39).
func TestFinishedJobWithoutPodInTheCache(t *testing.T) {
	digest := strings.Repeat("ab", 32)
	cases := map[string]struct {
		exitCode  int32
		message   string
		condition batchv1.JobConditionType
		want      v1alpha1.Reason
	}{
		"the task failed": {1, `{"v":1,"states":"F","failure":{"reason":"TaskError","message":"boom"},"manifest":"` + digest + `"}`, batchv1.JobFailed, v1alpha1.ReasonTaskError},
		"it completed":    {0, `{"v":1,"states":"C","manifest":"` + digest + `"}`, batchv1.JobComplete, v1alpha1.ReasonCompleted},
	}
	for execution, kind := range executions {
		for name, tc := range cases {
			t.Run(execution+", "+name, func(t *testing.T) {
				r := newRig(t, kind(testkit.TaskGroup("g").Commands(1).Outputs("file:///out").Retries(0, 3)).Obj())
				job := r.begin()
				r.freezePods()
				r.createPod(testkit.Pod(job).Index(0, "").Ended(tc.exitCode, "x", tc.message))
				job.Status.Conditions = []batchv1.JobCondition{{Type: tc.condition, Status: corev1.ConditionTrue}}
				if err := r.Client.Status().Update(t.Context(), job); err != nil {
					t.Fatal(err)
				}
				r.mustReconcile()
				r.wantReason(v1alpha1.ReasonPending)
				r.mustReconcile()
				r.wantReason(tc.want)
				status := r.taskGroup().Status
				if status.Retries != nil {
					t.Errorf("the group spent %+v", status.Retries)
				}
				if execution == "Sequential" && (status.Manifest == nil || status.Manifest.SHA256 != digest) {
					t.Errorf("the manifest is %+v, want digest %s", status.Manifest, digest)
				}
			})
		}
	}
}

// TestPreviousJobMissingInTheCache: while a group waits for a retry, the deletion of
// the failed Job cancels it. A cache that does not contain the Job proves no deletion.
func TestPreviousJobMissingInTheCache(t *testing.T) {
	for name, deleted := range map[string]bool{"it is stored": false, "a user deleted it": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, testkit.TaskGroup("g").Commands(1).Retries(1, 0).Obj())
			job := r.begin()
			pod := r.createPod(testkit.Pod(job).Ended(1, "Error", `{"v":1,"states":"F","failure":{"reason":"TaskError"}}`))
			r.mustReconcile()
			r.wantReason(v1alpha1.ReasonRetrying)
			finishJob(r, 1)
			if deleted {
				for _, obj := range []client.Object{job, pod} {
					if err := r.Client.Delete(t.Context(), obj); err != nil {
						t.Fatal(err)
					}
				}
			}
			r.Client = withoutJobs{r.Client}
			r.mustReconcile()
			r.settle()
			want := v1alpha1.ReasonRetrying
			if deleted {
				want = v1alpha1.ReasonCancelled
			}
			r.wantReason(want)
		})
	}
}
