// SPDX-License-Identifier: Apache-2.0

package invariants_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/taskgroup-operator/taskgroup-operator/test/audit"
	"github.com/taskgroup-operator/taskgroup-operator/test/invariants"
)

// server is an API server with Jobs only, whose watches end when the test ends them.
type server struct {
	client.WithWatch
	mu   sync.Mutex
	jobs []batchv1.Job
	// from are the resource versions that Jobs were watched from.
	from    []string
	watches chan *watch.FakeWatcher
}

func newServer() *server { return &server{watches: make(chan *watch.FakeWatcher, 10)} }

func (s *server) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	list.SetResourceVersion("10")
	if jobs, ok := list.(*batchv1.JobList); ok {
		jobs.Items = append([]batchv1.Job(nil), s.jobs...)
	}
	return nil
}

func (s *server) Watch(_ context.Context, list client.ObjectList, opts ...client.ListOption) (watch.Interface, error) {
	w := watch.NewFakeWithOptions(watch.FakeOptions{ChannelSize: 10})
	if _, ok := list.(*batchv1.JobList); !ok {
		return w, nil
	}
	var options client.ListOptions
	options.ApplyOptions(opts)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from = append(s.from, options.Raw.ResourceVersion)
	s.watches <- w
	return w, nil
}

// has sets the Jobs that there are.
func (s *server) has(jobs ...*batchv1.Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs = nil
	for _, j := range jobs {
		s.jobs = append(s.jobs, *j)
	}
}

func jobAt(name string, revision int) *batchv1.Job {
	return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{
		Name: name, UID: types.UID(name), ResourceVersion: strconv.Itoa(revision), ManagedFields: []metav1.ManagedFieldsEntry{{}},
	}}
}

func record(t *testing.T, s *server) *invariants.Recorder {
	t.Helper()
	r, err := invariants.Record(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r
}

// TestAWatchThatEndsIsTakenUpWhereItWas: not one event may be lost or doubled.
func TestAWatchThatEndsIsTakenUpWhereItWas(t *testing.T) {
	s := newServer()
	s.has(jobAt("a", 5))
	r := record(t, s)
	w := <-s.watches
	w.Modify(jobAt("a", 11))
	w.Stop()
	w = <-s.watches
	bookmark := jobAt("", 40)
	w.Action(watch.Bookmark, bookmark)
	w.Stop()
	w = <-s.watches
	w.Add(jobAt("b", 41))
	w.Delete(jobAt("a", 42))
	s.has(jobAt("b", 41))
	if err := r.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	history, err := r.History()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range history.Events {
		got = append(got, strconv.FormatInt(e.Revision, 10)+" "+string(e.Type)+" "+e.Object.GetName())
		if e.Object.GetManagedFields() != nil {
			t.Errorf("the history keeps the managed fields of %s", e.Object.GetName())
		}
	}
	want := []string{"5 ADDED a", "11 MODIFIED a", "41 ADDED b", "42 DELETED a"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"10", "11", "40"}, s.from); diff != "" {
		t.Errorf("watched from: -want +got:\n%s", diff)
	}
}

// TestAGapIsAnError: a history with a hole proves nothing.
func TestAGapIsAnError(t *testing.T) {
	s := newServer()
	r := record(t, s)
	(<-s.watches).Error(&metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonExpired, Code: 410, Message: "too old"})
	s.has(jobAt("a", 5))
	if err := r.Sync(t.Context()); err == nil || !strings.Contains(err.Error(), "events after revision 10 were lost") {
		t.Errorf("waiting for a recording with a gap: %v", err)
	}
	if _, err := r.History(); err == nil {
		t.Error("a history with a gap came without an error")
	}
}

// TestSyncSaysWhatIsMissing: an event that never comes is not waited for for ever.
func TestSyncSaysWhatIsMissing(t *testing.T) {
	s := newServer()
	r := record(t, s)
	s.has(jobAt("a", 11))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := r.Sync(ctx); err == nil || !strings.Contains(err.Error(), "JobList: recorded 0 objects, there are 1") {
		t.Errorf("waiting for an event that does not come: %v", err)
	}
}

func TestHistoryOfSomeNamespaces(t *testing.T) {
	in := func(namespace string) invariants.Event {
		return invariants.Event{Object: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace}}}
	}
	h := &invariants.History{
		Events:   []invariants.Event{in("a"), in("b")},
		Requests: []audit.Request{{Object: audit.Object{Namespace: "b"}}, {Object: audit.Object{Namespace: "a"}}, {}},
	}
	if got := h.In("a"); len(got.Events) != 1 || len(got.Requests) != 1 || got.Requests[0].Object.Namespace != "a" {
		t.Errorf("got %+v", got)
	}
	if h.In() != h {
		t.Error("no namespaces are not all")
	}
}
