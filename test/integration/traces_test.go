// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/test/rig"
)

// collector is an OTLP/HTTP collector.
type collector struct {
	*httptest.Server
	// down refuses all requests, which counts them in refused.
	down    atomic.Bool
	refused atomic.Int32

	mu sync.Mutex
	// spans are the received spans by ID, received counts their copies.
	spans    map[string]*tracev1.Span
	received map[string]int
}

func startCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{spans: map[string]*tracev1.Span{}, received: map[string]int{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.down.Load() {
			c.refused.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		raw, err := io.ReadAll(r.Body)
		var request collectorv1.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(raw, &request) != nil {
			t.Errorf("a request for %s with %d bytes, error %v", r.URL.Path, len(raw), err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, from := range request.GetResourceSpans() {
			for _, scope := range from.GetScopeSpans() {
				for _, span := range scope.GetSpans() {
					id := hex.EncodeToString(span.GetSpanId())
					c.spans[id] = span
					c.received[id]++
				}
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// of returns the spans of a group by name, and how often its own span was received.
func (c *collector) of(uid string) (names map[string]int, root *tracev1.Span, copies int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	names = map[string]int{}
	for id, span := range c.spans {
		for _, attribute := range span.GetAttributes() {
			if attribute.GetKey() == "taskgroup.uid" && attribute.GetValue().GetStringValue() == uid {
				root, copies = span, c.received[id]
			}
		}
	}
	for _, span := range c.spans {
		if root != nil && string(span.GetTraceId()) == string(root.GetTraceId()) {
			names[span.GetName()]++
		}
	}
	return names, root, copies
}

func (c *collector) await(t *testing.T, tg *v1alpha1.TaskGroup, least int) (map[string]int, *tracev1.Span) {
	t.Helper()
	var names map[string]int
	var root *tracev1.Span
	err := rig.Await(t.Context(), "the spans of "+tg.Name, func(context.Context) (bool, string, error) {
		var copies int
		names, root, copies = c.of(string(tg.UID))
		return copies >= least, fmt.Sprintf("%v, %d copies", names, copies), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names, root
}

// TestTraces requires that no span is lost by an unavailable collector, by a crash of the
// operator before the collector acknowledged it, and that a span has the same ID again.
func TestTraces(t *testing.T) {
	stopOperator(t)
	c, ns := startCollector(t), namespace(t)
	options := rig.OperatorOptions{Namespaces: []string{ns}, Flags: []string{"--trace-endpoint=" + c.URL}}
	start := func() *rig.Operator {
		t.Helper()
		traced, err := cluster.StartOperatorWith(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(traced.Kill)
		return traced
	}
	first := start()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	retried := commands(ns, "retried", 1)
	retried.Annotations = map[string]string{v1alpha1.TraceparentAnnotation: parent}
	retried.Spec.Retries = &v1alpha1.Retries{InfrastructureLimit: new(int32(1))}
	tg := awaitReason(t, create(t, retried, rig.Behaviour{
		End: &corev1.ContainerStateTerminated{ExitCode: 143, Reason: "Error"}, Disrupted: "PreemptionByScheduler", Then: &rig.Behaviour{},
	}), v1alpha1.ReasonCompleted)
	names, root := c.await(t, tg, 1)
	// The pods of the fake node finish before they were observed to start.
	if names["TaskGroup"] != 1 || names["Wait"] > 1 || names["Wait"] == 1 != (tg.Status.StartTime != nil) || names["Attempt"] != 2 || names["Pod"] < 1 {
		t.Errorf("spans %v", names)
	}
	if got := "00-" + hex.EncodeToString(root.GetTraceId()) + "-" + hex.EncodeToString(root.GetParentSpanId()) + "-01"; got != parent {
		t.Errorf("the parent is %s, want %s", got, parent)
	}
	if seconds := int64(root.GetEndTimeUnixNano() / 1e9); seconds != tg.Status.CompletionTime.Unix() {
		t.Errorf("the span ends at %d, want %d", seconds, tg.Status.CompletionTime.Unix())
	}

	// The collector is unavailable when a group finishes, and the operator continues.
	c.down.Store(true)
	delayed := awaitReason(t, create(t, commands(ns, "delayed", 1), rig.Behaviour{}), v1alpha1.ReasonCompleted)
	if err := rig.Await(t.Context(), "a refused export", func(context.Context) (bool, string, error) {
		return c.refused.Load() > 0, "none", nil
	}); err != nil {
		t.Fatal(err)
	}
	c.down.Store(false)
	c.await(t, delayed, 1)

	// The operator is killed before the collector acknowledges a group.
	c.down.Store(true)
	refused := c.refused.Load()
	lost := awaitReason(t, create(t, commands(ns, "lost", 1), rig.Behaviour{}), v1alpha1.ReasonCompleted)
	if err := rig.Await(t.Context(), "a refused export", func(context.Context) (bool, string, error) {
		return c.refused.Load() > refused, "none", nil
	}); err != nil {
		t.Fatal(err)
	}
	first.Kill()
	c.down.Store(false)
	if _, _, copies := c.of(string(lost.UID)); copies != 0 {
		t.Fatal("the collector received the spans before the restart")
	}
	start()
	c.await(t, lost, 1)
	// The others are exported again, with the same IDs.
	again, _ := c.await(t, tg, 2)
	if fmt.Sprint(again) != fmt.Sprint(names) {
		t.Errorf("spans after the restart %v, want %v", again, names)
	}
}
