// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// cancelFlag is a dispatcher that only has whether to cancel.
type cancelFlag struct{ requested atomic.Bool }

func (f *cancelFlag) Get(context.Context, executor.Attribute) (json.RawMessage, error) {
	return json.Marshal(f.requested.Load())
}

func (*cancelFlag) Put(context.Context, executor.Attribute, any) error { return nil }

// race is what became of a send and the cancels that raced it.
type race struct {
	sent      error
	cancelled bool
}

// TestExecutorCancelRacesSend cancels groups while they are sent, several times each
// as Covalent does for the nodes of a group. A caller that received true finds the intent in
// the group, and no group that was to be cancelled runs on.
func TestExecutorCancelRacesSend(t *testing.T) {
	t.Parallel()
	const groups, cancels = 60, 3
	ns := namespace(t)
	races := make([]race, groups)
	for i := range races {
		behave(t, client.ObjectKey{Namespace: ns, Name: executor.Name("races", int64(i))}, rig.Behaviour{Runs: true})
	}
	flags := make([]cancelFlag, groups)
	executors := make([]watchedExecutor, groups)
	for i := range executors {
		// Each has a dispatcher of its own; the requests are all one user's.
		executors[i] = executorOf(t, cluster.Config, ns, "executor-races", func(c *executor.Config) { c.Dispatcher = &flags[i] })
	}
	each(t, groups, func(ctx context.Context, i int) error {
		e := executors[i]
		tasks, resources, metadata := group("races", contract.NodeID(i))
		handle := e.Handle(metadata)
		begin := make(chan struct{})
		var wg sync.WaitGroup
		failures := make(chan error, cancels)
		var cancelled atomic.Bool
		for n := range cancels {
			wg.Go(func() {
				<-begin
				flags[i].requested.Store(true)
				named := &handle
				if n == 0 {
					named = nil // as for a node that has not started
				}
				accepted, err := e.Cancel(ctx, contract.TaskMetadata{DispatchID: "races", NodeID: contract.NodeID(i)}, named)
				if accepted {
					cancelled.Store(true)
				}
				failures <- err
			})
		}
		close(begin)
		_, races[i].sent = e.Send(ctx, tasks, resources, metadata)
		wg.Wait()
		close(failures)
		races[i].cancelled = cancelled.Load()
		var failed error
		for err := range failures {
			failed = errors.Join(failed, err)
		}
		return failed
	})
	outcomes := map[string]int{}
	for i, r := range races {
		key := client.ObjectKey{Namespace: ns, Name: executor.Name("races", int64(i))}
		var tg v1alpha1.TaskGroup
		err := cluster.Client.Get(t.Context(), key, &tg)
		there := err == nil
		if client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		}
		outcomes[fmt.Sprintf("created %t, send cancelled %t, cancel true %t", there, errors.Is(r.sent, executor.ErrCancelled), r.cancelled)]++
		if r.sent != nil && !errors.Is(r.sent, executor.ErrCancelled) {
			t.Errorf("group %d: sent: %v", i, r.sent)
		}
		if there && !tg.Spec.Cancel || !there && (r.cancelled || r.sent == nil) {
			t.Errorf("group %d: there %t, spec.cancel %t, cancel true %t, sent: %v", i, there, tg.Spec.Cancel, r.cancelled, r.sent)
		}
		if there {
			awaitReason(t, key, v1alpha1.ReasonCancelled)
		}
	}
	for outcome, n := range outcomes {
		t.Logf("%d times: %s", n, outcome)
	}
}
