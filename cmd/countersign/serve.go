package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/term"

	"countersign/accounts"
	"countersign/audit"
	"countersign/configs"
	"countersign/keys"
	"countersign/server"
	"countersign/store"
)

type serveCmd struct {
	Dev    bool   `help:"Try it out: localhost, ready clients, no configuration needed. Not for production."`
	Listen string `help:"Address to listen on." placeholder:"HOST:PORT"`
}

func (s *serveCmd) Run(ctx context.Context, c *cli, std stdio) error {
	cfg, err := c.load(configs.Source{Serve: true, Dev: s.Dev, Listen: s.Listen})
	if err != nil {
		return err
	}
	log := newLogger(std.err)
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("%w (choose another address with --listen)", err)
	}
	defer ln.Close()
	if cfg.Issuer == "" { // --dev on any free port
		cfg.Issuer = fmt.Sprintf("http://localhost:%d", ln.Addr().(*net.TCPAddr).Port)
	}

	db, err := store.Open(ctx, cfg.Database.URL, store.Options{NoMigrate: !cfg.Database.AutoMigrate})
	if err != nil {
		return err
	}
	defer db.Close()
	master, err := masterKeys(cfg, cfg.Dev)
	if err != nil {
		return err
	}
	ring, err := keys.Open(ctx, keys.Options{
		Store: db, Seal: master, Log: log, Algorithms: cfg.Keys.Algorithms, Policy: keyPolicy(cfg),
	})
	if err != nil {
		return err
	}
	app, err := server.New(serverOptions(cfg, db, ring, master, log))
	if err != nil {
		return err
	}
	if err := declareClients(ctx, app.Clients, cfg, log); err != nil {
		return err
	}
	for _, key := range cfg.Unused() {
		log.Warn("this setting has no effect in this version", "key", key)
	}
	// Hashing at start, for declared clients, took memory that an idle server
	// has no use for.
	debug.FreeOSMemory()
	log.Info("serving", "issuer", cfg.Issuer, "listen", ln.Addr().String(), "version", version().Version)
	if cfg.Dev {
		printNextStep(std.out, cfg.Issuer)
	}
	return app.Run(ctx, ln)
}

// newLogger writes text for people at a terminal, and JSON for all else.
func newLogger(w io.Writer) *slog.Logger {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return slog.New(slog.NewTextHandler(w, nil))
	}
	return slog.New(slog.NewJSONHandler(w, nil))
}

// declareClients makes the configured clients be as declared. Those of --dev
// must not outlive it: one of them has a secret that everybody knows.
func declareClients(ctx context.Context, clients *accounts.Clients, cfg *configs.Config, log *slog.Logger) error {
	now := time.Now()
	declared := map[string]bool{}
	for _, d := range cfg.Clients {
		declared[d.ID] = true
		secret := string(d.Secret)
		if d.SecretFile != "" {
			b, err := os.ReadFile(d.SecretFile)
			if err != nil {
				return fmt.Errorf("secret of client %s: %w", d.ID, err)
			}
			secret = strings.TrimSpace(string(b))
		}
		if _, err := clients.Put(ctx, now, declaredClient(d), secret, audit.Origin{}); err != nil {
			return fmt.Errorf("declare client %s: %w", d.ID, err)
		}
	}
	if cfg.Dev {
		return nil
	}
	for _, id := range configs.DevClientIDs() {
		old, err := clients.ByID(ctx, id)
		if errors.Is(err, accounts.ErrUnknownClient) || err == nil && (!old.Declared || declared[id]) {
			continue
		}
		if err == nil {
			err = clients.Delete(ctx, now, id, audit.Origin{})
		}
		if err != nil {
			return fmt.Errorf("delete the --dev client %s: %w", id, err)
		}
		log.Warn("deleted a client that serve --dev had left in this database", "client_id", id)
	}
	return nil
}

func declaredClient(d configs.Client) accounts.Client {
	name := d.Name
	if name == "" {
		name = d.ID
	}
	return accounts.Client{
		ID: d.ID, Name: name, Public: d.Public, FirstParty: d.FirstParty, Grants: d.Grants,
		RedirectURIs: d.RedirectURIs, PostLogoutRedirectURIs: d.PostLogoutRedirectURIs, Origins: d.Origins,
		Scopes: d.Scopes, Audiences: d.Audiences, MayIntrospect: d.MayIntrospect, PKCEOptional: d.PKCEOptional,
		IDTokenAlg: d.IDTokenAlg, Declared: true,
	}
}

// printNextStep tells a newcomer what to paste.
func printNextStep(w io.Writer, issuer string) {
	fmt.Fprintf(w, `
Countersign is ready at %[1]s (development mode: not for production).

Sign somebody up, then sign them in:

  curl %[1]s/signup -H 'Content-Type: application/json' \
    -d '{"username":"alice","password":"correct horse battery staple"}'

  curl %[1]s/oauth/token -d grant_type=password -d client_id=spa \
    -d username=alice --data-urlencode 'password=correct horse battery staple'

Everything else is found through %[1]s/.well-known/openid-configuration

`, issuer)
}
