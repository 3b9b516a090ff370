// SPDX-License-Identifier: Apache-2.0

// Package controllers reconciles TaskGroups.
//
//	TaskGroup --load--> observation --plan.Decide--> plan.Plan --apply--> Job
//	                                                     |
//	                                                     +--report--> status, event
//
//	load.go         all reads that a decision is based on, from the cache
//	plan/           the decision: pure
//	evidence/       what a cache cannot establish, and how it is confirmed
//	apply.go        confirms a plan's claim and changes one object
//	report.go       writes the status, then emits events and metrics
//	creations.go    limits the requests for Jobs that are not accepted
//	warnings.go     reads why a Job has no pod, or why a pod does not start
//	watches.go      what triggers a pass
//	cache.go        what the cache keeps
//
// # One Job per attempt
//
// A Job's name is derived from the group's UID and the attempt, so creating it twice
// has no effect as long as it exists. The status contains the Job only after the
// first write that follows its creation, which saves a write; until then, a process
// that did not create the Job itself cannot distinguish a Job that never existed from
// one that was deleted. Leader election does not help, because it does not fence. So
// a Job is only created if
//
//   - this process observed the creation of the group, has not stalled since, and has
//     detected no other active operator (evidence.Epochs): no other process can have
//     created it; or
//   - the API server reports that the group is unchanged, that the Job does not exist,
//     and that no event mentions it (evidence.Collector);
//
// and the request is not sent if this evidence has become old (evidence.Fence). What
// remains is another operator that creates the Job, and a user who deletes it, within
// the few milliseconds between the answer and the request.
//
// # No verdict from absence or age alone
//
// A pod that is missing from the cache may exist, and a pod that has been pending for
// too long may run: each informer lags on its own. Before an attempt is closed, retried
// or given up for such a reason, the pods of the group are read live. If they differ
// from the cache, the decision is made again with the live pods.
//
// # What Cancelled guarantees
//
// When a group is reported as Cancelled, the API server has reported that no pod of it
// runs; and if its attempt never had a Job that is known, also that there is none and
// that no event mentions one, evidence.SettleTime after the cancellation was first
// observed. That outlasts another active operator whose cache lags by at most half a
// second, because it sends no request whose evidence is older than evidence.Lifetime.
//
// Not covered: an operator whose cache lags further and that is certain that no Job
// exists, and a request that is under way for longer. Such an operator may create a
// Job after the end: a create has no precondition that would refuse it, because the
// API server does not check an owner reference against its owner's spec. The operator
// does not delete that Job. It emits a Warning event and increments
// taskgroup_pods_after_end_total; the Job is deleted with its TaskGroup.
package controllers
