package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"countersign/caller"
	"countersign/clients"
	"countersign/configs"
	"countersign/hashing"
	"countersign/ids"
	"countersign/keys"
	"countersign/limits"
	"countersign/seal"
	"countersign/server"
	"countersign/store"
	"countersign/store/dsn"
	"countersign/store/storetest"
)

// The configuration file, the command line and the domain are asked the same question
// about a client, and must give the same answer in the same words.
func TestAClientIsJudgedAlikeHoweverItIsRegistered(t *testing.T) {
	storetest.OnOwnDatabase(t) // commands, on SQLite
	long := strings.Repeat("a", 64)
	for _, c := range []struct {
		name, yaml string
		args       []string
		client     clients.Client
		dev        bool
		want       string // empty: it is registered
	}{
		{"longest id", "{id: " + long + ", public: true, grants: [refresh_token]}", []string{"--id", long, "--grant", "refresh_token"},
			clients.Client{ID: ids.Client(long), Settings: clients.Settings{Public: true, Grants: []string{"refresh_token"}}}, false, ""},
		{"too long an id", "{id: " + long + "a, public: true, grants: [refresh_token]}", []string{"--id", long + "a", "--grant", "refresh_token"},
			clients.Client{ID: ids.Client(long + "a"), Settings: clients.Settings{Public: true, Grants: []string{"refresh_token"}}}, false,
			"id must not be longer than 64 characters."},
		{"no grants", "{id: a, public: true}", []string{"--id", "a"},
			clients.Client{ID: "a", Settings: clients.Settings{Public: true}}, false,
			"grants: a client needs at least one, unless it may introspect."},
		{"a grant twice", "{id: a, public: true, grants: [refresh_token, refresh_token]}", []string{"--id", "a", "--grant", "refresh_token", "--grant", "refresh_token"},
			clients.Client{ID: "a", Settings: clients.Settings{Public: true, Grants: []string{"refresh_token", "refresh_token"}}}, false,
			`grants: "refresh_token" is repeated.`},
		{"an origin of another scheme", "{id: a, public: true, grants: [refresh_token], origins: ['capacitor://localhost']}",
			[]string{"--id", "a", "--grant", "refresh_token", "--origin", "capacitor://localhost"},
			clients.Client{ID: "a", Settings: clients.Settings{Public: true, Grants: []string{"refresh_token"}, Origins: []string{"capacitor://localhost"}}}, false,
			`origins: "capacitor://localhost" must begin with https:// or http://.`},
		{"any page on localhost, in production", "{id: a, public: true, grants: [refresh_token], redirect_uris: ['http://localhost:*']}",
			[]string{"--id", "a", "--grant", "refresh_token", "--redirect-uri", "http://localhost:*"},
			clients.Client{ID: "a", Settings: clients.Settings{Public: true, Grants: []string{"refresh_token"}, RedirectURIs: []string{"http://localhost:*"}}}, false,
			`redirect_uris: "http://localhost:*" stands for any page on localhost, which only serve --dev allows: write the URI in full.`},
		{"any page on localhost, in development", "{id: a, public: true, grants: [refresh_token], redirect_uris: ['http://localhost:*']}",
			[]string{"--id", "a", "--grant", "refresh_token", "--redirect-uri", "http://localhost:*"},
			clients.Client{ID: "a", Settings: clients.Settings{Public: true, Grants: []string{"refresh_token"}, RedirectURIs: []string{"http://localhost:*"}}}, true, ""},
		{"an audience with a comma", "{id: a, public: true, grants: [refresh_token], audiences: ['x,y']}",
			[]string{"--id", "a", "--grant", "refresh_token", "--audience", "x,y"},
			clients.Client{ID: "a", Settings: clients.Settings{Public: true, Grants: []string{"refresh_token"}, Audiences: []string{"x,y"}}}, false,
			`audiences: "x,y" must be printable ASCII without spaces and commas, such as https://api.example.com.`},
		{"an algorithm without a key", "{id: a, public: true, grants: [refresh_token], id_token_alg: EdDSA}",
			[]string{"--id", "a", "--grant", "refresh_token", "--id-token-alg", "EdDSA"},
			clients.Client{ID: "a", Settings: clients.Settings{Public: true, Grants: []string{"refresh_token"}, IDTokenAlg: "EdDSA"}}, false,
			`id_token_alg: "EdDSA" is none of the algorithms in keys.algorithms (ES256, RS256).`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			file, data := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "data")
			if err := os.WriteFile(file, []byte("clients:\n- "+c.yaml+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := configs.Load(configs.Source{File: file, Dev: c.dev})
			answers(t, "the file", err, c.want)

			purpose := store.Production
			if c.dev {
				purpose = store.Development
			}
			db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(data, "countersign.db"), store.Options{Purpose: purpose})
			if err != nil {
				t.Fatal(err)
			}
			db.Close()
			var out, errs bytes.Buffer
			code := run(t.Context(), append([]string{"clients", "create", "--data", data, "--public"}, c.args...), stdio{in: strings.NewReader(""), out: &out, err: &errs})
			err = nil
			if code != 0 {
				err = errors.New(errs.String())
			}
			answers(t, "the command line", err, c.want)

			registry, err := clients.New(clients.Options{
				Store: storetest.Open(t), Argon2: hashing.Argon2{MemoryKiB: 8, Iterations: 1, Parallelism: 1}, Slots: limits.NewSlots(1, 1),
				Rules: clients.Rules{AnyLoopback: c.dev, Algorithms: []string{"ES256", "RS256"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			_, err = registry.Put(t.Context(), time.Now(), c.client, "", caller.Operator())
			answers(t, "the domain", err, c.want)
		})
	}
}

// A setting is judged alike in the file, in the environment and by its owner, which is
// asked by every server that is built without them.
func TestASettingIsJudgedByItsOwner(t *testing.T) {
	storetest.OnOwnDatabase(t) // commands, on SQLite
	price := func(mib uint32, iterations uint32) hashing.Settings {
		return hashing.Settings{Argon2: hashing.Argon2{MemoryKiB: mib << 10, Iterations: iterations, Parallelism: 1}}
	}
	policy := func(period time.Duration) keys.Policy {
		return keys.Policy{RotationPeriod: period, JWKSMaxAge: 15 * time.Minute, ClockSkew: 30 * time.Second, AccessTTL: 10 * time.Minute}
	}
	const issuer, url = "https://auth.example.com/", "mysql://u@db:0/x"
	for _, c := range []struct {
		name, yaml, env string // env: its variable, if the environment can say the same
		owners          map[string]error
		want            string // empty: it is good
	}{
		{"key times", "keys: {rotation_period: 20m}", "KEYS_ROTATION_PERIOD=20m", map[string]error{
			"the policy": policy(20 * time.Minute).Check(), "the ring": openRing(t, policy(20*time.Minute), "ES256"),
		}, "rotation_period: 20m is too short"},
		{"key times that just do", "keys: {rotation_period: 1247s}", "KEYS_ROTATION_PERIOD=1247s", map[string]error{
			"the policy": policy(1247 * time.Second).Check(), "the ring": openRing(t, policy(1247*time.Second), "ES256"),
		}, ""},
		{"algorithms", "keys: {algorithms: [HS256]}", "KEYS_ALGORITHMS=HS256", map[string]error{
			"the rule": keys.CheckAlgorithms([]string{"HS256"}), "the ring": openRing(t, policy(time.Hour), "HS256"),
		}, `algorithms: "HS256" is none of`},
		{"price of hashing", "passwords: {argon2: {memory: 12MiB}}", "PASSWORDS_ARGON2_MEMORY=12MiB", map[string]error{"hashing": price(12, 2).CheckStrong()},
			"memory: 12MiB is too little with iterations: 2"},
		{"least price", "passwords: {argon2: {memory: 7MiB, iterations: 5}}", "", map[string]error{"hashing": price(7, 5).CheckStrong()}, ""},
		{"hashes at a time", "passwords: {max_concurrent_hashes: 1025}", "PASSWORDS_MAX_CONCURRENT_HASHES=1025",
			map[string]error{"the server": newServer(t, func(o *server.Options) { o.Hashing.MaxConcurrentHashes = 1025 })},
			"max_concurrent_hashes must be 0 (the number of CPUs) to 1024, not 1025."},
		{"length of passwords", "passwords: {min_length: 7}", "PASSWORDS_MIN_LENGTH=7",
			map[string]error{"the server": newServer(t, func(o *server.Options) { o.Accounts.Passwords.MinLength = 7 })},
			"min_length must be 8 (the minimum of NIST SP 800-63B) to 256, not 7."},
		{"free failures", "throttle: {free_failures: 0}", "THROTTLE_FREE_FAILURES=0",
			map[string]error{"the server": newServer(t, func(o *server.Options) { o.Throttle.FreeFailures = 0 })}, "free_failures must be 1 to 1000000, not 0."},
		{"longest wait", "throttle: {max_wait: 61m}", "THROTTLE_MAX_WAIT=61m",
			map[string]error{"the server": newServer(t, func(o *server.Options) { o.Throttle.MaxWait = 61 * time.Minute })},
			"window: 1h is shorter than max_wait (1h1m)"},
		{"longest wait that just does", "throttle: {max_wait: 1h}", "THROTTLE_MAX_WAIT=1h",
			map[string]error{"the server": newServer(t, func(o *server.Options) { o.Throttle.MaxWait = time.Hour })}, ""},
		{"life of tokens", "tokens: {access_ttl: 999ms}", "TOKENS_ACCESS_TTL=999ms",
			map[string]error{"the server": newServer(t, func(o *server.Options) { o.Tokens.AccessTTL = 999 * time.Millisecond })},
			"access_ttl must be at least 1s, not 999ms."},
		{"life of sessions", "tokens: {refresh_idle_ttl: 4321h}", "TOKENS_REFRESH_IDLE_TTL=4321h",
			map[string]error{"the server": newServer(t, func(o *server.Options) { o.Tokens.RefreshIdleTTL = 4321 * time.Hour })},
			"refresh_idle_ttl: 4321h is longer than refresh_absolute_ttl (4320h)"},
		{"replay window", "tokens: {refresh_replay_window: 720h}", "TOKENS_REFRESH_REPLAY_WINDOW=720h",
			map[string]error{"the server": newServer(t, func(o *server.Options) { o.Tokens.RefreshReplayWindow = 720 * time.Hour })},
			"refresh_replay_window: 720h must be shorter than refresh_idle_ttl (720h)"},
		{"audience", "tokens: {audience: ['a b']}", "TOKENS_AUDIENCE=a b",
			map[string]error{"the server": newServer(t, func(o *server.Options) { o.Tokens.Audience = []string{"a b"} })},
			`audience: "a b" must be printable ASCII`},
		{"issuer", "issuer: " + issuer, "ISSUER=" + issuer, map[string]error{"the server": newServer(t, func(o *server.Options) { o.Issuer = issuer })},
			`"https://auth.example.com/" must not end in a slash`},
		{"proof of addresses without mail", "signup: {require_verified_email: true}", "SIGNUP_REQUIRE_VERIFIED_EMAIL=true",
			map[string]error{"the server": newServer(t, func(o *server.Options) { o.Accounts.RequireVerifiedEmail = true })}, "true needs mail"},
		{"cookies on other sites", "session_cookie: {same_site: Lax}", "SESSION_COOKIE_SAME_SITE=Lax",
			map[string]error{"the server": newServer(t, func(o *server.Options) { o.SessionCookie.SameSite = http.SameSiteDefaultMode })}, "must be strict, lax or none, not "},
		{"cookies without SameSite", "session_cookie: {same_site: ''}", "",
			map[string]error{"the server": newServer(t, func(o *server.Options) { o.SessionCookie.SameSite = 0 })}, "must be strict, lax or none, not "},
		{"connections", "database: {pool: {max_open: 1, max_idle: 1}}", "", map[string]error{
			"the rule":  dsn.Pool{MaxOpen: 1, MaxIdle: 1, MaxLifetime: time.Minute, MaxIdleTime: time.Minute}.Check(),
			"the store": openPool(t, dsn.Pool{MaxOpen: 1, MaxIdle: 1, MaxLifetime: time.Minute, MaxIdleTime: time.Minute}),
		}, "max_open must be at least 2, not 1."},
		{"idle connections", "database: {pool: {max_open: 8}}", "DATABASE_POOL_MAX_OPEN=8", map[string]error{
			"the rule": dsn.Pool{MaxOpen: 8, MaxIdle: 16, MaxLifetime: time.Minute, MaxIdleTime: time.Minute}.Check(),
		}, "max_idle: 16 is more than max_open (8)"},
		{"life of the public keys in caches", "keys: {jwks_max_age: 999ms}", "KEYS_JWKS_MAX_AGE=999ms", map[string]error{
			"the policy": keys.Policy{RotationPeriod: time.Hour, JWKSMaxAge: 999 * time.Millisecond, AccessTTL: time.Minute}.Check(),
		}, "jwks_max_age must be at least 1s, not 999ms."},
		{"a key's least life", "keys: {rotation_period: 4s}", "KEYS_ROTATION_PERIOD=4s", map[string]error{
			"the policy": policy(4 * time.Second).Check(), "the ring": openRing(t, policy(4*time.Second), "ES256"),
		}, "rotation_period must be at least 5s, not 4s."},
		{"origins", "cors: {allowed_origins: ['https://a.example/']}", "CORS_ALLOWED_ORIGINS=https://a.example/",
			map[string]error{"the server": newServer(t, func(o *server.Options) { o.AllowedOrigins = []string{"https://a.example/"} })},
			`"https://a.example/" must be scheme://host`},
		{"database", "database: {url: '" + url + "'}", "DATABASE_URL=" + url, map[string]error{
			"the rule": dsn.Check(url), "the store": store.CheckURL(url), "move": refusal(t, nil, "move", "--data", t.TempDir(), "--to", url),
			"move by the environment": refusal(t, []string{"COUNTERSIGN_MOVE_TO=" + url}, "move", "--data", t.TempDir()),
		}, "must have HOST or HOST:PORT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			const rest = "master_key_file: key\n"
			file := filepath.Join(t.TempDir(), "c.yaml")
			text := rest + c.yaml + "\n"
			if c.name != "issuer" {
				text += "issuer: https://auth.example.com\n"
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := configs.Load(configs.Source{File: file, Serve: true})
			answers(t, "the file", err, c.want)
			if c.env != "" {
				_, err := configs.Load(configs.Source{Serve: true, Environ: []string{
					"COUNTERSIGN_MASTER_KEY_FILE=key", "COUNTERSIGN_ISSUER=https://auth.example.com", "COUNTERSIGN_" + c.env,
				}})
				answers(t, "the environment", err, c.want)
			}
			for who, err := range c.owners {
				answers(t, who, err, c.want)
			}
		})
	}
}

// A new password is judged alike by the commands that take one and over HTTP.
func TestAPasswordIsJudgedAlikeWhereverItIsSet(t *testing.T) {
	storetest.OnOwnDatabase(t) // commands, on SQLite
	dir := t.TempDir()
	file, data := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "data")
	if err := os.WriteFile(file, []byte("passwords: {min_length: 15}\nissuer: https://auth.example.com\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := []string{"--config", file, "--data", data, "--password-stdin"}
	if err := refusal(t, []string{"stdin=a quiet harbour at dusk"}, append([]string{"users", "create", "--username", "alice"}, at...)...); err != nil {
		t.Fatal(err)
	}
	cfg, err := configs.Load(configs.Source{File: file, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	app, err := buildServer(t, func(o *server.Options) { o.Accounts.Passwords = passwordPolicy(cfg) })
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]string{
		"fourteen chars":     "password must have at least 15 characters.",
		"auth.example.com's": "password must not contain the username, the e-mail address or the name of this service.",
		"fifteen charact":    "",
	} {
		stdin := []string{"stdin=" + password}
		name := "u" + strconv.Itoa(len(password))
		answers(t, "users create", refusal(t, stdin, append([]string{"users", "create", "--username", name}, at...)...), want)
		answers(t, "users set-password", refusal(t, stdin, append([]string{"users", "set-password", "alice"}, at...)...), want)
		body, _ := json.Marshal(map[string]string{"username": name, "password": password})
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/signup", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", "https://auth.example.com")
		w := httptest.NewRecorder()
		app.ServeHTTP(w, r)
		var refused error
		if w.Code != http.StatusCreated {
			refused = errors.New(w.Body.String())
		}
		answers(t, "POST /signup", refused, want)
	}
}

// refusal runs the command line in this process, and returns what it reports as an error.
// given has environment variables, and the standard input as stdin=TEXT.
func refusal(t *testing.T, given []string, args ...string) error {
	t.Helper()
	var in string
	for _, entry := range given {
		name, value, _ := strings.Cut(entry, "=")
		if name == "stdin" {
			in = value
			continue
		}
		t.Setenv(name, value)
		defer os.Unsetenv(name)
	}
	var out, errs bytes.Buffer
	if run(t.Context(), args, stdio{in: strings.NewReader(in), out: &out, err: &errs}) != 0 {
		return errors.New(errs.String())
	}
	return nil
}

// openRing opens a ring with a policy over a new database.
func openRing(t *testing.T, policy keys.Policy, alg string) error {
	t.Helper()
	_, err := keys.Open(t.Context(), keys.Options{Store: storetest.Open(t), Seal: masterKey(t), Algorithms: []string{alg}, Policy: policy})
	return err
}

// openPool opens a store with a pool. The address answers no client.
func openPool(t *testing.T, pool dsn.Pool) error {
	t.Helper()
	_, err := store.Open(t.Context(), "mysql://u@127.0.0.1:1/x", store.Options{Pool: pool})
	return err
}

func masterKey(t *testing.T) *seal.Keys {
	t.Helper()
	master, err := seal.Parse(seal.Generate())
	if err != nil {
		t.Fatal(err)
	}
	return master
}

// newServer builds a server with the defaults of the configuration but for one change.
func newServer(t *testing.T, change func(*server.Options)) error {
	t.Helper()
	_, err := buildServer(t, change)
	return err
}

func buildServer(t *testing.T, change func(*server.Options)) (*server.App, error) {
	t.Helper()
	cfg, err := configs.Load(configs.Source{Environ: []string{"COUNTERSIGN_ISSUER=https://auth.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	db, master, log := storetest.Open(t), masterKey(t), slog.New(slog.DiscardHandler)
	ring, err := keys.Open(t.Context(), keys.Options{Store: db, Seal: master, Algorithms: []string{"ES256"}, Policy: cfg.KeyPolicy()})
	if err != nil {
		t.Fatal(err)
	}
	o, err := serverOptions(cfg, db, ring, master, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	change(&o)
	return server.New(o)
}

// answers reports an answer that is not the wanted sentence, or none where none is wanted.
func answers(t *testing.T, who string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s refuses: %v", who, err)
	case want != "" && err == nil:
		t.Errorf("%s accepts, want %q", who, want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("%s says %q, want %q", who, err, want)
	}
}
