// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

const (
	// cancelTime bounds how long groups are cancelled when the bridge stops.
	cancelTime = 30 * time.Second
	// cancelWorkers are cancels at a time.
	cancelWorkers = 32
)

// openGroups are those with cancel_on_stop that were sent or polled here and whose
// end no client has received: the groups to cancel when the dispatcher stops.
type openGroups struct {
	mu     sync.Mutex
	groups map[openGroup]types.UID
}

type openGroup struct {
	settings executor.ClusterSettings
	name     string
}

func (o *openGroups) add(settings executor.ClusterSettings, handle executor.Handle) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.groups == nil {
		o.groups = map[openGroup]types.UID{}
	}
	group := openGroup{settings, handle.Name}
	o.groups[group] = cmp.Or(handle.UID, o.groups[group])
}

func (o *openGroups) remove(settings executor.ClusterSettings, name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.groups, openGroup{settings, name})
}

// take empties it.
func (o *openGroups) take() map[openGroup]types.UID {
	o.mu.Lock()
	defer o.mu.Unlock()
	taken := o.groups
	o.groups = nil
	return taken
}

// settingsOf is the cluster of a request. A handle reports where its group is.
func settingsOf(options *executor.Options, handle *executor.Handle) executor.ClusterSettings {
	settings := executor.ClusterSettings{Kubeconfig: options.Kubeconfig, Context: options.Context, Namespace: options.Namespace}
	if handle != nil && handle.Namespace != "" {
		settings.Context, settings.Namespace = handle.Context, handle.Namespace
	}
	return settings
}

// watchOver notes a group before it is sent, so that no answer that is lost leaves
// it out; ended takes what came of it.
func (s *server) watchOver(options *executor.Options, handle executor.Handle) (ended func(error)) {
	if !options.CancelOnStop {
		return func(error) {}
	}
	settings := settingsOf(options, &handle)
	s.open.add(settings, handle)
	return func(err error) {
		if _, retry := executor.CodeOf(err); !retry && !errors.Is(err, context.Canceled) {
			s.open.remove(settings, handle.Name)
		}
	}
}

// watchOverAll notes the groups of a poll: a bridge before this one may have sent them.
func (s *server) watchOverAll(r *PollRequest) {
	for _, handle := range r.Handles {
		options := r.Executor
		options.CancelOnStop = options.CancelOnStop || handle.CancelOnStop
		if handle.Name != "" && handle.Namespace == r.Handles[0].Namespace {
			s.watchOver(&options, handle.Handle)
		}
	}
}

// cancelOpen cancels the groups that are open now, for as long as cancelTime.
func (s *server) cancelOpen(ctx context.Context) {
	open := s.open.take()
	if len(open) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, cancelTime)
	defer cancel()
	groups := make(chan openGroup)
	var mu sync.Mutex
	var cancelled int
	var failures []error
	var workers sync.WaitGroup
	for range min(cancelWorkers, len(open)) {
		workers.Go(func() {
			for group := range groups {
				accepted, err := s.cancelOne(ctx, group, open[group])
				mu.Lock()
				if err != nil {
					failures = append(failures, err)
				} else if accepted {
					cancelled++
				}
				mu.Unlock()
			}
		})
	}
	for group := range maps.Keys(open) {
		groups <- group
	}
	close(groups)
	workers.Wait()
	s.log.Info("Cancelled the groups of a dispatcher that stops", "open", len(open), "cancelled", cancelled)
	if len(failures) > 0 {
		s.log.Info("Groups could not be cancelled; they go on", "groups", len(failures), "error", failures[0].Error())
	}
}

func (s *server) cancelOne(ctx context.Context, group openGroup, uid types.UID) (bool, error) {
	options := executor.DefaultOptions()
	options.Kubeconfig, options.Context, options.Namespace = group.settings.Kubeconfig, group.settings.Context, group.settings.Namespace
	e, err := s.executor(executor.Config{Options: options}, nil)
	if err != nil {
		return false, err
	}
	return e.Cancel(ctx, contract.TaskMetadata{}, &executor.Handle{Context: options.Context, Namespace: options.Namespace, Name: group.name, UID: uid})
}
