// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

// TestQueue covers Jobs that the API server does not accept. The wait counts from
// the first refusal, not from the creation of the group.
func TestQueue(t *testing.T) {
	const message = "the API server refused the Job"
	cases := map[string]struct {
		limit   *int64
		refusal plan.Refusal
		// since is how long ago the first refusal was; negative for none.
		since time.Duration
		want  outcome
	}{
		"the first refusal, long after the creation": {new(int64(60)), plan.RefusedByQuota, -1,
			outcome{Reason: v1alpha1.ReasonQueued, Message: message, Requeue: time.Minute}},
		"a quota, in time": {new(int64(60)), plan.RefusedByQuota, 59 * time.Second,
			outcome{Reason: v1alpha1.ReasonQueued, Message: message, Requeue: time.Second}},
		"a quota, for too long": {new(int64(60)), plan.RefusedByQuota, time.Minute,
			outcome{Reason: v1alpha1.ReasonQuotaExceeded, Message: "spec.timeouts.queuedSeconds of 60 s expired: " + message, Terminal: true}},
		"a quota, without a timeout": {nil, plan.RefusedByQuota, 1000 * time.Hour,
			outcome{Reason: v1alpha1.ReasonQueued, Message: message}},
		"an unavailable webhook, for too long": {new(int64(60)), plan.Unavailable, time.Minute,
			outcome{Reason: v1alpha1.ReasonJobRejected, Message: "spec.timeouts.queuedSeconds of 60 s expired: " + message, Terminal: true}},
		"an unavailable webhook, without a timeout": {nil, plan.Unavailable, 1000 * time.Hour,
			outcome{Reason: v1alpha1.ReasonQueued, Message: message}},
		"a policy, in time": {nil, plan.RefusedByPolicy, 9 * time.Minute,
			outcome{Reason: v1alpha1.ReasonQueued, Message: message, Requeue: time.Minute}},
		"a policy, for too long": {nil, plan.RefusedByPolicy, 10 * time.Minute,
			outcome{Reason: v1alpha1.ReasonJobRejected, Message: "denied for 10 minutes: " + message, Terminal: true}},
		"a timeout that a Duration cannot hold": {new(int64(9_999_999_999)), plan.RefusedByQuota, time.Hour,
			outcome{Reason: v1alpha1.ReasonQueued, Message: message, Requeue: 1<<63 - 1 - time.Hour}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tg := testkit.TaskGroup("g").Commands(1).Obj()
			if tc.limit != nil {
				tg.Spec.Timeouts = &v1alpha1.Timeouts{QueuedSeconds: tc.limit}
			}
			now := testkit.Created.Add(2000 * time.Hour)
			if tc.since >= 0 {
				tg.Status.QueuedTime = &metav1.Time{Time: now.Add(-tc.since)}
			}
			p := plan.Queue(observe(tg, nil), tc.refusal, message, now)
			tc.want.Done, tc.want.States = "0/1", "P"
			if tc.want.Terminal {
				tc.want.States = "F"
			}
			if diff := cmp.Diff(tc.want, outcomeOf(p)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !tc.want.Terminal && p.Status.QueuedTime == nil {
				t.Error("the time of the first refusal is not recorded")
			}
		})
	}
}

// TestQueuedTimeIsReset checks that a wait does not count towards the next one.
func TestQueuedTimeIsReset(t *testing.T) {
	waiting := func() *testkit.TaskGroupBuilder {
		return testkit.TaskGroup("g").Commands(1).Status(&v1alpha1.TaskGroupStatus{QueuedTime: &metav1.Time{Time: testkit.Created}})
	}
	tg := waiting().Obj()
	if p := plan.Decide(observe(tg, testkit.Job(tg).Obj()), now); p.Status.QueuedTime != nil {
		t.Error("it is kept after the Job was created")
	}
	if p := plan.Decide(observe(waiting().Suspended(true).Obj(), nil), now); p.Status.QueuedTime != nil {
		t.Error("it is kept while the group is suspended")
	}
}

func TestRefusalOf(t *testing.T) {
	for message, want := range map[string]plan.Refusal{
		`jobs.batch "x" is forbidden: exceeded quota: team, requested: count/jobs.batch=1, used: 4, limited: 4`:                      plan.RefusedByQuota,
		`admission webhook "validate.kyverno.svc" denied the request: no`:                                                            plan.RefusedByPolicy,
		`jobs.batch "x" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no`:                             plan.RefusedByPolicy,
		`pods "x" is forbidden: violates PodSecurity "restricted:latest": unrestricted capabilities`:                                 plan.RefusedByPolicy,
		`pods "x" is forbidden: error looking up service account default/nobody: serviceaccount "nobody" not found`:                  plan.RefusedByPolicy,
		`Internal error occurred: failed calling webhook "v": failed to call webhook: Post "https://v": connection refused`:          plan.Unavailable,
		`Operation cannot be fulfilled on resourcequotas "q": the object has been modified; please apply your changes to the latest`: plan.Unavailable,
		`the server is currently unable to handle the request`:                                                                       plan.Unavailable,
	} {
		if got := plan.RefusalOf(message); got != want {
			t.Errorf("%s is %s, want %s", message, got, want)
		}
	}
}
