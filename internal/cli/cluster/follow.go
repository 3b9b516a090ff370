// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/internal/cli/view"
)

// The backoff of everything that is requested again. A request that lasted longer than
// healthyAfter resets it.
const (
	firstDelay   = 200 * time.Millisecond
	maxDelay     = 30 * time.Second
	healthyAfter = 10 * time.Second
)

// Backoff delays the repetitions of a request, also after one that terminated without
// an error: a proxy that cuts every watch must not cause thousands of lists a second.
type Backoff struct {
	// Clock is the machine's by default.
	Clock clock.Clock

	delays  wait.Backoff
	started time.Time
}

// Start is called before each request.
func (b *Backoff) Start() {
	if b.Clock == nil {
		b.Clock = clock.RealClock{}
	}
	b.started = b.Clock.Now()
}

// Wait waits until the next request, or returns the cause of the end of ctx.
func (b *Backoff) Wait(ctx context.Context) error {
	if b.delays.Steps == 0 || b.Clock.Since(b.started) > healthyAfter {
		b.delays = wait.Backoff{Duration: firstDelay, Factor: 2, Jitter: 0.2, Steps: 16, Cap: maxDelay}
	}
	delay := b.delays.Step()
	if b.delays.Steps == 0 {
		b.delays.Steps, b.delays.Duration, b.delays.Factor = 1, maxDelay, 1
	}
	timer := b.Clock.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C():
		return nil
	}
}

// Query chooses the groups to follow.
type Query struct {
	// Namespace is theirs; empty for all.
	Namespace string
	// Keys are the groups; all of the namespace if there is none.
	Keys []client.ObjectKey
	// Selector is one of their labels; nil for any.
	Selector labels.Selector
	// Fields is one of their fields; nil for any.
	Fields fields.Selector
}

// Follow calls see with all groups of the query, in order, and again after every
// change, until see returns true. Once the API server has responded, its failures are
// retried.
func (s *Session) Follow(ctx context.Context, query Query, see func([]v1alpha1.TaskGroup) (enough bool)) error {
	f := follower[*v1alpha1.TaskGroup]{session: s, what: "TaskGroups", list: &v1alpha1.TaskGroupList{}, options: query.options()}
	f.keep = func(tg *v1alpha1.TaskGroup) bool {
		return len(query.Keys) == 0 || slices.Contains(query.Keys, client.ObjectKeyFromObject(tg))
	}
	f.see = func(found []*v1alpha1.TaskGroup) bool {
		groups := make([]v1alpha1.TaskGroup, 0, len(found))
		for _, tg := range found {
			groups = append(groups, *tg)
		}
		view.Sort(groups)
		return see(groups)
	}
	return f.run(ctx)
}

// FollowPods calls see with all pods of a group, and again after every change, until
// see returns true.
func (s *Session) FollowPods(ctx context.Context, tg *v1alpha1.TaskGroup, see func([]*corev1.Pod) (enough bool)) error {
	f := follower[*corev1.Pod]{session: s, what: "pods", list: &corev1.PodList{}, see: see, options: []client.ListOption{
		client.InNamespace(tg.Namespace), client.MatchingLabels{v1alpha1.UIDLabel: string(tg.UID)},
	}}
	f.keep = func(*corev1.Pod) bool { return true }
	return f.run(ctx)
}

func (q *Query) options() []client.ListOption {
	options := []client.ListOption{client.InNamespace(q.Namespace)}
	if q.Selector != nil {
		options = append(options, client.MatchingLabelsSelector{Selector: q.Selector})
	}
	if q.Fields != nil {
		options = append(options, client.MatchingFieldsSelector{Selector: q.Fields})
	}
	if len(q.Keys) == 1 {
		options = append(options, client.MatchingFields{"metadata.name": q.Keys[0].Name})
	}
	return options
}

// follower lists and watches objects of one kind.
type follower[T client.Object] struct {
	session *Session
	what    string
	list    client.ObjectList
	options []client.ListOption
	keep    func(T) bool
	see     func([]T) bool
	// objects are those that exist, by namespace and name.
	objects map[client.ObjectKey]T
	// answered is set once a list and a watch were permitted.
	answered bool
}

func (f *follower[T]) run(ctx context.Context) error {
	backoff := Backoff{Clock: f.session.Clock}
	for {
		backoff.Start()
		enough, err := f.once(ctx)
		switch {
		case enough:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil || apierrors.IsResourceExpired(err) || apierrors.IsGone(err):
		case !f.answered || !MayPass(err):
			return err
		}
		if err := backoff.Wait(ctx); err != nil {
			return err
		}
	}
}

// once lists, then watches until the watch terminates, as every watch does.
func (f *follower[T]) once(ctx context.Context) (enough bool, err error) {
	list, ok := f.list.DeepCopyObject().(client.ObjectList)
	if !ok {
		return false, fmt.Errorf("listing %s: %T is not a list", f.what, f.list)
	}
	if err := f.session.Client.List(ctx, list, f.options...); err != nil {
		return false, fmt.Errorf("listing %s: %w", f.what, err)
	}
	f.answered = true
	f.objects = map[client.ObjectKey]T{}
	if err := meta.EachListItem(list, func(item runtime.Object) error {
		f.put(item)
		return nil
	}); err != nil {
		return false, fmt.Errorf("listing %s: %w", f.what, err)
	}
	if f.show() {
		return true, nil
	}
	raw := &client.ListOptions{}
	raw.ApplyOptions(f.options)
	metaOptions := raw.AsListOptions()
	metaOptions.ResourceVersion = list.GetResourceVersion()
	raw.Raw = metaOptions
	watcher, err := f.session.Client.Watch(ctx, list, raw)
	if err != nil {
		return false, fmt.Errorf("watching %s: %w", f.what, err)
	}
	defer watcher.Stop()
	return f.watch(ctx, watcher)
}

func (f *follower[T]) watch(ctx context.Context, watcher watch.Interface) (enough bool, err error) {
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
		// Events that have arrived meanwhile are shown together.
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

func (f *follower[T]) take(event watch.Event) error {
	if event.Type == watch.Error {
		return fmt.Errorf("watching %s: %w", f.what, apierrors.FromObject(event.Object))
	}
	if object, ok := event.Object.(T); ok && event.Type == watch.Deleted {
		delete(f.objects, client.ObjectKeyFromObject(object))
		return nil
	}
	f.put(event.Object)
	return nil
}

func (f *follower[T]) put(item runtime.Object) {
	if object, ok := item.(T); ok && f.keep(object) {
		f.objects[client.ObjectKeyFromObject(object)] = object
	}
}

func (f *follower[T]) show() bool { return f.see(slices.Collect(maps.Values(f.objects))) }
