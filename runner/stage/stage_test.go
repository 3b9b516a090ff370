// SPDX-License-Identifier: Apache-2.0

package stage_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
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
	s := stage.Start(t.Context(), f, "/in", [][]string{{"a", "", "b"}, {"a", "c", "b", ""}})
	defer s.Stop()
	got := map[string]string{}
	for _, uri := range []string{"a", "b", "c"} {
		path, err := s.Path(t.Context(), uri)
		if err != nil {
			t.Fatal(err)
		}
		got[uri] = path
	}
	want := map[string]string{"a": filepath.Join("/in", "0"), "b": "/in/1", "c": "/in/2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAFailureIsReturnedToEachTask(t *testing.T) {
	f := newFetcher()
	f.err["bad"] = errors.New("no such file")
	close(f.hold)
	s := stage.Start(t.Context(), f, "/in", [][]string{{"bad", "good"}})
	defer s.Stop()
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
	s := stage.Start(ctx, f, "/in", [][]string{uris})
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

// writer fetches by writing a file.
type writer struct{ fetched chan string }

func (w writer) Fetch(_ context.Context, uri, dest string) (string, error) {
	err := os.MkdirAll(filepath.Dir(dest), 0o755)
	if err == nil {
		err = os.WriteFile(dest, []byte(uri), 0o600)
	}
	w.fetched <- uri
	return dest, err
}

// TestObjectsAreFetchedShortlyBeforeTheirTask: what later tasks read is not fetched
// before it is needed soon, and what no later task reads is removed.
func TestObjectsAreFetchedShortlyBeforeTheirTask(t *testing.T) {
	const tasks = 20
	needs := make([][]string, tasks)
	for i := range needs {
		needs[i] = []string{"shared", strconv.Itoa(i)}
	}
	dir, w := t.TempDir(), writer{make(chan string, 2*tasks)}
	s := stage.Start(t.Context(), w, dir, needs)
	defer s.Stop()
	for task := range tasks {
		s.Advance(task)
		// The objects of this task and of the next ones; one more is "shared".
		want := min(task+stage.Ahead+1, tasks) + 1
		for i := task; i <= min(task+stage.Ahead, tasks-1); i++ {
			for _, uri := range needs[i] {
				if _, err := s.Path(t.Context(), uri); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := len(w.fetched); got != want {
			t.Fatalf("while task %d runs, %d objects were fetched, want %d", task, got, want)
		}
		kept, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if want := want - task; len(kept) != want {
			t.Errorf("while task %d runs, %d copies exist, want %d", task, len(kept), want)
		}
	}
}

// TestStopGivesUpWhatIsNotNeededAnyMore: a group that failed does not continue fetching.
func TestStopGivesUpWhatIsNotNeededAnyMore(t *testing.T) {
	f := newFetcher()
	s := stage.Start(t.Context(), f, "/in", [][]string{{"a"}, nil, nil, nil, nil, nil, {"later"}})
	s.Stop()
	for _, uri := range []string{"a", "later"} {
		if _, err := s.Path(t.Context(), uri); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: err = %v", uri, err)
		}
	}
}
