// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	tracesPath = "/v1/traces"
	// exportTimeout bounds one request to the collector.
	exportTimeout = 10 * time.Second
)

// sender sends spans to a collector.
type sender struct {
	exporter sdktrace.SpanExporter
	provider *sdktrace.TracerProvider
	batch    *batch
}

// newSender returns a sender for a collector. Without an endpoint, the variables
// OTEL_EXPORTER_OTLP_* of the environment configure it.
func newSender(ctx context.Context, endpoint, version string) (*sender, error) {
	// The queue of the Exporter retries.
	options := []otlptracehttp.Option{otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}), otlptracehttp.WithTimeout(exportTimeout)}
	if endpoint != "" {
		options = append(options, otlptracehttp.WithEndpointURL(strings.TrimSuffix(strings.TrimRight(endpoint, "/"), tracesPath)+tracesPath))
	}
	exporter, err := otlptracehttp.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("configuring the trace exporter: %w", err)
	}
	// Attributes of OTEL_RESOURCE_ATTRIBUTES are added.
	from, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "taskgroup-operator"), attribute.String("service.version", version)), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("reading OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	collected := &batch{}
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(from), sdktrace.WithIDGenerator(givenIDs{}), sdktrace.WithSampler(sdktrace.AlwaysSample()), sdktrace.WithSpanProcessor(collected))
	return &sender{exporter: exporter, provider: provider, batch: collected}, nil
}

// send returns nil when the collector has acknowledged all spans. It must not be called
// concurrently.
func (c *sender) send(ctx context.Context, spans []span) error {
	tracer := c.provider.Tracer("github.com/taskgroup-operator/taskgroup-operator/controllers/tracing")
	c.batch.ended = nil
	for i := range spans {
		record(ctx, tracer, &spans[i])
	}
	if err := c.exporter.ExportSpans(ctx, c.batch.ended); err != nil {
		return fmt.Errorf("exporting %d spans: %w", len(spans), err)
	}
	return nil
}

func (c *sender) close(ctx context.Context) error {
	return errors.Join(c.provider.Shutdown(ctx), c.exporter.Shutdown(ctx))
}

// record starts and ends a span of the SDK.
func record(ctx context.Context, tracer trace.Tracer, s *span) {
	if s.parent.IsValid() {
		parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: s.trace, SpanID: s.parent, TraceFlags: trace.FlagsSampled})
		ctx = trace.ContextWithSpanContext(ctx, parent)
	}
	_, recorded := tracer.Start(context.WithValue(ctx, givenKey{}, s), s.name, trace.WithTimestamp(s.start), trace.WithAttributes(s.attributes...))
	if !s.started.IsZero() {
		recorded.AddEvent("container started", trace.WithTimestamp(s.started))
	}
	if s.failure != "" {
		recorded.SetStatus(codes.Error, s.failure)
	}
	recorded.End(trace.WithTimestamp(s.end))
}

// givenKey is the key of the span whose IDs the SDK uses.
type givenKey struct{}

// givenIDs implements sdktrace.IDGenerator with the IDs of the span in the context.
type givenIDs struct{}

// NewIDs implements sdktrace.IDGenerator.
func (givenIDs) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	given := ctx.Value(givenKey{}).(*span)
	return given.trace, given.id
}

// NewSpanID implements sdktrace.IDGenerator.
func (givenIDs) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	return ctx.Value(givenKey{}).(*span).id
}

// batch implements sdktrace.SpanProcessor. Unlike the processors of the SDK, it lets the
// caller export the spans, and receive the error.
type batch struct{ ended []sdktrace.ReadOnlySpan }

// OnStart implements sdktrace.SpanProcessor.
func (*batch) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements sdktrace.SpanProcessor.
func (b *batch) OnEnd(s sdktrace.ReadOnlySpan) { b.ended = append(b.ended, s) }

// Shutdown implements sdktrace.SpanProcessor.
func (*batch) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdktrace.SpanProcessor.
func (*batch) ForceFlush(context.Context) error { return nil }

// ValidateEndpoint returns an error for a URL of a collector that cannot work.
func ValidateEndpoint(endpoint string) error {
	address, err := url.Parse(endpoint)
	if err != nil || address.Scheme != "http" && address.Scheme != "https" || address.Host == "" || address.RawQuery != "" || address.User != nil {
		return fmt.Errorf("want http://host:port or https://host:port, not %q", endpoint)
	}
	return nil
}
