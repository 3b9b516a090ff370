// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/taskgroup-operator/taskgroup-operator/controllers/plan"
)

const (
	// firstCreateRetry doubles with each refusal of a Job, up to maxCreateRetry. Half
	// of it is jitter.
	firstCreateRetry = 5 * time.Second
	maxCreateRetry   = time.Minute
	// maxUnavailableRetry is the bound for a webhook or an API server that did not
	// process the request: it may recover at any time.
	maxUnavailableRetry = 15 * time.Second
	// silentFailures is how long a Job whose creation fails is retried before the
	// status reports it.
	silentFailures = 2 * time.Second
	// rampUp is how many waiting groups may create their Jobs after one of them
	// succeeded. It doubles the rate with each round, and bounds how many requests
	// find the quota full again.
	rampUp = 2
)

// creations limits the requests for Jobs that the API server does not accept. A group
// whose own Job was denied is retried with a backoff. A full quota on Jobs refuses
// every Job of its namespace, so one group at a time probes it, and the others wait
// without a request until the probe succeeds or a Job of the namespace is deleted.
type creations struct {
	clock clock.PassiveClock

	mu         sync.Mutex
	groups     map[types.NamespacedName]*failedCreation
	namespaces map[string]*fullQuota
}

// failedCreation is a group whose Job is not accepted.
type failedCreation struct {
	since    time.Time
	failures int
	until    time.Time
	refusal  plan.Refusal
	message  string
}

// fullQuota is a namespace with a full quota on Jobs.
type fullQuota struct {
	message  string
	failures int
	// until is when the next probe is due.
	until time.Time
	// admitted is how many groups may send a request before that.
	admitted int
	// waiting are the groups that were held back, oldest first.
	waiting []types.NamespacedName
	held    map[types.NamespacedName]bool
}

func newCreations(c clock.PassiveClock) *creations {
	return &creations{clock: c, groups: map[types.NamespacedName]*failedCreation{}, namespaces: map[string]*fullQuota{}}
}

// hold returns the refusal of a group whose Job must not be requested now; nil if it
// may be requested.
func (c *creations) hold(group types.NamespacedName) *refusedError {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock.Now()
	if failed := c.groups[group]; failed != nil && now.Before(failed.until) {
		return &refusedError{refusal: failed.refusal, message: failed.message, retryAfter: failed.until.Sub(now), held: true}
	}
	quota := c.namespaces[group.Namespace]
	if quota == nil {
		return nil
	}
	switch {
	case quota.admitted > 0:
		quota.admitted--
	case !now.Before(quota.until):
		// This group probes; the others wait for the result.
		quota.until = now.Add(backoff(firstCreateRetry, maxCreateRetry, quota.failures))
	default:
		if !quota.held[group] {
			quota.held[group] = true
			quota.waiting = append(quota.waiting, group)
		}
		return &refusedError{refusal: plan.RefusedByQuota, message: quota.message, retryAfter: quota.until.Sub(now), held: true}
	}
	delete(quota.held, group)
	return nil
}

// failed records that the Job of a group was not accepted. It returns when to retry,
// and whether it has failed for long enough to be reported.
func (c *creations) failed(group types.NamespacedName, refusal plan.Refusal, message string) (retryAfter time.Duration, report bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock.Now()
	if refusal == plan.RefusedByQuota {
		delete(c.groups, group)
		return c.quotaIsFull(group.Namespace, message, now), true
	}
	failed := c.groups[group]
	if failed == nil {
		failed = &failedCreation{since: now}
		c.groups[group] = failed
	}
	failed.refusal, failed.message = refusal, message
	if refusal == plan.Unavailable && now.Sub(failed.since) < silentFailures {
		return 0, false
	}
	limit := maxCreateRetry
	if refusal == plan.Unavailable {
		limit = maxUnavailableRetry
	}
	retryAfter = backoff(firstCreateRetry, limit, failed.failures)
	failed.failures++
	failed.until = now.Add(retryAfter)
	return retryAfter, true
}

// quotaIsFull holds back the groups of a namespace. The lock is held.
func (c *creations) quotaIsFull(namespace, message string, now time.Time) time.Duration {
	quota := c.namespaces[namespace]
	if quota == nil {
		quota = &fullQuota{held: map[types.NamespacedName]bool{}}
		c.namespaces[namespace] = quota
	}
	retryAfter := backoff(firstCreateRetry, maxCreateRetry, quota.failures)
	quota.message, quota.admitted = sharedMessage(message), 0
	quota.failures++
	quota.until = now.Add(retryAfter)
	return retryAfter
}

// sharedMessage is what the refusal of one Job means for the other groups of its
// namespace: it does not name that Job.
func sharedMessage(message string) string {
	_, quota, found := strings.Cut(message, "exceeded quota: ")
	if !found {
		return message
	}
	return "A quota of the namespace is full: exceeded quota: " + quota
}

// succeeded records that the Job of a group was created. It returns the waiting
// groups that may follow.
func (c *creations) succeeded(group types.NamespacedName) []types.NamespacedName {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.groups, group)
	return c.admit(group.Namespace, rampUp)
}

// freed records that a Job of a namespace was deleted. It returns the waiting groups
// that may follow.
func (c *creations) freed(namespace string) []types.NamespacedName {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.admit(namespace, 1)
}

// admit lets the next n groups of a namespace send their requests. The lock is held.
func (c *creations) admit(namespace string, n int) []types.NamespacedName {
	quota := c.namespaces[namespace]
	if quota == nil {
		return nil
	}
	quota.failures = 0
	var next []types.NamespacedName
	for len(quota.waiting) > 0 && len(next) < n {
		group := quota.waiting[0]
		quota.waiting = quota.waiting[1:]
		if quota.held[group] {
			next = append(next, group)
		}
		delete(quota.held, group)
	}
	quota.admitted = max(quota.admitted, 0) + len(next)
	if len(next) == 0 && len(quota.held) == 0 {
		delete(c.namespaces, namespace)
	}
	return next
}

// forget drops a group that was deleted or has finished.
func (c *creations) forget(group types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.groups, group)
	quota := c.namespaces[group.Namespace]
	if quota == nil {
		return
	}
	delete(quota.held, group)
	if len(quota.held) == 0 && quota.admitted == 0 && !c.clock.Now().Before(quota.until) {
		delete(c.namespaces, group.Namespace)
	}
}

// backoff doubles with each failure up to limit, half of it as jitter.
func backoff(first, limit time.Duration, failures int) time.Duration {
	wait := limit
	if failures < 8 {
		wait = min(limit, first<<failures)
	}
	return wait/2 + rand.N(wait/2+1) //nolint:gosec // jitter needs no secret
}
