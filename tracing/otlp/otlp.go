// Package otlp sends traces by OTLP over HTTP, as the standard environment variables of
// OpenTelemetry say.
package otlp

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"countersign/tracing"
)

// Sender sends the spans of its Tracer in batches.
type Sender struct {
	*tracing.Tracer
	provider *sdk.TracerProvider
}

// Start returns a Sender, or nil if the environment asks for no traces: they are off unless
// OTEL_TRACES_EXPORTER is otlp or an endpoint is set (OTEL_EXPORTER_OTLP_ENDPOINT,
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT), and OTEL_SDK_DISABLED isn't true. What it asks for and
// isn't supported is said in the log; as the specification has it, traces are then off. The
// library reads the other variables: OTEL_EXPORTER_OTLP_*, OTEL_TRACES_SAMPLER,
// OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_BSP_*. Start doesn't wait for the receiver.
func Start(ctx context.Context, version string, log *slog.Logger) (*Sender, error) {
	endpoint := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	exporter := os.Getenv("OTEL_TRACES_EXPORTER")
	protocol := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), httpProtobuf)
	switch {
	case strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true"), exporter == "none", exporter == "" && endpoint == "":
		return nil, nil
	case exporter != "" && exporter != "otlp":
		log.Warn("no traces are sent: the only OTEL_TRACES_EXPORTER is otlp", "exporter", exporter)
		return nil, nil
	case protocol != httpProtobuf:
		log.Warn("no traces are sent: the only OTEL_EXPORTER_OTLP_PROTOCOL is "+httpProtobuf+", which collectors take at port 4318", "protocol", protocol)
		return nil, nil
	}
	otel.SetErrorHandler(&complaints{log: log})
	client, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("send traces: %w", err)
	}
	of, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", "countersign"), attribute.String("service.version", version),
	), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		otel.Handle(err) // what could be read counts
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(client), sdk.WithResource(of))
	return &Sender{tracing.New(provider), provider}, nil
}

const httpProtobuf = "http/protobuf"

// Shutdown sends what is left, for as long as ctx lives.
func (s *Sender) Shutdown(ctx context.Context) {
	if err := s.provider.Shutdown(ctx); err != nil {
		otel.Handle(err)
	}
}

// complaints logs the library's errors, one a minute: a receiver that is away causes one for
// each batch.
type complaints struct {
	log  *slog.Logger
	last atomic.Int64 // in Unix seconds
}

// Handle implements [otel.ErrorHandler].
func (c *complaints) Handle(err error) {
	now, last := time.Now().Unix(), c.last.Load()
	if now-last >= 60 && c.last.CompareAndSwap(last, now) {
		c.log.Warn("traces were not sent", "err", err)
	}
}
