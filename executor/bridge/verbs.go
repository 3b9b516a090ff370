// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
	"github.com/taskgroup-operator/taskgroup-operator/executor/results"
	"github.com/taskgroup-operator/taskgroup-operator/store"
)

func (s *server) handle(_ context.Context, r *HandleRequest) (*HandleResponse, error) {
	e, err := s.executor(executor.Config{Options: r.Executor}, nil)
	if err != nil {
		return nil, err
	}
	return &HandleResponse{Handle: e.Handle(r.TaskGroupMetadata)}, nil
}

func (s *server) uploadURI(_ context.Context, r *UploadURIRequest) (*UploadURIResponse, error) {
	e, err := s.executor(executor.Config{Options: r.Executor}, nil)
	if err != nil {
		return nil, err
	}
	return &UploadURIResponse{URI: e.UploadURI(r.TaskGroupMetadata, r.ObjectKey)}, nil
}

func (s *server) send(ctx context.Context, r *SendRequest) (*HandleResponse, error) {
	if callback := r.Executor.Callback; callback != "" && (s.outbox == nil || !s.outbox.allows(callback)) {
		// The dispatch would wait for it for ever.
		return nil, invalidf("nobody would call %s back: this bridge may not. Allow the host with --callback-hosts, or with %s where Covalent's plugin starts the bridge",
			callback, callbackHostsVariable)
	}
	if r.Executor.Callback != "" {
		if r.Executor.Dispatcher = cmp.Or(r.Executor.Dispatcher, s.options.Dispatcher); s.options.Dispatcher != "" && r.Executor.Dispatcher != s.options.Dispatcher {
			return nil, invalidf("the callback would not be made: dispatcher is %q, and this bridge serves %q", r.Executor.Dispatcher, s.options.Dispatcher)
		}
	}
	e, err := s.executor(executor.Config{Options: r.Executor, Dispatcher: dispatcherOf(r.VersionInfo), Resends: r.Resend}, nil)
	if err != nil {
		return nil, err
	}
	failed := s.watchOver(&r.Executor, e.Handle(r.TaskGroupMetadata))
	handle, err := e.Send(ctx, r.TaskSpecs, r.Resources, r.TaskGroupMetadata)
	if err != nil {
		failed(err)
		return nil, err
	}
	s.watchOver(&r.Executor, handle)
	return &HandleResponse{Handle: handle}, nil
}

// poll answers when a group has finished, when the client's time is over, or when the
// bridge stops, whichever is first.
func (s *server) poll(ctx context.Context, r *PollRequest) (*PollResponse, error) {
	if len(r.Handles) == 0 || len(r.Handles) > maxHandles {
		return nil, invalidf("%d handles, from 1 to %d", len(r.Handles), maxHandles)
	}
	e, err := s.executor(executor.Config{Options: r.Executor}, &r.Handles[0].Handle)
	if err != nil {
		return nil, later(err)
	}
	s.watchOverAll(r)
	handles := make([]executor.Handle, 0, len(r.Handles))
	for i := range r.Handles {
		handles = append(handles, r.Handles[i].Handle)
	}
	wait := min(time.Duration(max(r.WaitSeconds, 0)*float64(time.Second)), maxWait)
	ctx, cancel := context.WithTimeoutCause(ctx, wait, errNotYet)
	defer cancel()
	ctx, stop := stopWith(ctx, s.stopping)
	defer stop()
	results, err := e.PollAny(ctx, handles)
	if len(results) > 0 && len(results) < len(handles) {
		// Groups end in bursts, and an answer for each costs a request that names
		// all the others again.
		select {
		case <-ctx.Done():
		case <-time.After(gather):
			results, err = e.PollAny(ctx, handles)
		}
	}
	if err != nil && !errors.Is(err, errNotYet) {
		return nil, later(err)
	}
	results = s.findCompleted(ctx, r, results)
	s.prefetch(r, e, results)
	return s.pollResponse(r, e, results), nil
}

// prefetch begins to fetch what the client will request of finished groups.
func (s *server) prefetch(r *PollRequest, shared *executor.Executor, results []executor.Result) {
	options := ownOptions(r)
	for i := range results {
		if results[i].Err != nil {
			continue
		}
		e := shared
		if own := options[results[i].Handle.Name]; own != nil {
			var err error
			if e, err = s.executor(executor.Config{Options: inCluster(own, r)}, &results[i].Handle); err != nil {
				continue
			}
		}
		e.Prefetch(results[i].Handle)
	}
}

// ownOptions returns the options that differ between the groups of a poll, by the name of
// the group.
func ownOptions(r *PollRequest) map[string]*executor.Options {
	options := make(map[string]*executor.Options, len(r.Handles))
	for i := range r.Handles {
		options[r.Handles[i].Name] = r.Handles[i].Executor
	}
	return options
}

// findCompleted replaces the results of groups that completed before they were deleted. It
// omits deleted groups that there was no time to search for: the next poll does.
func (s *server) findCompleted(ctx context.Context, r *PollRequest, results []executor.Result) []executor.Result {
	options := ownOptions(r)
	// A store is searched although the time of the poll is over: the next poll would find the same.
	ctx = context.WithoutCancel(ctx)
	var searches errgroup.Group
	searches.SetLimit(maxSearches)
	omitted, begun := map[int]bool{}, time.Now()
	for i := range results {
		result := &results[i]
		own := options[result.Handle.Name]
		if own == nil || !result.Deleted {
			continue
		}
		if time.Since(begun) >= searchTime {
			omitted[i] = true
			continue
		}
		searches.Go(func() error {
			e, err := s.executor(executor.Config{Options: inCluster(own, r), Warn: func(err error) {
				s.log.Info("The results of a deleted group cannot be found", "error", err.Error())
			}}, &result.Handle)
			if err != nil {
				return err
			}
			if outcome, completed := e.FindCompleted(ctx, result.Handle); completed {
				*result = executor.Result{Outcome: outcome}
			}
			return nil
		})
	}
	if err := searches.Wait(); err != nil {
		s.log.Info("The results of deleted groups cannot be searched", "error", err.Error())
	}
	decided := results[:0]
	for i, result := range results {
		if !omitted[i] {
			decided = append(decided, result)
		}
	}
	return decided
}

// inCluster returns options with the cluster of a poll.
func inCluster(own *executor.Options, r *PollRequest) executor.Options {
	options := *own
	options.Kubeconfig, options.Context, options.Namespace = r.Executor.Kubeconfig, r.Executor.Context, r.Executor.Namespace
	return options
}

// pollResponse is the answer of a poll; none of its groups is open any more.
func (s *server) pollResponse(r *PollRequest, e *executor.Executor, results []executor.Result) *PollResponse {
	answer := &PollResponse{Results: []PollResult{}, Warning: e.WatchWarning(warnAfter)}
	for _, result := range results {
		s.open.remove(settingsOf(&r.Executor, &result.Handle), result.Handle.Name)
		entry := PollResult{Outcome: result.Outcome}
		if result.Err != nil {
			body := errorBody(result.Err)
			entry.Error = &body
			e.Forget(result.Handle)
		}
		answer.Results = append(answer.Results, entry)
	}
	return answer
}

// laterError is an error of a poll that may pass: its groups run regardless of the
// kubeconfig, the permissions or the connection of the bridge.
type laterError struct{ error }

// Unwrap returns the error.
func (e *laterError) Unwrap() error { return e.error }

// later marks an error of a poll, except a malformed request.
func later(err error) error {
	if errors.Is(err, executor.ErrInvalid) {
		return err
	}
	return &laterError{err}
}

// errNotYet is the end of a poll's time.
var errNotYet = errors.New("not yet")

// stopWith ends a context with errNotYet when a channel is closed.
func stopWith(ctx context.Context, stopping <-chan struct{}) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-stopping:
			cancel(errNotYet)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

func (s *server) receive(ctx context.Context, r *ReceiveRequest) (*ReceiveResponse, error) {
	outcome := outcomeOf(r.Data)
	if outcome == nil {
		return &ReceiveResponse{TaskUpdates: executor.CancelledUpdates(r.TaskGroupMetadata)}, nil
	}
	// The options of the executor first: in push mode, every client that reaches the
	// dispatcher can make up the body.
	handle := &outcome.Handle
	if r.Executor.Callback != "" {
		handle.Context = ""
	}
	handle.Context, handle.Namespace = cmp.Or(r.Executor.Context, handle.Context), cmp.Or(r.Executor.Namespace, handle.Namespace)
	var warnings []string
	warn := func(err error) {
		s.log.Info("A receive has a problem that does not change its result", "taskgroup", handle.Name, "error", err.Error())
		warnings = append(warnings, err.Error())
	}
	e, err := s.executor(executor.Config{Options: r.Executor, Warn: warn}, handle)
	if err != nil {
		return nil, err
	}
	updates, err := e.Receive(ctx, r.TaskGroupMetadata, outcome)
	if err != nil {
		return nil, err
	}
	return &ReceiveResponse{TaskUpdates: updates, Warnings: warnings}, nil
}

// outcomeOf is what poll returned. The body of a job update may be of any client: what
// is no outcome has none, and the group is found by its name.
func outcomeOf(data json.RawMessage) *executor.Outcome {
	if len(bytes.TrimSpace(data)) == 0 || string(bytes.TrimSpace(data)) == "null" {
		return nil
	}
	var outcome executor.Outcome
	if json.Unmarshal(data, &outcome) != nil {
		return &executor.Outcome{}
	}
	return &outcome
}

func (s *server) cancel(ctx context.Context, r *CancelRequest) (*CancelResponse, error) {
	e, err := s.executor(executor.Config{Options: r.Executor}, r.JobHandle)
	if err != nil {
		return nil, err
	}
	cancelled, err := e.Cancel(ctx, r.TaskMetadata, r.JobHandle)
	if err != nil {
		return nil, err
	}
	return &CancelResponse{Cancelled: cancelled}, nil
}

func (s *server) run(ctx context.Context, r *RunRequest) (*RunResponse, error) {
	e, err := s.executor(executor.Config{Options: r.Executor, Dispatcher: dispatcherOf(r.VersionInfo)}, nil)
	if err != nil {
		return nil, err
	}
	ended := s.watchOver(&r.Executor, e.Handle(contract.TaskGroupMetadata{DispatchID: r.TaskMetadata.DispatchID, TaskGroupID: int64(r.TaskMetadata.NodeID)}))
	result, err := e.Execute(ctx, r.Call, r.TaskMetadata)
	ended(err)
	if err != nil {
		return nil, err
	}
	return &RunResponse{Result: result}, nil
}

// objectReaders reads objects by their scheme.
type objectReaders struct {
	files  results.Files
	stores map[string]store.Backend
}

// Open opens an object with the reader of its scheme.
func (o objectReaders) Open(ctx context.Context, place, uri string) (io.ReadCloser, int64, error) {
	kind, _, _ := strings.Cut(uri, "://")
	if backend := o.stores[kind]; backend != nil && kind != "file" {
		return results.OfBackend(backend).Open(ctx, place, uri)
	}
	object, size, err := o.files.Open(ctx, place, uri)
	if err != nil {
		return nil, 0, fmt.Errorf("opening an object: %w", err)
	}
	return object, size, nil
}
