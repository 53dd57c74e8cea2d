package grants_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-oauth2/oauth2/v4"
	oautherrors "github.com/go-oauth2/oauth2/v4/errors"
	"github.com/go-oauth2/oauth2/v4/manage"
	"github.com/go-oauth2/oauth2/v4/models"
	oauthserver "github.com/go-oauth2/oauth2/v4/server"
	oauthstore "github.com/go-oauth2/oauth2/v4/store"

	"countersign/accounts"
	"countersign/caller"
	"countersign/clients"
	"countersign/handlers"
	"countersign/hashing"
	"countersign/ids"
	"countersign/keys"
	"countersign/limits"
	"countersign/seal"
	"countersign/server"
	"countersign/store/storetest"
	"countersign/tokens"
)

// The tests in this file send each request to the library's own server and manager,
// unmodified, and to ours. The library's answers are wrong. The tests assert them, so that
// a test fails when a new version corrects one; our workaround can then go.

const (
	trapPassword = "correct horse battery staple"
	trapSecret   = "trap-secret"
)

// endpoint is a token endpoint with the confidential clients a and b, both with
// trapSecret, and the user alice with trapPassword.
type endpoint struct {
	t      testing.TB
	handle http.HandlerFunc
	hashes *atomic.Int64 // how many passwords the endpoint hashed; nil if that is unknown
}

type reply struct {
	status int
	header http.Header
	body   map[string]any
}

func (r reply) code() any { return r.body["error"] }

// do posts a form. It adds the id and the secret to the body unless id is empty.
func (e *endpoint) do(id, secret, query, body string, header ...string) reply {
	e.t.Helper()
	if id != "" {
		body += "&" + url.Values{"client_id": {id}, "client_secret": {secret}}.Encode()
	}
	r := httptest.NewRequestWithContext(e.t.Context(), http.MethodPost, "/oauth/token"+query, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	e.handle(w, r)
	got := reply{status: w.Code, header: w.Header()}
	if err := json.Unmarshal(w.Body.Bytes(), &got.body); err != nil {
		e.t.Fatalf("body is not JSON: %d %s", w.Code, w.Body)
	}
	return got
}

// signIn returns a refresh token of client a with the scope read.
func (e *endpoint) signIn() string {
	e.t.Helper()
	r := e.do("a", trapSecret, "", signInBody(trapPassword)+"&scope=read")
	token, ok := r.body["refresh_token"].(string)
	if r.status != http.StatusOK || !ok {
		e.t.Fatalf("sign in: %d %v", r.status, r.body)
	}
	return token
}

func signInBody(password string) string {
	return url.Values{"grant_type": {"password"}, "username": {"alice"}, "password": {password}}.Encode()
}

func refreshBody(token string) string {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}.Encode()
}

// want fails the test unless the reply has the status and the error code; "" means no
// error.
func (r reply) want(t testing.TB, whose string, status int, code string) {
	t.Helper()
	got, _ := r.code().(string)
	if r.status != status || got != code {
		t.Errorf("%s: got %d %q, want %d %q: %v", whose, r.status, got, status, code, r.body)
	}
}

// stock is the library with its memory store. It takes client credentials from the body or
// from HTTP Basic.
func stock(t testing.TB, wrap ...func(oauth2.TokenStore) oauth2.TokenStore) *endpoint {
	t.Helper()
	memory, err := oauthstore.NewMemoryTokenStore()
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wrap {
		memory = w(memory)
	}
	clients := oauthstore.NewClientStore()
	for _, id := range []string{"a", "b"} {
		if err := clients.Set(id, &models.Client{ID: id, Secret: trapSecret, Domain: "https://example.com"}); err != nil {
			t.Fatal(err)
		}
	}
	manager := manage.NewDefaultManager()
	manager.MapTokenStorage(memory)
	manager.MapClientStorage(clients)
	s := oauthserver.NewDefaultServer(manager)
	s.SetClientInfoHandler(func(r *http.Request) (string, string, error) {
		if r.Header.Get("Authorization") != "" {
			return oauthserver.ClientBasicHandler(r)
		}
		return oauthserver.ClientFormHandler(r)
	})
	var looked atomic.Int64
	s.SetPasswordAuthorizationHandler(func(_ context.Context, _, username, password string) (string, error) {
		looked.Add(1)
		if username == "alice" && password == trapPassword {
			return "the-id-of-alice", nil
		}
		return "", oautherrors.ErrInvalidGrant
	})
	return &endpoint{t: t, hashes: &looked, handle: func(w http.ResponseWriter, r *http.Request) {
		if err := s.HandleTokenRequest(w, r); err != nil {
			t.Errorf("handle token request: %v", err)
		}
	}}
}

// ours is the whole server over a fresh database.
func ours(t testing.TB) *endpoint {
	t.Helper()
	app, watched := ourApp(t)
	return &endpoint{t: t, handle: app.ServeHTTP, hashes: &watched.looked}
}

// ourApp returns our server and the store that it uses.
func ourApp(t testing.TB) (*server.App, *watch) {
	t.Helper()
	db := storetest.Open(t)
	master, err := seal.Parse(seal.Generate())
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	ring, err := keys.Open(t.Context(), keys.Options{
		Store: db, Seal: master, Log: log, Algorithms: []string{"ES256"},
		Policy: keys.Policy{RotationPeriod: 720 * time.Hour, JWKSMaxAge: 15 * time.Minute, AccessTTL: 10 * time.Minute},
	})
	if err != nil {
		t.Fatal(err)
	}
	watched := &watch{Store: db}
	app, err := server.New(server.Options{
		Store: watched, Keys: ring, Seal: master, Log: log, Unavailable: db.IsUnavailable, Issuer: "https://auth.example.com",
		Accounts:      accounts.Settings{Passwords: accounts.PasswordPolicy{MinLength: 8}},
		Hashing:       hashing.Settings{Argon2: hashing.Argon2{MemoryKiB: 8, Iterations: 1, Parallelism: 1}, MaxConcurrentHashes: 4},
		Tokens:        tokens.Settings{AccessTTL: 10 * time.Minute, RefreshIdleTTL: time.Hour, RefreshAbsoluteTTL: time.Hour, RefreshReplayWindow: time.Minute},
		Throttle:      limits.Budgets{FreeFailures: 10, MaxWait: 15 * time.Minute, StrangersPerAccount: 100, FailuresPerNetwork: 200, Window: time.Hour},
		SessionCookie: server.SessionCookie{Client: "a", Cookies: handlers.Cookies{SameSite: http.SameSiteStrictMode}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b"} {
		if _, err := app.Clients.Create(t.Context(), time.Now(), clients.Client{
			ID: ids.Client(id),
			Settings: clients.Settings{
				Name: id, FirstParty: true, Grants: []string{"password", "refresh_token"}, Scopes: []string{"read", "admin"},
			},
		}, trapSecret, caller.Operator()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := app.Users.Create(t.Context(), time.Now(), accounts.NewUser{Username: "alice", Password: trapPassword}, caller.Operator()); err != nil {
		t.Fatal(err)
	}
	watched.looked.Store(0)
	watched.clients.Store(0)
	return app, watched
}

// watch counts the server's database queries.
type watch struct {
	server.Store
	looked  atomic.Int64 // queries for users by name: every sign-in makes one before it hashes
	clients atomic.Int64 // queries for clients
	grants  []string     // that all clients except b may use, in addition to their registered ones
}

func (w *watch) UserByUsername(ctx context.Context, name string) (accounts.User, error) {
	w.looked.Add(1)
	return w.Store.UserByUsername(ctx, name)
}

func (w *watch) Client(ctx context.Context, id ids.Client) (clients.Client, error) {
	w.clients.Add(1)
	client, err := w.Store.Client(ctx, id)
	if id != "b" {
		client.Grants = slices.Concat(client.Grants, w.grants)
	}
	return client, err
}

func TestTrapRefreshOfAnotherClientsTokenWithAWrongSecretAndMoreScope(t *testing.T) {
	e := stock(t)
	r := e.do("b", "wrong", "", refreshBody(e.signIn())+"&scope=read+admin")
	r.want(t, "library", http.StatusOK, "")
	if r.body["scope"] != "read admin" {
		t.Errorf("library: scope = %v, want it widened", r.body["scope"])
	}

	e = ours(t)
	token := e.signIn()
	e.do("b", "wrong", "", refreshBody(token)+"&scope=read+admin").want(t, "ours, wrong secret", http.StatusUnauthorized, "invalid_client")
	e.do("b", trapSecret, "", refreshBody(token)).want(t, "ours, another client", http.StatusBadRequest, "invalid_grant")
	e.do("a", trapSecret, "", refreshBody(token)+"&scope=read+admin").want(t, "ours, more scope", http.StatusBadRequest, "invalid_scope")
	e.do("a", trapSecret, "", refreshBody(token)).want(t, "ours", http.StatusOK, "")
}

func TestTrapRefreshByAClientThatDoesNotExist(t *testing.T) {
	e := stock(t)
	e.do("nobody", "x", "", refreshBody(e.signIn())).want(t, "library", http.StatusOK, "")

	e = ours(t)
	token := e.signIn()
	e.do("nobody", "x", "", refreshBody(token)).want(t, "ours", http.StatusUnauthorized, "invalid_client")
	e.do("nobody", "", "", refreshBody(token)).want(t, "ours, no secret", http.StatusUnauthorized, "invalid_client")
}

func TestTrapPasswordOracleWithoutTheClientsSecret(t *testing.T) {
	e := stock(t)
	e.do("a", "wrong", "", signInBody(trapPassword)).want(t, "library, right password", http.StatusUnauthorized, "invalid_client")
	e.do("a", "wrong", "", signInBody("wrong")).want(t, "library, wrong password", http.StatusUnauthorized, "invalid_grant")
	if e.hashes.Load() != 2 {
		t.Errorf("library: looked at %d passwords, want both", e.hashes.Load())
	}

	e = ours(t)
	e.do("a", "wrong", "", signInBody(trapPassword)).want(t, "ours, right password", http.StatusUnauthorized, "invalid_client")
	e.do("a", "wrong", "", signInBody("wrong")).want(t, "ours, wrong password", http.StatusUnauthorized, "invalid_client")
	if e.hashes.Load() != 0 {
		t.Errorf("ours: looked at %d passwords, want none", e.hashes.Load())
	}
}

// meeting makes the first two callers that look up a refresh token wait for each other.
// Two callers at the same moment meet like this by chance.
type meeting struct {
	oauth2.TokenStore
	both sync.WaitGroup
}

func (m *meeting) GetByRefresh(ctx context.Context, token string) (oauth2.TokenInfo, error) {
	info, err := m.TokenStore.GetByRefresh(ctx, token)
	m.both.Done()
	m.both.Wait()
	return info, err
}

func TestTrapConcurrentRefreshesForkTheSession(t *testing.T) {
	const rounds, callers = 20, 20
	race := func(e *endpoint, token string, callers int) []reply {
		replies := make([]reply, callers)
		var wg sync.WaitGroup
		for i := range replies {
			wg.Go(func() { replies[i] = e.do("a", trapSecret, "", refreshBody(token)) })
		}
		wg.Wait()
		return replies
	}
	distinct := func(whose string, replies []reply) map[any]bool {
		tokens := map[any]bool{}
		for _, r := range replies {
			r.want(t, whose, http.StatusOK, "")
			tokens[r.body["refresh_token"]] = true
		}
		return tokens
	}

	m := &meeting{}
	m.both.Add(2)
	e := stock(t, func(s oauth2.TokenStore) oauth2.TokenStore { m.TokenStore = s; return m })
	if got := distinct("library", race(e, e.signIn(), 2)); len(got) != 2 {
		t.Errorf("library: two callers got %d sessions, want 2 of one", len(got))
	}

	e = ours(t)
	token := e.signIn()
	for range rounds {
		got := distinct("ours", race(e, token, callers))
		if len(got) != 1 {
			t.Fatalf("ours: %d callers got %d refresh tokens, want the same one", callers, len(got))
		}
		for next := range got {
			token = next.(string)
		}
	}
}

func TestTrapCredentialsInTheURL(t *testing.T) {
	query := "?" + url.Values{"username": {"alice"}, "password": {trapPassword}}.Encode()
	stock(t).do("a", trapSecret, query, "grant_type=password").want(t, "library", http.StatusOK, "")
	ours(t).do("a", trapSecret, query, "grant_type=password").want(t, "ours", http.StatusBadRequest, "invalid_request")
}

func TestTrapRepeatedParameter(t *testing.T) {
	body := signInBody(trapPassword) + "&grant_type=client_credentials"
	r := stock(t).do("a", trapSecret, "", body)
	r.want(t, "library", http.StatusOK, "")
	if r.body["refresh_token"] == nil {
		t.Errorf("library: the first grant_type did not win: %v", r.body)
	}
	ours(t).do("a", trapSecret, "", body).want(t, "ours", http.StatusBadRequest, "invalid_request")
}

func TestTrapUnknownClientIsAServerError(t *testing.T) {
	stock(t).do("nobody", "x", "", signInBody(trapPassword)).want(t, "library", http.StatusInternalServerError, "server_error")
	ours(t).do("nobody", "x", "", signInBody(trapPassword)).want(t, "ours", http.StatusUnauthorized, "invalid_client")
}

func TestTrapInvalidGrantIsUnauthorized(t *testing.T) {
	library, our := stock(t), ours(t)
	for name, body := range map[string]string{
		"bad password":          signInBody("wrong"),
		"unknown refresh token": refreshBody("x"),
	} {
		library.do("a", trapSecret, "", body).want(t, "library, "+name, http.StatusUnauthorized, "invalid_grant")
		our.do("a", trapSecret, "", body).want(t, "ours, "+name, http.StatusBadRequest, "invalid_grant")
	}
	const code = "grant_type=authorization_code&code=x&redirect_uri=https%3A%2F%2Fexample.com%2Fcb"
	library.do("a", trapSecret, "", code).want(t, "library, unknown code", http.StatusUnauthorized, "invalid_grant")
	// Our error code depends on whether the server has the grant; the status doesn't.
	if r := our.do("a", trapSecret, "", code); r.status != http.StatusBadRequest {
		t.Errorf("ours, unknown code: %d %v, want 400", r.status, r.body)
	}
}

func TestTrapUnknownAndMissingGrantType(t *testing.T) {
	library, our := stock(t), ours(t)
	for body, code := range map[string]string{"grant_type=x": "unsupported_grant_type", "x=y": "invalid_request"} {
		library.do("a", trapSecret, "", body).want(t, "library, "+body, http.StatusUnauthorized, "unsupported_grant_type")
		our.do("a", trapSecret, "", body).want(t, "ours, "+body, http.StatusBadRequest, code)
	}
}

func TestTrapFailedBasicIsNotChallenged(t *testing.T) {
	for _, authorization := range []string{encodeBasic("a", "wrong"), "Basic x"} {
		r := stock(t).do("", "", "", signInBody(trapPassword), "Authorization", authorization)
		r.want(t, "library", http.StatusUnauthorized, "invalid_client")
		if got := r.header.Get("WWW-Authenticate"); got != "" {
			t.Errorf("library: WWW-Authenticate = %q, want none", got)
		}
		r = ours(t).do("", "", "", signInBody(trapPassword), "Authorization", authorization)
		r.want(t, "ours", http.StatusUnauthorized, "invalid_client")
		if got := r.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Basic ") {
			t.Errorf("ours: WWW-Authenticate = %q, want Basic", got)
		}
	}
}

func TestTrapRedirectURIsAreComparedByTheirEnd(t *testing.T) {
	const registered = "https://example.com/cb"
	client := clients.Client{Settings: clients.Settings{RedirectURIs: []string{registered}}}
	for _, uri := range []string{"http://evil-example.com/cb", "http://example.com/cb", "https://example.com/elsewhere", "javascript://example.com/%0aalert(1)"} {
		if err := manage.DefaultValidateURI("https://example.com", uri); err != nil {
			t.Errorf("library: %s: %v, want it accepted", uri, err)
		}
		if client.AllowsRedirectURI(uri) {
			t.Errorf("ours: %s was accepted for %s", uri, registered)
		}
	}
	if err := manage.DefaultValidateURI("", "https://evil.example/cb"); err != nil {
		t.Errorf("library: no domain: %v, want everything accepted", err)
	}
	if (clients.Client{}).AllowsRedirectURI("https://evil.example/cb") {
		t.Error("ours: a client without redirect URIs has one")
	}
	if !client.AllowsRedirectURI(registered) {
		t.Error("ours: the registered one was refused")
	}
}
