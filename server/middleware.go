package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"regexp"
	"runtime/debug"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/handlers"
	"countersign/metrics"
)

// requestTimeout bounds the work on one request, waiting for a hashing slot or
// the database included.
const requestTimeout = 20 * time.Second

// wellFormedID matches a request id that we accept from a trusted proxy. We replace others,
// because request ids go into logs and headers.
var wellFormedID = regexp.MustCompile(`^[A-Za-z0-9-]{8,64}$`)

// identify gives the request its id and, unless it is for a public document, which waits for
// nothing, its deadline. A caller that hangs up doesn't stop the work: a caller that has only
// finished sending looks the same, and an interrupted request could tell right passwords from
// wrong ones. Only the end of the shutdown timeout stops it.
func (a *App) identify(c *gin.Context) {
	a.underWay.Add(1)
	defer a.underWay.Done()
	c.Header(handlers.RequestIDHeader, cmp.Or(requestID(c, a.trusted), rand.Text()))
	if a.draining.Load() {
		c.Header("Connection", "close") // the server accepts no further request
	}
	if a.cors.access(c.Request.Method, c.Request.URL.Path) != anyOrigin { // documents are ready
		ctx, cancel := context.WithTimeout(a.hurry, requestTimeout)
		defer cancel()
		c.Request = c.Request.WithContext(ctx)
	}
	c.Next()
}

// logRequests writes one line per request, but for answered scrapes, and measures it. It
// logs the route, never the path or the query, because users paste secrets into both.
func logRequests(log *slog.Logger, m *metrics.Metrics) gin.HandlerFunc {
	return func(c *gin.Context) {
		began := time.Now()
		c.Next()
		method, route := named(c)
		status, took := c.Writer.Status(), time.Since(began)
		if m != nil {
			m.Requested(route, method, status, took)
			if reason := refusal(c); reason != "" {
				m.Refused(reason)
			}
		}
		if route == metricsPath && status == http.StatusOK {
			return
		}
		attrs := append(make([]slog.Attr, 0, 12),
			slog.String("request_id", handlers.RequestID(c)),
			slog.String("method", method),
			slog.String("route", route),
			slog.Int("status", status),
			slog.Int("bytes", max(0, c.Writer.Size())),
			slog.Int64("duration_us", took.Microseconds()), // slog takes longer for a fraction than for the rest of the line
			slog.String("address", c.ClientIP()),
		)
		if len(c.Keys) > 0 {
			for _, key := range []string{handlers.ClientIDKey, handlers.SubjectKey, handlers.ErrorKey, handlers.ReasonKey, handlers.OriginKey, traceIDKey} {
				if value := c.GetString(key); value != "" {
					attrs = append(attrs, slog.String(key, value))
				}
			}
		}
		if ctx := c.Request.Context(); log.Enabled(ctx, slog.LevelInfo) {
			line := slog.NewRecord(began.Add(took), slog.LevelInfo, "request", 0) // LogAttrs would look for our place in the source
			line.AddAttrs(attrs...)
			log.Handler().Handle(ctx, line)
		}
	}
}

// named returns a request's method and route as logs, metrics and traces have them: both are
// words of ours.
func named(c *gin.Context) (method, route string) {
	method = c.Request.Method
	if !slices.Contains(knownMethods, method) {
		method = "other"
	}
	return method, cmp.Or(c.FullPath(), "unmatched")
}

// refusal returns why a request was refused, in a word of ours, or "" if it wasn't.
func refusal(c *gin.Context) string {
	return cmp.Or(c.GetString(handlers.RefusalKey), c.GetString(handlers.ErrorKey))
}

// traceIDKey is where the request log finds the id of the request's trace.
const traceIDKey = "trace_id"

// trace makes the span of a request. Only a trusted proxy decides which trace that is part of:
// any caller could have all of its requests traced otherwise.
func (a *App) trace(c *gin.Context) {
	if a.o.Tracer == nil {
		return
	}
	var from http.Header
	if a.trusted.trust(c.RemoteIP()) {
		from = c.Request.Header
	}
	method, route := named(c)
	ctx, span := a.o.Tracer.Begin(c.Request.Context(), method, route, from)
	defer func() { span.End(c.Writer.Status(), refusal(c)) }()
	c.Set(traceIDKey, span.TraceID())
	c.Request = c.Request.WithContext(ctx)
	c.Next()
}

var knownMethods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
	http.MethodDelete, http.MethodOptions, http.MethodConnect, http.MethodTrace,
}

// recoverPanics answers a request whose handler panicked. The stack goes to the
// log only.
func recoverPanics(log *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer func() {
			reason := recover()
			if reason == nil {
				return
			}
			if err, ok := reason.(error); ok && errors.Is(err, http.ErrAbortHandler) { // net/http's own way to hang up
				panic(reason)
			}
			log.ErrorContext(c.Request.Context(), "panic", "request_id", handlers.RequestID(c), "route", c.FullPath(),
				"err", reason, "stack", string(debug.Stack()))
			if !c.Writer.Written() {
				handlers.Internal(c)
			}
			c.Abort()
		}()
		c.Next()
	}
}

// harden sets the headers that keep browsers from guessing content types, framing our
// answers, running scripts in them, or sending their addresses elsewhere.
func harden(https bool) gin.HandlerFunc {
	common := http.Header{
		"X-Content-Type-Options":  {"nosniff"},
		"Referrer-Policy":         {"no-referrer"},
		"X-Frame-Options":         {"DENY"},
		"Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"},
	}
	if https {
		common.Set("Strict-Transport-Security", "max-age=31536000")
	}
	return func(c *gin.Context) { maps.Copy(c.Writer.Header(), common) } // the values are shared, as no handler changes one in place
}
