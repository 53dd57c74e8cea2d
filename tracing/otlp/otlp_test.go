package otlp_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"countersign/tracing/otlp"
)

// What the environment asks for and can't have is said, and keeps no server from starting.
func TestTracesAreOffUnlessAskedFor(t *testing.T) {
	for _, test := range []struct {
		env  map[string]string
		on   bool
		says string
	}{
		{nil, false, ""},
		{map[string]string{"OTEL_SERVICE_NAME": "x"}, false, ""},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, true, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, true, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"}, false, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}, false, ""},
		{map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, false, "the only OTEL_TRACES_EXPORTER is otlp"},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false, "the only OTEL_EXPORTER_OTLP_PROTOCOL is http/protobuf, which collectors take at port 4318"},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, false, "the only OTEL_EXPORTER_OTLP_PROTOCOL is http/protobuf"},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}, true, ""},
	} {
		t.Run(fmt.Sprint(test.env), func(t *testing.T) {
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			var log strings.Builder
			s, err := otlp.Start(t.Context(), "v1", slog.New(slog.NewTextHandler(&log, nil)))
			if err != nil || (s != nil) != test.on {
				t.Errorf("Start = %v, %v; want traces: %v", s, err, test.on)
			}
			if s != nil {
				s.Shutdown(t.Context())
			}
			if test.says == "" && log.Len() > 0 || !strings.Contains(log.String(), test.says) {
				t.Errorf("it says %q, want %q", log.String(), test.says)
			}
		})
	}
}
