// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/evidence"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// rig is a reconciler on a client in memory.
type rig struct {
	*TaskGroupReconciler
	t        *testing.T
	events   *events.FakeRecorder
	writes   int
	group    types.NamespacedName
	failWith map[string]error
	deletes  []*client.DeleteOptions
	clock    *clocktesting.FakeClock
	// woken are the groups that the reconciler itself wants reconciled.
	woken []reconcile.Request
}

func newRig(t *testing.T, objects ...client.Object) *rig {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	r := &rig{
		t: t, events: events.NewFakeRecorder(10), failWith: map[string]error{},
		clock: clocktesting.NewFakeClock(testkit.Created.Add(time.Minute)),
	}
	count := func(verb string) error {
		r.writes++
		return r.failWith[verb]
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.TaskGroup{}).
		WithIndex(&corev1.Pod{}, podGroupIndex, func(obj client.Object) []string { return []string{obj.GetLabels()[v1alpha1.UIDLabel]} }).
		WithIndex(&v1alpha1.TaskGroup{}, "metadata.name", func(obj client.Object) []string { return []string{obj.GetName()} }).
		WithIndex(&corev1.Event{}, "type", func(obj client.Object) []string { return []string{obj.(*corev1.Event).Type} }).
		WithIndex(&corev1.Event{}, "involvedObject.kind", func(obj client.Object) []string { return []string{obj.(*corev1.Event).InvolvedObject.Kind} }).
		WithIndex(&corev1.Event{}, "involvedObject.name", func(obj client.Object) []string { return []string{obj.(*corev1.Event).InvolvedObject.Name} }).
		WithInterceptorFuncs(interceptor.Funcs{
			Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
				if err := count("create"); err != nil {
					return err
				}
				if obj.GetUID() == "" {
					obj.SetUID("uid-of-" + types.UID(obj.GetName()))
				}
				return c.Create(ctx, obj, opts...)
			},
			Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
				r.deletes = append(r.deletes, (&client.DeleteOptions{}).ApplyOptions(opts))
				if err := count("delete"); err != nil {
					return err
				}
				return c.Delete(ctx, obj, opts...)
			},
			SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
				// A pod's status is the test's own.
				if _, ok := obj.(*v1alpha1.TaskGroup); ok {
					if err := count("update"); err != nil {
						return err
					}
				}
				return c.SubResource(sub).Update(ctx, obj, opts...)
			},
		}).Build()
	reconciler, err := NewTaskGroupReconciler(Config{
		Client: c, APIReader: c, Recorder: r.events,
		Jobs:  jobspec.Config{DefaultImage: "python:default", RunnerImage: "runner:test", Delivery: jobspec.ImageVolume},
		Clock: r.clock, Stopwatch: r.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.TaskGroupReconciler = reconciler
	r.group = client.ObjectKeyFromObject(objects[0])
	return r
}

// enqueued returns the groups that the reconciler itself wants reconciled.
func (r *rig) enqueued() []reconcile.Request {
	for {
		select {
		case e := <-r.wakeups:
			r.woken = append(r.woken, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(e.Object)})
		default:
			return r.woken
		}
	}
}

// readLive replaces the reader of the API server.
func (r *rig) readLive(reader client.Reader) {
	r.APIReader, r.evidence.Reader, r.warnings.reader = reader, reader, reader
}

func (r *rig) reconcile() error {
	r.t.Helper()
	_, err := r.Reconcile(r.t.Context(), ctrl.Request{NamespacedName: r.group})
	return err
}

func (r *rig) mustReconcile() {
	r.t.Helper()
	if err := r.reconcile(); err != nil {
		r.t.Fatal(err)
	}
}

// settle lets the time pass for which all has to be quiet before a group is Cancelled.
func (r *rig) settle() {
	r.t.Helper()
	r.clock.Step(cacheLag)
	r.mustReconcile()
	r.clock.Step(evidence.SettleTime)
	r.mustReconcile()
}

func (r *rig) taskGroup() *v1alpha1.TaskGroup {
	r.t.Helper()
	var tg v1alpha1.TaskGroup
	if err := r.Client.Get(r.t.Context(), r.group, &tg); err != nil {
		r.t.Fatal(err)
	}
	return &tg
}

func (r *rig) wantReason(want v1alpha1.Reason) {
	r.t.Helper()
	if got := r.taskGroup().Status.Reason(); got != want {
		r.t.Errorf("the group is %s, want %s", got, want)
	}
}

func (r *rig) job() *batchv1.Job {
	r.t.Helper()
	var jobs batchv1.JobList
	if err := r.Client.List(r.t.Context(), &jobs); err != nil {
		r.t.Fatal(err)
	}
	if len(jobs.Items) != 1 {
		r.t.Fatalf("there are %d Jobs, want 1", len(jobs.Items))
	}
	return &jobs.Items[0]
}
