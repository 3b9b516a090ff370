package executor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

const (
	// pageSize is how many groups a list brings at a time: what is decoded whole
	// before it is made small.
	pageSize = 500
	// keepGone is how long the end of a group is kept that was deleted before
	// anybody received it.
	keepGone = time.Hour
)

// groupWatch is one watch on the TaskGroups of a namespace that an executor
// created. client-go's Reflector lists, watches, goes on at the last version after
// a break and lists anew after 410 Gone; this is the store behind it, which keeps
// of each group what polls need.
type groupWatch struct {
	config ClusterConfig
	log    logr.Logger

	mu      sync.Mutex
	records map[string]*record
	// doubtful are the names that are polled and that the watch does not know.
	doubtful map[string]time.Time
	synced   time.Time
	// refused is since when the API server does not allow the watch.
	refused time.Time
	// failure is why no poll can succeed.
	failure error
	// broken is since when the watch fails, and problem its last error.
	broken  time.Time
	problem error
}

// record is what is kept of a group.
type record struct {
	// uid is empty until the API server has told of the group.
	uid types.UID
	// told is whether the watch itself has last told of it.
	told   bool
	ended  bool
	reason v1alpha1.Reason
	// group is kept of a group that ended while somebody wants it.
	group *v1alpha1.TaskGroup
	// gone is when the group was deleted; zero while it is there.
	gone time.Time
	// wanted is set by a poll, until the group is received.
	wanted  bool
	waiters map[chan<- struct{}]struct{}
}

func newGroupWatch(config ClusterConfig) *groupWatch {
	return &groupWatch{config: config, log: config.Log, records: map[string]*record{}, doubtful: map[string]time.Time{}}
}

// run watches until the context ends.
func (w *groupWatch) run(ctx context.Context) {
	reflector := cache.NewReflectorWithOptions(w.listWatch(), &v1alpha1.TaskGroup{}, w, cache.ReflectorOptions{
		Logger: &w.log, Name: "taskgroups/" + w.config.Namespace,
		Backoff: &wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 7, Cap: 10 * time.Second},
	})
	reflector.WatchListPageSize = pageSize
	var done sync.WaitGroup
	defer done.Wait()
	done.Go(func() { wait.UntilWithContext(ctx, w.verifyDoubtful, w.config.Doubt/2) })
	reflector.RunWithContext(ctx)
}

// listWatch asks for groups with the executor's label and makes them small as they come.
func (w *groupWatch) listWatch() *cache.ListWatch {
	exists, err := labels.NewRequirement(v1alpha1.DispatchLabel, selection.Exists, nil)
	if err != nil {
		panic(err) // the label is a constant of the API
	}
	optionsOf := func(o metav1.ListOptions) *client.ListOptions {
		return &client.ListOptions{Namespace: w.config.Namespace, LabelSelector: labels.NewSelector().Add(*exists), Limit: o.Limit, Continue: o.Continue, Raw: &o}
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			var list v1alpha1.TaskGroupList
			if err := w.config.Client.List(ctx, &list, optionsOf(o)); err != nil {
				return nil, w.note(err)
			}
			for i := range list.Items {
				list.Items[i] = *compact(&list.Items[i])
			}
			return &list, nil
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			events, err := w.config.Client.Watch(ctx, &v1alpha1.TaskGroupList{}, optionsOf(o))
			if err != nil {
				return nil, w.note(err)
			}
			w.recovered()
			return watch.Filter(events, func(e watch.Event) (watch.Event, bool) {
				if tg, ok := e.Object.(*v1alpha1.TaskGroup); ok && e.Type != watch.Bookmark {
					e.Object = compact(tg)
				}
				return e, true
			}), nil
		},
	}
}

// note remembers since when the watch is refused. Once it was allowed, what has
// become of the permission is waited for: nodes are not to fail of it.
func (w *groupWatch) note(err error) error {
	w.log.Info("The watch on TaskGroups broke; it will go on", "namespace", w.config.Namespace, "error", err.Error())
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken.IsZero() {
		w.broken = time.Now()
	}
	w.problem = err
	if !w.synced.IsZero() || isTransient(err) || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return err
	}
	if w.refused.IsZero() {
		w.refused = time.Now()
	}
	if time.Since(w.refused) >= w.config.Grace {
		w.failure = explain("watching TaskGroups in namespace "+w.config.Namespace, err)
		w.wakeAll()
	}
	return err
}

// recovered notes that the watch is established.
func (w *groupWatch) recovered() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken, w.problem = time.Time{}, nil
}

// warning describes why the watch has failed for at least a time; it is empty otherwise.
func (w *groupWatch) warning(atLeast time.Duration) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken.IsZero() || time.Since(w.broken) < atLeast {
		return ""
	}
	since := w.broken.UTC().Format(time.RFC3339)
	return explain("watching TaskGroups in namespace "+w.config.Namespace+" has failed since "+since, w.problem).Error()
}

// fail ends all polls.
func (w *groupWatch) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failure = err
	w.wakeAll()
}

// Add is a group that is new, or new to us.
func (w *groupWatch) Add(obj any) error { return w.Update(obj) }

// Update is a group as it now is.
func (w *groupWatch) Update(obj any) error {
	tg, ok := obj.(*v1alpha1.TaskGroup)
	if !ok {
		return fmt.Errorf("watching TaskGroups: got a %T", obj)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.take(tg, true)
	return nil
}

// Delete is a group that was deleted.
func (w *groupWatch) Delete(obj any) error {
	tg, ok := obj.(*v1alpha1.TaskGroup)
	if !ok {
		return fmt.Errorf("watching TaskGroups: got a %T", obj)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose(tg.Name)
	return nil
}

// Replace is all groups that there are: after the start, and after a break that
// was too long to go on from. A group that the watch has told of before and that is
// not among them was deleted: a list is never older than what was told. One that it
// has not told of is asked for first, since it may have been created meanwhile.
func (w *groupWatch) Replace(list []any, _ string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	there := make(map[string]struct{}, len(list))
	for _, obj := range list {
		tg, ok := obj.(*v1alpha1.TaskGroup)
		if !ok {
			return fmt.Errorf("watching TaskGroups: got a %T", obj)
		}
		there[tg.Name] = struct{}{}
		w.take(tg, true)
	}
	for name, r := range w.records {
		if _, ok := there[name]; ok {
			continue
		}
		switch {
		case !r.wanted:
			delete(w.records, name)
		case !r.gone.IsZero() || r.ended:
		case r.told:
			w.lose(name)
		default:
			w.doubtful[name] = time.Now()
		}
	}
	w.synced, w.refused, w.failure = time.Now(), time.Time{}, nil
	return nil
}

// Resync has nothing to do: polls are told of every change.
func (w *groupWatch) Resync() error { return nil }

// take keeps what the API server says of a group, by the watch or asked for it.
func (w *groupWatch) take(tg *v1alpha1.TaskGroup, told bool) {
	r := w.records[tg.Name]
	if r == nil {
		r = &record{}
		w.records[tg.Name] = r
	}
	delete(w.doubtful, tg.Name)
	reason, ended := tg.Status.Reason(), tg.Status.IsFinished()
	reborn := r.uid != "" && r.uid != tg.UID
	r.told = told
	r.uid, r.gone, r.ended, r.reason, r.group = tg.UID, time.Time{}, ended, reason, nil
	if ended && w.config.Observe != nil {
		w.config.Observe(tg)
	}
	if ended && r.wanted {
		r.group = tg
	}
	if ended || reborn {
		r.wake()
	}
}

// lose keeps that a group is gone. The end of one that is still to be received
// stays: it may be deleted by its TTL at any time.
func (w *groupWatch) lose(name string) {
	delete(w.doubtful, name)
	r := w.records[name]
	if r == nil {
		return
	}
	if !r.wanted {
		delete(w.records, name)
		return
	}
	r.gone = time.Now()
	r.wake()
}

func (r *record) wake() {
	for waiter := range r.waiters {
		select {
		case waiter <- struct{}{}:
		default:
		}
	}
}

func (w *groupWatch) wakeAll() {
	for _, r := range w.records {
		r.wake()
	}
}
