// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/wait"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/executor/apifault"
)

// pageSize is how many groups a page of a list has: the groups that are decoded before
// they are compacted.
const pageSize = 500

// run watches until the context ends.
func (g *Groups) run(ctx context.Context) {
	reflector := cache.NewReflectorWithOptions(g.listWatch(), &v1alpha1.TaskGroup{}, g, cache.ReflectorOptions{
		Logger: &g.config.Log, Name: "taskgroups/" + g.config.Namespace,
		Backoff: &wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 7, Cap: 10 * time.Second},
	})
	reflector.WatchListPageSize = pageSize
	var done sync.WaitGroup
	defer done.Wait()
	done.Go(func() { wait.UntilWithContext(ctx, g.verifyDoubtful, g.config.Doubt/2) })
	reflector.RunWithContext(ctx)
}

// listWatch requests groups with the executor's label and compacts them.
func (g *Groups) listWatch() *cache.ListWatch {
	exists, err := labels.NewRequirement(v1alpha1.DispatchLabel, selection.Exists, nil)
	if err != nil {
		panic(err) // the label is a constant of the API
	}
	optionsOf := func(o metav1.ListOptions) *client.ListOptions {
		return &client.ListOptions{Namespace: g.config.Namespace, LabelSelector: labels.NewSelector().Add(*exists), Limit: o.Limit, Continue: o.Continue, Raw: &o}
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			var list v1alpha1.TaskGroupList
			if err := g.config.Client.List(ctx, &list, optionsOf(o)); err != nil {
				return nil, g.note(err)
			}
			for i := range list.Items {
				list.Items[i] = *compact(&list.Items[i])
			}
			return &list, nil
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
			events, err := g.config.Client.Watch(ctx, &v1alpha1.TaskGroupList{}, optionsOf(o))
			if err != nil {
				return nil, g.note(err)
			}
			g.recovered()
			return apiwatch.Filter(events, func(e apiwatch.Event) (apiwatch.Event, bool) {
				if tg, ok := e.Object.(*v1alpha1.TaskGroup); ok && e.Type != apiwatch.Bookmark {
					e.Object = compact(tg)
				}
				return e, true
			}), nil
		},
	}
}

// note records since when the watch is refused. After it was allowed once, polls wait
// until it is allowed again: nodes must not fail because of a role that is changed.
func (g *Groups) note(err error) error {
	g.config.Log.Info("The watch on TaskGroups broke; it will be resumed", "namespace", g.config.Namespace, "error", err.Error())
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.broken.IsZero() {
		g.broken = time.Now()
	}
	g.problem = err
	if !g.synced.IsZero() || apifault.IsTransient(err) || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return err
	}
	if g.refused.IsZero() {
		g.refused = time.Now()
	}
	if time.Since(g.refused) >= g.config.Grace {
		g.fail(err)
	}
	return err
}

// recovered records that the watch is established.
func (g *Groups) recovered() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.broken, g.problem = time.Time{}, nil
}
