// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// createFunc intercepts creates.
type createFunc = func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error

// TestSendTwiceWhatAWebhookChanged: the API server stores another spec than was sent.
func TestSendTwiceWhatAWebhookChanged(t *testing.T) {
	t.Parallel()
	mutate := func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
		o.(*v1alpha1.TaskGroup).Spec.Pod = &v1alpha1.PodOptions{Image: "mirror/python:3.11"}
		return c.Create(ctx, o, options...)
	}
	cluster, c := fakeCluster(t, interceptor.Funcs{Create: mutate})
	tasks, resources := functions(3)
	send := func(dispatcher string) (executor.Handle, error) {
		e := newExecutor(t, cluster, func(c *executor.Config) { c.Options.Dispatcher = dispatcher })
		return e.Send(t.Context(), tasks, resources, groupOf(3))
	}
	first, err := send("lab")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := send("lab"); err != nil || again != first {
		t.Errorf("again: %+v, %v; want %+v", again, err, first)
	}
	if _, err := send("another"); !errors.Is(err, executor.ErrConflict) {
		t.Errorf("by another dispatcher: %v", err)
	}
	resources.Functions[3] = "file:///another"
	if _, err := send("lab"); !errors.Is(err, executor.ErrConflict) {
		t.Errorf("with another function: %v", err)
	}
	var tg v1alpha1.TaskGroup
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "team", Name: first.Name}, &tg); err != nil || tg.Spec.Cancel {
		t.Errorf("the group of the first send is %+v, %v", tg.Spec, err)
	}
}

// TestSendTwiceAcrossReleases: a release that records nothing, or something else,
// created the group.
func TestSendTwiceAcrossReleases(t *testing.T) {
	t.Parallel()
	for name, recorded := range map[string]string{"no digest": "", "another digest": "of another release"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			earlier := func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
				o.GetAnnotations()[v1alpha1.SentAnnotation] = recorded
				return c.Create(ctx, o, options...)
			}
			cluster, _ := fakeCluster(t, interceptor.Funcs{Create: earlier})
			tasks, resources := functions(3)
			first, err := newExecutor(t, cluster).Send(t.Context(), tasks, resources, groupOf(3))
			if err != nil {
				t.Fatal(err)
			}
			if again, err := newExecutor(t, cluster).Send(t.Context(), tasks, resources, groupOf(3)); err != nil || again != first {
				t.Errorf("got %+v, %v; want %+v", again, err, first)
			}
		})
	}
}

// TestSendWithoutAnAnswerLeavesNoGroup: the answer to each create is lost, of the
// TaskGroup or of its Secret. Only a caller that sends again keeps the group.
func TestSendWithoutAnAnswerLeavesNoGroup(t *testing.T) {
	t.Parallel()
	lost := apierrors.NewTimeoutError("lost", 0)
	for name, test := range map[string]struct {
		create createFunc
		change func(*executor.Config)
	}{
		"the TaskGroup": {create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
			_ = c.Create(ctx, o, options...)
			return lost
		}, change: func(*executor.Config) {}},
		"its Secret": {create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
			if _, ok := o.(*corev1.Secret); ok {
				return lost
			}
			return c.Create(ctx, o, options...)
		}, change: presigning(&signer{})},
	} {
		for _, resends := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					cluster, c := fakeCluster(t, withUIDs(interceptor.Funcs{Create: test.create}))
					e := newExecutor(t, cluster, test.change, func(c *executor.Config) { c.Resends = resends })
					tasks, resources, group := manyFunctions(1)
					if _, err := e.Send(t.Context(), tasks, resources, group); !errors.Is(err, executor.ErrUnavailable) {
						t.Errorf("got %v", err)
					}
					var list v1alpha1.TaskGroupList
					if err := c.List(t.Context(), &list); err != nil || len(list.Items) != 1 {
						t.Fatalf("left %+v, %v", list.Items, err)
					}
					if cancelled := list.Items[0].Spec.Cancel; cancelled == resends {
						t.Errorf("resends %t: cancelled is %t", resends, cancelled)
					}
				})
			})
		}
	}
}
