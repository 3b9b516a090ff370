// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

const (
	defaultDoubt = 2 * time.Second
	defaultGrace = 15 * time.Second
)

// Config configures Groups.
type Config struct {
	// Client does not cache and has the TaskGroup API in its scheme.
	Client client.WithWatch
	// Namespace is the only namespace that is watched.
	Namespace string
	// Log receives the failures of the watch.
	Log logr.Logger
	// Observe is called for every TaskGroup that has finished, each time the watch reports
	// it, with the part that is kept; it must not block. It may be nil.
	Observe func(*v1alpha1.TaskGroup)
	// Doubt is how long the watch may not know a group that is polled until the group is
	// read from the API server; 2 s if 0.
	Doubt time.Duration
	// Grace is how long a watch that was never allowed may be refused until polls fail,
	// since a role may be created meanwhile; 15 s if 0.
	Grace time.Duration
}

// Groups are the TaskGroups of a namespace, as one watch observes them.
type Groups struct {
	config Config

	start, stop sync.Once
	// stopped is closed to stop the watch.
	stopped chan struct{}
	running sync.WaitGroup

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

// New returns Groups. It makes no requests.
func New(config Config) *Groups {
	if config.Doubt == 0 {
		config.Doubt = defaultDoubt
	}
	if config.Grace == 0 {
		config.Grace = defaultGrace
	}
	if config.Log.GetSink() == nil {
		config.Log = logr.Discard()
	}
	return &Groups{config: config, stopped: make(chan struct{}), records: map[string]*record{}, doubtful: map[string]time.Time{}}
}

// Start starts the watch, once.
func (g *Groups) Start() {
	g.start.Do(func() {
		// Not the caller's context: the watch outlives the poll that starts it.
		ctx, cancel := context.WithCancel(context.Background())
		g.running.Go(func() { g.run(ctx) })
		g.running.Go(func() {
			<-g.stopped
			cancel()
		})
	})
}

// Stop stops the watch. The polls that wait for it fail with err.
func (g *Groups) Stop(err error) {
	// No watch starts after this.
	g.start.Do(func() {})
	g.stop.Do(func() { close(g.stopped) })
	g.running.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fail(err)
}

// FailedError is returned by polls if the watch cannot work.
type FailedError struct{ Err error }

// Error returns the text of the cause.
func (e *FailedError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *FailedError) Unwrap() error { return e.Err }

// fail ends all polls. The lock is held.
func (g *Groups) fail(err error) {
	g.failure = &FailedError{err}
	for _, r := range g.records {
		r.wake()
	}
}

// Problem returns since when the watch has failed, and its last error; the error is nil
// if the watch works or has failed for less than a time.
func (g *Groups) Problem(atLeast time.Duration) (since time.Time, problem error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.broken.IsZero() || time.Since(g.broken) < atLeast {
		return time.Time{}, nil
	}
	return g.broken, g.problem
}

// Finished returns what is kept of a group that finished, or nil. The UID may be empty.
func (g *Groups) Finished(id ID) *v1alpha1.TaskGroup {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.records[id.Name]
	if r == nil || r.group == nil || (id.UID != "" && id.UID != r.uid) {
		return nil
	}
	return r.group
}

// Forget drops what is kept of a group without a poll.
func (g *Groups) Forget(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.records[name]
	if r == nil || len(r.waiters) > 0 {
		return
	}
	r.wanted, r.group = false, nil
	if !r.deleted.IsZero() || r.uid == "" {
		g.drop(name)
	}
}

// drop forgets a group altogether.
func (g *Groups) drop(name string) {
	delete(g.records, name)
	delete(g.doubtful, name)
}

// Kept describes what is kept of a group.
type Kept struct {
	// UID is empty if the API server has not reported the group.
	UID types.UID
	// Wanted is set for a group that is polled or has to be received.
	Wanted bool
	// Deleted is set for a group that was deleted before it was received.
	Deleted bool
	// Detailed is set if the status of the group is kept.
	Detailed bool
}

// Kept returns what is kept, by the names of the groups.
func (g *Groups) Kept() map[string]Kept {
	g.mu.Lock()
	defer g.mu.Unlock()
	kept := make(map[string]Kept, len(g.records))
	for name, r := range g.records {
		kept[name] = Kept{UID: r.uid, Wanted: r.wanted, Deleted: !r.deleted.IsZero(), Detailed: r.group != nil}
	}
	return kept
}
