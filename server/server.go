// Package server builds the application from its parts and runs it: the gin
// engine with its middleware, the background work, listening and draining.
package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/accounts"
	"countersign/audit"
	"countersign/authorize"
	"countersign/clients"
	"countersign/consents"
	"countersign/factors"
	"countersign/grants"
	"countersign/handlers"
	"countersign/ids"
	"countersign/limits"
	"countersign/oauth"
	"countersign/origins"
	"countersign/refusals"
	"countersign/seal"
	"countersign/signin"
	"countersign/tokens"
	"countersign/upstreams"
)

// Store is everything that the application stores.
type Store interface {
	accounts.UserStore
	consents.Store
	factors.Store
	clients.Store
	tokens.Store
	limits.Store
	// Events returns the security events that f selects, in its order.
	Events(ctx context.Context, f audit.Filter) ([]audit.Record, error)
	// PurgeEvents removes at most limit security events from before the given time.
	PurgeEvents(ctx context.Context, before time.Time, limit int) (int64, error)
	turns
	// Ping reports whether the database answers and takes writes.
	Ping(ctx context.Context) error
	// CountSessions returns how many sessions have not expired at now.
	CountSessions(ctx context.Context, now time.Time) (int64, error)
	// CountLetters returns how many letters wait to be sent at now, and since when the
	// oldest does.
	CountLetters(ctx context.Context, now time.Time) (n int64, since time.Time, err error)
}

// App is the whole server. The program declares clients with the exported Clients; Users
// and Tokens are exported for tests.
type App struct {
	Users   *accounts.Users
	Clients *clients.Registry
	Tokens  *tokens.Service
	Factors *factors.Service

	o         Options
	signIns   *signin.Service
	upstreams *upstreams.Service
	cors      *CORS
	trusted   proxies
	engine    *gin.Engine
	admin     *gin.Engine // of the admin listener
	chores    []chore
	draining  atomic.Bool
	// mailFailed is when the mail server last failed to take any mail, in Unix
	// milliseconds; 0 if it has taken some since.
	mailFailed atomic.Int64
	underWay   sync.WaitGroup // counts requests
	probe      sync.Mutex     // guards the next two fields
	probed     error
	probedAt   time.Time
	ending     context.Context // ends when the server takes no more requests
	end        context.CancelFunc
	hurry      context.Context // ends when the server cuts off requests under way
	cutOff     context.CancelFunc
}

// New puts an App together. It refuses Options that break a rule of one of their owners.
func New(o Options) (*App, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	o.SessionCookie.HTTPS = strings.HasPrefix(o.Issuer, "https://")
	o.SessionCookie.Port = cookiePort(o.Issuer)
	throttle, err := newThrottle(o.Store, o.Seal, o.Throttle)
	if err != nil {
		return nil, err
	}
	passwords, secrets := o.Hashing.Slots(), o.Hashing.Slots()
	if o.Metrics != nil || o.Tracer != nil {
		passwords.Observe, secrets.Observe = o.hashed, o.hashed
	}
	var utf8Mail func(context.Context) bool
	if o.Mail.Sender != nil {
		utf8Mail = o.Mail.Sender.TakesUTF8
	}
	providers, err := upstreams.New(upstreams.Options{
		Providers: o.Upstreams, Seal: o.Seal, Throttle: throttle, Callback: o.Issuer + "/login/callback/", Dev: o.Dev, Log: o.Log,
	})
	if err != nil {
		return nil, err
	}
	users, err := accounts.New(accounts.Options{
		Settings: o.Accounts, Store: o.Store, Argon2: o.Hashing.Argon2, Slots: passwords, Throttle: throttle,
		Mail: o.Mail.Sender != nil, UTF8Mail: utf8Mail, Seal: o.Seal, Providers: providers.IDs(), Log: o.Log,
	})
	if err != nil {
		return nil, err
	}
	registry, err := clients.New(clients.Options{
		Rules: clients.Rules{AnyLoopback: o.Dev, Algorithms: o.Keys.Algorithms(), Origins: origins.For(o.Issuer)}, Store: o.Store,
		Argon2: o.Hashing.Argon2, Slots: secrets, Throttle: throttle, Seal: o.Seal, Log: o.Log,
	})
	if err != nil {
		return nil, err
	}
	issuing, err := tokens.New(tokens.Options{
		Settings: o.Tokens, Store: o.Store, Signer: o.Keys, IDTokenAlg: o.Keys.IDTokenAlg(), Seal: o.Seal, Issuer: o.Issuer,
		Claims: claimsOf(users), Log: o.Log,
	})
	if err != nil {
		return nil, err
	}
	app := new(App)
	second, err := factors.New(factors.Options{
		Settings: o.Factors, Notices: FactorNotices(users), Providers: providers.IDs(), Store: o.Store, Seal: o.Seal, Throttle: throttle, Issuer: o.ServiceName,
		RelyingParty: relyingParty(&o, func() *CORS { return app.cors }),
	})
	if err != nil {
		return nil, err
	}
	*app = App{
		Users: users, Clients: registry, Tokens: issuing, Factors: second, o: o, upstreams: providers,
		signIns: signin.New(signin.Options{Users: users, Tokens: issuing, Factors: second, Seal: o.Seal, Throttle: throttle, Upstreams: providers}),
	}
	app.ending, app.end = context.WithCancel(context.Background())
	app.hurry, app.cutOff = context.WithCancel(context.Background())
	app.chores = []chore{
		{"sessions", app.Tokens.Purge},
		{"logins", app.Tokens.PurgeLogins},
		{"codes", app.Tokens.PurgeCodes},
		{"guesses", throttle.Purge},
		{"factors", second.Reseal},
		{"letters", func(ctx context.Context, now time.Time, limit int) (int64, error) {
			return o.Store.PurgeLetters(ctx, now.Add(-accounts.RenewFor), limit)
		}},
	}
	if o.AuditRetention > 0 {
		app.chores = append(app.chores, chore{"events", func(ctx context.Context, now time.Time, limit int) (int64, error) {
			return o.Store.PurgeEvents(ctx, now.Add(-o.AuditRetention), limit)
		}})
	}
	o.Metrics.Read(app.sources(func() int { return passwords.Waiting() + secrets.Waiting() }))
	return app, errors.Join(app.route(), app.routeAdmin())
}

// relyingParty returns whom passkeys are for: the issuer's host, on our own pages and on those
// of our own applications.
func relyingParty(o *Options, policy func() *CORS) factors.RelyingParty {
	u, err := url.Parse(o.Issuer)
	if err != nil || factors.CheckRelyingParty(u.Hostname()) != nil {
		return factors.RelyingParty{}
	}
	dev := o.Dev
	return factors.RelyingParty{ID: u.Hostname(), Takes: func(ctx context.Context, origin string) bool {
		return policy().takesPasskeys(ctx, origin) || dev && origins.Match("http://localhost:*", origin)
	}}
}

// claimsOf returns the source of the claims about users in ID tokens, with the errors
// that tokens expects.
func claimsOf(users *accounts.Users) func(context.Context, ids.User, []string) (map[string]any, error) {
	return func(ctx context.Context, id ids.User, wanted []string) (map[string]any, error) {
		claims, err := users.Claims(ctx, id, wanted)
		if errors.Is(err, accounts.ErrUnknownUser) {
			err = tokens.ErrUserGone
		}
		return claims, err
	}
}

// newThrottle returns the guess budgets kept in a store.
func newThrottle(store limits.Store, master *seal.Keys, budgets limits.Budgets) (*limits.Throttle, error) {
	secret, _ := master.MAC(master.Primary(), "guesses", nil)
	return limits.NewThrottle(limits.Options{Store: store, Budgets: budgets, Secret: secret[:]})
}

// newEngine returns an engine without routes.
func newEngine(trustedProxies []string) (*gin.Engine, error) {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	e.RedirectFixedPath = false
	e.UseRawPath = true // each path has one spelling: %2f is not a slash
	e.ContextWithFallback = true
	if err := e.SetTrustedProxies(trustedProxies); err != nil {
		return nil, fmt.Errorf("trusted proxies: %w", err)
	}
	e.RemoteIPHeaders = []string{forwardedHeader} // gin would also trust X-Real-IP, which proxies pass on from callers
	return e, nil
}

// route mounts the endpoints.
func (a *App) route() error {
	e, err := newEngine(a.o.TrustedProxies)
	if err != nil {
		return err
	}
	trusted, err := parseProxies(a.o.TrustedProxies)
	if err != nil {
		return err
	}
	a.trusted = trusted
	policy := NewCORS(a.o.Issuer, a.o.AllowedOrigins, a.Clients.Origins)
	a.cors = policy
	// The order matters: every answer has its id and is logged, also one to a
	// panic; and every answer that a page may read says so, errors included.
	failures := handlers.Failures{Log: a.o.Log, Unavailable: a.o.Unavailable}
	hosted := a.pages(failures, policy)
	e.Use(withoutZones, trusted.forwarded(a.o.Log), a.identify, a.trace, logRequests(a.o.Log, a.o.Metrics), harden(a.o.SessionCookie.HTTPS),
		hosted.ForBrowsers, recoverPanics(a.o.Log), policy.middleware())
	if issuer, err := url.Parse(a.o.Issuer); err == nil && a.o.Dev {
		e.Use(toIssuersHost(issuer))
	}
	e.NoRoute(handlers.NotFound)
	e.NoMethod(handlers.MethodNotAllowed)

	base := issuerPath(a.o.Issuer)
	root := router{e.Group("")}
	issuer := router{e.Group(base)}
	applications := router{issuer.Group("", policy.requireOrigin())} // for pages of our own applications alone

	(&handlers.Health{Ready: a.Ready, Log: a.o.Log}).Mount(root)
	granting := grants.New(grants.Options{
		Users: a.Users, Clients: a.Clients, Tokens: a.Tokens, SignIns: a.signIns, Seal: a.o.Seal, RFC9700: a.o.RFC9700, Log: a.o.Log, Unavailable: a.o.Unavailable,
		Issued: a.o.Metrics.Issued,
	})
	authorizing := authorize.New(authorize.Options{
		Clients: a.Clients, Consents: consents.Service{Store: a.o.Store}, Tokens: a.Tokens, SignIns: a.signIns, Seal: a.o.Seal, Issuer: a.o.Issuer,
		Claims: oauth.ScopeOfClaim(), RFC9700: a.o.RFC9700, SignupEnabled: a.o.SignupEnabled,
	})
	(&handlers.Metadata{
		Issuer: a.o.Issuer, IDTokenAlgorithms: a.o.Keys.Algorithms(), Grants: granting.Supported(),
		Prompts: authorizing.Prompts(), Challenge: !a.o.RFC9700,
	}).Mount(root, issuer, base)
	(&handlers.JWKS{Keys: a.o.Keys}).Mount(issuer)
	(&handlers.OpenAPI{Issuer: a.o.Issuer}).Mount(issuer, base)
	if err := (&handlers.Assets{Demo: a.o.Demo, Theme: a.o.Theme}).Mount(issuer); err != nil {
		return fmt.Errorf("demo app: %w", err)
	}
	(&handlers.Token{Grants: granting}).Mount(issuer)
	(&handlers.Challenge{Grants: granting}).Mount(issuer)
	(&handlers.Revoke{Grants: granting}).Mount(issuer)
	(&handlers.Introspect{Grants: granting}).Mount(issuer)
	browser := &signin.Browser{
		SignIns: a.signIns, Clients: a.Clients, ClientID: a.o.SessionCookie.Client, RFC9700: a.o.RFC9700, Log: a.o.Log, Issued: a.o.Metrics.Issued,
	}
	bearer := &handlers.Bearer{
		Failures: failures, Tokens: a.Tokens, Clients: a.Clients, Browser: browser, Cookies: &a.o.SessionCookie.Cookies, SameOrigin: policy.requireOrigin(),
	}
	(&handlers.UserInfo{Bearer: bearer, Users: a.Users}).Mount(issuer)
	known := hosted.KnownBrowsers
	consents := consents.Service{Store: a.o.Store}
	export := &handlers.Export{Users: a.Users, Tokens: a.Tokens, Consents: consents, Factors: a.Factors, Events: a.o.Store.Events}
	(&handlers.Account{
		Failures: failures, Bearer: bearer, Users: a.Users, SignIns: a.signIns, Browser: browser, Tokens: a.Tokens, Cookies: &a.o.SessionCookie.Cookies, KnownBrowsers: known,
		Export: export,
	}).Mount(applications)
	(&handlers.Consents{Bearer: bearer, Consents: consents}).Mount(applications)
	(&handlers.Factors{Bearer: bearer, Users: a.Users, SignIns: a.signIns, Factors: a.Factors, KnownBrowsers: known}).Mount(applications)
	(&handlers.Identities{Bearer: bearer, Users: a.Users, SignIns: a.signIns, KnownBrowsers: known}).Mount(applications)
	(&handlers.Profile{Bearer: bearer, Users: a.Users}).Mount(applications)
	(&handlers.Recovery{Failures: failures, KnownBrowsers: known, Users: a.Users, SignIns: a.signIns}).Mount(applications)
	signup := &handlers.Signup{Failures: failures, Users: a.Users, Enabled: a.o.SignupEnabled}
	hosted.Authorize = authorizing
	(&handlers.Me{Hosted: hosted, Clients: a.Clients, Consents: consents, Factors: a.Factors, Browser: browser, Export: export}).Mount(issuer)
	a.hosted(root, issuer, hosted, signup.Handler(policy.requireOrigin()))
	(&handlers.Session{
		Failures: failures, Browser: browser, SignIns: a.signIns, Cookies: &a.o.SessionCookie.Cookies, KnownBrowsers: known, Issuer: a.o.Issuer,
	}).Mount(applications)
	a.o.Metrics.Expect(granting.Supported(), refusals.Reasons())
	a.engine = e
	return nil
}

// pages returns what the pages share that browsers navigate to; the caller adds Authorize.
func (a *App) pages(failures handlers.Failures, policy *CORS) *handlers.Hosted {
	cookies := handlers.Cookies{HTTPS: a.o.SessionCookie.HTTPS, Port: a.o.SessionCookie.Port, SameSite: http.SameSiteLaxMode} // applications lead here from other sites
	if a.o.SessionCookie.SameSite == http.SameSiteNoneMode {
		cookies.SameSite = http.SameSiteNoneMode // applications on other sites also ask in hidden frames
	}
	return &handlers.Hosted{
		Failures: failures,
		Tokens:   a.Tokens, Users: a.Users, SignIns: a.signIns, Upstreams: a.upstreams, Cookies: &cookies, SameOrigin: policy.fromOwn,
		KnownBrowsers: &handlers.KnownBrowsers{Cookies: &a.o.SessionCookie.Cookies, Seal: a.o.Seal},
		ServiceName:   a.o.ServiceName, Theme: a.o.Theme, HomeURL: a.o.HomeURL, Base: issuerPath(a.o.Issuer), SignupEnabled: a.o.SignupEnabled, Mail: a.o.Mail.Sender != nil, MailFails: a.mailFails,
		RequireVerifiedEmail: a.o.Accounts.RequireVerifiedEmail, Names: a.o.Accounts.Signup, MinLength: a.o.Accounts.Passwords.MinLength,
	}
}

// hosted mounts these pages. signup handles what applications post to /signup.
func (a *App) hosted(root, issuer gin.IRouter, h *handlers.Hosted, signup gin.HandlerFunc) {
	(&handlers.Home{Hosted: h}).Mount(root, issuer, a.o.Demo != nil)
	if a.o.Dev {
		(&handlers.Preview{Hosted: h, Issuer: a.o.Issuer, Kept: a.o.Mail.Kept}).Mount(issuer)
	}
	(&handlers.Authorization{Hosted: h}).Mount(issuer)
	(&handlers.Login{Hosted: h}).Mount(issuer)
	(&handlers.Upstreams{Login: handlers.Login{Hosted: h}}).Mount(issuer)
	(&handlers.FactorPage{Hosted: h}).Mount(issuer)
	(&handlers.EnrolPage{Hosted: h}).Mount(issuer)
	(&handlers.SignupPage{Hosted: h}).Mount(issuer, signup)
	(&handlers.Consent{Hosted: h}).Mount(issuer)
	(&handlers.RecoveryPages{Hosted: h}).Mount(root, issuer)
	(&handlers.Logout{Hosted: h}).Mount(issuer)
}

// ServeHTTP answers one request.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.engine.ServeHTTP(w, r) }

// errDraining means that the server is about to stop.
var errDraining = errors.New("shutting down")

// Ready returns why the server can't serve now, or nil.
func (a *App) Ready(ctx context.Context) error {
	if a.draining.Load() {
		return errDraining
	}
	// Any caller may ask, so one query answers all of them.
	a.probe.Lock()
	defer a.probe.Unlock()
	if now := time.Now(); now.Sub(a.probedAt) >= probeMaxAge {
		a.probed, a.probedAt = a.o.Store.Ping(ctx), now
	}
	if a.probed != nil {
		return fmt.Errorf("reach database: %w", a.probed)
	}
	return a.o.Keys.Ready(time.Now())
}

// probeMaxAge is how old the result of the last database check may be.
const probeMaxAge = time.Second

// Background does the work that no request causes, until ctx ends: it rotates keys, sends
// mail, and removes expired rows.
func (a *App) Background(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { a.o.Keys.Run(ctx) })
	if a.o.Mail.Sender != nil {
		wg.Go(func() { a.deliver(ctx) })
	}
	wg.Go(func() { clean(ctx, a.o.Log, a.o.Store, a.chores) })
	wg.Wait()
}
