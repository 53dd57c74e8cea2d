package server

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-contrib/cors"
	"github.com/gin-gonic/gin"

	"countersign/clients"
	"countersign/handlers"
	"countersign/oauth"
	"countersign/origins"
)

// access says which pages may read the answers of a path.
type access int

const (
	ownOrigins    access = iota // our own applications, which people sign in to
	clientOrigins               // all clients; third parties without credentials
	noOrigin                    // our pages, which a browser navigates to
	anyOrigin                   // public documents, without credentials
)

// standing says whose pages an origin has.
type standing int

const (
	foreign    standing = iota
	thirdParty          // a client's that isn't first-party
	own                 // our own applications'
)

// corsMethods are the methods that pages may use.
var corsMethods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// originsMaxAge is how old the cached origins of the clients may be.
const originsMaxAge = 2 * time.Second

// CORS decides which web origins may call which path from a browser.
type CORS struct {
	base       string // path of the issuer
	own        string // the issuer's origin, whose pages may always call
	rules      origins.Rules
	configured []string // origins; those of localhost may have "*" for the port, as clients' may
	clients    func(context.Context) ([]clients.Origin, error)

	reading    sync.Mutex // held by the one request that reads the origins again
	registered atomic.Pointer[registrations]
}

// registrations are the clients' origins as last read.
type registrations struct {
	list []clients.Origin
	at   time.Time
}

// NewCORS returns the policy of an issuer for the configured origins and the clients'
// origins, which registered lists.
func NewCORS(issuer string, configured []string, registered func(context.Context) ([]clients.Origin, error)) *CORS {
	return &CORS{
		base: issuerPath(issuer), own: originOf(issuer), rules: origins.For(issuer), configured: configured, clients: registered,
	}
}

var (
	// hostedPages are the paths that browsers navigate to.
	hostedPages = []string{
		"", "/", "/me", "/me/security", "/me/factors", "/me/sessions", "/me/apps", "/me/data", "/me/deleted", "/login", "/login/link", "/signup/with", "/factor", "/factor/recovery", "/factor/enrol", "/consent", "/logout", "/forgot", "/reset", "/verify", "/verify/again", "/error",
		"/oauth/authorize", "/oauth/authorize/resume", "/oauth/logout", // RFC 9700 section 2.6
	}
	// clientEndpoints are the paths that any client's pages may call. None of them acts by
	// a cookie from a page that isn't ours.
	clientEndpoints = []string{"/oauth/token", "/oauth/revoke", oauth.UserInfoPath}
)

// access classifies a request by method and path.
func (p *CORS) access(method, path string) access {
	if strings.HasPrefix(path, "/.well-known/") {
		return anyOrigin
	}
	path = strings.TrimPrefix(path, p.base)
	switch {
	case strings.HasPrefix(path, "/.well-known/"), strings.HasPrefix(path, "/assets/"), path == "/openapi.json":
		return anyOrigin
	case slices.Contains(hostedPages, path), strings.HasPrefix(path, "/preview"),
		strings.HasPrefix(path, "/login/with/"), strings.HasPrefix(path, "/login/callback/"),
		path == "/signup" && (method == http.MethodGet || method == http.MethodHead): // applications POST there
		return noOrigin
	case slices.Contains(clientEndpoints, path):
		return clientOrigins
	default:
		return ownOrigins
	}
}

// standing returns whose pages an origin has, and why. One that is registered with a
// first-party client and with another is our own.
func (p *CORS) standing(ctx context.Context, origin string) (standing, string) {
	if p.rules.Check(origin) != nil { // whatever an older version, or another issuer, has stored
		return foreign, ""
	}
	for _, pattern := range p.configured {
		if origins.Match(pattern, origin) {
			return own, fmt.Sprintf("it is an own application's origin, since cors.allowed_origins has %s", pattern)
		}
	}
	third := ""
	for _, one := range p.registeredOrigins(ctx) {
		switch {
		case !origins.Match(one.Pattern, origin):
		case one.FirstParty:
			return own, fmt.Sprintf("it is an own application's origin, since first-party client %s is registered with the origin %s", one.ClientID, one.Pattern)
		case third == "":
			third = fmt.Sprintf("it is a third party's origin, since client %s is registered with the origin %s and is not first-party", one.ClientID, one.Pattern)
		}
	}
	if third != "" {
		return thirdParty, third
	}
	return foreign, ""
}

// lets reports whether pages of a standing may call paths of an access, which must be
// ownOrigins or clientOrigins.
func (s standing) lets(a access) bool {
	return s == own || s == thirdParty && a == clientOrigins
}

// registeredOrigins returns the clients' origins. When they are too old, one request
// reads them again; the others use the old ones, as all do if the read fails. Requests
// wait only for the very first read.
func (p *CORS) registeredOrigins(ctx context.Context) []clients.Origin {
	known := p.registered.Load()
	if known != nil && (time.Since(known.at) < originsMaxAge || !p.reading.TryLock()) {
		return known.list
	}
	if known == nil {
		p.reading.Lock()
	}
	defer p.reading.Unlock()
	if now := p.registered.Load(); now != known { // another request has just read them
		return now.list
	}
	read := &registrations{}
	if known != nil {
		read.list = known.list
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), originsMaxAge)
	defer cancel()
	if list, err := p.clients(ctx); err == nil {
		read.list = list
	}
	read.at = time.Now()
	p.registered.Store(read)
	return read.list
}

// know reads the clients' origins before the first request, which may come when the
// database has just gone away. They count as old, so the first request reads them again
// and finds a client that was just created. It returns those that the rules keep out.
func (p *CORS) know(ctx context.Context) (barred []clients.Origin) {
	list := p.registeredOrigins(ctx)
	p.registered.Store(&registrations{list: list})
	for _, one := range list {
		if p.rules.Check(one.Pattern) != nil {
			barred = append(barred, one)
		}
	}
	return barred
}

// Explain says in one sentence whether a page of the origin may call the path
// with the method, and which rule decides. An empty method means GET for the documents
// that any origin may read, and POST for all other paths.
func (p *CORS) Explain(ctx context.Context, origin, method, path string) (string, bool) {
	method = strings.ToUpper(method)
	access := p.access(method, path)
	switch {
	case method != "":
	case access == anyOrigin:
		method = http.MethodGet
	default:
		method = http.MethodPost
	}
	if origin == p.own {
		return fmt.Sprintf("%s is let in: it is the issuer's own origin, which needs no CORS", origin), true
	}
	switch access {
	case anyOrigin:
		if method != http.MethodGet && method != http.MethodHead {
			return fmt.Sprintf("%s is kept out: %s is a public document, and %s is not one of GET and HEAD", origin, path, method), false
		}
		return fmt.Sprintf("%s is let in: %s is a public document that any origin may read, without credentials", origin, path), true
	case noOrigin:
		return fmt.Sprintf("%s is kept out: browsers navigate to %s, no script may read it", origin, path), false
	}
	if !slices.Contains(corsMethods, method) {
		return fmt.Sprintf("%s is kept out: %s is not one of the methods pages may use (%s)", origin, method, strings.Join(corsMethods, ", ")), false
	}
	if origin == "null" {
		return "null is kept out: pages from a file and sandboxed frames send it, whatever site made them; serve the page over http://localhost", false
	}
	if err := origins.Check(origin); err != nil {
		return fmt.Sprintf("%s is kept out: no browser sends it as an origin (%v)", origin, err), false
	}
	if err := p.rules.Check(origin); err != nil {
		return fmt.Sprintf("%s is kept out: an origin %v", origin, err), false
	}
	switch standing, why := p.standing(ctx, origin); {
	case standing == own:
		return fmt.Sprintf("%s is let in to %s %s: %s", origin, method, path, why), true
	case standing.lets(access):
		return fmt.Sprintf("%s is let in to %s %s, without cookies: %s", origin, method, path, why), true
	case standing == thirdParty:
		return fmt.Sprintf("%s is kept out of %s %s, which is for our own applications: %s (clients create --first-party, cors.allowed_origins)", origin, method, path, why), false
	default:
		return fmt.Sprintf("%s is kept out of %s %s: it is neither in cors.allowed_origins nor registered with a client (clients create --origin)", origin, method, path), false
	}
}

// middleware answers preflights and sets the CORS headers of every other answer, errors
// included, so it must come before any handler that can end a request.
func (p *CORS) middleware() gin.HandlerFunc {
	open := cors.New(cors.Config{
		AllowAllOrigins: true,
		AllowMethods:    []string{http.MethodGet, http.MethodHead},
		ExposeHeaders:   []string{handlers.RequestIDHeader, "ETag"},
		MaxAge:          time.Hour,
	})
	listed := cors.Config{
		AllowOriginWithContextFunc: func(c *gin.Context, origin string) bool { return true }, // the policy has decided before: see below
		AllowMethods:               corsMethods,
		AllowHeaders:               []string{"Authorization", "Content-Type", "DPoP", handlers.RequestIDHeader},
		ExposeHeaders:              []string{"Retry-After", "WWW-Authenticate", handlers.RequestIDHeader, "DPoP-Nonce"},
		MaxAge:                     10 * time.Minute,
	}
	third := cors.New(listed)
	listed.AllowCredentials = true
	ours := cors.New(listed)
	everyone, byOrigin := []string{"*"}, []string{"Origin"}
	return func(c *gin.Context) {
		origin := c.GetHeader("Origin")
		access := p.access(c.Request.Method, c.Request.URL.Path)
		switch access {
		case anyOrigin:
			// All callers get this header: a cache may give an answer that it got
			// without an Origin to a page.
			c.Writer.Header()["Access-Control-Allow-Origin"] = everyone
			if origin != "" {
				withoutHost(c, open)
			}
			return
		case noOrigin:
			return
		}
		c.Writer.Header()["Vary"] = byOrigin
		if origin == "" {
			return
		}
		switch standing, _ := p.standing(c.Request.Context(), origin); {
		case standing == own:
			withoutHost(c, ours)
		case standing.lets(access):
			withoutHost(c, third)
		case isPreflight(c.Request):
			// The library would end any request of another origin. We let it go on: a
			// page can't read the answer without our headers, and other programs may send
			// any Origin. Only a preflight ends, because it has no other use.
			handlers.OriginNotAllowed(c)
		}
	}
}

// withoutHost calls the library without the request's host. With it, the library takes
// an origin with our host for our own, whatever its scheme, and sends no headers.
func withoutHost(c *gin.Context, handle gin.HandlerFunc) {
	host := c.Request.Host
	c.Request.Host = ""
	handle(c)
	c.Request.Host = host
}

func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

// issuerPath returns the path of an issuer, empty for none.
func issuerPath(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(u.EscapedPath(), "/")
}

// originOf returns the web origin of an issuer (RFC 6454 section 6.2).
func originOf(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
