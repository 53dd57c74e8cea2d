// Package metrics measures one server for its operator, and says the result in Prometheus'
// format. It knows nothing of the other packages, and they know nothing of Prometheus: they
// call functions that the program makes of a [Metrics].
//
// Labels have few values, all of them ours: routes, methods, statuses, names of store calls,
// grants, reasons, algorithms. Nothing that a caller sends becomes one, nor an id of a user or
// a client.
package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Build says which program runs.
type Build struct{ Version, Commit, Go string }

// Metrics are the measurements of one server. A nil *Metrics measures nothing, and costs
// nothing. It is safe for concurrent use.
type Metrics struct {
	registry  *prometheus.Registry
	requests  *family[request, prometheus.Observer]
	hashWait  prometheus.Histogram
	groupSize prometheus.Summary
	stored    *family[string, prometheus.Observer]
	issued    *family[issue, prometheus.Counter]
	refused   *family[string, prometheus.Counter]
	read      *readings
}

type request struct {
	route, method string
	status        int
}

type issue struct{ grant, clientKind string }

// New returns the Metrics of a program, all at zero.
func New(b Build) *Metrics {
	requests := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "countersign_http_request_duration_seconds",
		Help:    "How long requests at the public listener took. route is a template, or unmatched.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"route", "method", "status"})
	stored := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "countersign_store_duration_seconds",
		Help:    "How long calls of the store took, waiting for connections, locks and repetitions included. op is the call's name.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5},
	}, []string{"op"})
	issued := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "countersign_tokens_issued_total",
		Help: "Answers with an access token, by grant (sign-in and refreshing at /session included) and by whether the client has a secret.",
	}, []string{"grant", "client_kind"})
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "countersign_refusals_total",
		Help: "Requests that were refused or failed, by reason.",
	}, []string{"reason"})
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: newFamily(5000, request{other, other, 0}, func(r request) prometheus.Observer {
			return requests.WithLabelValues(r.route, r.method, strconv.Itoa(r.status))
		}),
		hashWait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "countersign_hash_wait_seconds",
			Help:    "How long callers waited for a slot to hash a password or a client's secret, those who got none included.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
		groupSize: prometheus.NewSummary(prometheus.SummaryOpts{
			Name:       "countersign_store_group_size",
			Help:       "How many callers' changes a transaction of SQLite had. The quantiles are of the last ten minutes; a database server has no such groups.",
			Objectives: map[float64]float64{.5: .05, .99: .001},
		}),
		stored:  newFamily(500, other, func(op string) prometheus.Observer { return stored.WithLabelValues(op) }),
		issued:  newFamily(100, issue{other, other}, func(i issue) prometheus.Counter { return issued.WithLabelValues(i.grant, i.clientKind) }),
		refused: newFamily(200, other, func(reason string) prometheus.Counter { return refused.WithLabelValues(reason) }),
		read:    newReadings(),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "countersign_build_info", Help: "1; the labels say which program this is.",
		ConstLabels: prometheus.Labels{"version": b.Version, "commit": b.Commit, "go": b.Go},
	})
	build.Set(1)
	m.registry.MustRegister(requests, m.hashWait, m.groupSize, stored, issued, refused, m.read, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Requested notes an answered request. route is the route's template, and method one that the
// server knows, or "other".
func (m *Metrics) Requested(route, method string, status int, took time.Duration) {
	if m != nil {
		m.requests.of(request{route, method, status}).Observe(took.Seconds())
	}
}

// Waited notes a caller's wait for a hashing slot.
func (m *Metrics) Waited(d time.Duration) {
	if m != nil {
		m.hashWait.Observe(d.Seconds())
	}
}

// Stored notes a call of the store.
func (m *Metrics) Stored(op string, took time.Duration) {
	if m != nil {
		m.stored.of(op).Observe(took.Seconds())
	}
}

// Grouped notes that the changes of so many callers were committed together.
func (m *Metrics) Grouped(changes int) {
	if m != nil {
		m.groupSize.Observe(float64(changes))
	}
}

// Issued notes an access token that a client got by a grant.
func (m *Metrics) Issued(grant string, public bool) {
	if m != nil {
		m.issued.of(issue{grant, kind(public)}).Inc()
	}
}

// Refused notes a request that was refused, for a reason of ours.
func (m *Metrics) Refused(reason string) {
	if m != nil {
		m.refused.of(reason).Inc()
	}
}

// Expect has the counters of these grants and reasons begin at zero. Prometheus sees no
// increase in the first value of a counter that comes later.
func (m *Metrics) Expect(grants, reasons []string) {
	if m == nil {
		return
	}
	for _, g := range grants {
		m.issued.of(issue{g, kind(true)})
		m.issued.of(issue{g, kind(false)})
	}
	for _, r := range reasons {
		m.refused.of(r)
	}
}

func kind(public bool) string {
	if public {
		return "public"
	}
	return "confidential"
}

// Handler serves the measurements.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError, // what can be had is worth having
		MaxRequestsInFlight: 8,
	})
}

// Read has the gauges read from these sources, in place of any former ones.
func (m *Metrics) Read(s Sources) {
	if m != nil {
		m.read.from.Store(&s)
	}
}

// Close waits until no source is being read. Their last values count from now on.
func (m *Metrics) Close() {
	if m != nil {
		m.read.close()
	}
}
