package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"countersign/keys"
	"countersign/mail"
	"countersign/metrics"
	"countersign/server"
	"countersign/store"
	"countersign/store/storetest"
)

// measured has a server measure itself, as with admin_listen.
func measured(o *server.Options, k *keys.Options) {
	o.Metrics = metrics.New(metrics.Build{Version: "v1.2.3", Commit: "abc", Go: "go1.26"})
	db := store.Observe(o.Store.(*store.DB), store.Observer{
		Call:  func(_ context.Context, op string, began time.Time) { o.Metrics.Stored(op, time.Since(began)) },
		Group: o.Metrics.Grouped,
	})
	o.Store, k.Store = db, db
}

// operator sends a request to the admin listener.
func (a *app) operator(method, target string, header ...string) *response {
	a.t.Helper()
	r := httptest.NewRequestWithContext(a.t.Context(), method, target, nil)
	r.Host = "127.0.0.1:9090"
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	w := httptest.NewRecorder()
	a.Admin().ServeHTTP(w, r)
	return &response{w, a.t}
}

// families are the metrics of one scrape.
type families map[string]*dto.MetricFamily

func (a *app) scrape() families {
	a.t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(a.operator(http.MethodGet, "/metrics").want(http.StatusOK).Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return all
}

// value returns a metric's value, or how many observations it has, by its labels as
// name-value pairs. It returns -1 if there is none.
func (f families) value(name string, labels ...string) float64 {
	for _, m := range f[name].GetMetric() {
		has := map[string]string{}
		for _, l := range m.GetLabel() {
			has[l.GetName()] = l.GetValue()
		}
		wanted := map[string]string{}
		for i := 0; i < len(labels); i += 2 {
			wanted[labels[i]] = labels[i+1]
		}
		if !maps.Equal(has, wanted) {
			continue
		}
		switch f[name].GetType() {
		case dto.MetricType_COUNTER:
			return m.GetCounter().GetValue()
		case dto.MetricType_HISTOGRAM:
			return float64(m.GetHistogram().GetSampleCount())
		case dto.MetricType_SUMMARY:
			return float64(m.GetSummary().GetSampleCount())
		default:
			return m.GetGauge().GetValue()
		}
	}
	return -1
}

// shapes are the metrics with their types and labels, which dashboards and alerts rely on.
var shapes = map[string]string{
	"countersign_http_request_duration_seconds": "HISTOGRAM method route status",
	"countersign_hash_queue_depth":              "GAUGE",
	"countersign_hash_wait_seconds":             "HISTOGRAM",
	"countersign_store_group_size":              "SUMMARY",
	"countersign_store_duration_seconds":        "HISTOGRAM op",
	"countersign_tokens_issued_total":           "COUNTER client_kind grant",
	"countersign_refusals_total":                "COUNTER reason",
	"countersign_sessions":                      "GAUGE",
	"countersign_keys":                          "GAUGE alg state",
	"countersign_keys_late":                     "GAUGE alg",
	"countersign_mail_queue":                    "GAUGE",
	"countersign_mail_wait_seconds":             "GAUGE",
	"countersign_time_seconds":                  "GAUGE",
	"countersign_build_info":                    "GAUGE commit go version",
}

func TestMetricsTellWhatHappened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, measured, func(o *server.Options, _ *keys.Options) {
			o.Throttle.FreeFailures = 1
			o.Mail.Sender = &mail.Printer{Out: io.Discard} // no mailer runs, so letters wait
		})
		hashed := a.scrape().value("countersign_hash_wait_seconds") // the secrets of clients
		a.signup("alice")
		first := a.login("alice").text("refresh_token")
		second := a.refresh(first).want(http.StatusOK).text("refresh_token")
		page := a.page()
		page.signIn("alice", password).want(http.StatusOK)
		page.refresh().want(http.StatusOK)
		a.token(form("grant_type", "client_credentials"), "Authorization", basic("api", "dev-secret")).want(http.StatusOK)

		time.Sleep(2 * time.Minute) // more than the replay window
		a.refresh(second).want(http.StatusOK)
		a.refresh(first).wantError(http.StatusBadRequest, "invalid_grant")
		wrong := with(passwordForm("alice"), "password", "not this one")
		a.token(wrong).wantError(http.StatusBadRequest, "invalid_grant")
		a.token(wrong).wantError(http.StatusBadRequest, "invalid_grant")
		a.token(wrong).wantError(http.StatusTooManyRequests, "temporarily_unavailable")
		a.do("ZX9", "/oauth/token?zx9=1", "")
		a.do(http.MethodGet, "/zx9/../zx9", "")
		a.do(http.MethodGet, "/account/sessions/zx9", "")
		a.do(http.MethodGet, "/oauth/authorize?client_id=zx9&redirect_uri=zx9", "")
		a.token(with(passwordForm("zx9"), "client_id", "zx9", "grant_type", "zx9"), "Origin", "https://zx9.example").wantError(http.StatusBadRequest, "unsupported_grant_type")
		time.Sleep(time.Second)
		got := a.scrape()

		for name, want := range shapes {
			family := got[name]
			if family == nil || family.GetHelp() == "" {
				t.Errorf("%s is missing, or has no help", name)
				continue
			}
			var labels []string
			for _, l := range family.GetMetric()[0].GetLabel() {
				labels = append(labels, l.GetName())
			}
			slices.Sort(labels)
			if shape := strings.TrimSpace(family.GetType().String() + " " + strings.Join(labels, " ")); shape != want {
				t.Errorf("%s is %q, want %q", name, shape, want)
			}
		}
		for name, family := range got {
			if strings.HasPrefix(name, "countersign_") && shapes[name] == "" {
				t.Errorf("%s isn't among the shapes here", name)
			}
			for _, m := range family.GetMetric() {
				for _, l := range m.GetLabel() {
					if text := strings.ToLower(l.GetValue()); strings.Contains(text, "zx9") || strings.Contains(text, "alice") {
						t.Errorf("%s has the label %v, which a caller chose", name, l)
					}
				}
			}
		}
		for _, want := range []struct {
			name   string
			labels []string
			value  float64
		}{
			{"countersign_http_request_duration_seconds", []string{"route", "/oauth/token", "method", "POST", "status", "200"}, 4},
			{"countersign_http_request_duration_seconds", []string{"route", "/oauth/token", "method", "POST", "status", "429"}, 1},
			{"countersign_http_request_duration_seconds", []string{"route", "unmatched", "method", "other", "status", "405"}, 1},
			{"countersign_http_request_duration_seconds", []string{"route", "unmatched", "method", "GET", "status", "404"}, 1},
			{"countersign_http_request_duration_seconds", []string{"route", "/account/sessions/:id", "method", "GET", "status", "405"}, -1},
			{"countersign_hash_wait_seconds", nil, hashed + 6}, // a sign-up, two sign-ins, two failures, a client's secret
			{"countersign_hash_queue_depth", nil, 0},
			{"countersign_store_duration_seconds", []string{"op", "AdvanceSession"}, 3},
			{"countersign_tokens_issued_total", []string{"grant", "password", "client_kind", "public"}, 2},
			{"countersign_tokens_issued_total", []string{"grant", "refresh_token", "client_kind", "public"}, 3},
			{"countersign_tokens_issued_total", []string{"grant", "client_credentials", "client_kind", "confidential"}, 1},
			{"countersign_tokens_issued_total", []string{"grant", "authorization_code", "client_kind", "public"}, 0},
			{"countersign_refusals_total", []string{"reason", "reused"}, 1},
			{"countersign_refusals_total", []string{"reason", "bad_credentials"}, 2},
			{"countersign_refusals_total", []string{"reason", "throttled"}, 1},
			{"countersign_refusals_total", []string{"reason", "unsupported_grant_type"}, 1},
			{"countersign_refusals_total", []string{"reason", "unavailable"}, 0},
			{"countersign_sessions", nil, 1}, // the reused one has ended
			{"countersign_keys", []string{"state", "signing", "alg", "ES256"}, 1},
			{"countersign_keys", []string{"state", "next", "alg", "RS256"}, 0},
			{"countersign_keys_late", []string{"alg", "ES256"}, 0},
			{"countersign_mail_queue", nil, 1},
			{"countersign_mail_wait_seconds", nil, 121},
			{"countersign_time_seconds", nil, float64(time.Now().Unix())},
			{"countersign_build_info", []string{"version", "v1.2.3", "commit", "abc", "go", "go1.26"}, 1},
		} {
			if value := got.value(want.name, want.labels...); value != want.value {
				t.Errorf("%s%v = %v, want %v", want.name, want.labels, value, want.value)
			}
		}
		if size := got["countersign_store_group_size"].GetMetric(); size[0].GetSummary().GetSampleCount() < 5 && !storetest.OnMariaDB() {
			t.Errorf("%v groups are counted, want each", size)
		}
		for _, expr := range deployed(t) {
			got.check(t, expr)
		}
	})
}

// The operator needs the other measurements most while the database is away.
func TestMetricsAreThereWhileTheDatabaseIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faults{}
		a := newApp(t, measured, withFaults(f))
		a.scrape()
		f.set(func(ctx context.Context, verb string) error {
			<-ctx.Done()
			return ctx.Err()
		})
		time.Sleep(time.Hour)
		began := time.Now()
		got := a.scrape()
		if took := time.Since(began); took > time.Second {
			t.Errorf("the scrape took %v", took)
		}
		if got.value("countersign_keys", "state", "signing", "alg", "ES256") != 1 {
			t.Error("the keys are missing")
		}
		time.Sleep(2 * time.Minute)
		if got := a.scrape()["countersign_sessions"]; got != nil {
			t.Errorf("sessions are counted as %v, want none counted", got)
		}
		f.set(nil)
		time.Sleep(time.Hour * 3)
		if got := a.scrape().value("countersign_sessions"); got != 0 {
			t.Errorf("then sessions are counted as %v, want 0", got)
		}
	})
}

// What is for the operator is at the admin listener alone, and nothing else is.
func TestListenersShareNoRoute(t *testing.T) {
	a := newApp(t, measured, func(o *server.Options, _ *keys.Options) { o.Admin.PProf = true })
	if diff := cmp.Diff([]string{
		"GET /debug/pprof", "GET /debug/pprof/", "GET /debug/pprof/:name", "GET /debug/pprof/cmdline", "GET /debug/pprof/profile",
		"GET /debug/pprof/symbol", "GET /debug/pprof/trace", "GET /metrics",
	}, slices.DeleteFunc(slices.Sorted(slices.Values(a.AdminRoutes())), func(r string) bool { return !strings.HasPrefix(r, "GET ") })); diff != "" {
		t.Error(diff)
	}
	for _, route := range a.AdminRoutes() {
		method, path, _ := strings.Cut(strings.ReplaceAll(route, ":name", "heap"), " ")
		for _, target := range []string{path, path + "/", "/" + path, "/." + path} {
			if got := a.do(method, target, "", "Host", "127.0.0.1:9090"); got.Code != http.StatusNotFound {
				t.Errorf("%s %s at the public listener: %d", method, target, got.Code)
			}
		}
	}
	for _, route := range a.Routes() {
		method, path, _ := strings.Cut(route, " ")
		if got := a.operator(method, path); got.Code != http.StatusNotFound {
			t.Errorf("%s at the admin listener: %d", route, got.Code)
		}
	}
}

func TestProfilesAreThereOnlyIfTheOperatorSaysSo(t *testing.T) {
	for on, want := range map[bool]int{false: http.StatusNotFound, true: http.StatusOK} {
		a := newApp(t, func(o *server.Options, _ *keys.Options) { o.Admin.PProf = on })
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/goroutine?debug=1", "/debug/pprof/cmdline", "/debug/pprof/symbol"} {
			if got := a.operator(http.MethodGet, path); got.Code != want {
				t.Errorf("%v: %s: %d, want %d", on, path, got.Code, want)
			}
		}
		if got := a.operator(http.MethodGet, "/metrics"); got.Code != http.StatusNotFound {
			t.Errorf("metrics of a server that doesn't measure: %d", got.Code)
		}
	}
}

// A page that an operator looks at must not read what is at the admin listener, not even one
// whose name leads there.
func TestAdminListenerAnswersNoPage(t *testing.T) {
	a := newApp(t, measured, func(o *server.Options, _ *keys.Options) { o.Admin.Hosts = []string{"auth1.example.com"} })
	for _, test := range []struct {
		header []string
		want   int
	}{
		{nil, http.StatusOK},
		{[]string{"Host", "localhost:9090"}, http.StatusOK},
		{[]string{"Host", "LOCALHOST."}, http.StatusOK},
		{[]string{"Host", "[::1]:9090"}, http.StatusOK},
		{[]string{"Host", "[fe80::1%eth0]:9090"}, http.StatusOK},
		{[]string{"Host", "10.0.0.1"}, http.StatusOK},
		{[]string{"Host", "countersign-1:9090"}, http.StatusOK},
		{[]string{"Host", "countersign.auth.svc.cluster.local:9090"}, http.StatusOK},
		{[]string{"Host", "auth1.example.com:9090"}, http.StatusOK},
		{[]string{"Host", "evil.example:9090"}, http.StatusForbidden},
		{[]string{"Host", "evil.com"}, http.StatusForbidden},
		{[]string{"Host", "127.0.0.1.evil.com:9090"}, http.StatusForbidden},
		{[]string{"Host", "127.0.0.1.evil.com."}, http.StatusForbidden},
		{[]string{"Host", "localhost.evil.com"}, http.StatusForbidden},
		{[]string{"Host", "evil-localhost.com"}, http.StatusForbidden},
		{[]string{"Host", "auth1.example.com.evil.com"}, http.StatusForbidden},
		{[]string{"Host", ""}, http.StatusForbidden},
		{[]string{"Host", "."}, http.StatusForbidden},
		{[]string{"Host", ":9090"}, http.StatusForbidden},
		{[]string{"Origin", "http://127.0.0.1:9090"}, http.StatusOK},
		{[]string{"Origin", "http://127.0.0.1:3000"}, http.StatusForbidden},
		{[]string{"Origin", "https://evil.com"}, http.StatusForbidden},
		{[]string{"Origin", "null"}, http.StatusForbidden},
		{[]string{"Sec-Fetch-Site", "none"}, http.StatusOK},
		{[]string{"Sec-Fetch-Site", "same-origin"}, http.StatusOK},
		{[]string{"Sec-Fetch-Site", "same-site"}, http.StatusForbidden},
		{[]string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, http.StatusForbidden},
		{[]string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, http.StatusForbidden},
		{[]string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, http.StatusOK}, // a link
	} {
		got := a.operator(http.MethodGet, "/metrics", test.header...)
		if got.Code != test.want {
			t.Errorf("%q: %d, want %d", test.header, got.Code, test.want)
		}
		for name := range got.Header() {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%q: the answer has %s", test.header, name)
			}
		}
	}
}

func TestScrapesAreNotLogged(t *testing.T) {
	a := newApp(t, measured)
	before := len(a.lines())
	a.scrape()
	if after := len(a.lines()); after != before {
		t.Errorf("a scrape left %d lines", after-before)
	}
	a.operator(http.MethodGet, "/metrics", "Host", "evil.com").wantProblem(http.StatusForbidden, "host_not_allowed")
	if line := a.last("request"); line["route"] != "/metrics" {
		t.Errorf("a refused one left %v", line)
	}
}

// Both listeners close, the operator's when the last request has its answer. It waits for no
// profile.
func TestDrainClosesBothListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faults{}
		r := run(t, measured, withFaults(f), func(o *server.Options, _ *keys.Options) {
			o.ShutdownTimeout, o.Admin.PProf = 10*time.Second, true
		})
		ask := func(path string) (int, string, error) {
			c, err := r.admin.dial()
			if err != nil {
				return 0, "", err
			}
			defer c.Close()
			go io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
			return answer(c)
		}
		r.signup("alice")
		release := make(chan struct{})
		f.set(func(context.Context, string) error { <-release; return nil })
		body := passwordForm("alice").Encode()
		under := r.open(fmt.Sprintf("POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		profiled := make(chan time.Time)
		go func() {
			ask("/debug/pprof/goroutine?seconds=100")
			profiled <- time.Now()
		}()
		synctest.Wait()
		stopped := time.Now()
		r.stop()
		synctest.Wait()
		if _, err := r.pipes.dial(); !errors.Is(err, net.ErrClosed) {
			t.Error("the public listener still takes connections")
		}
		if status, text, err := ask("/metrics"); status != http.StatusOK || !strings.Contains(text, "countersign_hash_queue_depth") {
			t.Errorf("the admin listener while requests end: %d %s (%v)", status, text, err)
		}
		if took := (<-profiled).Sub(stopped); took > time.Second {
			t.Errorf("the profile ended %v after the signal", took)
		}
		time.Sleep(5 * time.Second)
		close(release)
		if status, _, err := answer(under); status != http.StatusOK {
			t.Errorf("the request under way: %d %v", status, err)
		}
		if err := <-r.done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		if _, err := r.admin.dial(); !errors.Is(err, net.ErrClosed) {
			t.Error("the admin listener still takes connections")
		}
	})
}

func TestRunReturnsWhyItCanNotListenForTheOperator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, measured)
		r.admin.Close()
		if err := <-r.done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Run = %v, want the listener's error", err)
		}
		if _, err := r.pipes.dial(); !errors.Is(err, net.ErrClosed) {
			t.Error("the public listener still takes connections")
		}
	})
}
