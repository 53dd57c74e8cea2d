package server_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/caller"
	"countersign/clients"
	"countersign/factors"
	"countersign/handlers"
	"countersign/hashing"
	"countersign/ids"
	"countersign/keys"
	"countersign/limits"
	"countersign/seal"
	"countersign/secrecy"
	"countersign/server"
	"countersign/store"
	"countersign/store/storetest"
	"countersign/tokens"
)

const (
	issuer   = "https://auth.example.com"
	origin   = "https://app.example.com" // allowed by CORS
	password = "correct horse battery staple"
)

// app is the whole server with a fresh database, called through its HTTP engine.
type app struct {
	*server.App
	t       testing.TB
	db      *store.DB
	ring    *keys.Ring
	options server.Options
	logs    *logs

	path   string       // the database's file
	master secrecy.Text // the master key

	watch func(method, target, body string, header []string, r *response) // if set, sees what do does
}

// newApp builds a server. A test may call it in a synctest bubble: everything that it
// opens is closed when the test ends, inside the bubble.
func newApp(t testing.TB, change ...func(*server.Options, *keys.Options)) *app {
	t.Helper()
	return openApp(t, filepath.Join(t.TempDir(), "countersign.db"), seal.Generate(), change...)
}

// openApp builds a server over a database file that may exist, as a restarted
// or another process would.
func openApp(t testing.TB, path string, masterKey secrecy.Text, change ...func(*server.Options, *keys.Options)) *app {
	t.Helper()
	db := storetest.OpenFile(t, path)
	t.Cleanup(func() { db.Close() })
	master, err := seal.Parse(masterKey)
	if err != nil {
		t.Fatalf("parse master key: %v", err)
	}
	a := &app{t: t, db: db, logs: new(logs), path: path, master: masterKey}
	log := slog.New(slog.NewJSONHandler(io.MultiWriter(a.logs, t.Output()), &slog.HandlerOptions{Level: slog.LevelDebug}))
	ring := keys.Options{
		Store: db, Seal: master, Log: log, Algorithms: algorithms, Policy: policy,
	}
	a.options = server.Options{
		Store: db, Seal: master, Log: log,
		Unavailable:    func(err error) bool { return db.IsUnavailable(err) || errors.Is(err, keys.ErrNoSigningKey) },
		Issuer:         issuer,
		AllowedOrigins: []string{origin},
		SignupEnabled:  true,

		ServiceName:   "Countersign",
		Accounts:      accounts.Settings{Passwords: accounts.PasswordPolicy{MinLength: 8, ServiceNames: []string{"countersign", "example.com"}}},
		Tokens:        tokens.Settings{RefreshIdleTTL: 720 * time.Hour, RefreshAbsoluteTTL: 4320 * time.Hour, RefreshReplayWindow: time.Minute},
		Factors:       factors.Settings{TOTP: true, Passkeys: true, RememberBrowser: 720 * time.Hour},
		Throttle:      limits.Budgets{FreeFailures: 10, MaxWait: 15 * time.Minute, StrangersPerAccount: 100, FailuresPerNetwork: 200, Window: time.Hour},
		SessionCookie: server.SessionCookie{Client: "spa", Cookies: handlers.Cookies{SameSite: http.SameSiteStrictMode}},
		// As cheap as possible: the tests are not about the hash.
		Hashing:         hashing.Settings{Argon2: hashing.Argon2{MemoryKiB: 8, Iterations: 1, Parallelism: 1}, MaxConcurrentHashes: 4},
		ShutdownTimeout: time.Second,
		IdleTimeout:     5 * time.Minute,
	}
	for _, c := range change {
		c(&a.options, &ring)
	}
	a.options.Tokens.AccessTTL = ring.Policy.AccessTTL
	usual := reflect.DeepEqual(ring.Policy, policy) && slices.Equal(ring.Algorithms, algorithms)
	if usual {
		a.giveKeys(master)
	}
	if a.ring, err = keys.Open(t.Context(), ring); err != nil {
		t.Fatalf("open keys: %v", err)
	}
	if err := a.ring.Maintain(t.Context()); err != nil {
		t.Fatalf("make all keys: %v", err)
	}
	if usual {
		a.keepKeys(master)
	}
	a.options.Keys = a.ring
	if a.App, err = server.New(a.options); err != nil {
		t.Fatalf("build server: %v", err)
	}
	for _, c := range testClients {
		if _, err := a.Clients.Put(t.Context(), time.Now(), c.Client, secrecy.Text(c.secret), caller.Operator()); err != nil {
			t.Fatalf("declare client %s: %v", c.ID, err)
		}
	}
	return a
}

// restart has the server remember nothing but what is in the database.
func (a *app) restart() {
	a.t.Helper()
	var err error
	if a.App, err = server.New(a.options); err != nil {
		a.t.Fatalf("build server: %v", err)
	}
}

// alter changes a client past the rules, before the server knows it.
func (a *app) alter(id ids.Client, change func(c *clients.Client)) {
	a.t.Helper()
	client, err := a.Clients.ByID(a.t.Context(), id)
	if err == nil {
		change(&client)
		err = storetest.PutClient(a.t.Context(), a.db, client, someEvent())
	}
	if err != nil {
		a.t.Fatalf("change client %s: %v", id, err)
	}
	a.restart()
}

// The keys of a server, unless a test wants others.
var (
	algorithms = []string{"ES256", "RS256"}
	policy     = keys.Policy{RotationPeriod: 720 * time.Hour, JWKSMaxAge: 15 * time.Minute, ClockSkew: 30 * time.Second, AccessTTL: 10 * time.Minute}
)

// made are the keys that the first such server made, when, and what seals them: an RSA
// key takes longer to make than most tests do.
var made struct {
	sync.Mutex
	at     time.Time
	keys   []keys.Key
	master *seal.Keys
}

// giveKeys puts these keys into an empty database, as if its server had just made them.
func (a *app) giveKeys(master *seal.Keys) {
	a.t.Helper()
	made.Lock()
	defer made.Unlock()
	if there, err := a.db.Keys(a.t.Context()); err != nil || len(there) > 0 {
		return
	}
	const purpose = "signing key" // as package keys has it
	now := time.Now()
	for _, k := range made.keys {
		private, err := made.master.Open(purpose, k.Sealed, []byte(k.KID))
		if err != nil {
			a.t.Fatal(err)
		}
		k.Sealed = master.Seal(purpose, private, []byte(k.KID))
		for _, at := range []*time.Time{&k.PublishedFrom, &k.SignsFrom, &k.SignsUntil, &k.PublishedUntil} {
			*at = at.Add(now.Sub(made.at).Truncate(time.Millisecond))
		}
		if err := a.db.InsertKey(a.t.Context(), k, audit.Event{Time: now, Kind: audit.KeyCreated, KeyID: k.KID}); err != nil {
			a.t.Fatal(err)
		}
	}
}

// keepKeys keeps the keys that a server has made, for the next servers.
func (a *app) keepKeys(master *seal.Keys) {
	a.t.Helper()
	made.Lock()
	defer made.Unlock()
	if made.keys != nil {
		return
	}
	all, err := a.db.Keys(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	made.at, made.keys, made.master = time.Now(), all, master
}

// secret is a client secret with characters that Basic must percent-encode.
const secret = "s3cret:with/odd=chars & space"

// The clients of every test server.
var testClients = []struct {
	clients.Client
	secret string
}{
	{clients.Client{
		ID: "spa",
		Settings: clients.Settings{
			Name: "SPA", Public: true, FirstParty: true, Grants: []string{"password", "refresh_token", "authorization_code"},
			RedirectURIs: []string{spaCallback}, PostLogoutRedirectURIs: []string{"https://client.example.com/"},
			Scopes: []string{"openid", "profile", "email", "roles", "offline_access", "account"}, Origins: []string{"https://client.example.com"},
		},
	}, ""},
	{clients.Client{
		ID: "other",
		Settings: clients.Settings{
			Name: "Other", Public: true, FirstParty: true, Grants: []string{"password", "refresh_token"},
			Scopes: []string{"openid", "profile"},
		},
	}, ""},
	{clients.Client{
		ID: "web",
		Settings: clients.Settings{
			Name: "Web", FirstParty: true, Grants: []string{"password", "refresh_token", "client_credentials"},
			Scopes: []string{"openid", "profile", "email", "roles", "read", "write", "offline_access"}, Audiences: []string{"https://api.example.com"},
		},
	}, secret},
	{clients.Client{
		ID: "third",
		Settings: clients.Settings{
			Name: "Third", Public: true, Grants: []string{"refresh_token"}, Scopes: []string{"openid"},
			Origins: []string{partnerOrigin},
		},
	}, ""},
	{clients.Client{
		ID: "other-app",
		Settings: clients.Settings{
			Name: "Other", Public: true, FirstParty: true, Grants: []string{"authorization_code"},
			Scopes: []string{"openid", "profile"}, RedirectURIs: []string{spaCallback},
		},
	}, ""},
	{clients.Client{
		ID: "native",
		Settings: clients.Settings{
			Name: "Native", Public: true, FirstParty: true, Grants: []string{"authorization_code", "refresh_token"},
			Scopes: []string{"openid"}, RedirectURIs: []string{"http://127.0.0.1/back", "com.example.app:/back"},
		},
	}, ""},
	{clients.Client{
		ID: "es256",
		Settings: clients.Settings{
			Name: "ES256", Public: true, FirstParty: true, Grants: []string{"authorization_code"},
			Scopes: []string{"openid"}, RedirectURIs: []string{spaCallback}, IDTokenAlg: "ES256",
		},
	}, ""},
	{clients.Client{
		ID: "rp",
		Settings: clients.Settings{
			Name: "Partner <b>", Grants: []string{"authorization_code", "refresh_token"},
			Scopes: []string{"openid", "profile", "email", "phone", "address", "offline_access"}, RedirectURIs: []string{rpCallback},
			PostLogoutRedirectURIs: []string{rpSignedOut},
		},
	}, secret},
	{clients.Client{
		ID: "legacy",
		Settings: clients.Settings{
			Name: "Legacy", FirstParty: true, Grants: []string{"authorization_code", "refresh_token"},
			Scopes: []string{"openid"}, RedirectURIs: []string{spaCallback},
			Audiences: []string{"https://one.example.com", "https://two.example.com"},
		},
	}, secret},
	{clients.Client{
		ID: "api",
		Settings: clients.Settings{
			Name: "API", Grants: []string{"client_credentials"}, Scopes: []string{"read", "write"},
		},
	}, "dev-secret"},
	{clients.Client{
		ID: "reader",
		Settings: clients.Settings{
			Name: "Reader", MayIntrospect: true,
		},
	}, secret},
}

// response is an answer of the server.
type response struct {
	*httptest.ResponseRecorder
	t testing.TB
}

// do sends a request through the engine. The header's values are pairs.
func (a *app) do(method, target, body string, header ...string) *response {
	a.t.Helper()
	r := a.send(method, target, strings.NewReader(body), header...)
	if a.watch != nil {
		a.watch(method, target, body, header, r)
	}
	return r
}

// send is do with a body that may take its time.
func (a *app) send(method, target string, body io.Reader, header ...string) *response {
	a.t.Helper()
	r := httptest.NewRequestWithContext(a.t.Context(), method, target, body)
	r.Host = "auth.example.com"
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return &response{w, a.t}
}

// json is the body as a JSON object.
func (r *response) json() map[string]any {
	r.t.Helper()
	var m map[string]any
	if err := json.Unmarshal(r.Body.Bytes(), &m); err != nil {
		r.t.Fatalf("body is not a JSON object: %v\n%d %s", err, r.Code, r.Body)
	}
	return m
}

// text is one member of the JSON body, which must be a string.
func (r *response) text(member string) string {
	r.t.Helper()
	s, ok := r.json()[member].(string)
	if !ok {
		r.t.Fatalf("member %q is not a string: %d %s", member, r.Code, r.Body)
	}
	return s
}

// want fails the test unless the answer has the status.
func (r *response) want(status int) *response {
	r.t.Helper()
	if r.Code != status {
		r.t.Fatalf("status = %d, want %d: %s", r.Code, status, r.Body)
	}
	return r
}

// wantError fails the test unless the answer is this OAuth error, as JSON that
// no cache may keep (RFC 6749 section 5.2).
func (r *response) wantError(status int, code string) *response {
	r.t.Helper()
	r.want(status)
	if got := r.text("error"); got != code {
		r.t.Fatalf("error = %q, want %q: %s", got, code, r.Body)
	}
	if got := r.Header().Get("Cache-Control"); got != "no-store" {
		r.t.Errorf("Cache-Control = %q, want no-store", got)
	}
	if got := r.Header().Get("Content-Type"); got != "application/json" {
		r.t.Errorf("Content-Type = %q, want application/json", got)
	}
	return r
}

// wantProblem fails the test unless the answer is an RFC 9457 problem whose
// type ends in kind.
func (r *response) wantProblem(status int, kind string) *response {
	r.t.Helper()
	r.want(status)
	if got := r.Header().Get("Content-Type"); got != "application/problem+json" {
		r.t.Errorf("Content-Type = %q, want application/problem+json", got)
	}
	if got := r.text("type"); !strings.HasSuffix(got, ":"+kind) {
		r.t.Fatalf("type = %q, want one ending in %q: %s", got, kind, r.Body)
	}
	return r
}

// form makes a form of name-value pairs.
func form(pairs ...string) url.Values {
	f := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		f.Add(pairs[i], pairs[i+1])
	}
	return f
}

// basic is an Authorization header of the Basic scheme as RFC 6749 section
// 2.3.1 encodes it.
func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

// token posts a form to the token endpoint.
func (a *app) token(f url.Values, header ...string) *response {
	a.t.Helper()
	return a.do(http.MethodPost, "/oauth/token", f.Encode(),
		append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)...)
}

// post posts JSON.
func (a *app) post(path, body string, header ...string) *response {
	a.t.Helper()
	return a.do(http.MethodPost, path, body, append([]string{"Content-Type", "application/json"}, header...)...)
}

// signup creates an account with the usual password and returns its id.
func (a *app) signup(username string) string {
	a.t.Helper()
	body, _ := json.Marshal(map[string]string{"username": username, "password": password, "email": username + "@example.net"})
	return a.post("/signup", string(body)).want(http.StatusCreated).text("id")
}

// passwordForm asks for tokens at the public client spa.
func passwordForm(username string) url.Values {
	return form("grant_type", "password", "client_id", "spa", "username", username, "password", password)
}

// ownScope is the scope that our own application asks for, to manage the account, too.
const ownScope = "openid profile email roles account"

// login signs an existing user in at the client spa.
func (a *app) login(username string) *response {
	a.t.Helper()
	return a.token(with(passwordForm(username), "scope", ownScope)).want(http.StatusOK)
}

// refresh presents a refresh token as the client spa.
func (a *app) refresh(token string, more ...string) *response {
	a.t.Helper()
	return a.token(form(append([]string{"grant_type", "refresh_token", "client_id", "spa", "refresh_token", token}, more...)...))
}

// userinfo asks about the bearer of an access token.
func (a *app) userinfo(access string, header ...string) *response {
	a.t.Helper()
	return a.do(http.MethodGet, "/userinfo", "", append([]string{"Authorization", "Bearer " + access}, header...)...)
}

// claims decodes a JWT's header and payload without verifying it.
func (r *response) claims(member string) (header, payload map[string]any) {
	r.t.Helper()
	parts := strings.Split(r.text(member), ".")
	if len(parts) != 3 {
		r.t.Fatalf("%s is not a JWT", member)
	}
	for i, into := range []*map[string]any{&header, &payload} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(b, into)
		}
		if err != nil {
			r.t.Fatalf("%s: part %d: %v", member, i, err)
		}
	}
	return header, payload
}
