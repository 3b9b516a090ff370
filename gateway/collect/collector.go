// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/objectpath"
	"github.com/taskgroup-operator/taskgroup-operator/gateway/volume"
)

const (
	defaultGroupGrace   = time.Hour
	defaultContentGrace = 24 * time.Hour
	defaultInterval     = 10 * time.Minute
)

var errNotWatched = errors.New("a TaskGroup is not in the watch yet")

// Volume has the objects.
type Volume interface {
	Groups(visit func(volume.Group) error) error
	Contents(visit func(volume.Content) error) error
	Touched() []volume.Content
	RemoveGroup(volume.Group) (bool, error)
	RemoveContent(volume.Content) (bool, error)
}

// TaskGroups are the groups of the cluster.
type TaskGroups interface {
	// EachGroup visits all TaskGroups, or returns an error.
	EachGroup(ctx context.Context, visit func(namespace string, uid types.UID)) error
	// NamedBy returns the URIs that the spec of a TaskGroup names, and whether they are
	// known.
	NamedBy(uid types.UID) ([]string, bool)
	// IndexOf returns the URI of the index of a TaskGroup; empty for none.
	IndexOf(uid types.UID) string
}

// Indexes are the objects that name the inputs of TaskGroups with many arguments.
type Indexes interface {
	// Each calls visit with the URI of each object that the index at a URI names.
	Each(index string, visit func(uri string) error) error
}

// Storage has the marks.
type Storage interface {
	Load() ([]byte, error)
	Save([]byte) error
}

// Config configures a Collector. Zero durations are the defaults.
type Config struct {
	Volume     Volume
	TaskGroups TaskGroups
	Indexes    Indexes
	Storage    Storage
	Registry   *prometheus.Registry
	Log        *slog.Logger
	// GroupGrace is how long results are kept after their TaskGroup; 1 h by default.
	GroupGrace time.Duration
	// ContentGrace is how long inputs are kept that nothing uses; 24 h by default.
	ContentGrace time.Duration
	// Interval is the time between two passes; 10 min by default.
	Interval time.Duration
	// Clock is the real clock by default.
	Clock clock.Clock
}

// Collector deletes objects.
type Collector struct {
	config  Config
	removed *prometheus.CounterVec
	failed  prometheus.Counter
	// marks are nil until they were loaded.
	marks *marks
	// counted is until when Elapsed has counted, on the monotonic clock.
	counted time.Time
}

// marks are stored as JSON.
type marks struct {
	// Elapsed is the time in which a collector was running.
	Elapsed time.Duration `json:"elapsed"`
	// Unneeded is the value of Elapsed at which an object, by its path, was first found
	// unneeded.
	Unneeded map[string]time.Duration `json:"unneeded"`
}

// New returns a Collector.
func New(config Config) (*Collector, error) {
	if config.Volume == nil || config.TaskGroups == nil || config.Indexes == nil || config.Storage == nil || config.Registry == nil || config.Log == nil {
		return nil, errors.New("the fields Volume, TaskGroups, Indexes, Storage, Registry and Log are required")
	}
	config.GroupGrace = cmp.Or(config.GroupGrace, defaultGroupGrace)
	config.ContentGrace = cmp.Or(config.ContentGrace, defaultContentGrace)
	config.Interval = cmp.Or(config.Interval, defaultInterval)
	if config.Clock == nil {
		config.Clock = clock.RealClock{}
	}
	c := &Collector{
		config: config,
		removed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "taskgroup_gateway_collected_total", Help: "Objects that were deleted because nothing needs them: inputs, and all results of a TaskGroup.",
		}, []string{"area"}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "taskgroup_gateway_collection_failures_total", Help: "Passes of the garbage collection that failed.",
		}),
	}
	if err := errors.Join(config.Registry.Register(c.removed), config.Registry.Register(c.failed)); err != nil {
		return nil, fmt.Errorf("registering the metrics: %w", err)
	}
	return c, nil
}

// Run collects until ctx is done.
func (c *Collector) Run(ctx context.Context) {
	c.counted = c.config.Clock.Now()
	for {
		if err := c.Pass(ctx); err != nil && ctx.Err() == nil {
			c.failed.Inc()
			c.config.Log.Warn("collecting garbage", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-c.config.Clock.After(c.config.Interval):
		}
	}
}

// Pass marks what is unneeded, and deletes what was marked long enough ago.
func (c *Collector) Pass(ctx context.Context) error {
	if err := c.load(); err != nil {
		return fmt.Errorf("loading the marks: %w", err)
	}
	unneeded, err := c.unneeded(ctx)
	if err != nil {
		return err
	}
	c.count()
	for path := range unneeded {
		since, isMarked := c.marks.Unneeded[path]
		if !isMarked {
			since = c.marks.Elapsed
		}
		unneeded[path] = since
	}
	c.marks.Unneeded = unneeded
	if err := c.save(); err != nil {
		return err
	}
	for path, since := range maps.Clone(unneeded) {
		if ctx.Err() != nil {
			break
		}
		if err := c.collect(path, c.marks.Elapsed-since); err != nil {
			return errors.Join(err, c.save())
		}
	}
	return c.save()
}

// load reads the marks of the previous process.
func (c *Collector) load() error {
	if c.marks != nil {
		return nil
	}
	raw, err := c.config.Storage.Load()
	if err != nil {
		return err
	}
	loaded := &marks{}
	if raw != nil {
		if err := json.Unmarshal(raw, loaded); err != nil {
			// Without the marks, objects are deleted later.
			c.config.Log.Warn("the marks are damaged: all grace periods begin again", "error", err.Error())
			loaded = &marks{}
		}
	}
	c.marks = loaded
	return nil
}

func (c *Collector) save() error {
	raw, err := json.Marshal(c.marks)
	if err == nil {
		err = c.config.Storage.Save(raw)
	}
	if err != nil {
		return fmt.Errorf("storing the marks: %w", err)
	}
	return nil
}

// count adds the time since the previous pass. The time has a monotonic reading, which
// no change of the node's clock affects.
func (c *Collector) count() {
	now := c.config.Clock.Now()
	if !c.counted.IsZero() {
		c.marks.Elapsed += max(0, now.Sub(c.counted))
	}
	c.counted = now
}

// unneeded returns the paths of the objects that nothing needs now.
func (c *Collector) unneeded(ctx context.Context) (map[string]time.Duration, error) {
	unneeded := map[string]time.Duration{}
	if err := c.config.Volume.Groups(func(g volume.Group) error {
		unneeded[groupPath(g.Namespace, g.UID)] = 0
		return ctx.Err()
	}); err != nil {
		return nil, fmt.Errorf("reading the results: %w", err)
	}
	if err := c.config.Volume.Contents(func(content volume.Content) error {
		unneeded[contentPath(content)] = 0
		return ctx.Err()
	}); err != nil {
		return nil, fmt.Errorf("reading the inputs: %w", err)
	}
	isWatched := true
	var indexErr error
	err := c.config.TaskGroups.EachGroup(ctx, func(namespace string, uid types.UID) {
		delete(unneeded, groupPath(namespace, string(uid)))
		uris, isKnown := c.config.TaskGroups.NamedBy(uid)
		isWatched = isWatched && isKnown
		for _, uri := range uris {
			delete(unneeded, neededPath(uri))
		}
		if index := c.config.TaskGroups.IndexOf(uid); index != "" && indexErr == nil {
			indexErr = c.config.Indexes.Each(index, func(uri string) error {
				delete(unneeded, neededPath(uri))
				return ctx.Err()
			})
		}
	})
	if err == nil && !isWatched {
		err = errNotWatched
	}
	if err == nil {
		err = indexErr
	}
	for _, content := range c.config.Volume.Touched() {
		delete(unneeded, contentPath(content))
		delete(c.marks.Unneeded, contentPath(content))
	}
	return unneeded, err
}

// collect deletes an object that has been unneeded for its grace period.
func (c *Collector) collect(path string, age time.Duration) error {
	namespace, rest, _ := strings.Cut(path, "/")
	area, name, _ := strings.Cut(rest, "/")
	var isRemoved bool
	var err error
	switch {
	case area == contract.GatewayGroups && age >= c.config.GroupGrace:
		isRemoved, err = c.config.Volume.RemoveGroup(volume.Group{Namespace: namespace, UID: name})
	case area == contract.GatewayContent && age >= c.config.ContentGrace:
		isRemoved, err = c.config.Volume.RemoveContent(volume.Content{Namespace: namespace, Digest: name})
	}
	if err != nil {
		return fmt.Errorf("deleting %s: %w", path, err)
	}
	if isRemoved {
		delete(c.marks.Unneeded, path)
		c.removed.WithLabelValues(area).Inc()
		c.config.Log.Debug("deleted", "path", path)
	}
	return nil
}

func groupPath(namespace, uid string) string {
	return namespace + "/" + contract.GatewayGroups + "/" + uid
}

func contentPath(content volume.Content) string {
	return content.Namespace + "/" + contract.GatewayContent + "/" + content.Digest
}

// neededPath returns the path that is kept because of a URI: an input, or all results of
// a TaskGroup. Other URIs name no object.
func neededPath(uri string) string {
	path, err := contract.GatewayPath(uri)
	if err != nil {
		return ""
	}
	location, err := objectpath.Parse(path)
	switch {
	case err != nil:
		return ""
	case location.IsContent():
		return contentPath(volume.Content{Namespace: location.Namespace, Digest: location.Digest})
	}
	return groupPath(location.Namespace, location.UID)
}
