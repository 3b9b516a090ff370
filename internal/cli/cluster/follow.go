package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/view"
)

// pause is how long a follower waits before it asks an API server again that
// did not answer.
const pause = time.Second

// Query chooses the groups to follow.
type Query struct {
	// Namespace is theirs; empty for all.
	Namespace string
	// Keys are the groups; all of the namespace if there is none.
	Keys []client.ObjectKey
	// Selector is one of their labels; nil for any.
	Selector labels.Selector
}

// Follow calls see with all groups of the query, in order, and again after every
// change, until see says that it is enough. An API server that goes away is
// waited for, once it has answered.
func (s *Session) Follow(ctx context.Context, query Query, see func([]v1alpha1.TaskGroup) (enough bool)) error {
	f := follower{session: s, query: query, see: see}
	for {
		enough, err := f.once(ctx)
		switch {
		case enough:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil || apierrors.IsResourceExpired(err) || apierrors.IsGone(err):
			continue
		case !f.answered || !mayPass(err):
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
}

type follower struct {
	session *Session
	query   Query
	see     func([]v1alpha1.TaskGroup) bool
	// groups are those that are there, by namespace and name.
	groups   map[client.ObjectKey]v1alpha1.TaskGroup
	answered bool
}

// once lists, then watches until the watch ends, as they all do sooner or later.
func (f *follower) once(ctx context.Context) (enough bool, err error) {
	options := f.options()
	var list v1alpha1.TaskGroupList
	if err := f.session.Client.List(ctx, &list, options...); err != nil {
		return false, fmt.Errorf("listing TaskGroups: %w", err)
	}
	f.answered = true
	f.groups = map[client.ObjectKey]v1alpha1.TaskGroup{}
	for _, tg := range list.Items {
		f.keep(tg)
	}
	if f.show() {
		return true, nil
	}
	raw := &client.ListOptions{}
	raw.ApplyOptions(options)
	metaOptions := raw.AsListOptions()
	metaOptions.ResourceVersion = list.ResourceVersion
	raw.Raw = metaOptions
	watcher, err := f.session.Client.Watch(ctx, &v1alpha1.TaskGroupList{}, raw)
	if err != nil {
		return false, fmt.Errorf("watching TaskGroups: %w", err)
	}
	defer watcher.Stop()
	return f.watch(ctx, watcher)
}

func (f *follower) watch(ctx context.Context, watcher watch.Interface) (enough bool, err error) {
	for {
		select {
		case <-ctx.Done():
			return false, nil
		case event, ok := <-watcher.ResultChan():
			if !ok {
				return false, nil
			}
			if err := f.take(event); err != nil {
				return false, err
			}
		}
		// What came meanwhile is shown with it.
		for more := true; more; {
			select {
			case event, ok := <-watcher.ResultChan():
				if !ok {
					return f.show(), nil
				}
				if err := f.take(event); err != nil {
					return false, err
				}
			default:
				more = false
			}
		}
		if f.show() {
			return true, nil
		}
	}
}

func (f *follower) take(event watch.Event) error {
	if event.Type == watch.Error {
		return fmt.Errorf("watching TaskGroups: %w", apierrors.FromObject(event.Object))
	}
	tg, ok := event.Object.(*v1alpha1.TaskGroup)
	if !ok {
		return nil
	}
	if event.Type == watch.Deleted {
		delete(f.groups, client.ObjectKeyFromObject(tg))
		return nil
	}
	f.keep(*tg)
	return nil
}

func (f *follower) keep(tg v1alpha1.TaskGroup) {
	if len(f.query.Keys) == 0 || slices.Contains(f.query.Keys, client.ObjectKeyFromObject(&tg)) {
		f.groups[client.ObjectKeyFromObject(&tg)] = tg
	}
}

func (f *follower) show() bool {
	groups := slices.Collect(maps.Values(f.groups))
	view.Sort(groups)
	return f.see(groups)
}

func (f *follower) options() []client.ListOption {
	options := []client.ListOption{client.InNamespace(f.query.Namespace)}
	if f.query.Selector != nil {
		options = append(options, client.MatchingLabelsSelector{Selector: f.query.Selector})
	}
	if len(f.query.Keys) == 1 {
		options = append(options, client.MatchingFields{"metadata.name": f.query.Keys[0].Name})
	}
	return options
}
