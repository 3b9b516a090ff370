// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

func TestSendMakesTheSpec(t *testing.T) {
	cluster, c := fakeCluster(t, interceptor.Funcs{})
	e := newExecutor(t, cluster, func(config *executor.Config) {
		config.Options.TimeLimit, config.Options.Retries = 60, 2
		config.Options.Callback = "http://dispatcher:48008"
		config.Options.Dispatcher = "lab"
		config.Options.Pod = &v1alpha1.PodOptions{Image: "python:3.11"}
	})
	tasks := []contract.TaskSpec{
		{ElectronID: 3, Args: []contract.NodeID{0, 1}, Kwargs: map[string]contract.NodeID{"k": 2}},
		{ElectronID: 4, Args: []contract.NodeID{3}},
	}
	resources := contract.ResourceMap{
		Functions: map[contract.NodeID]string{3: "file:///f3", 4: "file:///f4"},
		Inputs:    map[contract.NodeID]string{0: "file:///n0", 1: "file:///n1", 2: "file:///n2"},
		Hooks:     map[contract.NodeID]string{3: "file:///h3", 4: ""},
	}
	handle, err := e.Send(t.Context(), tasks, resources, groupOf(3, 4))
	if err != nil {
		t.Fatal(err)
	}
	var tg v1alpha1.TaskGroup
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "team", Name: handle.Name}, &tg); err != nil {
		t.Fatal(err)
	}
	want := v1alpha1.TaskGroupSpec{
		DispatchID: dispatch, TaskGroupID: new(int64(3)),
		Tasks: []v1alpha1.TaskSpec{
			{NodeID: 3, Args: []v1alpha1.NodeID{0, 1}, Kwargs: map[string]v1alpha1.NodeID{"k": 2}},
			{NodeID: 4, Args: []v1alpha1.NodeID{3}},
		},
		Assets: &v1alpha1.Assets{
			Functions: v1alpha1.AssetURIs{"3": "file:///f3", "4": "file:///f4"},
			Inputs:    v1alpha1.AssetURIs{"0": "file:///n0", "1": "file:///n1", "2": "file:///n2"},
			Hooks:     v1alpha1.AssetURIs{"3": "file:///h3"},
			Outputs:   "file:///out",
		},
		Retries:                 &v1alpha1.Retries{Limit: 2},
		Timeouts:                &v1alpha1.Timeouts{RunningSeconds: new(int64(60))},
		TTLSecondsAfterFinished: new(int32(86400)),
		Callback:                &v1alpha1.Callback{URL: "http://dispatcher:48008"},
		Pod:                     &v1alpha1.PodOptions{Image: "python:3.11"},
	}
	if diff := cmp.Diff(want, tg.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{v1alpha1.DispatchLabel: dispatch, v1alpha1.DispatcherLabel: "lab"}, tg.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}

func TestSendTwiceIsSendOnce(t *testing.T) {
	cluster, _ := fakeCluster(t, interceptor.Funcs{})
	tasks, resources := functions(3)
	first, err := newExecutor(t, cluster).Send(t.Context(), tasks, resources, groupOf(3))
	if err != nil {
		t.Fatal(err)
	}
	again, err := newExecutor(t, cluster).Send(t.Context(), tasks, resources, groupOf(3))
	if err != nil || again != first {
		t.Errorf("again: %+v, %v; want %+v", again, err, first)
	}
	resources.Functions[3] = "file:///another"
	_, err = newExecutor(t, cluster).Send(t.Context(), tasks, resources, groupOf(3))
	if !cmp.Equal(err, executor.ErrConflict, cmpopts.EquateErrors()) || !strings.Contains(err.Error(), first.Name) {
		t.Errorf("with another function: %v", err)
	}
	differently := newExecutor(t, cluster, func(c *executor.Config) { c.Options.TTLSecondsAfterFinished = nil })
	resources.Functions[3] = "file:///data/function"
	if _, err = differently.Send(t.Context(), tasks, resources, groupOf(3)); err != nil {
		t.Errorf("with another TTL, which may change: %v", err)
	}
}

func TestSendHonoursCancelRequests(t *testing.T) {
	for name, tc := range map[string]struct {
		cancel  func(int) bool
		created bool
	}{
		"before the create": {func(asked int) bool { return asked >= 1 }, false},
		"after the create":  {func(asked int) bool { return asked >= 2 }, true},
	} {
		t.Run(name, func(t *testing.T) {
			cluster, c := fakeCluster(t, interceptor.Funcs{})
			d := &dispatcher{cancel: tc.cancel}
			tasks, resources := functions(3)
			handle, err := newExecutor(t, cluster, func(c *executor.Config) { c.Dispatcher = d }).Send(t.Context(), tasks, resources, groupOf(3))
			if !cmp.Equal(err, executor.ErrCancelled, cmpopts.EquateErrors()) {
				t.Errorf("got %v", err)
			}
			var list v1alpha1.TaskGroupList
			if err := c.List(t.Context(), &list); err != nil {
				t.Fatal(err)
			}
			if created := len(list.Items) == 1; created != tc.created || (created && !list.Items[0].Spec.Cancel) {
				t.Errorf("left %+v", list.Items)
			}
			recorded, _ := d.put[executor.JobHandle].(executor.Handle)
			if recorded.Name != handle.Name {
				t.Errorf("recorded %+v, the handle is %+v", recorded, handle)
			}
		})
	}
}

// TestSendRecordsTheHandleFirst fails at the create: a caller with the handle could
// cancel what became of it.
func TestSendRecordsTheHandleFirst(t *testing.T) {
	d := &dispatcher{}
	cluster, _ := fakeCluster(t, interceptor.Funcs{Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
		if d.put[executor.JobHandle] == nil {
			t.Error("the create came before the handle was recorded")
		}
		return apierrors.NewForbidden(schema.GroupResource{}, "x", errors.New("exceeded quota"))
	}})
	tasks, resources := functions(3)
	_, err := newExecutor(t, cluster, func(c *executor.Config) { c.Dispatcher = d }).Send(t.Context(), tasks, resources, groupOf(3))
	if !cmp.Equal(err, executor.ErrForbidden, cmpopts.EquateErrors()) {
		t.Errorf("got %v", err)
	}
}

func TestSendExplains(t *testing.T) {
	kind := v1alpha1.GroupVersion.WithKind("TaskGroup").GroupKind()
	resource := schema.GroupResource{Group: v1alpha1.GroupName, Resource: "taskgroups"}
	for name, tc := range map[string]struct {
		answer error
		want   error
		says   string
	}{
		"a field": {
			apierrors.NewInvalid(kind, "tg", field.ErrorList{field.Invalid(field.NewPath("spec", "assets", "outputs"), "x", "must be a file:///absolute/path")}),
			executor.ErrInvalid, "spec.assets.outputs: Invalid value: \"x\": must be a file:///absolute/path",
		},
		"a user":      {apierrors.NewUnauthorized("no"), executor.ErrUnauthorized, "credentials are wrong or have expired"},
		"a role":      {apierrors.NewForbidden(resource, "tg", errors.New("no")), executor.ErrForbidden, "docs/executor.md"},
		"a namespace": {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "team"), executor.ErrNamespace, `namespaces "team" not found`},
		"an API":      {apierrors.NewGenericServerResponse(404, "post", resource, "", "page not found", 0, true), executor.ErrNotInstalled, "install the TaskGroup operator"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster, _ := fakeCluster(t, interceptor.Funcs{Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return tc.answer }})
			tasks, resources := functions(3)
			_, err := newExecutor(t, cluster).Send(t.Context(), tasks, resources, groupOf(3))
			if !cmp.Equal(err, tc.want, cmpopts.EquateErrors()) || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), "creating TaskGroup team/tg-") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestSendOutlastsAPause has the answer to the first create lost, and the second
// refused: sending continues and finds what it created.
func TestSendOutlastsAPause(t *testing.T) {
	calls := 0
	cluster, _ := fakeCluster(t, interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
		if calls++; calls == 1 {
			if err := c.Create(ctx, o, options...); err != nil {
				return err
			}
			return apierrors.NewTimeoutError("lost", 0)
		}
		return c.Create(ctx, o, options...)
	}})
	tasks, resources := functions(3)
	handle, err := newExecutor(t, cluster).Send(t.Context(), tasks, resources, groupOf(3))
	if err != nil || handle.Name != executor.Name(dispatch, 3) || calls != 2 {
		t.Errorf("got %+v, %v after %d calls", handle, err, calls)
	}
}

func TestSendPicksTheImageByPython(t *testing.T) {
	for python, want := range map[string]string{"3.11.4": "images/python:3.11", "3.12.0": ""} {
		cluster, c := fakeCluster(t, interceptor.Funcs{})
		e := newExecutor(t, cluster, func(c *executor.Config) {
			c.Dispatcher = &dispatcher{python: python}
			c.Options.PythonImages = map[string]string{"3.11": "images/python:3.11"}
		})
		tasks, resources := functions(3)
		handle, err := e.Send(t.Context(), tasks, resources, groupOf(3))
		if want == "" {
			if !cmp.Equal(err, executor.ErrInvalid, cmpopts.EquateErrors()) || !strings.Contains(err.Error(), "3.12") {
				t.Errorf("Python %s: %v", python, err)
			}
			continue
		}
		var tg v1alpha1.TaskGroup
		if err := errors.Join(err, c.Get(t.Context(), client.ObjectKey{Namespace: "team", Name: handle.Name}, &tg)); err != nil {
			t.Fatal(err)
		}
		if tg.Spec.Pod == nil || tg.Spec.Pod.Image != want {
			t.Errorf("Python %s: the pod is %+v", python, tg.Spec.Pod)
		}
	}
}
