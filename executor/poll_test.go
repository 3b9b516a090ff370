// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// TestPollTells what became of a group while it is polled.
func TestPollTells(t *testing.T) {
	for name, tc := range map[string]struct {
		become func(context.Context, client.WithWatch, *v1alpha1.TaskGroup) error
		want   error
		reason v1alpha1.Reason
	}{
		"completed": {becomes(v1alpha1.ReasonCompleted, v1alpha1.TaskCompleted), nil, v1alpha1.ReasonCompleted},
		"failed":    {becomes(v1alpha1.ReasonOOMKilled, v1alpha1.TaskFailed), nil, v1alpha1.ReasonOOMKilled},
		"cancelled": {becomes(v1alpha1.ReasonCancelled, v1alpha1.TaskCancelled), executor.ErrCancelled, v1alpha1.ReasonCancelled},
		"deleted": {func(ctx context.Context, c client.WithWatch, tg *v1alpha1.TaskGroup) error {
			return c.Delete(ctx, tg)
		}, executor.ErrCancelled, v1alpha1.ReasonPending},
	} {
		t.Run(name, func(t *testing.T) {
			tg := running(3)
			cluster, c := fakeCluster(t, interceptor.Funcs{}, tg)
			polled := make(chan executor.Result, 1)
			go func() {
				outcome, err := newExecutor(t, cluster).Poll(t.Context(), executor.Handle{Name: tg.Name, UID: tg.UID})
				polled <- executor.Result{Outcome: outcome, Err: err}
			}()
			awaitKnown(t, cluster, tg.Name)
			if err := tc.become(t.Context(), c, tg); err != nil {
				t.Fatal(err)
			}
			got := <-polled
			if !cmp.Equal(got.Err, tc.want, cmpopts.EquateErrors()) || got.Reason != tc.reason || got.Handle.Name != tg.Name {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func becomes(reason v1alpha1.Reason, state v1alpha1.TaskState) func(context.Context, client.WithWatch, *v1alpha1.TaskGroup) error {
	return func(ctx context.Context, c client.WithWatch, tg *v1alpha1.TaskGroup) error {
		if err := c.Get(ctx, client.ObjectKeyFromObject(tg), tg); err != nil {
			return err
		}
		tg.Status = ended(reason, state, contract.NodeID(tg.Spec.Tasks[0].NodeID)).Status
		return c.Status().Update(ctx, tg)
	}
}

// TestPollOfWhatIsNotThere: a group that was deleted before the watch began is
// read once, and then is cancelled.
func TestPollOfWhatIsNotThere(t *testing.T) {
	var gets atomic.Int32
	cluster, _ := fakeCluster(t, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
		gets.Add(1)
		return c.Get(ctx, key, o)
	}})
	_, err := newExecutor(t, cluster).Poll(t.Context(), executor.Handle{Name: "tg-gone"})
	if !cmp.Equal(err, executor.ErrCancelled, cmpopts.EquateErrors()) || gets.Load() != 1 {
		t.Errorf("got %v after %d reads", err, gets.Load())
	}
}

// TestPollOfAnotherOnesName: the group that was sent no longer exists, another user created
// another one under its name.
func TestPollOfAnotherOnesName(t *testing.T) {
	tg := ended(v1alpha1.ReasonCompleted, v1alpha1.TaskCompleted, 3)
	cluster, _ := fakeCluster(t, interceptor.Funcs{}, tg)
	_, err := newExecutor(t, cluster).Poll(t.Context(), executor.Handle{Name: tg.Name, UID: "the-former"})
	if !cmp.Equal(err, executor.ErrCancelled, cmpopts.EquateErrors()) {
		t.Errorf("got %v", err)
	}
}

// TestManyPollsShareOneWatch, whichever executor they are of.
func TestManyPollsShareOneWatch(t *testing.T) {
	// The fake client's watch has room for 100 events; test/integration has thousands.
	const n = 90
	var watches, lists atomic.Int32
	var groups []client.Object
	for i := range n {
		groups = append(groups, running(contract.NodeID(i)))
	}
	cluster, c := fakeCluster(t, interceptor.Funcs{
		Watch: func(ctx context.Context, c client.WithWatch, l client.ObjectList, o ...client.ListOption) (watch.Interface, error) {
			watches.Add(1)
			return c.Watch(ctx, l, o...)
		},
		List: func(ctx context.Context, c client.WithWatch, l client.ObjectList, o ...client.ListOption) error {
			lists.Add(1)
			return c.List(ctx, l, o...)
		},
	}, groups...)
	polled := make(chan error, n)
	for _, group := range groups {
		go func() {
			outcome, err := newExecutor(t, cluster).Poll(t.Context(), executor.Handle{Name: group.GetName()})
			if outcome.Reason != v1alpha1.ReasonCompleted {
				err = errors.Join(err, fmt.Errorf("%s ended as %s", group.GetName(), outcome.Reason))
			}
			polled <- err
		}()
	}
	for _, group := range groups {
		awaitKnown(t, cluster, group.GetName())
		if err := becomes(v1alpha1.ReasonCompleted, v1alpha1.TaskCompleted)(t.Context(), c, group.(*v1alpha1.TaskGroup)); err != nil {
			t.Fatal(err)
		}
	}
	for range n {
		if err := <-polled; err != nil {
			t.Error(err)
		}
	}
	if watches.Load() != 1 || lists.Load() != 1 {
		t.Errorf("%d watches, %d lists", watches.Load(), lists.Load())
	}
}

// TestPollFailsWhereNobodyMayWatch: a node that never ends would hang its dispatch.
func TestPollFailsWhereNobodyMayWatch(t *testing.T) {
	_, c := fakeCluster(t, interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
			return apierrors.NewForbidden(schema.GroupResource{Group: v1alpha1.GroupName, Resource: "taskgroups"}, "", errors.New("no"))
		},
	})
	const grace = 300 * time.Millisecond
	cluster := executor.NewCluster(executor.ClusterConfig{Client: c, Namespace: "team", Grace: grace})
	defer cluster.Close()
	begin := time.Now()
	_, err := newExecutor(t, cluster).Poll(t.Context(), executor.Handle{Name: "tg-x"})
	if !cmp.Equal(err, executor.ErrForbidden, cmpopts.EquateErrors()) || time.Since(begin) < grace {
		t.Errorf("got %v after %s", err, time.Since(begin))
	}
}

// TestPollReportsAWatchThatFails, and no longer when it works again.
func TestPollReportsAWatchThatFails(t *testing.T) {
	t.Parallel()
	var allowed atomic.Bool
	cluster, _ := fakeCluster(t, interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			if !allowed.Load() {
				return apierrors.NewUnauthorized("the token has expired")
			}
			return c.List(ctx, list, options...)
		},
	}, running(3))
	e := newExecutor(t, cluster)
	polled := make(chan error, 1)
	go func() {
		_, err := e.Poll(t.Context(), executor.Handle{Namespace: "team", Name: running(3).Name})
		polled <- err
	}()
	warning := func(is bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); (e.WatchWarning(0) != "") != is; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the warning is %q", e.WatchWarning(0))
			}
		}
	}
	warning(true)
	if got := e.WatchWarning(0); !strings.Contains(got, "namespace team has failed since") || !strings.Contains(got, "credentials are wrong or have expired") {
		t.Errorf("the warning is %q", got)
	}
	if got := e.WatchWarning(time.Hour); got != "" {
		t.Errorf("too early: %q", got)
	}
	allowed.Store(true)
	warning(false)
	select {
	case err := <-polled:
		t.Errorf("the poll ended with %v", err)
	default:
	}
}

// TestPollOutlastsABrokenWatch: the group is deleted while there is no watch, and the
// list after the break does not have it, which is enough to know.
func TestPollOutlastsABrokenWatch(t *testing.T) {
	gone, stays := running(3), running(4)
	broken := make(chan struct{})
	var watches, gets atomic.Int32
	cluster, c := fakeCluster(t, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
			gets.Add(1)
			return c.Get(ctx, key, o)
		},
		Watch: func(ctx context.Context, c client.WithWatch, l client.ObjectList, o ...client.ListOption) (watch.Interface, error) {
			events, err := c.Watch(ctx, l, o...)
			if err == nil && watches.Add(1) == 1 {
				first := watch.NewFake()
				go func() {
					<-broken
					first.Error(&apierrors.NewResourceExpired("too old resource version").ErrStatus)
					first.Stop()
				}()
				return first, nil
			}
			return events, err
		},
	}, gone, stays)
	e := newExecutor(t, cluster)
	polled := make(chan []executor.Result, 1)
	go func() {
		results, err := e.PollAny(t.Context(), []executor.Handle{{Name: gone.Name}, {Name: stays.Name}})
		if err != nil {
			t.Error(err)
		}
		polled <- results
	}()
	awaitKnown(t, cluster, gone.Name)
	awaitKnown(t, cluster, stays.Name)
	if err := c.Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	close(broken)
	results := <-polled
	if len(results) != 1 || results[0].Handle.Name != gone.Name || !cmp.Equal(results[0].Err, executor.ErrCancelled, cmpopts.EquateErrors()) || gets.Load() != 0 {
		t.Errorf("got %+v after %d reads", results, gets.Load())
	}
}

// TestWhatIsKept: of groups without a poll a name, and after Receive no more.
func TestWhatIsKept(t *testing.T) {
	tg := ended(v1alpha1.ReasonOOMKilled, v1alpha1.TaskFailed, 3)
	var gets atomic.Int32
	cluster, c := fakeCluster(t, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
		gets.Add(1)
		return c.Get(ctx, key, o)
	}}, running(4), tg)
	e := newExecutor(t, cluster)
	outcome, err := e.Poll(t.Context(), executor.Handle{Name: tg.Name})
	if err != nil {
		t.Fatal(err)
	}
	awaitKnown(t, cluster, tg.Name)
	// The TTL deletes it before it is received: its results are still reported.
	if err := c.Delete(t.Context(), tg); err != nil {
		t.Fatal(err)
	}
	executor.AwaitGone(t, cluster, tg.Name)
	updates, err := e.Receive(t.Context(), groupOf(3), &outcome)
	if err != nil || updates[0].Status.Status != contract.TaskFailed || gets.Load() != 0 {
		t.Errorf("got %+v, %v after %d reads", updates, err, gets.Load())
	}
	if known, detailed := executor.Kept(cluster); known != 1 || detailed != 0 {
		t.Errorf("%d groups are kept, %d with details; want 1 and 0", known, detailed)
	}
}
