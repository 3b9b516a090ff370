// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
	"github.com/taskgroup-operator/taskgroup-operator/internal/testkit"
)

const quotaFull = `The API server refused Job a: jobs.batch "a" is forbidden: exceeded quota: few`

// groupsOf are n groups of a namespace.
func groupsOf(namespace string, n int) []types.NamespacedName {
	var groups []types.NamespacedName
	for i := range n {
		groups = append(groups, types.NamespacedName{Namespace: namespace, Name: fmt.Sprintf("g-%04d", i)})
	}
	return groups
}

// newTestCreations returns creations, and a function that lets groups request their
// Jobs, which returns those that were not held back.
func newTestCreations() (*creations, *clocktesting.FakeClock, func(...types.NamespacedName) []types.NamespacedName) {
	clock := clocktesting.NewFakeClock(testkit.Created)
	c := newCreations(clock)
	return c, clock, func(groups ...types.NamespacedName) []types.NamespacedName {
		var sent []types.NamespacedName
		for _, group := range groups {
			if c.hold(group) == nil {
				sent = append(sent, group)
			}
		}
		return sent
	}
}

// TestOneProbePerNamespace: 2,000 groups wait for room in a quota. Each of them is
// reconciled every second.
func TestOneProbePerNamespace(t *testing.T) {
	c, clock, request := newTestCreations()
	groups := groupsOf("full", 2000)
	probes, last := 0, time.Time{}
	for end := clock.Now().Add(time.Hour); clock.Now().Before(end); clock.Step(time.Second) {
		for _, group := range groups {
			if c.hold(group) != nil {
				continue
			}
			if since := clock.Now().Sub(last); since < firstCreateRetry/2 {
				t.Fatalf("a request follows %s after the last one", since)
			}
			probes, last = probes+1, clock.Now()
			if retryAfter, report := c.failed(group, plan.RefusedByQuota, quotaFull); retryAfter > maxCreateRetry || !report {
				t.Fatalf("retried in %s, reported %t", retryAfter, report)
			}
		}
	}
	if most := int(2*time.Hour/maxCreateRetry) + 5; probes > most || probes < int(time.Hour/maxCreateRetry) {
		t.Errorf("%d requests in an hour, want at most %d, and one a minute", probes, most)
	}
	if held := c.hold(groups[7]); held == nil || held.message != "A quota of the namespace is full: exceeded quota: few" || held.refusal != plan.RefusedByQuota || held.retryAfter <= 0 {
		t.Errorf("a group that is held back gets %+v", held)
	}
	if other := groupsOf("empty", 1); len(request(other...)) != 1 {
		t.Error("a group of another namespace is held back")
	}
}

// TestQuotaRampsUp: each Job that is created lets the next two groups follow, oldest
// first, and a Job that is deleted lets one follow.
func TestQuotaRampsUp(t *testing.T) {
	c, clock, request := newTestCreations()
	groups := groupsOf("n", 10)
	request(groups[0])
	c.failed(groups[0], plan.RefusedByQuota, quotaFull)
	if sent := request(groups...); len(sent) != 0 {
		t.Fatalf("%v are sent while the quota is full", sent)
	}
	if got := c.freed("other"); len(got) != 0 {
		t.Errorf("a Job of another namespace lets %v follow", got)
	}
	if got := c.freed("n"); len(got) != 1 || got[0] != groups[0] {
		t.Fatalf("a Job that was deleted lets %v follow, want the oldest group", got)
	}
	if sent := request(groups[0], groups[1], groups[2]); len(sent) != 1 {
		t.Fatalf("%v are sent, want one", sent)
	}
	if got := c.succeeded(groups[0]); len(got) != rampUp || got[0] != groups[1] || got[1] != groups[2] {
		t.Fatalf("a Job that was created lets %v follow", got)
	}
	if sent := request(groups[1:]...); len(sent) != rampUp {
		t.Fatalf("%v are sent, want %d", sent, rampUp)
	}
	// The quota is full again: those that were admitted are held back too.
	c.succeeded(groups[1])
	c.failed(groups[2], plan.RefusedByQuota, quotaFull)
	if sent := request(groups[2:]...); len(sent) != 0 {
		t.Fatalf("%v are sent while the quota is full again", sent)
	}
	clock.Step(maxCreateRetry)
	if sent := request(groups[2:]...); len(sent) != 1 {
		t.Fatalf("%v probe, want one", sent)
	}
	for range groups {
		c.succeeded(groups[9])
	}
	if len(c.namespaces) != 0 {
		t.Error("a namespace without waiting groups is remembered")
	}
}

// TestForgottenGroupsAreNotAdmitted: the turn of a group that was deleted passes to
// the next one.
func TestForgottenGroupsAreNotAdmitted(t *testing.T) {
	c, _, request := newTestCreations()
	groups := groupsOf("n", 3)
	request(groups[0])
	c.failed(groups[0], plan.RefusedByQuota, quotaFull)
	request(groups...)
	c.forget(groups[0])
	if got := c.freed("n"); len(got) != 1 || got[0] != groups[1] {
		t.Errorf("%v follow, want %v", got, groups[1])
	}
}

// TestDenialsBackOffPerGroup: a policy denies one group, and nothing is known about
// the others.
func TestDenialsBackOffPerGroup(t *testing.T) {
	c, clock, request := newTestCreations()
	groups := groupsOf("n", 2)
	limit := firstCreateRetry
	for range 12 {
		if sent := request(groups...); len(sent) != 2 {
			t.Fatalf("%v are sent, want both", sent)
		}
		retryAfter, report := c.failed(groups[0], plan.RefusedByPolicy, "denied")
		if !report || retryAfter < limit/2 || retryAfter > limit {
			t.Fatalf("retried in %s, reported %t; want between %s and %s", retryAfter, report, limit/2, limit)
		}
		clock.Step(retryAfter - 1)
		if sent := request(groups...); len(sent) != 1 || sent[0] != groups[1] {
			t.Fatalf("%v are sent before the backoff has passed, want the other group", sent)
		}
		clock.Step(1)
		limit = min(2*limit, maxCreateRetry)
	}
}

// TestWebhookDown: the API server cannot call a webhook. The group is Queued with the
// cause within five seconds, and its queuedSeconds count (I26).
func TestWebhookDown(t *testing.T) {
	r := newRig(t, testkit.TaskGroup("g").Commands(1).Timeouts(v1alpha1.Timeouts{QueuedSeconds: new(int64(60))}).Obj())
	r.failWith["create"] = apierrors.NewInternalError(errors.New(`failed calling webhook "validate.kyverno.svc-fail": connection refused`))
	requests, begin := 0, r.clock.Now()
	step := func() {
		before := r.writes
		result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: r.group})
		requests += r.writes - before
		if err != nil {
			r.clock.Step(time.Second)
			return
		}
		r.clock.Step(max(result.RequeueAfter, time.Second))
	}
	for r.taskGroup().Status.Reason() == v1alpha1.ReasonPending {
		if waited := r.clock.Now().Sub(begin); waited > 5*time.Second {
			t.Fatalf("not reported after %s", waited)
		}
		step()
	}
	r.wantReason(v1alpha1.ReasonQueued)
	if got := r.taskGroup().Status.Message(); !strings.Contains(got, "failed calling webhook") {
		t.Errorf("the message is %q", got)
	}
	for !r.taskGroup().Status.IsFinished() {
		if waited := r.clock.Now().Sub(begin); waited > 2*time.Minute {
			t.Fatalf("queuedSeconds have not expired after %s", waited)
		}
		step()
	}
	r.wantReason(v1alpha1.ReasonJobRejected)
	if waited := r.clock.Now().Sub(begin); waited < time.Minute {
		t.Errorf("given up after %s, want queuedSeconds of 1m", waited)
	}
	if requests > 20 {
		t.Errorf("%d requests in a minute", requests)
	}
}

// TestWebhookRecovers: a Job that was not accepted for hours is created within
// seconds after the webhook recovers.
func TestWebhookRecovers(t *testing.T) {
	c, clock, _ := newTestCreations()
	group := groupsOf("n", 1)[0]
	for range 100 {
		retryAfter, _ := c.failed(group, plan.Unavailable, "failed calling webhook")
		if retryAfter > maxUnavailableRetry {
			t.Fatalf("retried in %s, want at most %s", retryAfter, maxUnavailableRetry)
		}
		clock.Step(max(retryAfter, time.Second))
	}
	c.succeeded(group)
	if _, report := c.failed(group, plan.Unavailable, "failed calling webhook"); report {
		t.Error("the first failure after a success is reported at once")
	}
}

// TestDeletedJobWakesAWaitingGroup: the Job of another group makes room in the quota.
func TestDeletedJobWakesAWaitingGroup(t *testing.T) {
	r := newRig(t, testkit.TaskGroup("g").Commands(1).Obj())
	r.failWith["create"] = apierrors.NewForbidden(schema.GroupResource{Group: "batch", Resource: "jobs"}, "g", errors.New(quotaFull))
	r.mustReconcile()
	r.wantReason(v1alpha1.ReasonQueued)
	r.mustReconcile()
	delete(r.failWith, "create")
	r.mustReconcile()
	if got := r.jobs(); got != 0 {
		t.Fatalf("%d Jobs, want none while the quota is full", got)
	}
	r.jobChanges().Delete(event.DeleteEvent{Object: testkit.Job(testkit.TaskGroup("other").Obj()).Obj()})
	if woken := r.enqueued(); len(woken) != 1 || woken[0].NamespacedName != r.group {
		t.Fatalf("woken: %v, want the group", woken)
	}
	r.mustReconcile()
	r.job()
}
