package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	collectpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// operatorAddress returns where a process serves its operator.
func operatorAddress(t *testing.T, p *process) string {
	t.Helper()
	p.await("serving the operator")
	var entry struct {
		Address string `json:"admin_listen"`
	}
	if err := json.Unmarshal([]byte(p.said("serving the operator")[0]), &entry); err != nil {
		t.Fatal(err)
	}
	return "http://" + entry.Address
}

// collector receives traces as OpenTelemetry's does.
type collector struct {
	*httptest.Server
	mu       sync.Mutex
	spans    []*tracepb.Span
	resource map[string]string
	bytes    []byte
}

func newCollector(t *testing.T) *collector {
	c := &collector{resource: map[string]string{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var got collectpb.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &got)
		}
		if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("the collector got %s %q: %v", r.URL, r.Header, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.bytes = append(c.bytes, body...)
		for _, from := range got.GetResourceSpans() {
			for _, a := range from.GetResource().GetAttributes() {
				c.resource[a.GetKey()] = a.GetValue().GetStringValue()
			}
			for _, scope := range from.GetScopeSpans() {
				c.spans = append(c.spans, scope.GetSpans()...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(c.Close)
	return c
}

// The server tells its operator what its parts did: in metrics, and in traces that are sent
// at the latest when it stops.
func TestServeMeasures(t *testing.T) {
	t.Parallel()
	traces := newCollector(t)
	p := launch(t, t.TempDir(), "COUNTERSIGN_ADMIN_LISTEN=127.0.0.1:0", "COUNTERSIGN_ADMIN_PPROF=true",
		"OTEL_EXPORTER_OTLP_ENDPOINT="+traces.URL, "OTEL_RESOURCE_ATTRIBUTES=deployment.environment=test")
	admin := operatorAddress(t, p)
	p.await("serving")
	if _, err := p.signup("alice", processPassword); err != nil {
		t.Fatal(err)
	}
	signedIn, err := p.login("alice", processPassword)
	if err != nil {
		t.Fatal(err)
	}
	refused, err := p.refresh("cs_rt_zx9")
	if err != nil || refused.status != http.StatusBadRequest {
		t.Fatalf("a forged token: %v %v", refused, err)
	}
	get := func(url string) (int, string) {
		t.Helper()
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
	status, text := get(admin + "/metrics")
	if status != http.StatusOK {
		t.Errorf("metrics: %d", status)
	}
	for _, want := range []string{
		`countersign_tokens_issued_total{client_kind="public",grant="password"} 1`,
		`countersign_store_duration_seconds_count{op="CreateSession"} 1`,
		`countersign_store_duration_seconds_count{op="Keys"}`, // the ring's calls, too
		"countersign_sessions 1\n",
		`countersign_keys{alg="ES256",state="signing"} 1`,
		`go="go1.`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	if status, _ := get(admin + "/debug/pprof/profile?seconds=1"); status != http.StatusOK {
		t.Errorf("profile: %d", status)
	}
	if _, text := get(admin + "/debug/pprof/block?debug=1"); !strings.Contains(text, "@ 0x") {
		t.Errorf("what goroutines wait for isn't recorded: %s", text)
	}
	if _, text := get(admin + "/debug/pprof/mutex?debug=1"); !strings.Contains(text, "sampling period=10\n") {
		t.Errorf("what holds locks isn't recorded: %s", text)
	}
	for _, path := range []string{"/metrics", "/debug/pprof/"} {
		if status, _ := get(p.base + path); status != http.StatusNotFound {
			t.Errorf("%s at the public listener: %d", path, status)
		}
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		t.Fatal("it doesn't end")
	}
	if p.err != nil {
		t.Errorf("it ended with %v", p.err)
	}

	traces.mu.Lock()
	defer traces.mu.Unlock()
	if traces.resource["service.name"] != "countersign" || traces.resource["deployment.environment"] != "test" {
		t.Errorf("the traces are of %v", traces.resource)
	}
	requests, within := map[string]*tracepb.Span{}, map[string][]string{}
	for _, s := range traces.spans {
		if s.GetKind() == tracepb.Span_SPAN_KIND_SERVER {
			requests[string(s.GetSpanId())] = s
		} else {
			within[string(s.GetParentSpanId())] = append(within[string(s.GetParentSpanId())], s.GetName())
		}
		for _, a := range s.GetAttributes() {
			if !slices.Contains([]string{"http.request.method", "http.route", "http.response.status_code", "error.type"}, a.GetKey()) {
				t.Errorf("%s has the attribute %v", s.GetName(), a)
			}
		}
	}
	seen := map[string]bool{}
	for id, s := range requests {
		attributes := map[string]string{}
		for _, a := range s.GetAttributes() {
			attributes[a.GetKey()] = a.GetValue().GetStringValue()
		}
		logged := p.said(`"trace_id":"` + hex.EncodeToString(s.GetTraceId()) + `"`)
		if len(logged) != 1 {
			t.Errorf("the log has %d lines of the trace of %s", len(logged), s.GetName())
		}
		what := strings.TrimSpace(s.GetName() + " " + attributes["error.type"])
		seen[what] = true
		if what == "POST /oauth/token" && (!slices.Contains(within[id], "hash") || !slices.Contains(within[id], "store CreateSession")) {
			t.Errorf("within a sign-in: %q", within[id])
		}
	}
	for _, want := range []string{"POST /signup", "POST /oauth/token", "POST /oauth/token unknown_token"} {
		if !seen[want] {
			t.Errorf("no span of %s among %v", want, seen)
		}
	}
	for _, secret := range []string{"alice", "correct horse", "127.0.0.1", "zx9", signedIn.member("access_token")} {
		if bytes.Contains(traces.bytes, []byte(secret)) {
			t.Errorf("%q is in the traces", secret)
		}
	}
}
