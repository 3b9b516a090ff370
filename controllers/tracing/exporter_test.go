// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
	"k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// collector receives spans, and counts those of TaskGroups by name.
type collector struct {
	*httptest.Server
	mu sync.Mutex
	// refuse is how many requests are refused.
	refuse int
	groups map[string]int
	// changed receives after each request.
	changed chan struct{}
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{groups: map[string]int{}, changed: make(chan struct{}, 100)}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		defer func() { c.changed <- struct{}{} }()
		if c.refuse > 0 {
			c.refuse--
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		raw, err := io.ReadAll(r.Body)
		var request collectorv1.ExportTraceServiceRequest
		if err := errors.Join(err, proto.Unmarshal(raw, &request)); err != nil {
			t.Error(err)
		}
		for _, span := range request.GetResourceSpans()[0].GetScopeSpans()[0].GetSpans() {
			for _, attribute := range span.GetAttributes() {
				if attribute.GetKey() == "taskgroup.name" {
					c.groups[attribute.GetValue().GetStringValue()]++
				}
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// await waits until the collector has received the groups.
func (c *collector) await(t *testing.T, want map[string]int) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		c.mu.Lock()
		got := maps.Clone(c.groups)
		c.mu.Unlock()
		if cmp.Equal(want, got) {
			return
		}
		select {
		case <-c.changed:
		case <-deadline:
			t.Fatalf("received %v, want %v", got, want)
		}
	}
}

// run runs an Exporter until the returned function is called, or the test ends.
func run(t *testing.T, api client.Client, endpoint string) (e *Exporter, stop func()) {
	t.Helper()
	// The groups finish one minute after testkit.Created.
	clock := clocktesting.NewFakePassiveClock(at(60 + 3600).Time)
	e, err := New(t.Context(), Config{Reader: api, APIReader: api, Registry: prometheus.NewRegistry(), Endpoint: endpoint, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Start(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return e, stop
}

func newAPI(t *testing.T, groups ...client.Object) client.WithWatch {
	t.Helper()
	types := scheme.Scheme
	if err := v1alpha1.AddToScheme(types); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(types).WithObjects(groups...).
		WithIndex(&v1alpha1.TaskGroup{}, "metadata.name", func(o client.Object) []string { return []string{o.GetName()} }).Build()
}

// TestUnavailableCollector requires that a group is exported when the collector is
// available again, even if the group was deleted meanwhile.
func TestUnavailableCollector(t *testing.T) {
	c := newCollector(t)
	c.refuse = 2
	e, _ := run(t, newAPI(t), c.URL)
	e.Finished(finished("deleted", v1alpha1.ReasonCompleted))
	c.await(t, map[string]int{"deleted": 1})
	if got := testutil.ToFloat64(e.failed); got != 2 {
		t.Errorf("counted %g failures, want 2", got)
	}
}

// TestRestart requires that what finished within the window is exported again.
func TestRestart(t *testing.T) {
	old, unfinished := finished("old", v1alpha1.ReasonCompleted), finished("unfinished", v1alpha1.ReasonCompleted)
	before := at(59)
	old.Status.CompletionTime = &before
	unfinished.Status.Conditions = nil
	failures := 1
	api := interceptor.NewClient(newAPI(t, finished("recent", v1alpha1.ReasonExitCode), old, unfinished), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			if _, ok := list.(*v1alpha1.TaskGroupList); ok && failures > 0 {
				failures--
				return errors.New("the API server is unavailable")
			}
			return c.List(ctx, list, options...)
		},
	})
	c := newCollector(t)
	_, stop := run(t, api, c.URL)
	c.await(t, map[string]int{"recent": 1})
	stop()
	run(t, api, c.URL)
	c.await(t, map[string]int{"recent": 2})
}

// TestManyGroups requires that groups beyond those in memory are read again.
func TestManyGroups(t *testing.T) {
	c := newCollector(t)
	read := finished("read", v1alpha1.ReasonCompleted)
	before := at(0)
	read.Status.CompletionTime = &before
	e, _ := run(t, newAPI(t, read), c.URL)
	e.mu.Lock()
	for i := range maxKept {
		e.kept[key{uid: read.UID + "-" + read.UID[:1+i%3], NamespacedName: client.ObjectKey{Name: time.Duration(i).String()}}] = read
	}
	e.mu.Unlock()
	e.Finished(read)
	e.Finished(finished("deleted", v1alpha1.ReasonCompleted))
	c.await(t, map[string]int{"read": 1})
}

// TestNotSampled requires that the decision of the dispatcher is respected.
func TestNotSampled(t *testing.T) {
	c := newCollector(t)
	e, _ := run(t, newAPI(t), c.URL+"/v1/traces")
	for name, flags := range map[string]string{"unsampled": "00", "sampled": "01"} {
		tg := finished(name, v1alpha1.ReasonCompleted)
		tg.Annotations = map[string]string{v1alpha1.TraceparentAnnotation: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-" + flags}
		e.Finished(tg)
	}
	c.await(t, map[string]int{"sampled": 1})
	if e.queue.Len() > 0 || slices.Contains(slices.Collect(maps.Keys(c.groups)), "unsampled") {
		t.Error("a group of a trace that is not sampled was exported")
	}
}

func TestValidateEndpoint(t *testing.T) {
	for endpoint, want := range map[string]bool{
		"http://collector:4318": true, "https://collector/otlp": true,
		"collector:4318": false, "grpc://collector:4317": false, "http://": false, "http://u:p@collector": false,
	} {
		if err := ValidateEndpoint(endpoint); (err == nil) != want {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
}
