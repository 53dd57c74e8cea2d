package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"countersign/accounts"
	"countersign/clients"
	"countersign/configs"
	"countersign/handlers"
	"countersign/ids"
	"countersign/keys"
	"countersign/limits"
	"countersign/mail"
	"countersign/seal"
	"countersign/secrecy"
	"countersign/server"
	"countersign/store"
	"countersign/upstreams"
)

// load reads the configuration that the common flags point to.
func (c *cli) load(src configs.Source) (*configs.Config, error) {
	src.File, src.Data, src.Environ = c.Config, c.Data, os.Environ()
	cfg, err := configs.Load(src)
	if err != nil {
		return nil, err // the error has a line for each problem, with its place
	}
	return cfg, store.CheckURL(cfg.Database.URL)
}

// storeOptions returns the options for the configured database, to which a command may
// add its own.
func storeOptions(cfg *configs.Config) (store.Options, error) {
	opts := store.Options{Pool: cfg.Database.Pool}
	if name := cfg.Database.PasswordFile; name != "" {
		var err error
		if opts.Password, err = readPassword("database.password_file", name); err != nil {
			return opts, err
		}
	}
	return opts, nil
}

// readPassword reads the password of a database's user from the file that a setting or
// a flag names.
func readPassword(named, name string) (secrecy.Text, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("%s: %w: write the password of the database's user into that file, readable by this one", named, err)
	}
	password := secrecy.Read(b)
	if password == "" {
		return "", fmt.Errorf("%s: %s is empty: write the password into it", named, name)
	}
	return password, nil
}

// openStore opens the configured database, with the options that change makes.
func openStore(ctx context.Context, cfg *configs.Config, change func(*store.Options)) (*store.DB, error) {
	opts, err := storeOptions(cfg)
	if err != nil {
		return nil, err
	}
	change(&opts)
	return store.Open(ctx, cfg.Database.URL, opts)
}

// existingUnmigrated sets options that open an existing database without migrating it,
// because the server may be of another version.
func existingUnmigrated(o *store.Options) { o.MustExist, o.NoMigrate = true, true }

// open loads the configuration and opens the database for a command that works
// beside the server. It doesn't migrate the schema, because the server may be of
// another version. A command that may run before the first serve passes news: open then
// creates a missing database and says so there. The caller closes the database.
func (c *cli) open(ctx context.Context, news io.Writer) (*configs.Config, *store.DB, error) {
	cfg, err := c.load(configs.Source{})
	if err != nil {
		return nil, nil, err
	}
	db, err := openStore(ctx, cfg, existingUnmigrated)
	if news != nil && errors.Is(err, store.ErrNoDatabase) {
		if db, err = openStore(ctx, cfg, func(*store.Options) {}); err == nil {
			fmt.Fprintf(news, "Made a new database, %s: there was none.\n", strings.TrimPrefix(cfg.Database.URL, "sqlite:"))
		}
	}
	return cfg, db, err
}

// openUsers is open for commands about users.
func (c *cli) openUsers(ctx context.Context, news io.Writer) (*accounts.Users, *store.DB, error) {
	// A command may name an account without an address, and sends no mail. Where users
	// must prove their address, the server bars the account until its user has.
	return c.openUsersFor(ctx, news, func(*configs.Config, *accounts.Options) {})
}

// openUsersFor is openUsers with the options that change makes.
func (c *cli) openUsersFor(ctx context.Context, news io.Writer, change func(*configs.Config, *accounts.Options)) (*accounts.Users, *store.DB, error) {
	cfg, db, err := c.open(ctx, news)
	if err != nil {
		return nil, nil, err
	}
	throttle, err := limits.NewThrottle(limits.Options{Store: db, Budgets: cfg.Throttle})
	if err != nil {
		db.Close()
		return nil, nil, err
	}
	o := accounts.Options{
		Settings: accounts.Settings{Passwords: passwordPolicy(cfg)},
		Store:    db, Argon2: cfg.Hashing().Argon2, Slots: cfg.Hashing().Slots(), Throttle: throttle,
	}
	change(cfg, &o)
	users, err := accounts.New(o)
	if err != nil {
		db.Close()
		return nil, nil, err
	}
	return users, db, nil
}

// openClients is open for commands about applications.
func (c *cli) openClients(ctx context.Context, news io.Writer) (*clients.Registry, *store.DB, error) {
	cfg, db, err := c.open(ctx, news)
	if err != nil {
		return nil, nil, err
	}
	rules, err := clientRules(ctx, db, cfg)
	if err != nil {
		db.Close()
		return nil, nil, err
	}
	throttle, err := limits.NewThrottle(limits.Options{Store: db, Budgets: cfg.Throttle})
	if err != nil {
		db.Close()
		return nil, nil, err
	}
	registry, err := clients.New(clients.Options{
		Store: db, Rules: rules, Argon2: cfg.Hashing().Argon2, Slots: cfg.Hashing().Slots(), Throttle: throttle,
	})
	if err != nil {
		db.Close()
		return nil, nil, err
	}
	return registry, db, nil
}

// openKeys is open for commands about signing keys. A command that makes keys
// needs the master key, one that only lists them doesn't.
func (c *cli) openKeys(ctx context.Context, needMaster bool) (*keys.Ring, *store.DB, error) {
	cfg, db, err := c.open(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	master, err := masterKeys(cfg, false)
	if err != nil && needMaster {
		db.Close()
		return nil, nil, err
	}
	ring, err := keys.Open(ctx, keys.Options{Store: db, Seal: master})
	if err != nil {
		db.Close()
		return nil, nil, err
	}
	return ring, db, nil
}

// masterKeys returns the master keys. If create is true, it creates a missing file.
func masterKeys(cfg *configs.Config, create bool) (*seal.Keys, error) {
	switch {
	case cfg.MasterKey != "":
		master, err := seal.Parse(cfg.MasterKey)
		if err != nil {
			return nil, fmt.Errorf("COUNTERSIGN_MASTER_KEY: %w", err)
		}
		return master, nil
	case cfg.MasterKeyFile == "":
		return nil, errors.New("no master key is given: set COUNTERSIGN_MASTER_KEY or master_key_file")
	case create:
		// SQLite creates the data folder; another database doesn't.
		if err := os.MkdirAll(filepath.Dir(cfg.MasterKeyFile), 0o700); err != nil {
			return nil, fmt.Errorf("create the data folder: %w", err)
		}
		return seal.LoadOrCreateFile(cfg.MasterKeyFile)
	default:
		return seal.LoadFile(cfg.MasterKeyFile)
	}
}

func passwordPolicy(cfg *configs.Config) accounts.PasswordPolicy {
	return accounts.PasswordPolicy{
		MinLength:    cfg.Passwords.MinLength,
		ServiceNames: append([]string{"countersign", cfg.ServiceName}, siteNames(cfg.Issuer)...),
	}
}

// declaredUpstreams returns the other providers of the configuration, with their secrets.
func declaredUpstreams(cfg *configs.Config) ([]upstreams.Declared, error) {
	var all []upstreams.Declared
	for i, u := range cfg.Upstreams {
		d := upstreams.Declared{Settings: u.Settings}
		if u.ClientSecretFile != "" {
			b, err := os.ReadFile(u.ClientSecretFile)
			if err != nil {
				return nil, fmt.Errorf("upstreams[%d].client_secret_file: %w: write what %s has given you into that file", i, err, u.ID)
			}
			if d.Secret = secrecy.Read(b); d.Secret == "" {
				return nil, fmt.Errorf("upstreams[%d].client_secret_file: %s is empty: write what %s has given you into it", i, u.ClientSecretFile, u.ID)
			}
		}
		all = append(all, d)
	}
	return all, nil
}

// serverOptions translates the configuration into the server's options.
func serverOptions(cfg *configs.Config, db *store.DB, ring *keys.Ring, master *seal.Keys, sender mail.Sender, log *slog.Logger) (server.Options, error) {
	sameSite, err := handlers.ParseSameSite(cfg.SessionCookie.SameSite)
	if err != nil {
		return server.Options{}, err
	}
	providers, err := declaredUpstreams(cfg)
	return server.Options{
		Store: db, Keys: ring, Seal: master, Log: log,
		Unavailable: func(err error) bool { return db.IsUnavailable(err) || errors.Is(err, keys.ErrNoSigningKey) },

		Issuer:      cfg.Issuer,
		Dev:         cfg.Dev,
		RFC9700:     cfg.Profile == configs.RFC9700,
		ServiceName: cfg.ServiceName,
		HomeURL:     cfg.HomeURL,
		Upstreams:   providers,

		Accounts: accounts.Settings{Passwords: passwordPolicy(cfg), RequireVerifiedEmail: cfg.Signup.RequireVerifiedEmail, Signup: cfg.SignupNames(), Notices: cfg.Notices},
		Hashing:  cfg.Hashing(),
		Tokens:   cfg.Tokens,
		Factors:  cfg.Factors,
		Throttle: cfg.Throttle,
		SessionCookie: server.SessionCookie{
			Client: ids.Client(cfg.SessionCookie.Client),
			Cookies: handlers.Cookies{
				Domain:       cfg.SessionCookie.Domain,
				SameSite:     sameSite,
				AccessCookie: cfg.SessionCookie.AccessCookie,
			},
		},
		Mail: server.Mail{Sender: sender, Links: links(cfg)},

		SignupEnabled:  cfg.Signup.Enabled,
		AllowedOrigins: cfg.CORS.AllowedOrigins,
		TrustedProxies: cfg.TrustedProxies,

		Admin: server.Admin{Hosts: cfg.AdminHosts, PProf: cfg.AdminPProf},

		AuditRetention:  cfg.Audit.Retention,
		ShutdownDelay:   cfg.ShutdownDelay,
		ShutdownTimeout: cfg.ShutdownTimeout,
		IdleTimeout:     cfg.IdleTimeout,
	}, err
}

// mailSender sends mail as configured: by a server, to the developer's terminal, or
// not at all (nil).
func mailSender(cfg *configs.Config, terminal io.Writer) (mail.Sender, error) {
	m := cfg.SMTP
	switch {
	case m.Host == "" && cfg.Dev:
		return &mail.Printer{Out: terminal}, nil
	case m.Host == "":
		return nil, nil
	}
	password := m.Password
	if password == "" && m.PasswordFile != "" {
		b, err := os.ReadFile(m.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("smtp.password_file: %w: write the password of %s into that file", err, m.Username)
		}
		password = secrecy.Read(b)
	}
	return &mail.SMTP{
		Host: m.Host, Port: m.Port, TLS: m.TLS, Username: m.Username, Password: password, From: m.From,
		Helo: cmp.Or(m.Helo, issuerHost(cfg.Issuer)),
	}, nil
}

// issuerHost returns the host of the issuer, or nothing while --dev doesn't know it yet.
func issuerHost(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// links returns the pages that mailed links lead to: the configured ones, or else our
// own; with --dev those of the demo.
func links(cfg *configs.Config) server.Links {
	reset, verify := cfg.Issuer+"/reset#token={token}", cfg.Issuer+"/verify#token={token}"
	if cfg.Dev {
		reset, verify = cfg.Issuer+"/demo#reset={token}", cfg.Issuer+"/demo#verify={token}"
	}
	return server.Links{
		ResetPassword: cmp.Or(cfg.Links.ResetPassword, reset),
		VerifyEmail:   cmp.Or(cfg.Links.VerifyEmail, verify),
	}
}
