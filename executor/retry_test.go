// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"context"
	"errors"
	"net/url"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// outage is an API server that is away from the beginning.
type outage struct {
	// until is when it is back; never if zero.
	until time.Time
	// hangs is whether it takes calls and answers none; they are refused otherwise.
	hangs bool
	calls int
}

// meet is what a call meets.
func (o *outage) meet(ctx context.Context) error {
	o.calls++
	switch {
	case !o.until.IsZero() && time.Now().After(o.until):
		return nil
	case o.hangs:
		<-ctx.Done()
		return &url.Error{Op: "Patch", URL: "https://x", Err: ctx.Err()}
	}
	return &url.Error{Op: "Patch", URL: "https://x", Err: syscall.ECONNREFUSED}
}

func (o *outage) funcs() interceptor.Funcs {
	return interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, options ...client.CreateOption) error {
			if err := o.meet(ctx); err != nil {
				return err
			}
			return c.Create(ctx, obj, options...)
		},
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, options ...client.GetOption) error {
			if err := o.meet(ctx); err != nil {
				return err
			}
			return c.Get(ctx, key, obj, options...)
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			if err := o.meet(ctx); err != nil {
				return err
			}
			return c.List(ctx, list, options...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, options ...client.PatchOption) error {
			if err := o.meet(ctx); err != nil {
				return err
			}
			return c.Patch(ctx, obj, patch, options...)
		},
	}
}

// TestPatience: a call neither gives up at once nor looks hung, and reports that repeating
// again may help. Time is made up.
func TestPatience(t *testing.T) {
	handle := &executor.Handle{Namespace: "team", Name: running(3).Name}
	task := contract.TaskMetadata{DispatchID: dispatch, NodeID: 3}
	cancel := func(ctx context.Context, e *executor.Executor) (bool, error) { return e.Cancel(ctx, task, handle) }
	search := func(ctx context.Context, e *executor.Executor) (bool, error) { return e.Cancel(ctx, task, nil) }
	receive := func(ctx context.Context, e *executor.Executor) (bool, error) {
		updates, err := e.Receive(ctx, groupOf(3), &executor.Outcome{Handle: *handle})
		return len(updates) > 0, err
	}
	send := func(ctx context.Context, e *executor.Executor) (bool, error) {
		tasks, resources := functions(3)
		sent, err := e.Send(ctx, tasks, resources, groupOf(3))
		return sent.UID != "", err
	}
	for name, tc := range map[string]struct {
		call     func(context.Context, *executor.Executor) (bool, error)
		back     time.Duration
		hangs    bool
		deadline time.Duration
		done     bool
		want     error
		after    time.Duration
	}{
		"cancel is refused":             {call: cancel, want: executor.ErrUnavailable, after: 10 * time.Second},
		"cancel hangs":                  {call: cancel, hangs: true, want: executor.ErrUnavailable, after: 10 * time.Second},
		"cancel without a handle":       {call: search, want: executor.ErrUnavailable, after: 10 * time.Second},
		"cancel outlasts a pause":       {call: cancel, back: 6 * time.Second, done: true, after: 9 * time.Second},
		"cancel for a hurried caller":   {call: cancel, hangs: true, deadline: time.Second, want: context.DeadlineExceeded, after: time.Second},
		"receive is refused":            {call: receive, want: executor.ErrUnavailable, after: 10 * time.Second},
		"receive hangs":                 {call: receive, hangs: true, want: executor.ErrUnavailable, after: 10 * time.Second},
		"receive, and nothing is ended": {call: receive, back: time.Second, want: executor.ErrNotFinished, after: 4 * time.Second},
		"send is refused":               {call: send, want: executor.ErrUnavailable, after: 70 * time.Second},
		"send hangs":                    {call: send, hangs: true, want: executor.ErrUnavailable, after: 70 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				o := &outage{hangs: tc.hangs}
				if tc.back > 0 {
					o.until = begin.Add(tc.back)
				}
				cluster, _ := fakeCluster(t, o.funcs(), running(3))
				e := newExecutor(t, cluster)
				ctx := t.Context()
				if tc.deadline > 0 {
					var stop context.CancelFunc
					ctx, stop = context.WithTimeout(ctx, tc.deadline)
					defer stop()
				}
				done, err := tc.call(ctx, e)
				if took := time.Since(begin); took > tc.after || took < tc.after/3 {
					t.Errorf("it took %s, at most are %s", took, tc.after)
				}
				if done != tc.done || !cmp.Equal(err, tc.want, cmpopts.EquateErrors()) {
					t.Errorf("got %t, %v; want %t, %v", done, err, tc.done, tc.want)
				}
				if code, retry := executor.CodeOf(err); errors.Is(tc.want, executor.ErrUnavailable) && (code != "Unavailable" || !retry) {
					t.Errorf("%v has the code %s, retry %t", err, code, retry)
				}
				if !tc.hangs && o.calls < 2 {
					t.Errorf("%d tries", o.calls)
				}
			})
		})
	}
}
