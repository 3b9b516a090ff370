// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/executor/watch"
)

// Outcome is what Poll returns and Receive takes: which group finished, and how in a
// word. It is JSON. Receive trusts only the handle in it: in push mode any client
// who reaches the dispatcher can make one up.
type Outcome struct {
	Handle Handle `json:"handle"`
	// Reason is the reason of the condition Succeeded.
	Reason v1alpha1.Reason `json:"reason,omitempty"`
}

// Result is one of PollAny: an Outcome or an error.
type Result struct {
	Outcome
	Err error
	// Deleted is set for a group that does not exist, which is ErrCancelled.
	Deleted bool
}

// Poll waits until a group has finished (covalent/executor/base.py, poll). A group
// that failed is a normal return, so that Receive brings its results; one that was
// cancelled is ErrCancelled, and one that was deleted unless FindCompleted finds its results. It has no time limit but ctx's: the
// deadlines are the operator's.
//
// It makes no request: all polls of a Cluster share one watch, which survives
// restarts of the API server.
func (e *Executor) Poll(ctx context.Context, handle Handle) (Outcome, error) {
	results, err := e.PollAny(ctx, []Handle{handle})
	if err != nil {
		return Outcome{Handle: handle}, err
	}
	return results[0].Outcome, results[0].Err
}

// PollAny waits until one of many groups has finished, and returns those that have.
// The error is about the watch, or ctx's.
func (e *Executor) PollAny(ctx context.Context, handles []Handle) ([]Result, error) {
	for _, handle := range handles {
		if handle.Name == "" || e.keyOf(handle).Namespace != e.cluster.Namespace {
			return nil, errorf(ErrInvalid, "a handle of TaskGroup %q in namespace %q: this executor polls namespace %s", handle.Name, handle.Namespace, e.cluster.Namespace)
		}
		if err := e.cluster.checkHandle(&handle); err != nil {
			return nil, err
		}
	}
	groups := make([]watch.ID, 0, len(handles))
	for _, handle := range handles {
		groups = append(groups, watch.ID{Name: handle.Name, UID: handle.UID})
	}
	found, err := e.cluster.watch.Await(ctx, groups)
	if failed, ok := errors.AsType[*watch.FailedError](err); ok {
		return nil, explain("watching TaskGroups in namespace "+e.cluster.Namespace, failed.Err)
	}
	results := make([]Result, 0, len(found))
	for _, f := range found {
		result := resultOf(handles[f.Index], f)
		if result.Deleted {
			if outcome, completed := e.FindCompleted(ctx, handles[f.Index]); completed {
				result = Result{Outcome: outcome}
			}
		}
		results = append(results, result)
	}
	return results, err
}

// resultOf returns the result of a poll of a handle.
func resultOf(handle Handle, found watch.Result) Result {
	result := Result{Outcome: Outcome{Handle: handle, Reason: found.Reason}, Deleted: found.State == watch.Deleted || found.State == watch.Replaced}
	switch found.State {
	case watch.Finished:
		result.Handle.UID = found.UID
	case watch.Cancelled:
		result.Err = errorf(ErrCancelled, "TaskGroup %s was cancelled", handle.Name)
	case watch.Deleted:
		result.Err = errorf(ErrCancelled, "TaskGroup %s was deleted", handle.Name)
	case watch.Replaced:
		result.Err = errorf(ErrCancelled, "TaskGroup %s was deleted, and another one has its name", handle.Name)
	}
	return result
}

// WatchWarning describes why the watch behind polls has failed for at least a time. It
// is empty if the watch works. Polls wait until it works again.
func (e *Executor) WatchWarning(atLeast time.Duration) string {
	since, problem := e.cluster.watch.Problem(atLeast)
	if problem == nil {
		return ""
	}
	return explain("watching TaskGroups in namespace "+e.cluster.Namespace+" has failed since "+since.UTC().Format(time.RFC3339), problem).Error()
}

// Forget lets go of what is kept of a group for Receive.
func (e *Executor) Forget(handle Handle) { e.cluster.watch.Forget(handle.Name) }

// load is a group that ended: as the watch kept it, or else read.
func (e *Executor) load(ctx context.Context, handle Handle) (*v1alpha1.TaskGroup, error) {
	if err := e.cluster.checkHandle(&handle); err != nil {
		return nil, err
	}
	if tg := e.cluster.watch.Finished(watch.ID{Name: handle.Name, UID: handle.UID}); tg != nil {
		return tg, nil
	}
	tg := &v1alpha1.TaskGroup{}
	err := persist(ctx, callPatience, func(ctx context.Context) error { return e.cluster.client.Get(ctx, e.keyOf(handle), tg) })
	if apierrors.IsNotFound(err) || (err == nil && handle.UID != "" && handle.UID != tg.UID) {
		return nil, errorf(ErrCancelled, "TaskGroup %s was deleted", handle.Name)
	}
	if err != nil {
		return nil, explain("reading TaskGroup "+handle.Name, err)
	}
	return tg, nil
}
