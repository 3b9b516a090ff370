// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

const (
	// DefaultWindow is the default of Config.Window.
	DefaultWindow = time.Hour
	// maxKept bounds the groups in memory that were not acknowledged. Further ones are read
	// again, and have no spans if they were deleted meanwhile.
	maxKept = 1000
	// pageSize is the size of the pages in which groups are listed after a restart.
	pageSize = 500
	// firstRetry and lastRetry bound the backoff of a group that was not acknowledged.
	firstRetry, lastRetry = time.Second, time.Minute
)

// Config configures an Exporter.
type Config struct {
	// Reader reads pods from the cache, APIReader groups from the API server: the cache has
	// only a part of finished groups.
	Reader, APIReader client.Reader
	// Namespaces are those whose groups are exported; all where it is empty.
	Namespaces []string
	// Endpoint is the URL of the collector. Where it is empty, the variables
	// OTEL_EXPORTER_OTLP_* of the environment name it.
	Endpoint string
	// Version is the version of the operator.
	Version string
	// Window is how long before a start a group may have finished that is exported again;
	// DefaultWindow by default.
	Window time.Duration
	// Registry gets the metrics.
	Registry prometheus.Registerer
	// Clock is the clock by which groups finish; the system clock by default.
	Clock clock.PassiveClock
}

// Exporter exports the spans of groups that finished, at least once. It implements
// manager.Runnable, and runs in the leader.
type Exporter struct {
	Config
	sender   *sender
	queue    workqueue.TypedRateLimitingInterface[key]
	exported prometheus.Counter
	failed   prometheus.Counter

	mu sync.Mutex
	// kept are the groups of the queue, as they finished.
	kept map[key]*v1alpha1.TaskGroup
}

// key identifies a group. A group that is created again under the same name is another one.
type key struct {
	types.NamespacedName
	uid types.UID
}

// New validates the config and sets its defaults.
func New(ctx context.Context, cfg Config) (*Exporter, error) {
	if cfg.Reader == nil || cfg.APIReader == nil || cfg.Registry == nil {
		return nil, errors.New("an Exporter needs a Reader, an APIReader and a Registry")
	}
	cfg.Window = cmp.Or(cfg.Window, DefaultWindow)
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	to, err := newSender(ctx, cfg.Endpoint, cfg.Version)
	if err != nil {
		return nil, err
	}
	e := &Exporter{
		Config: cfg, sender: to, kept: map[key]*v1alpha1.TaskGroup{},
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[key](firstRetry, lastRetry)),
	}
	e.exported, e.failed = Metrics()
	if err := errors.Join(cfg.Registry.Register(e.exported), cfg.Registry.Register(e.failed)); err != nil {
		return nil, fmt.Errorf("registering the metrics of the traces: %w", err)
	}
	return e, nil
}

// Metrics returns the metrics of an Exporter: the groups whose spans were acknowledged, and
// the exports that failed.
func Metrics() (exported, failed prometheus.Counter) {
	return prometheus.NewCounter(prometheus.CounterOpts{
			Name: "taskgroup_trace_exports_total", Help: "TaskGroups whose spans the trace collector acknowledged, again after a restart.",
		}), prometheus.NewCounter(prometheus.CounterOpts{
			Name: "taskgroup_trace_export_failures_total", Help: "Exports of spans that failed and are retried.",
		})
}

// Finished queues a group that finished, with its metadata, spec and status.
func (e *Exporter) Finished(tg *v1alpha1.TaskGroup) {
	if parent := parentOf(tg); parent.IsValid() && !parent.IsSampled() {
		return
	}
	k := key{types.NamespacedName{Namespace: tg.Namespace, Name: tg.Name}, tg.UID}
	e.mu.Lock()
	if len(e.kept) < maxKept {
		e.kept[k] = essential(tg)
	}
	e.mu.Unlock()
	e.queue.Add(k)
}

// essential returns the part of a group that its spans need: a spec may be large.
func essential(tg *v1alpha1.TaskGroup) *v1alpha1.TaskGroup {
	kept := &v1alpha1.TaskGroup{Status: tg.Status}
	kept.Namespace, kept.Name, kept.UID, kept.CreationTimestamp = tg.Namespace, tg.Name, tg.UID, tg.CreationTimestamp
	if parent, ok := tg.Annotations[v1alpha1.TraceparentAnnotation]; ok {
		kept.Annotations = map[string]string{v1alpha1.TraceparentAnnotation: parent}
	}
	kept.Spec.DispatchID, kept.Spec.TaskGroupID = tg.Spec.DispatchID, tg.Spec.TaskGroupID
	kept.Status.Tasks = nil
	return kept
}

// Start exports until ctx is done. It begins with the groups that finished within the
// window: the previous process may have terminated before they were acknowledged.
func (e *Exporter) Start(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := context.AfterFunc(ctx, e.queue.ShutDown)
	defer stop()
	wg.Go(func() { e.recover(ctx) })
	for e.next(ctx) {
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), exportTimeout)
	defer cancel()
	return e.sender.close(closing)
}

// recover queues the groups of the window, and retries until they could be listed.
func (e *Exporter) recover(ctx context.Context) {
	since := e.Clock.Now().Add(-e.Window)
	namespaces := e.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{""}
	}
	for _, namespace := range namespaces {
		wait := firstRetry
		for err := e.list(ctx, namespace, since); err != nil && ctx.Err() == nil; err = e.list(ctx, namespace, since) {
			logf.FromContext(ctx).Info("listing TaskGroups for their traces", "error", err.Error())
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
			wait = min(2*wait, lastRetry)
		}
	}
}

// list queues the groups of a namespace that finished since a time.
func (e *Exporter) list(ctx context.Context, namespace string, since time.Time) error {
	page := ""
	for {
		var groups v1alpha1.TaskGroupList
		if err := e.APIReader.List(ctx, &groups, client.InNamespace(namespace), client.Limit(pageSize), client.Continue(page)); err != nil {
			return err
		}
		for i := range groups.Items {
			tg := &groups.Items[i]
			if end := tg.Status.CompletionTime; tg.Status.IsFinished() && end != nil && !end.Time.Before(since) {
				e.Finished(tg)
			}
		}
		if page = groups.Continue; page == "" {
			return nil
		}
	}
}

// next exports one group, and reports whether the queue is open.
func (e *Exporter) next(ctx context.Context) bool {
	k, closed := e.queue.Get()
	if closed {
		return false
	}
	defer e.queue.Done(k)
	if err := e.export(ctx, k); err != nil {
		if ctx.Err() == nil {
			e.failed.Inc()
			logf.FromContext(ctx).V(1).Info("exporting the spans of a TaskGroup", "taskgroup", k.NamespacedName, "error", err.Error())
		}
		e.queue.AddRateLimited(k)
		return true
	}
	e.queue.Forget(k)
	e.mu.Lock()
	delete(e.kept, k)
	e.mu.Unlock()
	return true
}

// export sends the spans of a group. A group that does not exist has none.
func (e *Exporter) export(ctx context.Context, k key) error {
	tg, err := e.group(ctx, k)
	if tg == nil || err != nil {
		return err
	}
	var pods corev1.PodList
	if err := e.Reader.List(ctx, &pods, client.InNamespace(k.Namespace), client.MatchingLabels{v1alpha1.UIDLabel: string(k.uid)}); err != nil {
		return fmt.Errorf("listing the pods of TaskGroup %s: %w", k.NamespacedName, err)
	}
	if err := e.sender.send(ctx, spansOf(tg, pods.Items)); err != nil {
		return err
	}
	e.exported.Inc()
	return nil
}

// group returns the group of a key; nil if it was deleted.
func (e *Exporter) group(ctx context.Context, k key) (*v1alpha1.TaskGroup, error) {
	e.mu.Lock()
	tg := e.kept[k]
	e.mu.Unlock()
	if tg != nil {
		return tg, nil
	}
	var live v1alpha1.TaskGroupList
	if err := e.APIReader.List(ctx, &live, client.InNamespace(k.Namespace), client.MatchingFields{"metadata.name": k.Name}); err != nil {
		return nil, fmt.Errorf("reading TaskGroup %s: %w", k.NamespacedName, err)
	}
	if len(live.Items) != 1 || live.Items[0].UID != k.uid {
		return nil, nil
	}
	return &live.Items[0], nil
}
