// Package tracing makes OpenTelemetry spans: one for each request, and within it one for each
// call of the store and each hash. Their attributes are names of ours, such as routes and
// statuses: nothing that a caller sends is in them, nor an id of a user or a client. Package
// tracing/otlp sends them.
package tracing

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Tracer makes spans. A nil *Tracer makes none, at no cost. It is safe for concurrent use.
type Tracer struct{ tracer trace.Tracer }

// New returns a Tracer whose spans go to p.
func New(p trace.TracerProvider) *Tracer { return &Tracer{p.Tracer("countersign")} }

// A Request is the span of a request.
type Request struct{ span trace.Span }

// Begin begins the span of a request for a route's template. The request is part of the trace
// that from names in its traceparent header (W3C Trace Context), if any; nil is none.
func (t *Tracer) Begin(ctx context.Context, method, route string, from http.Header) (context.Context, Request) {
	if from != nil {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(from))
	}
	ctx, span := t.tracer.Start(ctx, method+" "+route, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("http.request.method", method), attribute.String("http.route", route)))
	return ctx, Request{span}
}

// TraceID returns the id of the trace that the request is part of.
func (r Request) TraceID() string { return r.span.SpanContext().TraceID().String() }

// End ends the span of a request that was answered with a status, refused for a reason of ours
// if that isn't empty.
func (r Request) End(status int, reason string) {
	r.span.SetAttributes(attribute.Int("http.response.status_code", status))
	if reason != "" {
		r.span.SetAttributes(attribute.String("error.type", reason))
	}
	if status >= http.StatusInternalServerError {
		r.span.SetStatus(codes.Error, reason)
	}
	r.span.End()
}

// Did adds what was done for the request of ctx, from began until now, to its trace.
func (t *Tracer) Did(ctx context.Context, kind, name string, began time.Time) {
	if t == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return
	}
	if name != "" {
		name = " " + name
	}
	_, span := t.tracer.Start(ctx, kind+name, trace.WithTimestamp(began))
	span.End()
}
