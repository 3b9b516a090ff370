package executor

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// Outcome is what Poll returns and Receive takes: which group ended, and how in a
// word. It is JSON. Receive believes only the handle in it: in push mode anybody
// who reaches the dispatcher can make one up.
type Outcome struct {
	Handle Handle `json:"handle"`
	// Reason is that of the condition Succeeded.
	Reason v1alpha1.Reason `json:"reason,omitempty"`
}

// Result is one of PollAny: an Outcome or an error.
type Result struct {
	Outcome
	Err error
}

// Poll waits until a group has ended (covalent/executor/base.py, poll). A group
// that failed is a normal return, so that Receive brings what it left; one that was
// cancelled or deleted is ErrCancelled. It has no time limit but ctx's: the
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

// PollAny waits until one of many groups has ended, and returns those that have.
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
	woken := make(chan struct{}, 1)
	e.cluster.watch.subscribe(handles, woken)
	defer e.cluster.watch.unsubscribe(handles, woken)
	// Only now: of a group that ended, the watch keeps the details if it is wanted.
	e.cluster.StartWatch()
	return e.cluster.watch.await(ctx, handles, woken)
}

// WatchWarning describes why the watch behind polls has failed for at least a time. It
// is empty if the watch works. Polls wait until it works again.
func (e *Executor) WatchWarning(atLeast time.Duration) string {
	return e.cluster.watch.warning(atLeast)
}

// Forget lets go of what is kept of a group for Receive.
func (e *Executor) Forget(handle Handle) { e.cluster.watch.forget(handle.Name) }

func (w *groupWatch) await(ctx context.Context, handles []Handle, woken <-chan struct{}) ([]Result, error) {
	for {
		results, err := w.ended(handles)
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

func (w *groupWatch) subscribe(handles []Handle, woken chan<- struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, handle := range handles {
		r := w.records[handle.Name]
		if r == nil {
			r = &record{}
			w.records[handle.Name] = r
		}
		if r.uid == "" {
			w.doubtful[handle.Name] = time.Now()
		}
		r.wanted = true
		if r.waiters == nil {
			r.waiters = map[chan<- struct{}]struct{}{}
		}
		r.waiters[woken] = struct{}{}
	}
}

func (w *groupWatch) unsubscribe(handles []Handle, woken chan<- struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, handle := range handles {
		r := w.records[handle.Name]
		if r == nil {
			continue
		}
		if delete(r.waiters, woken); len(r.waiters) > 0 {
			continue
		}
		r.waiters = nil
		// What was polled for once and given up is not known to be there.
		if r.uid == "" {
			delete(w.records, handle.Name)
			delete(w.doubtful, handle.Name)
		}
	}
}

// ended are the results of the groups that have ended.
func (w *groupWatch) ended(handles []Handle) ([]Result, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var results []Result
	for _, handle := range handles {
		if r := w.records[handle.Name]; r != nil {
			if result, ok := r.result(handle); ok {
				results = append(results, result)
			}
		}
	}
	if len(results) == 0 {
		return nil, w.failure
	}
	return results, nil
}

func (r *record) result(handle Handle) (Result, bool) {
	result := Result{Outcome: Outcome{Handle: handle, Reason: r.reason}}
	switch {
	case handle.UID != "" && r.uid != "" && r.uid != handle.UID:
		result.Err = errorf(ErrCancelled, "TaskGroup %s was deleted, and another one has its name", handle.Name)
	case r.ended && r.reason == v1alpha1.ReasonCancelled:
		result.Err = errorf(ErrCancelled, "TaskGroup %s was cancelled", handle.Name)
	case r.ended:
		result.Handle.UID = r.uid
	case !r.gone.IsZero():
		result.Err = errorf(ErrCancelled, "TaskGroup %s was deleted", handle.Name)
	default:
		return result, false
	}
	return result, true
}

// group is what is kept of a group that ended, or nil.
func (w *groupWatch) group(handle Handle) *v1alpha1.TaskGroup {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.records[handle.Name]
	if r == nil || r.group == nil || (handle.UID != "" && handle.UID != r.uid) {
		return nil
	}
	return r.group
}

func (w *groupWatch) forget(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.records[name]
	if r == nil || len(r.waiters) > 0 {
		return
	}
	r.wanted, r.group = false, nil
	if !r.gone.IsZero() || r.uid == "" {
		delete(w.records, name)
		delete(w.doubtful, name)
	}
}

// verifyDoubtful asks for groups that are polled and that the watch does not know:
// deleted while nobody watched, or never created. It lets go of ends that nobody
// came for.
func (w *groupWatch) verifyDoubtful(ctx context.Context) {
	for _, name := range w.doubts() {
		tg := &v1alpha1.TaskGroup{}
		err := w.config.Client.Get(ctx, client.ObjectKey{Namespace: w.config.Namespace, Name: name}, tg)
		switch {
		case err == nil:
			w.mu.Lock()
			w.take(compact(tg), false)
			w.mu.Unlock()
		case apierrors.IsNotFound(err):
			w.mu.Lock()
			w.lose(name)
			w.mu.Unlock()
		case !errors.Is(err, context.Canceled):
			w.log.Info("A TaskGroup could not be asked for; it will be tried again", "name", name, "error", err.Error())
			return
		}
	}
}

// doubts are the names that have been doubtful for long enough.
func (w *groupWatch) doubts() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, r := range w.records {
		if len(r.waiters) == 0 && !r.gone.IsZero() && time.Since(r.gone) > keepGone {
			delete(w.records, name)
		}
	}
	if w.synced.IsZero() || time.Since(w.synced) < w.config.Doubt {
		return nil
	}
	var names []string
	for name, since := range w.doubtful {
		if time.Since(since) >= w.config.Doubt {
			names = append(names, name)
		}
	}
	return names
}

// load is a group that ended: as the watch kept it, or else read.
func (e *Executor) load(ctx context.Context, handle Handle) (*v1alpha1.TaskGroup, error) {
	if err := e.cluster.checkHandle(&handle); err != nil {
		return nil, err
	}
	if tg := e.cluster.watch.group(handle); tg != nil {
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
