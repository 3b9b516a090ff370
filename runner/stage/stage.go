// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/taskgroup-operator/taskgroup-operator/store"
)

const (
	// workers is how many objects are fetched at a time.
	workers = 8
	// Ahead is how many tasks after the current one have their objects fetched. A group
	// may read far more than its volume holds, if it is not all there at once.
	Ahead = 4
)

// Fetcher returns a path of this machine with an object's bytes: the object itself if
// it is a file, else a copy at dest.
type Fetcher interface {
	Fetch(ctx context.Context, uri, dest string) (string, error)
}

// Stage holds the objects that tasks read, from shortly before they are needed until
// no further task reads them.
type Stage struct {
	fetcher Fetcher
	dir     string
	cancel  context.CancelFunc

	mu      sync.Mutex
	changed *sync.Cond
	stopped bool
	// current is the task that runs.
	current int
	objects map[string]*object
	// queue are the objects that were not begun, in the order of need.
	queue []*object
}

type object struct {
	uri, dest string
	// first and last are the tasks that read the object.
	first, last int
	done        chan struct{}
	path        string
	err         error
}

// Start begins to fetch objects. needs[i] are the URIs that task i reads, in any order;
// empty ones are ignored, and one that occurs several times is fetched once. Copies are
// placed below dir. Cancelling ctx has the effect of Stop.
func Start(ctx context.Context, fetcher Fetcher, dir string, needs [][]string) *Stage {
	ctx, cancel := context.WithCancel(ctx)
	s := &Stage{fetcher: fetcher, dir: dir, cancel: cancel, objects: map[string]*object{}}
	s.changed = sync.NewCond(&s.mu)
	for task, uris := range needs {
		for _, uri := range uris {
			switch known := s.objects[uri]; {
			case uri == "":
			case known != nil:
				known.last = task
			default:
				o := &object{uri: uri, dest: filepath.Join(dir, strconv.Itoa(len(s.queue))), first: task, last: task, done: make(chan struct{})}
				s.objects[uri] = o
				s.queue = append(s.queue, o)
			}
		}
	}
	context.AfterFunc(ctx, s.stop)
	for range min(workers, len(s.queue)) {
		go s.work(ctx)
	}
	return s
}

// Stop gives up on everything that was not fetched: no further task starts.
func (s *Stage) Stop() { s.cancel() }

func (s *Stage) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	s.changed.Broadcast()
}

// Advance begins to fetch what the tasks after the given one read, and removes the
// copies that neither this task nor a later one reads.
func (s *Stage) Advance(task int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = max(s.current, task)
	s.changed.Broadcast()
	for uri, o := range s.objects {
		if o.last >= s.current {
			continue
		}
		select {
		case <-o.done:
			if strings.HasPrefix(o.path, s.dir+string(filepath.Separator)) {
				_ = os.Remove(o.path)
			}
			delete(s.objects, uri)
		default:
			// Its task did not wait for it. It is removed with the work directory.
		}
	}
}

func (s *Stage) work(ctx context.Context) {
	for {
		o := s.next()
		if o == nil {
			return
		}
		if o.err = ctx.Err(); o.err == nil {
			o.path, o.err = s.fetcher.Fetch(ctx, o.uri, o.dest)
		}
		close(o.done)
	}
}

// next waits for the next object that may be fetched; it returns nil if there is none.
func (s *Stage) next() *object {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.stopped && len(s.queue) > 0 && s.queue[0].first > s.current+Ahead {
		s.changed.Wait()
	}
	if len(s.queue) == 0 {
		return nil
	}
	o := s.queue[0]
	s.queue = s.queue[1:]
	return o
}

// Path waits until an object was fetched and returns its path.
func (s *Stage) Path(ctx context.Context, uri string) (string, error) {
	s.mu.Lock()
	o, ok := s.objects[uri]
	s.mu.Unlock()
	if !ok {
		return "", fmt.Errorf("%s: not among the plan's assets", store.RedactURI(uri))
	}
	select {
	case <-o.done:
		return o.path, o.err
	default:
	}
	select {
	case <-o.done:
		return o.path, o.err
	case <-ctx.Done():
		return "", fmt.Errorf("fetching %s: %w", store.RedactURI(uri), context.Cause(ctx))
	}
}
