package stage_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgroup-operator/taskgroup-operator/runner/stage"
)

// fetcher counts, and fails where err has the URI.
type fetcher struct {
	mu    sync.Mutex
	dests map[string]string
	err   map[string]error
	// hold keeps all fetches until it is closed.
	hold   chan struct{}
	busy   int
	busied int
}

func (f *fetcher) Fetch(ctx context.Context, uri, dest string) (string, error) {
	f.mu.Lock()
	f.busy++
	f.busied = max(f.busied, f.busy)
	if _, twice := f.dests[uri]; twice {
		panic("fetched twice: " + uri)
	}
	f.dests[uri] = dest
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.busy--
		f.mu.Unlock()
	}()
	select {
	case <-f.hold:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	return dest, f.err[uri]
}

func newFetcher() *fetcher {
	f := &fetcher{dests: map[string]string{}, err: map[string]error{}, hold: make(chan struct{})}
	return f
}

func TestEveryObjectIsFetchedOnce(t *testing.T) {
	f := newFetcher()
	close(f.hold)
	uris := []string{"a", "", "b", "a", "c", "b", ""}
	s := stage.Start(t.Context(), f, "/in", uris)
	got := map[string]string{}
	for _, uri := range []string{"a", "b", "c"} {
		path, err := s.Path(t.Context(), uri)
		if err != nil {
			t.Fatal(err)
		}
		got[uri] = path
	}
	want := map[string]string{"a": filepath.Join("/in", "0"), "b": "/in/2", "c": "/in/4"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAFailureIsToldToWhoNeedsTheObject(t *testing.T) {
	f := newFetcher()
	f.err["bad"] = errors.New("no such file")
	close(f.hold)
	s := stage.Start(t.Context(), f, "/in", []string{"bad", "good"})
	for range 2 {
		if _, err := s.Path(t.Context(), "bad"); !errors.Is(err, f.err["bad"]) {
			t.Errorf("err = %v", err)
		}
	}
	if _, err := s.Path(t.Context(), "good"); err != nil {
		t.Error(err)
	}
	if _, err := s.Path(t.Context(), "other"); err == nil {
		t.Error("an object that is not of the plan was found")
	}
}

func TestFetchingIsBoundedAndCanBeGivenUp(t *testing.T) {
	f := newFetcher()
	ctx, cancel := context.WithCancel(t.Context())
	uris := make([]string, 100)
	for i := range uris {
		uris[i] = string(rune('a' + i))
	}
	s := stage.Start(ctx, f, "/in", uris)
	waiting, give := context.WithCancel(t.Context())
	give()
	if _, err := s.Path(waiting, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	cancel()
	for _, uri := range uris {
		if _, err := s.Path(t.Context(), uri); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: err = %v", uri, err)
		}
	}
	if f.busied > 8 {
		t.Errorf("%d fetches at a time", f.busied)
	}
}
