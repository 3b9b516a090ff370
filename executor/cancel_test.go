// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

func TestCancel(t *testing.T) {
	packed := running(3, 4)
	for name, tc := range map[string]struct {
		groups []client.Object
		node   contract.NodeID
		handle *executor.Handle
		want   bool
	}{
		"by its handle":                  {[]client.Object{running(3)}, 3, &executor.Handle{Namespace: "team", Name: running(3).Name}, true},
		"by a handle, not by the node":   {[]client.Object{running(3), running(9)}, 9, &executor.Handle{Namespace: "team", Name: running(3).Name}, true},
		"without a handle":               {[]client.Object{running(3)}, 3, nil, true},
		"a later node, without a handle": {[]client.Object{packed}, 4, nil, true},
		"what was never sent":            {nil, 3, nil, false},
		"what was deleted":               {nil, 3, &executor.Handle{Namespace: "team", Name: running(3).Name}, false},
		"what has ended":                 {[]client.Object{ended(v1alpha1.ReasonCompleted, v1alpha1.TaskCompleted, 3)}, 3, nil, false},
		"what was cancelled":             {[]client.Object{ended(v1alpha1.ReasonCancelled, v1alpha1.TaskCancelled, 3)}, 3, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			cluster, c := fakeCluster(t, interceptor.Funcs{}, tc.groups...)
			e := newExecutor(t, cluster)
			for range 2 {
				got, err := e.Cancel(t.Context(), contract.TaskMetadata{DispatchID: dispatch, NodeID: tc.node}, tc.handle)
				if got != tc.want || err != nil {
					t.Errorf("got %t, %v", got, err)
				}
			}
			var tg v1alpha1.TaskGroup
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(running(3)), &tg); len(tc.groups) > 0 && (err != nil || !tg.Spec.Cancel) {
				t.Errorf("spec.cancel is %t, %v", tg.Spec.Cancel, err)
			}
		})
	}
}

// TestCancelADispatch is what a dispatcher does: a call for each node, all at once
// and most of them for nodes that never started. They share their look-ups.
func TestCancelADispatch(t *testing.T) {
	const n = 200
	var lists, gets atomic.Int32
	all := make(chan struct{})
	cluster, _ := fakeCluster(t, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
			defer func() {
				if gets.Add(1) == n {
					close(all)
				}
			}()
			return c.Get(ctx, key, o)
		},
		// The first list takes until every node was looked for by its own name.
		List: func(ctx context.Context, c client.WithWatch, l client.ObjectList, o ...client.ListOption) error {
			lists.Add(1)
			<-all
			return c.List(ctx, l, o...)
		},
	}, running(3))
	e := newExecutor(t, cluster)
	var wg sync.WaitGroup
	for node := range contract.NodeID(n) {
		wg.Go(func() {
			accepted, err := e.Cancel(t.Context(), contract.TaskMetadata{DispatchID: dispatch, NodeID: node}, nil)
			if err != nil || accepted != (node == 3) {
				t.Errorf("node %d: %t, %v", node, accepted, err)
			}
		})
	}
	wg.Wait()
	if got := lists.Load(); got == 0 || got > n/4 {
		t.Errorf("%d lists for %d nodes", got, n)
	}
}

// TestCancelWhileItIsSent has a cancel come at each moment of a send. A dispatcher
// notes the request first, and then nothing runs on, whatever Cancel could do; and
// without one, a Cancel that was true is found in the group.
func TestCancelWhileItIsSent(t *testing.T) {
	for name, tc := range map[string]struct {
		// before and after are whether the cancel comes before or after the create.
		before, after  bool
		asks, accepted bool
		want           error
	}{
		"before the create":                      {before: true, asks: true, want: executor.ErrCancelled},
		"after the create":                       {after: true, asks: true, accepted: true, want: executor.ErrCancelled},
		"before the create, to nobody's account": {before: true},
		"after the create, to nobody's account":  {after: true, accepted: true},
	} {
		t.Run(name, func(t *testing.T) {
			var requested atomic.Bool
			var e *executor.Executor
			accepted := false
			cancel := func(ctx context.Context) {
				requested.Store(true)
				var err error
				handle := e.Handle(groupOf(3))
				if accepted, err = e.Cancel(ctx, contract.TaskMetadata{DispatchID: dispatch, NodeID: 3}, &handle); err != nil {
					t.Error(err)
				}
			}
			cluster, c := fakeCluster(t, interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
				if tc.before {
					cancel(ctx)
				}
				err := c.Create(ctx, o, options...)
				if tc.after {
					cancel(ctx)
				}
				return err
			}})
			e = newExecutor(t, cluster, func(c *executor.Config) {
				if tc.asks {
					c.Dispatcher = &dispatcher{cancel: func(int) bool { return requested.Load() }}
				}
			})
			tasks, resources := functions(3)
			_, err := e.Send(t.Context(), tasks, resources, groupOf(3))
			if !cmp.Equal(err, tc.want, cmpopts.EquateErrors()) || accepted != tc.accepted {
				t.Errorf("sent: %v, cancelled: %t", err, accepted)
			}
			var tg v1alpha1.TaskGroup
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(running(3)), &tg); err != nil {
				t.Fatal(err)
			}
			if (accepted || tc.asks) && !tg.Spec.Cancel {
				t.Error("the group runs on")
			}
		})
	}
}

// TestSendThatCannotCancelDoesNotSayCancelled: the group exists, and the API server
// is not any more.
func TestSendThatCannotCancelDoesNotSayCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := &outage{}
		funcs := away.funcs()
		funcs.Create = nil
		cluster, c := fakeCluster(t, funcs)
		e := newExecutor(t, cluster, func(c *executor.Config) {
			c.Dispatcher = &dispatcher{cancel: func(asked int) bool { return asked > 1 }}
		})
		tasks, resources := functions(3)
		_, err := e.Send(t.Context(), tasks, resources, groupOf(3))
		if !cmp.Equal(err, executor.ErrUnavailable, cmpopts.EquateErrors()) || cmp.Equal(err, executor.ErrCancelled, cmpopts.EquateErrors()) {
			t.Errorf("got %v", err)
		}
		away.until = time.Now().Add(-time.Second)
		var list v1alpha1.TaskGroupList
		if err := c.List(t.Context(), &list); err != nil || len(list.Items) != 1 || list.Items[0].Spec.Cancel {
			t.Errorf("left %+v, %v", list.Items, err)
		}
	})
}
