// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"fmt"
	"slices"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// frozenCase is a phase of a group in which the operator receives no events of a
// resource.
type frozenCase struct {
	resource string
	parallel bool
	// missing is set if no event of the group's pods arrives at all.
	missing bool
	// begin is how the pods behave before the events stop.
	begin rig.Behaviour
	// then changes something while no events arrive.
	then func(*testing.T, client.ObjectKey)
	// frozen is the condition that holds at the end of the time without events.
	frozen func(context.Context, client.ObjectKey) (done bool, seen string, err error)
	// want is the result after the events have arrived.
	want v1alpha1.Reason
}

// taskError is how the container of a task terminates that raised an exception.
func taskError() *corev1.ContainerStateTerminated {
	return &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error",
		Message: `{"v":1,"states":"F","failure":{"reason":"TaskError","message":"boom"},"manifest":"` + rig.AnyDigest + `"}`}
}

// finishes is that a group reaches its result while no events arrive.
func finishes(ctx context.Context, key client.ObjectKey) (bool, string, error) {
	var tg v1alpha1.TaskGroup
	err := cluster.Client.Get(ctx, key, &tg)
	return tg.Status.IsFinished(), string(tg.Status.Reason()), err
}

// jobFinishes is that the Job controller records the result, which the operator
// learns of before the result of the pod.
func jobFinishes(ctx context.Context, key client.ObjectKey) (bool, string, error) {
	var tg v1alpha1.TaskGroup
	if err := cluster.Client.Get(ctx, key, &tg); err != nil {
		return false, "", err
	}
	var job batchv1.Job
	name := client.ObjectKey{Namespace: key.Namespace, Name: jobspec.JobName(tg.Name, tg.UID, 1)}
	if err := cluster.Client.Get(ctx, name, &job); err != nil {
		return false, "", err
	}
	finished := slices.ContainsFunc(job.Status.Conditions, func(c batchv1.JobCondition) bool {
		return c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed
	})
	return finished, fmt.Sprintf("%+v", job.Status), nil
}

// frozenCases run one after another: all share the watches of the operator.
func frozenCases() map[string]frozenCase {
	cases := map[string]frozenCase{}
	for name, parallel := range map[string]bool{"Sequential": false, "Parallel": true} {
		cases["pods, "+name+", pending and past queuedSeconds, but running"] = frozenCase{
			resource: "pods", parallel: parallel, begin: rig.Behaviour{Unplaced: true},
			then: func(t *testing.T, key client.ObjectKey) { behave(t, key, rig.Behaviour{Runs: true}) },
			frozen: func(ctx context.Context, key client.ObjectKey) (bool, string, error) {
				var tg v1alpha1.TaskGroup
				err := cluster.Client.Get(ctx, key, &tg)
				return tg.Status.Reason() == v1alpha1.ReasonRunning, string(tg.Status.Reason()), err
			},
			want: v1alpha1.ReasonCompleted,
		}
		cases["pods, "+name+", running, but failed"] = frozenCase{
			resource: "pods", parallel: parallel, begin: rig.Behaviour{Runs: true},
			then: func(t *testing.T, key client.ObjectKey) {
				behave(t, key, rig.Behaviour{End: taskError()})
			},
			frozen: jobFinishes, want: v1alpha1.ReasonTaskError,
		}
		cases["pods, "+name+", missing, but failed"] = frozenCase{
			resource: "pods", parallel: parallel, missing: true, begin: rig.Behaviour{End: taskError()},
			then: func(*testing.T, client.ObjectKey) {}, frozen: finishes, want: v1alpha1.ReasonTaskError,
		}
		cases["pods, "+name+", running, but completed"] = frozenCase{
			resource: "pods", parallel: parallel, begin: rig.Behaviour{Runs: true},
			then:   func(t *testing.T, key client.ObjectKey) { behave(t, key, rig.Behaviour{}) },
			frozen: jobFinishes, want: v1alpha1.ReasonCompleted,
		}
		cases["jobs, "+name+", active, but finished"] = frozenCase{
			resource: "jobs", parallel: parallel, begin: rig.Behaviour{Runs: true},
			then:   func(t *testing.T, key client.ObjectKey) { behave(t, key, rig.Behaviour{}) },
			frozen: finishes, want: v1alpha1.ReasonCompleted,
		}
	}
	return cases
}

// TestFrozenInformers: one informer of the operator receives no events in a phase of
// a group. No work is repeated, nothing that runs is stopped, and the result is that
// of the pod.
func TestFrozenInformers(t *testing.T) {
	proxy, ns := operatorBehindProxy(t)
	// The operator does nothing before its watches have begun.
	awaitReason(t, create(t, commands(ns, "first", 1), rig.Behaviour{}), v1alpha1.ReasonCompleted)
	number := 0
	for name, tc := range frozenCases() {
		number++
		key := client.ObjectKey{Namespace: ns, Name: fmt.Sprintf("frozen-%d", number)}
		t.Run(name, func(t *testing.T) { tc.run(t, proxy, key) })
	}
}

func (c frozenCase) run(t *testing.T, proxy *rig.Proxy, key client.ObjectKey) {
	b := testkit.New(key.Namespace, key.Name).Commands(1).Outputs("file:///out").Retries(0, 3)
	if c.parallel {
		b.Parallel()
	}
	if c.begin.Unplaced {
		b.Timeouts(v1alpha1.Timeouts{QueuedSeconds: new(int64(6))})
	}
	thaw := func() {}
	if c.missing {
		thaw = proxy.Freeze(c.resource)
	}
	create(t, b.Obj(), c.begin)
	want := v1alpha1.ReasonRunning
	if c.begin.Unplaced {
		want = v1alpha1.ReasonQueued
	}
	if !c.missing {
		awaitReason(t, key, want)
		thaw = proxy.Freeze(c.resource)
	}
	defer thaw()
	c.then(t, key)
	if err := rig.Await(t.Context(), "the cluster to proceed", func(ctx context.Context) (bool, string, error) { return c.frozen(ctx, key) }); err != nil {
		t.Error(err)
	}
	if c.begin.Unplaced {
		behave(t, key, rig.Behaviour{})
	}
	thaw()
	tg, err := cluster.AwaitFinished(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if got := tg.Status.Reason(); got != c.want {
		t.Errorf("the group is %s, want %s: %s", got, c.want, tg.Status.Message())
	}
	if len(tg.Status.Jobs) != 1 || tg.Status.Retries != nil {
		t.Errorf("%d attempts, spent %+v; want one attempt", len(tg.Status.Jobs), tg.Status.Retries)
	}
	if m := tg.Status.Manifest; !c.parallel && (m == nil || m.SHA256 != rig.AnyDigest) {
		t.Errorf("the manifest is %+v", m)
	}
}
