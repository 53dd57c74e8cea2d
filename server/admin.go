package server

import (
	"context"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/handlers"
	"countersign/metrics"
)

// Admin is about the listener for the operator.
type Admin struct {
	// Hosts are the domain names by which callers may reach it, besides those of
	// privateHost, in lower case.
	Hosts []string
	// PProf adds Go's profiles at /debug/pprof.
	PProf bool
}

// routeAdmin mounts what the admin listener serves: an engine of its own, so that no route of
// one listener can be reached at the other. Its callers come from the operator's network and
// need no key for /metrics, so what a browser there may be made to ask is refused (refusePages).
func (a *App) routeAdmin() error {
	e, err := newEngine(nil)
	if err != nil {
		return err
	}
	e.Use(withoutZones, keepHangup, a.identify, logRequests(a.o.Log, nil), harden(false), recoverPanics(a.o.Log), a.o.Admin.refusePages)
	e.NoRoute(handlers.NotFound)
	e.NoMethod(handlers.MethodNotAllowed)
	root := router{e.Group("")}
	if a.o.Metrics != nil {
		root.GET(metricsPath, gin.WrapH(a.o.Metrics.Handler()))
	}
	if a.o.Admin.PProf {
		for path, handle := range map[string]http.HandlerFunc{
			"/debug/pprof/": pprof.Index, "/debug/pprof/cmdline": pprof.Cmdline, "/debug/pprof/profile": pprof.Profile,
			"/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace, "/debug/pprof/:name": pprof.Index,
		} {
			root.GET(path, a.profile(handle))
		}
		root.POST("/debug/pprof/symbol", a.profile(pprof.Symbol))
		root.GET("/debug/pprof", func(c *gin.Context) { c.Redirect(http.StatusFound, "/debug/pprof/") }) // its links are relative
	}
	a.admin = e
	return nil
}

// metricsPath is where Prometheus looks.
const metricsPath = "/metrics"

// longestProfile bounds how long a profile may be taken.
const longestProfile = 2 * time.Minute

// hangupKey is where profile finds the context that ends when the caller hangs up, which
// identify replaces.
const hangupKey = "hangup"

func keepHangup(c *gin.Context) { c.Set(hangupKey, c.Request.Context()) }

// profile gives a handler the time that a profile takes, which other requests don't get. The
// profile ends when its caller hangs up, or the server stops.
func (a *App) profile(handle http.HandlerFunc) gin.HandlerFunc {
	return func(c *gin.Context) {
		ctx, cancel := context.WithTimeout(c.MustGet(hangupKey).(context.Context), longestProfile)
		defer cancel()
		defer context.AfterFunc(a.ending, cancel)()
		handle(c.Writer, c.Request.WithContext(ctx))
	}
}

// Admin returns the handler of the admin listener.
func (a *App) Admin() http.Handler { return a.admin }

// refusePages refuses requests that a web page elsewhere has a browser make, perhaps the
// operator's own. A page can make a name of its own lead here (DNS rebinding); then the
// browser takes the listener for part of that site, and only the Host header tells.
func (o Admin) refusePages(c *gin.Context) {
	host := hostOf(c.Request.Host)
	if !privateHost(host) && !slices.Contains(o.Hosts, host) {
		handlers.HostNotAllowed(c)
		return
	}
	origin, site := c.GetHeader("Origin"), c.GetHeader("Sec-Fetch-Site")
	link := c.GetHeader("Sec-Fetch-Mode") == "navigate" && c.GetHeader("Sec-Fetch-Dest") == "document" && c.Request.Method == http.MethodGet &&
		!strings.HasPrefix(c.Request.URL.Path, "/debug/pprof/") // which are work
	if origin != "" && origin != "http://"+c.Request.Host && origin != "https://"+c.Request.Host ||
		site != "" && site != "same-origin" && site != "none" && !link {
		handlers.PageNotAllowed(c)
		return
	}
	c.Header("Cross-Origin-Resource-Policy", "same-origin")
	c.Header("Cache-Control", "no-store")
}

// hostOf returns the host of a Host header in one spelling, without the port.
func hostOf(header string) string {
	host := header
	if name, _, err := net.SplitHostPort(header); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// privateSuffixes end the names that no public DNS has, because they are reserved or used for
// networks of one's own.
var privateSuffixes = []string{".localhost", ".internal", ".local", ".localdomain", ".lan", ".home.arpa", ".svc"}

// privateHost reports whether host is an IP address, or a name that no page on the internet can
// have. A neighbour in the operator's own network may answer for some of these names.
func privateHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host != "" && !strings.Contains(host, ".") ||
		slices.ContainsFunc(privateSuffixes, func(suffix string) bool { return strings.HasSuffix(host, suffix) })
}

// sources returns what the gauges of the metrics are read from.
func (a *App) sources(queue func() int) metrics.Sources {
	return metrics.Sources{
		HashQueue: queue,
		Keys: func() (all []metrics.Keys) {
			for _, c := range a.o.Keys.Counts(time.Now()) {
				k := metrics.Keys{Alg: c.Alg, ByState: map[string]int{}, Late: c.Late}
				for state, n := range c.ByState {
					k.ByState[string(state)] = n
				}
				all = append(all, k)
			}
			return all
		},
		Sessions: func(ctx context.Context) (int64, error) { return a.o.Store.CountSessions(ctx, time.Now()) },
		Letters: func(ctx context.Context) (int64, time.Time, error) {
			return a.o.Store.CountLetters(ctx, time.Now())
		},
	}
}
