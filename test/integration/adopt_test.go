// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"slices"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/jobspec"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// hold keeps a Job that is being deleted until the test lets it go.
const hold = "integration.test/hold"

type change func(*batchv1.Job)

// obstacle is a Job that is in the way of the operator's own by the time its
// request to create it arrives.
type obstacle struct {
	// change makes it of the Job that the operator is about to create.
	change []change
	// deleted reports that it is being deleted by then.
	deleted bool
	want    v1alpha1.Reason
	// adopted reports that it is the group's own, and its only one.
	adopted bool
}

// unlabelled is a Job that the operator's cache does not select. One without any
// label would get those of its pod template (SetDefaults_Job in
// k8s.io/kubernetes/pkg/apis/batch/v1/defaults.go).
func unlabelled(job *batchv1.Job) { delete(job.Labels, v1alpha1.UIDLabel) }

// podless is a Job that makes no pod.
func podless(job *batchv1.Job) { job.Spec.Suspend = new(true) }

// ownerless has no owner.
func ownerless(job *batchv1.Job) { job.OwnerReferences = nil }

// ownedByFormer has a Job belong to a group of the same name that is no more.
func ownedByFormer(job *batchv1.Job) {
	job.OwnerReferences[0].UID = "00000000-0000-4000-8000-000000000000"
}

var obstacles = map[string]obstacle{
	"its own, of another operator":             {want: v1alpha1.ReasonCompleted, adopted: true},
	"its own, without its label":               {change: []change{unlabelled}, want: v1alpha1.ReasonCompleted, adopted: true},
	"its own, being deleted":                   {deleted: true, want: v1alpha1.ReasonCancelled, adopted: true},
	"its own, no label, no pod, being deleted": {change: []change{unlabelled, podless}, deleted: true, want: v1alpha1.ReasonCancelled, adopted: true},
	"nobody's":                          {change: []change{ownerless, podless}, want: v1alpha1.ReasonNameConflict},
	"nobody's, without a label of ours": {change: []change{ownerless, podless, unlabelled}, want: v1alpha1.ReasonNameConflict},
	"nobody's, being deleted":           {change: []change{ownerless, podless}, deleted: true, want: v1alpha1.ReasonNameConflict},
	"a former group's":                  {change: []change{ownedByFormer, podless}, want: v1alpha1.ReasonNameConflict},
}

// TestAJobThatCameFirst has a Job of the deterministic name appear after the operator
// decided to create its own, and before the API server has the request: the group's
// own is taken for what it is, one of another owner is left alone (invariants I1, I11, I12).
func TestAJobThatCameFirst(t *testing.T) {
	proxy, err := cluster.StartProxy()
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Stop()
	stopOperator(t)
	t.Run("all", func(t *testing.T) {
		for name, o := range obstacles {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				o.test(t, proxy)
			})
		}
	})
}

func (o obstacle) test(t *testing.T, proxy *rig.Proxy) {
	ns := namespace(t)
	// Its own operator: one that observed another operator reads before it creates.
	startSuccession(t, rig.OperatorOptions{Proxy: proxy, Namespaces: []string{ns}})
	tg := commands(ns, "g", 1)
	made := make(chan *batchv1.Job, 1)
	proxy.Break(ns, 1, rig.Overtaken, func() {
		job, err := o.put(context.Background(), client.ObjectKeyFromObject(tg))
		if err != nil {
			t.Error(err)
		}
		made <- job
	})
	key := create(t, tg, rig.Behaviour{})
	var job *batchv1.Job
	select {
	case job = <-made:
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
	t.Cleanup(func() { letGo(t, job) })
	if t.Failed() {
		return
	}
	if o.deleted && o.adopted {
		awaitReason(t, key, v1alpha1.ReasonCancelling)
		passed(t, ns)
		letGo(t, job)
	}
	ended := awaitReason(t, key, o.want)
	if o.adopted {
		if refs := ended.Status.Jobs; len(refs) != 1 || refs[0].UID != job.UID {
			t.Errorf("the status has %+v, want Job %s", refs, job.UID)
		}
		return
	}
	if len(ended.Status.Jobs) != 0 {
		t.Errorf("the status has %+v of a Job that is not the group's", ended.Status.Jobs)
	}
	if calls, _ := proxy.Calls(ns); len(calls) != 2 {
		t.Errorf("the operator did %v, want one create and one status", calls)
	}
}

// put creates the Job that is in the way.
func (o obstacle) put(ctx context.Context, key client.ObjectKey) (*batchv1.Job, error) {
	var tg v1alpha1.TaskGroup
	if err := cluster.Client.Get(ctx, key, &tg); err != nil {
		return nil, err
	}
	job, err := jobspec.Job(&tg, plan.AttemptOf(&tg, 1), rig.Jobs)
	if err != nil {
		return nil, err
	}
	for _, change := range o.change {
		change(job)
	}
	// The garbage collector would take a previous group's at once.
	job.Finalizers = []string{hold}
	if err := cluster.Client.Create(ctx, job); err != nil {
		return nil, err
	}
	if o.deleted {
		err = cluster.Client.Delete(ctx, job.DeepCopy(), client.PropagationPolicy(metav1.DeletePropagationForeground))
	}
	return job, err
}

// letGo takes the test's finalizer away, and only that: others have theirs.
func letGo(t *testing.T, job *batchv1.Job) {
	t.Helper()
	if job == nil {
		return
	}
	// The test's own context is over where this cleans up.
	err := rig.Await(context.WithoutCancel(t.Context()), "the Job to be let go", func(ctx context.Context) (bool, string, error) {
		var now batchv1.Job
		if err := cluster.Client.Get(ctx, client.ObjectKeyFromObject(job), &now); err != nil {
			return apierrors.IsNotFound(err), "", client.IgnoreNotFound(err)
		}
		before := now.DeepCopy()
		now.Finalizers = slices.DeleteFunc(now.Finalizers, func(finalizer string) bool { return finalizer == hold })
		err := cluster.Client.Patch(ctx, &now, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
		return err == nil, "", client.IgnoreNotFound(ignoreConflict(err))
	})
	if err != nil {
		t.Error(err)
	}
}

func ignoreConflict(err error) error {
	if apierrors.IsConflict(err) {
		return nil
	}
	return err
}
