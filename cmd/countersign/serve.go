package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"countersign/caller"
	"countersign/clients"
	"countersign/configs"
	"countersign/examples/spa"
	"countersign/ids"
	"countersign/keys"
	"countersign/mail"
	"countersign/metrics"
	"countersign/oauth"
	"countersign/secrecy"
	"countersign/server"
	"countersign/store"
	"countersign/theme"
	"countersign/tracing"
	"countersign/tracing/otlp"
)

type serveCmd struct {
	Dev    bool   `help:"Try it out: localhost, ready clients, no configuration needed. Not for production."`
	Listen string `help:"Address to listen on." placeholder:"HOST:PORT"`
}

// otherSite is the warning about an allowed origin whose pages get none of our cookies.
const otherSite = "a page of cors.allowed_origins " + configs.OtherSite

// gcPercent lets the heap grow to four times of what lives before it is collected. That is
// little in a server that keeps nothing: with Go's default it would collect ten times a
// second, for a tenth of its processor time. Package hashing bounds what hashes leave.
const gcPercent = 300

func (s *serveCmd) Run(ctx context.Context, c *cli, std stdio) error {
	// Go ends a program whose output has no reader any more. A server that has lost its
	// log goes on serving.
	signal.Ignore(syscall.SIGPIPE)
	cfg, err := c.load(configs.Source{Serve: true, Dev: s.Dev, Listen: s.Listen})
	if err != nil {
		return err
	}
	declared, err := declaredClients(cfg) // before anything is made
	if err != nil {
		return err
	}
	look, err := theme.Load(cfg.Theme)
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	log, flush := newLogger(std.err)
	defer flush()
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("%w (choose another address with --listen)", err)
	}
	defer ln.Close()
	if cfg.Dev { // making the first keys can take a second or two
		fmt.Fprintf(std.out, "Starting Countersign for development, with its data in %s ...\n", cfg.Data)
	}
	admin, err := listenForOperator(cfg)
	if err != nil {
		return err
	}
	if admin != nil {
		defer admin.Close()
	}
	if admin != nil && cfg.AdminPProf {
		// Otherwise the profiles of locks and of waiting are empty. Go counts each tenth
		// event of the former, and of the latter those of 0.1 ms and the same share of
		// shorter ones.
		runtime.SetMutexProfileFraction(10)
		runtime.SetBlockProfileRate(int(100 * time.Microsecond))
	}
	if cfg.Issuer == "" { // --dev listens on any free port
		cfg.Issuer = fmt.Sprintf("http://localhost:%d", ln.Addr().(*net.TCPAddr).Port)
	}

	db, err := openToServe(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer db.Close()
	traces, err := otlp.Start(ctx, version().Version, log)
	if err != nil {
		return err
	}
	var tracer *tracing.Tracer
	if traces != nil {
		tracer = traces.Tracer
		defer func() {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			traces.Shutdown(last)
		}()
	}
	var measured *metrics.Metrics
	var stored interface {
		server.Store
		keys.Store
	} = db
	if admin != nil {
		v := version()
		measured = metrics.New(metrics.Build{Version: v.Version, Commit: v.Commit, Go: v.Go})
	}
	if measured != nil || tracer != nil {
		stored = store.Observe(db, store.Observer{
			Call: func(ctx context.Context, op string, began time.Time) {
				measured.Stored(op, time.Since(began))
				tracer.Did(ctx, "store", op, began)
			},
			Group: measured.Grouped,
		})
	}
	master, err := masterKeys(cfg, cfg.Dev)
	if err != nil {
		return err
	}
	ring, err := keys.Open(ctx, keys.Options{
		Store: stored, Seal: master, Log: log, Algorithms: cfg.Keys.Algorithms, Policy: cfg.KeyPolicy(),
	})
	if err != nil {
		return err
	}
	sender, err := mailSender(cfg, std.err)
	if err != nil {
		return err
	}
	opts, err := serverOptions(cfg, db, ring, master, sender, log)
	if err != nil {
		return err
	}
	opts.Store, opts.Metrics, opts.Tracer, opts.Theme = stored, measured, tracer, look
	if cfg.Dev {
		opts.Demo = spa.Files
		opts.Mail.Kept = &mail.Recorder{Sender: sender}
		opts.Mail.Sender = opts.Mail.Kept
	}
	app, err := server.New(opts)
	if err != nil {
		return err
	}
	if err := declareClients(ctx, app.Clients, declared, cfg, log); err != nil {
		return err
	}
	if status, err := db.SchemaStatus(ctx); err == nil && status.State() == store.SchemaOlder {
		log.Warn("the database's schema is older than this version's, which can still use it: run 'countersign migrate' when all servers are of this version",
			"schema", status.Version, "latest", status.Target)
	}
	weaknesses, err := db.Weaknesses(ctx)
	if err != nil {
		return err
	}
	for _, w := range weaknesses {
		log.Warn("the database's settings weaken what this server promises", "setting", w)
	}
	for _, origin := range cfg.Cookieless(cfg.CORS.AllowedOrigins) {
		log.Warn(otherSite, "origin", origin)
	}
	if len(cfg.ServiceLinks) > 0 {
		log.Info("variables that Kubernetes has set for services whose names begin with countersign are no settings",
			"variables", cfg.ServiceLinks)
	}
	for _, key := range cfg.Unused() {
		log.Warn("this setting has no effect in this version", "key", key)
	}
	// Hashing the secrets of declared clients took memory that an idle server doesn't
	// need.
	debug.FreeOSMemory()
	if admin != nil {
		log.Info("serving the operator", "admin_listen", admin.Addr().String(), "pprof", cfg.AdminPProf)
		if admin.Addr().(*net.TCPAddr).IP.IsUnspecified() {
			log.Warn("admin_listen takes connections from every network that this machine is in, and asks for no key", "admin_listen", admin.Addr().String())
		}
	}
	log.Info("serving", "issuer", cfg.Issuer, "listen", ln.Addr().String(), "version", version().Version)
	if cfg.Dev {
		if addr := ln.Addr().(*net.TCPAddr); !addr.IP.IsLoopback() {
			log.Warn("--dev is reachable from other machines, with well-known clients", "listen", addr.String())
		}
		printNextStep(std.out, cfg.Issuer)
	}
	flush() // what watches the log learns it at once
	return app.Run(ctx, ln, admin)
}

// listenForOperator returns the admin listener, nil if the configuration has none.
func listenForOperator(cfg *configs.Config) (net.Listener, error) {
	if cfg.AdminListen == "" {
		return nil, nil
	}
	ln, err := net.Listen("tcp", cfg.AdminListen)
	if err != nil {
		return nil, fmt.Errorf("admin_listen: %w (choose another address, or leave it out)", err)
	}
	return ln, nil
}

// openToServe opens the database. It refuses a development database in production, and
// a production database under --dev.
func openToServe(ctx context.Context, cfg *configs.Config, log *slog.Logger) (*store.DB, error) {
	db, err := openStore(ctx, cfg, func(o *store.Options) {
		o.Changed = func(host string, settings []store.ChangedSetting) { logChanged(log, host, settings) }
		o.NoMigrate, o.Purpose = !cfg.Database.AutoMigrate, store.Production
		if cfg.Dev {
			o.Purpose = store.Development
		}
	})
	switch {
	case errors.Is(err, store.ErrOtherPurpose) && cfg.Dev:
		return nil, errors.New("this database is a production server's: --dev would add well-known clients; choose another --data")
	case errors.Is(err, store.ErrOtherPurpose):
		return nil, errors.New("this database was made by serve --dev, with well-known clients: choose another --data for production")
	}
	return db, err
}

// declareClients creates or changes the declared clients. It warns of clients that are
// no longer declared but still exist, and of those that can't work.
func declareClients(ctx context.Context, registry *clients.Registry, list []clients.Declared, cfg *configs.Config, log *slog.Logger) error {
	declared := map[ids.Client]bool{}
	for _, d := range list {
		declared[d.ID] = true
	}
	if err := registry.PutAll(ctx, time.Now(), list, caller.Operator()); err != nil {
		return err
	}
	all, err := registry.List(ctx)
	if err != nil {
		return fmt.Errorf("list clients: %w", err)
	}
	if !slices.ContainsFunc(all, func(c clients.Client) bool { return string(c.ID) == cfg.SessionCookie.Client && c.FirstParty }) {
		log.Info("browser sign-in (/session) is off until a first-party client has the id in session_cookie.client",
			"client_id", cfg.SessionCookie.Client)
	}
	for _, c := range all {
		if cfg.Profile == configs.RFC9700 && c.AllowsGrant(oauth.GrantPassword) && !cfg.Dev {
			log.Warn("the client's password grant has no effect: profile rfc9700 turns it off", "client_id", c.ID)
		}
		if c.AccessTokenAlg != "" && !slices.Contains(cfg.Keys.Algorithms, c.AccessTokenAlg) {
			log.Warn("no key signs the client's access tokens, so it gets none: add its algorithm to keys.algorithms",
				"client_id", c.ID, "alg", c.AccessTokenAlg)
		}
		if c.IDTokenAlg != "" && !slices.Contains(cfg.Keys.Algorithms, c.IDTokenAlg) {
			log.Warn("no key signs the client's ID tokens, so users can't sign in there with openid: add its algorithm to keys.algorithms",
				"client_id", c.ID, "alg", c.IDTokenAlg)
		}
		if c.Declared && !declared[c.ID] {
			log.Warn("the client is no longer declared but still exists: 'countersign clients delete' removes it", "client_id", c.ID)
		}
	}
	return nil
}

// logChanged says in one line which settings of a database's host don't hold for this
// server's connections.
func logChanged(log *slog.Logger, host string, settings []store.ChangedSetting) {
	var list []any
	for _, s := range settings {
		list = append(list, slog.Group(s.Name, "server", s.Server, "ours", s.Ours))
	}
	log.Info("the database's settings are other than this server needs: it replaces them for its own connections",
		"host", host, slog.Group("settings", list...))
}

// declaredClients returns the clients of the configuration with their secrets, or an
// error if one breaks a rule.
func declaredClients(cfg *configs.Config) ([]clients.Declared, error) {
	var list []clients.Declared
	for _, d := range cfg.Clients {
		secret, err := clientSecret(d)
		if err != nil {
			return nil, err
		}
		client := clients.Client{ID: ids.Client(d.ID), Settings: d.Settings, Declared: true}
		if err := clients.Check(client, secret, cfg.ClientRules()); err != nil {
			return nil, fmt.Errorf("client %s: %w", d.ID, err)
		}
		list = append(list, clients.Declared{Client: client, Secret: secret})
	}
	return list, nil
}

// clientSecret returns the secret of a declared client, empty if it is public.
func clientSecret(d configs.Client) (secrecy.Text, error) {
	if d.SecretFile == "" {
		return d.Secret, nil
	}
	b, err := os.ReadFile(d.SecretFile)
	if err != nil {
		return "", fmt.Errorf("secret of client %s: %w", d.ID, err)
	}
	return secrecy.Read(b), nil
}

// printNextStep prints the commands that a new user can paste next.
func printNextStep(w io.Writer, issuer string) {
	fmt.Fprintf(w, `
Countersign is ready at %[1]s (development mode: not for production).

A demo app is at %[1]s/demo, all pages and letters at %[1]s/preview, and the letters that
were sent at %[1]s/preview/mail. Or sign a user up, then in:

  curl %[1]s/signup -H 'Content-Type: application/json' \
    -d '{"username":"alice","password":"correct horse battery staple"}'

  curl %[1]s/oauth/token -d grant_type=password -d client_id=spa \
    -d username=alice --data-urlencode 'password=correct horse battery staple'

Everything else is found through %[1]s/.well-known/openid-configuration

`, issuer)
}
