// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// ID identifies a group that is polled. The UID may be empty.
type ID struct {
	Name string
	UID  types.UID
}

// State is how a poll of a group finishes.
type State int

// The states. Only a Finished group has results to receive.
const (
	// Finished is a group that completed or failed.
	Finished State = iota
	// Cancelled is a group that finished because it was cancelled.
	Cancelled
	// Deleted is a group that does not exist.
	Deleted
	// Replaced is a group that was deleted and whose name another group has.
	Replaced
)

// Result is the result of a poll.
type Result struct {
	// Index is the position of the group among those that were polled.
	Index int
	State State
	// UID and Reason are the UID and the reason of the group that has the name.
	UID    types.UID
	Reason v1alpha1.Reason
}

// Await waits until at least one of the groups has a result, and returns those that have
// one. It starts the watch. The error is a FailedError or the cause of the end of ctx.
func (g *Groups) Await(ctx context.Context, groups []ID) ([]Result, error) {
	woken := make(chan struct{}, 1)
	g.subscribe(groups, woken)
	defer g.unsubscribe(groups, woken)
	// Only now: the watch keeps the status of a finished group only if it is wanted.
	g.Start()
	for {
		results, err := g.results(groups)
		if err != nil || len(results) > 0 {
			return results, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-woken:
		}
	}
}

func (g *Groups) subscribe(groups []ID, woken chan<- struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range groups {
		r := g.records[id.Name]
		if r == nil {
			r = &record{}
			g.records[id.Name] = r
		}
		if _, doubtful := g.doubtful[id.Name]; !doubtful && r.uid == "" {
			g.doubtful[id.Name] = time.Now()
		}
		r.wanted = true
		if r.waiters == nil {
			r.waiters = map[chan<- struct{}]struct{}{}
		}
		r.waiters[woken] = struct{}{}
	}
}

func (g *Groups) unsubscribe(groups []ID, woken chan<- struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range groups {
		r := g.records[id.Name]
		if r == nil {
			continue
		}
		if delete(r.waiters, woken); len(r.waiters) > 0 {
			continue
		}
		r.waiters = nil
		// A group that is doubtful stays so: the poll may be repeated with more groups, and
		// the group would never be read if its time began again with each poll.
		if r.uid == "" && !r.deleted.IsZero() {
			g.drop(id.Name)
		}
	}
}

// results returns the results of the groups that have one.
func (g *Groups) results(groups []ID) ([]Result, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var results []Result
	for i, id := range groups {
		if r := g.records[id.Name]; r != nil {
			if result, ok := r.result(id.UID); ok {
				result.Index = i
				results = append(results, result)
			}
		}
	}
	if len(results) == 0 {
		return nil, g.failure
	}
	return results, nil
}
