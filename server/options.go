package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"countersign/accounts"
	"countersign/clients"
	"countersign/factors"
	"countersign/handlers"
	"countersign/hashing"
	"countersign/ids"
	"countersign/keys"
	"countersign/limits"
	"countersign/mail"
	"countersign/metrics"
	"countersign/oauth"
	"countersign/origins"
	"countersign/seal"
	"countersign/theme"
	"countersign/tokens"
	"countersign/tracing"
	"countersign/upstreams"
)

// Options has what an App works with, the settings of its parts as these define them, and
// the App's own settings. Unless a comment says otherwise, a setting has no default here:
// the configuration decides it.
type Options struct {
	Store Store
	Keys  *keys.Ring
	Seal  *seal.Keys
	Log   *slog.Logger
	// Unavailable reports whether an error of the Store means that the
	// database is away, and not that something is wrong with the request.
	Unavailable func(error) bool

	Issuer string
	// Dev is serve --dev: the Issuer may be on localhost without TLS, and redirect
	// URIs may be patterns for any page there.
	Dev bool
	// RFC9700 leaves out what RFC 9700 advises against: passwords given to
	// applications, and codes without PKCE.
	RFC9700     bool
	ServiceName string       // the service's name, on pages and in mail
	Theme       *theme.Theme // how pages and letters look; nil: our own look
	// Upstreams are the other providers with which users sign in.
	Upstreams []upstreams.Declared
	HomeURL   string // where users go on to without an application's request; empty: /me

	Accounts      accounts.Settings
	Hashing       hashing.Settings
	Tokens        tokens.Settings
	Factors       factors.Settings
	Throttle      limits.Budgets
	SessionCookie SessionCookie
	Mail          Mail

	SignupEnabled  bool
	AllowedOrigins []string // for CORS, in addition to those of clients
	TrustedProxies []string // addresses or networks whose X-Forwarded-For is believed
	Demo           fs.FS    // the demo app, served at /demo; nil: none

	Metrics *metrics.Metrics // measures the server; nil: nothing does
	Tracer  *tracing.Tracer  // makes spans; nil: none are made
	Admin   Admin

	AuditRetention  time.Duration // how long security events are kept; 0: forever
	IdleTimeout     time.Duration // how long a connection stays open without a request
	ShutdownDelay   time.Duration // how long the server still serves after Ready says no, so that a load balancer notices
	ShutdownTimeout time.Duration // how long requests under way then get to end
}

// SessionCookie is about browser sign-in at /session.
type SessionCookie struct {
	Client           ids.Client // the id of the client whose tokens users get there
	handlers.Cookies            // New sets HTTPS and Port
}

// Mail says how the server sends letters.
type Mail struct {
	Sender mail.Sender // nil: the server sends no letters
	Links  Links
	// Kept has the letters that /preview/mail shows, with Dev; nil: none.
	Kept *mail.Recorder
}

// check returns the broken rules that no part's New checks.
func (o *Options) check() error {
	var errs []error
	if err := oauth.CheckIssuer(o.Issuer, o.Dev); err != nil {
		errs = append(errs, fmt.Errorf("issuer: %q %w", o.Issuer, err))
	}
	for _, origin := range o.AllowedOrigins {
		if err := origins.For(o.Issuer).Check(origin); err != nil {
			errs = append(errs, fmt.Errorf("allowed origins: %q %w", origin, err))
		}
	}
	if err := clients.CheckID(string(o.SessionCookie.Client)); err != nil {
		errs = append(errs, fmt.Errorf("session cookie's client: %w", err))
	}
	if err := o.SessionCookie.Check(); err != nil {
		errs = append(errs, fmt.Errorf("session cookie: %w", err))
	}
	if err := o.Hashing.Check(); err != nil {
		errs = append(errs, fmt.Errorf("hashing: %w", err))
	}
	return errors.Join(errs...)
}

// hashed is told of each call that wanted to hash.
func (o *Options) hashed(ctx context.Context, asked, got time.Time) {
	if got.IsZero() {
		got = time.Now()
	}
	o.Metrics.Waited(got.Sub(asked))
	o.Tracer.Did(ctx, "hash", "", asked)
}
