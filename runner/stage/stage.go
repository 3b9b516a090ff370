package stage

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/taskgroup-operator/taskgroup-operator/store"
)

// workers is how many objects are fetched at a time.
const workers = 8

// Fetcher returns a path of this machine with an object's bytes, at best the
// object itself, else a copy at dest.
type Fetcher interface {
	Fetch(ctx context.Context, uri, dest string) (string, error)
}

// Stage holds objects that are being fetched.
type Stage struct {
	objects map[string]*object
}

type object struct {
	done chan struct{}
	path string
	err  error
}

// Start begins to fetch objects in the given order; copies go below dir. A URI
// that comes twice is fetched once. Cancelling ctx gives up on the rest.
func Start(ctx context.Context, fetcher Fetcher, dir string, uris []string) *Stage {
	s := &Stage{objects: make(map[string]*object, len(uris))}
	type job struct{ uri, dest string }
	jobs := make(chan job, len(uris))
	for i, uri := range uris {
		if uri == "" || s.objects[uri] != nil {
			continue
		}
		s.objects[uri] = &object{done: make(chan struct{})}
		jobs <- job{uri, filepath.Join(dir, strconv.Itoa(i))}
	}
	close(jobs)
	for range min(workers, len(jobs)) {
		go func() {
			for j := range jobs {
				o := s.objects[j.uri]
				if o.err = ctx.Err(); o.err == nil {
					o.path, o.err = fetcher.Fetch(ctx, j.uri, j.dest)
				}
				close(o.done)
			}
		}()
	}
	return s
}

// Path waits until an object is here and returns where.
func (s *Stage) Path(ctx context.Context, uri string) (string, error) {
	o, ok := s.objects[uri]
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
