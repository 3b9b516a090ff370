// SPDX-License-Identifier: Apache-2.0

package invariants

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// retryInterval is how long a watch that could not be opened is left alone.
const retryInterval = 100 * time.Millisecond

// kinds are what a Recorder follows.
func kinds() []client.ObjectList {
	return []client.ObjectList{&v1alpha1.TaskGroupList{}, &batchv1.JobList{}, &corev1.PodList{}}
}

// Recorder keeps the history of a cluster.
type Recorder struct {
	client client.WithWatch
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	events []Event
	// live is the newest version of what there is of each kind, by UID.
	live []map[types.UID]string
	err  error
}

// Record starts to record. The recording continues after the context is done.
func Record(ctx context.Context, c client.WithWatch) (*Recorder, error) {
	following, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &Recorder{client: c, cancel: cancel, live: []map[types.UID]string{{}, {}, {}}}
	for kind, list := range kinds() {
		if err := c.List(ctx, list); err != nil {
			cancel()
			return nil, fmt.Errorf("listing what there is: %w", err)
		}
		err := meta.EachListItem(list, func(obj runtime.Object) error {
			_, err := r.keep(kind, watch.Event{Type: watch.Added, Object: obj})
			return err
		})
		if err != nil {
			cancel()
			return nil, err
		}
		r.done.Go(func() { r.follow(following, kind, list) })
	}
	return r, nil
}

// follow watches one kind, and continues where it was when a watch ends.
func (r *Recorder) follow(ctx context.Context, kind int, list client.ObjectList) {
	revision := list.GetResourceVersion()
	for ctx.Err() == nil {
		w, err := r.client.Watch(ctx, list, &client.ListOptions{
			Raw: &metav1.ListOptions{ResourceVersion: revision, AllowWatchBookmarks: true},
		})
		if err == nil {
			revision, err = r.drain(ctx, kind, w, revision)
			w.Stop()
		}
		if apierrors.IsGone(err) || apierrors.IsResourceExpired(err) {
			// What happened meanwhile is nowhere to be had, so no verdict is sound.
			r.fail(fmt.Errorf("events after revision %s were lost: %w", revision, err))
			return
		}
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(retryInterval):
			}
		}
	}
}

// drain keeps a watch's events until it ends and returns where to continue.
func (r *Recorder) drain(ctx context.Context, kind int, w watch.Interface, revision string) (string, error) {
	for {
		select {
		case <-ctx.Done():
			return revision, nil
		case event, ok := <-w.ResultChan():
			if !ok {
				return revision, nil
			}
			if event.Type == watch.Error {
				return revision, apierrors.FromObject(event.Object)
			}
			seen, err := r.keep(kind, event)
			if err != nil {
				r.fail(err)
				return revision, err
			}
			revision = seen
		}
	}
}

// keep adds an event to the history and returns its revision. A bookmark has
// a revision only.
func (r *Recorder) keep(kind int, event watch.Event) (string, error) {
	obj, ok := event.Object.(client.Object)
	if !ok {
		return "", fmt.Errorf("a watch sent a %T", event.Object)
	}
	version := obj.GetResourceVersion()
	if event.Type == watch.Bookmark {
		return version, nil
	}
	revision, err := strconv.ParseInt(version, 10, 64)
	if err != nil {
		return "", fmt.Errorf("reading the resource version of %s: %w", obj.GetName(), err)
	}
	obj.SetManagedFields(nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, Event{Type: event.Type, Revision: revision, At: time.Now(), Object: obj})
	if event.Type == watch.Deleted {
		delete(r.live[kind], obj.GetUID())
	} else {
		r.live[kind][obj.GetUID()] = version
	}
	return version, nil
}

func (r *Recorder) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = errors.Join(r.err, err)
}

// Sync waits until the recording has caught up with the API server.
func (r *Recorder) Sync(ctx context.Context) error {
	for i, list := range kinds() {
		var behind string
		err := wait.PollUntilContextCancel(ctx, retryInterval/2, true, func(ctx context.Context) (done bool, err error) {
			if err := r.client.List(ctx, list); err != nil {
				return false, err
			}
			behind, err = r.behind(i, list)
			return behind == "", err
		})
		if err != nil {
			return fmt.Errorf("waiting for the recording to catch up: %w; %s", err, behind)
		}
	}
	return nil
}

// behind reports what of a list was not recorded yet; empty for nothing. The error
// reports that the recording has a gap.
func (r *Recorder) behind(kind int, list client.ObjectList) (string, error) {
	now := map[types.UID]string{}
	err := meta.EachListItem(list, func(obj runtime.Object) error {
		accessor, err := meta.Accessor(obj)
		if err == nil {
			now[accessor.GetUID()] = accessor.GetResourceVersion()
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("reading a list: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil || maps.Equal(now, r.live[kind]) {
		return "", r.err
	}
	return fmt.Sprintf("%T: recorded %d objects, there are %d", list, len(r.live[kind]), len(now)), nil
}

// History is what was recorded so far, without requests. The error reports that
// the recording has a gap.
func (r *Recorder) History() (*History, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := slices.Clone(r.events)
	slices.SortStableFunc(events, func(a, b Event) int { return int(a.Revision - b.Revision) })
	return &History{Events: events, End: time.Now()}, r.err
}

// Stop ends the recording.
func (r *Recorder) Stop() {
	r.cancel()
	r.done.Wait()
}
