package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql/driver"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/audit"
	"countersign/caller"
	"countersign/hashing"
	"countersign/ids"
	"countersign/keys"
	"countersign/oauth"
	"countersign/server"
	"countersign/test/soak"
	"countersign/tokens"
)

// inSlot returns a hook that calls hook when a sign-in reaches its hashing slot. On the way
// to a token the server looks the user up twice: for the guess budget, and there.
func inSlot(hook func(ctx context.Context, verb string) error) func(context.Context, string) error {
	var seen sync.Map // contexts of requests
	return func(ctx context.Context, verb string) error {
		if !strings.HasPrefix(verb, "UserByUsername") {
			return nil
		}
		if _, again := seen.LoadOrStore(ctx, true); !again {
			return nil
		}
		return hook(ctx, verb)
	}
}

// watchSignIns counts the sign-ins that reach their hashing slot. While held, they stay
// there.
func watchSignIns(f *faults) *signIns {
	s := &signIns{}
	f.set(inSlot(func(ctx context.Context, _ string) error {
		s.begun.Add(1)
		if held := s.held.Load(); held != nil {
			select {
			case <-*held:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}))
	return s
}

type signIns struct {
	begun atomic.Int64
	held  atomic.Pointer[chan struct{}] // closed to let them go on; nil: none is held
}

// hold keeps later sign-ins in their slots until release is called.
func (s *signIns) hold() (release func()) {
	c := make(chan struct{})
	s.held.Store(&c)
	return func() { s.held.Store(nil); close(c) }
}

// hashMiB is the memory of one hash in tests that count hashes by it: far more than
// everything else that a request allocates.
const hashMiB = 16

func withHeavyHashes(o *server.Options, _ *keys.Options) {
	o.Hashing.Argon2 = hashing.Argon2{MemoryKiB: hashMiB << 10, Iterations: 1, Parallelism: 1}
}

// hashesIn counts the hashes that f computes, by their memory, so that a test can
// compare work without timing it. No other test may run at the same time.
func hashesIn(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int((after.TotalAlloc - before.TotalAlloc + hashMiB<<19) / (hashMiB << 20))
}

// from returns a header that gives the request another address, in apps that trust the
// test as a proxy.
func from(address string) []string { return []string{"X-Forwarded-For", address} }

func withProxy(o *server.Options, _ *keys.Options) { o.TrustedProxies = []string{"192.0.2.1"} }

// in returns the app for a subtest: failures then fail the subtest.
func (a *app) in(t testing.TB) *app {
	sub := *a
	sub.t = t
	return &sub
}

// answer returns everything that a caller sees of an answer, except its random id.
func (r *response) answer() string {
	header := r.Header().Clone()
	header.Del("X-Request-Id")
	var b bytes.Buffer
	fmt.Fprintln(&b, r.Code)
	header.Write(&b)
	b.Write(r.Body.Bytes())
	return b.String()
}

// wantNothing fails the test if the answer has a token in it.
func (r *response) wantNothing() *response {
	r.t.Helper()
	for _, member := range []string{"access_token", "refresh_token", "id_token"} {
		if strings.Contains(r.Body.String(), `"`+member+`":`) {
			r.t.Errorf("a refused request got a token: %d %s", r.Code, r.Body)
		}
	}
	return r
}

// sessionsOf returns how many sessions a user has.
func (a *app) sessionsOf(username string) int {
	a.t.Helper()
	user, err := a.Users.ByUsername(a.t.Context(), username)
	if err != nil {
		a.t.Fatalf("find user: %v", err)
	}
	all, err := a.Tokens.OfUser(a.t.Context(), time.Now(), user.ID)
	if err != nil {
		a.t.Fatalf("list sessions: %v", err)
	}
	return len(all)
}

// with is a copy of a form with more pairs set; an empty value stays.
func with(f url.Values, pairs ...string) url.Values {
	f = maps.Clone(f)
	for i := 0; i < len(pairs); i += 2 {
		f.Set(pairs[i], pairs[i+1])
	}
	return f
}

func without(f url.Values, names ...string) url.Values {
	f = maps.Clone(f)
	for _, name := range names {
		f.Del(name)
	}
	return f
}

const formType = "application/x-www-form-urlencoded"

// Requirement: line 1.
func TestTokenEndpointTakesPostOnly(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodDelete, "post", "FOO"} {
		t.Run(method, func(t *testing.T) {
			a := a.in(t)
			for _, target := range []string{"/oauth/token", "/oauth/token?" + passwordForm("alice").Encode()} {
				r := a.do(method, target, passwordForm("alice").Encode(), "Content-Type", formType)
				r.wantNothing().wantError(http.StatusMethodNotAllowed, "invalid_request")
				if got := r.Header().Get("Allow"); got != http.MethodPost {
					t.Errorf("Allow = %q, want POST", got)
				}
			}
		})
	}
	if n := a.sessionsOf("alice"); n != 0 {
		t.Errorf("%d sessions were opened", n)
	}
}

// Requirement: line 2.
func TestParametersInTheURLAreRefused(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	refresh := a.login("alice").text("refresh_token")
	for _, query := range []string{
		"grant_type=password", "client_id=spa", "client_secret=", "client_secret=x", "username=alice", "password=x",
		"refresh_token=x", "scope=openid", "unknown=1", "unknown", "&", "%", "", // "": a bare question mark
		passwordForm("alice").Encode(),
	} {
		t.Run("?"+query, func(t *testing.T) {
			a := a.in(t)
			for _, f := range []url.Values{passwordForm("alice"), form("grant_type", "refresh_token", "client_id", "spa", "refresh_token", refresh)} {
				a.do(http.MethodPost, "/oauth/token?"+query, f.Encode(), "Content-Type", formType).
					wantNothing().wantError(http.StatusBadRequest, "invalid_request")
			}
		})
	}
	t.Run("all in the URL", func(t *testing.T) {
		a := a.in(t)
		a.do(http.MethodPost, "/oauth/token?"+passwordForm("alice").Encode(), "", "Content-Type", formType).
			wantNothing().wantError(http.StatusBadRequest, "invalid_request")
	})
	if n := a.sessionsOf("alice"); n != 1 {
		t.Errorf("%d sessions, want the 1 of before", n)
	}
}

// Requirement: line 3.
func TestRepeatedParametersAreRefused(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	valid := with(passwordForm("alice"), "scope", "openid").Encode()
	for _, more := range []string{
		"grant_type=password", "grant_type=client_credentials", "client_id=spa", "client_id=other", "username=alice", "username=",
		"password=wrong", "scope=openid", "scope=profile", "scope=", "unknown=1&unknown=1", "unknown&unknown", "=1&=2",
		"%75sername=alice", // the same name, spelled otherwise
	} {
		t.Run(more, func(t *testing.T) {
			a := a.in(t)
			for _, body := range []string{valid + "&" + more, more + "&" + valid} {
				a.do(http.MethodPost, "/oauth/token", body, "Content-Type", formType).
					wantNothing().wantError(http.StatusBadRequest, "invalid_request")
			}
		})
	}
	t.Run("refresh_token", func(t *testing.T) {
		a := a.in(t)
		token := a.login("alice").text("refresh_token")
		f := form("grant_type", "refresh_token", "client_id", "spa", "refresh_token", token, "refresh_token", token)
		a.token(f).wantNothing().wantError(http.StatusBadRequest, "invalid_request")
		a.refresh(token).want(http.StatusOK)
	})
	t.Run("client_secret", func(t *testing.T) {
		a := a.in(t)
		f := form("grant_type", "client_credentials", "client_id", "api", "client_secret", "dev-secret", "client_secret", "dev-secret")
		a.token(f).wantNothing().wantError(http.StatusBadRequest, "invalid_request")
	})
	t.Run("Authorization", func(t *testing.T) {
		a := a.in(t)
		a.token(form("grant_type", "client_credentials"), "Authorization", basic("api", "dev-secret"), "Authorization", basic("api", "dev-secret")).
			wantNothing().wantError(http.StatusBadRequest, "invalid_request")
	})
}

// Requirement: line 4.
func TestUnknownParametersAreIgnoredAndEmptyOnesAbsent(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	valid := passwordForm("alice")
	for name, f := range map[string]url.Values{
		"unknown":                 with(valid, "foo", "bar", "nonce", "n", "redirect_uri", "https://evil.example", "Grant_Type", "x", "PASSWORD", "x"),
		"empty unknown":           with(valid, "foo", "", "", ""),
		"empty scope":             with(valid, "scope", ""),
		"empty secret":            with(valid, "client_secret", ""),
		"token of another grant":  with(valid, "refresh_token", "cs_rt_x", "code", "x"),
		"empty secret with Basic": with(without(valid, "client_id"), "client_secret", "", "client_id", ""),
	} {
		t.Run(name, func(t *testing.T) {
			a := a.in(t)
			var header []string
			if !f.Has("client_id") || f.Get("client_id") == "" {
				header = []string{"Authorization", basic("spa", "")}
			}
			a.token(f, header...).want(http.StatusOK)
		})
	}
	for name, c := range map[string]struct {
		form   url.Values
		status int
		code   string
	}{
		"grant_type":    {with(valid, "grant_type", ""), http.StatusBadRequest, "invalid_request"},
		"username":      {with(valid, "username", ""), http.StatusBadRequest, "invalid_request"},
		"password":      {with(valid, "password", ""), http.StatusBadRequest, "invalid_request"},
		"client_id":     {with(valid, "client_id", ""), http.StatusUnauthorized, "invalid_client"},
		"refresh_token": {form("grant_type", "refresh_token", "client_id", "spa", "refresh_token", ""), http.StatusBadRequest, "invalid_request"},
		"client_secret": {form("grant_type", "client_credentials", "client_id", "api", "client_secret", ""), http.StatusUnauthorized, "invalid_client"},
	} {
		t.Run("empty "+name+" is absent", func(t *testing.T) {
			a := a.in(t)
			empty := a.token(c.form).wantNothing().wantError(c.status, c.code).answer()
			if absent := a.token(without(c.form, name)).answer(); absent != empty {
				t.Errorf("absent: %s\nempty: %s", absent, empty)
			}
		})
	}
}

// Requirement: line 5.
func TestGrantTypeIsRequiredAndKnown(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	valid := passwordForm("alice")
	a.token(without(valid, "grant_type")).wantNothing().wantError(http.StatusBadRequest, "invalid_request")
	a.do(http.MethodPost, "/oauth/token", "", "Content-Type", formType).wantError(http.StatusBadRequest, "invalid_request")
	for _, grant := range []string{"implicit", "token", "__implicit", "PASSWORD", " password", "password ", "password\x00", "client-credentials", "code", "x"} {
		a.token(with(valid, "grant_type", grant)).wantNothing().wantError(http.StatusBadRequest, "unsupported_grant_type")
	}
}

// Requirement: line 6.
func TestOnlyFormsAreRead(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	body := passwordForm("alice").Encode()
	asJSON, _ := json.Marshal(map[string]string{"grant_type": "password", "client_id": "spa", "username": "alice", "password": password})
	for name, c := range map[string]struct {
		body   string
		header []string
	}{
		"JSON":                {string(asJSON), []string{"Content-Type", "application/json"}},
		"JSON called a form":  {string(asJSON), []string{"Content-Type", formType}},
		"form called JSON":    {body, []string{"Content-Type", "application/json"}},
		"plain text":          {body, []string{"Content-Type", "text/plain"}},
		"no type":             {body, nil},
		"empty type":          {body, []string{"Content-Type", ""}},
		"two types":           {body, []string{"Content-Type", formType, "Content-Type", formType}},
		"list of types":       {body, []string{"Content-Type", formType + ", text/plain"}},
		"malformed type":      {body, []string{"Content-Type", formType + "; charset"}},
		"longer type":         {body, []string{"Content-Type", formType + "x"}},
		"multipart":           {"--b\r\nContent-Disposition: form-data; name=\"grant_type\"\r\n\r\npassword\r\n--b--\r\n", []string{"Content-Type", "multipart/form-data; boundary=b"}},
		"not percent-encoded": {body + "&x=%zz", []string{"Content-Type", formType}},
		"semicolon":           {strings.ReplaceAll(body, "&", ";"), []string{"Content-Type", formType}},
		"value not UTF-8":     {body + "&x=%ff", []string{"Content-Type", formType}},
		"name not UTF-8":      {body + "&%ff=x", []string{"Content-Type", formType}},
		"too large":           {body + "&x=" + strings.Repeat("x", 64<<10-len(body)-2), []string{"Content-Type", formType}},
		"much too large":      {strings.Repeat("x=1&", 1<<18) + body, []string{"Content-Type", formType}},
		"very many names":     {body + strings.Repeat("&a", 20_000), []string{"Content-Type", formType}},
	} {
		t.Run(name, func(t *testing.T) {
			a := a.in(t)
			a.do(http.MethodPost, "/oauth/token", c.body, c.header...).wantNothing().wantError(http.StatusBadRequest, "invalid_request")
		})
	}
	for name, c := range map[string]struct{ body, contentType string }{
		"charset":         {body, formType + "; charset=UTF-8"},
		"capitals":        {body, "Application/X-WWW-Form-URLEncoded"},
		"as large as can": {body + "&x=" + strings.Repeat("x", 64<<10-len(body)-3), formType},
	} {
		t.Run(name, func(t *testing.T) {
			a := a.in(t)
			a.do(http.MethodPost, "/oauth/token", c.body, "Content-Type", c.contentType).want(http.StatusOK)
		})
	}
}

// Requirement: line 13.
func TestSuccessIsJSONThatNoCacheKeeps(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	login := a.login("alice")
	for name, c := range map[string]struct {
		answer *response
		want   []string // members
	}{
		"password":           {login, []string{"access_token", "device_token", "expires_in", "id_token", "refresh_token", "scope", "token_type"}},
		"refresh_token":      {a.refresh(login.text("refresh_token")), []string{"access_token", "expires_in", "id_token", "refresh_token", "scope", "token_type"}},
		"client_credentials": {a.token(form("grant_type", "client_credentials"), "Authorization", basic("api", "dev-secret")), []string{"access_token", "expires_in", "scope", "token_type"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.answer.want(http.StatusOK)
			for header, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache"} {
				if got := r.Header()[header]; len(got) != 1 || got[0] != want {
					t.Errorf("%s = %q, want %q once", header, got, want)
				}
			}
			if got := slices.Sorted(maps.Keys(r.json())); !slices.Equal(got, c.want) {
				t.Errorf("members %q, want %q", got, c.want)
			}
			if got := r.text("token_type"); got != "Bearer" {
				t.Errorf("token_type = %q, want Bearer", got)
			}
			if got := r.json()["expires_in"]; got != 600.0 {
				t.Errorf("expires_in = %#v, want the number 600", got)
			}
			_, access := r.claims("access_token")
			if got := access["exp"].(float64) - access["iat"].(float64); got != 600 {
				t.Errorf("exp is %v s after iat, want what expires_in says", got)
			}
		})
	}
}

// description is what RFC 6749 section 5.2 lets error_description have.
var description = regexp.MustCompile(`^[\x20-\x21\x23-\x5B\x5D-\x7E]+$`)

// Requirement: line 14.
func TestErrorsAreJSONWithTheRightStatus(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	login := a.login("alice").text("refresh_token")
	refresh := form("grant_type", "refresh_token", "client_id", "spa", "refresh_token", login)
	for name, c := range map[string]struct {
		form   url.Values
		header []string
		code   string
	}{
		"invalid_request":                 {url.Values{}, nil, "invalid_request"},
		"invalid_client":                  {with(passwordForm("alice"), "client_id", "nobody"), nil, "invalid_client"},
		"invalid_client, quoted":          {with(passwordForm("alice"), "client_id", "\"\\\n<script>\x7f한"), nil, "invalid_client"},
		"invalid_client by Basic":         {without(refresh, "client_id"), []string{"Authorization", basic("web", "wrong")}, "invalid_client"},
		"invalid_client by Bearer":        {refresh, []string{"Authorization", "Bearer x"}, "invalid_client"},
		"invalid_grant for password":      {with(passwordForm("alice"), "password", "\"\\\x00"), nil, "invalid_grant"},
		"invalid_grant for username":      {with(passwordForm("alice"), "username", "\"\\\x00\n"), nil, "invalid_grant"},
		"invalid_grant for refresh":       {with(refresh, "refresh_token", "\"\\\x00\n"), nil, "invalid_grant"},
		"unauthorized_client":             {with(passwordForm("alice"), "client_id", "third"), nil, "unauthorized_client"},
		"unsupported_grant_type":          {with(refresh, "grant_type", "\"\\"), nil, "unsupported_grant_type"},
		"invalid_scope, unknown":          {with(passwordForm("alice"), "scope", "admin"), nil, "invalid_scope"},
		"invalid_scope, malformed":        {with(passwordForm("alice"), "scope", "\"\\\n"), nil, "invalid_scope"},
		"invalid_scope at refresh":        {with(refresh, "scope", "offline_access"), nil, "invalid_scope"},
		"invalid_scope, very many scopes": {with(refresh, "scope", manyScopes(101)), nil, "invalid_scope"},
	} {
		t.Run(name, func(t *testing.T) {
			a := a.in(t)
			status := http.StatusBadRequest
			if c.code == "invalid_client" {
				status = http.StatusUnauthorized
			}
			r := a.token(c.form, c.header...).wantNothing().wantError(status, c.code)
			if got := r.Header().Get("Pragma"); got != "no-cache" {
				t.Errorf("Pragma = %q, want no-cache", got)
			}
			if got := r.text("error_description"); !description.MatchString(got) {
				t.Errorf("error_description has other characters: %q", got)
			}
			if members := r.json(); len(members) != 2 {
				t.Errorf("members beside error and error_description: %v", members)
			}
			if got, want := r.Header().Get("WWW-Authenticate") != "", status == http.StatusUnauthorized; got != want {
				t.Errorf("WWW-Authenticate is there: %v, want %v", got, want)
			}
		})
	}
}

func manyScopes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " s%d", i)
	}
	return b.String()[1:]
}

// Requirement: line 15.
func TestScopeIsWellFormedAndAllowed(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	api := form("grant_type", "client_credentials", "client_id", "api", "client_secret", "dev-secret")
	for _, scope := range []string{
		" ", "openid  profile", " openid", "openid ", "openid\tprofile", "openid\nprofile", `openid"`, `open\id`, "openid,profile",
		"한", "openid\x00", "openid\u00a0profile", "admin", "openid admin", "OPENID", "openid profile email roles offline_access read",
		manyScopes(101), strings.Repeat("x", 60_000),
	} {
		t.Run(fmt.Sprintf("%.40q", scope), func(t *testing.T) {
			a := a.in(t)
			a.token(with(passwordForm("alice"), "scope", scope)).wantNothing().wantError(http.StatusBadRequest, "invalid_scope")
			a.token(with(api, "scope", scope)).wantNothing().wantError(http.StatusBadRequest, "invalid_scope")
		})
	}
	if n := a.sessionsOf("alice"); n != 0 {
		t.Errorf("%d sessions were opened", n)
	}
	for name, c := range map[string]struct {
		form url.Values
		want string
	}{
		"all less offline_access if none is asked": {passwordForm("alice"), "openid profile email roles"},
		"what is asked":                 {with(passwordForm("alice"), "scope", "email openid"), "email openid"},
		"offline_access if it is asked": {with(passwordForm("alice"), "scope", "openid offline_access"), "openid offline_access"},
		"repeated ones once":            {with(passwordForm("alice"), "scope", "openid email openid"), "openid email"},
		"a client's own":                {api, "read write"},
		"a client's own, narrowed":      {with(api, "scope", "read"), "read"},
	} {
		t.Run(name, func(t *testing.T) {
			a := a.in(t)
			r := a.token(c.form).want(http.StatusOK)
			_, access := r.claims("access_token")
			if got := r.text("scope"); got != c.want || access["scope"] != c.want {
				t.Errorf("scope = %q, in the token %q, want %q", got, access["scope"], c.want)
			}
		})
	}
}

// The answer to a scope that the client can't have must not depend on the password.
func TestScopeIsRefusedBeforeThePasswordIsLookedAt(t *testing.T) {
	f := &faults{}
	a := newApp(t, withFaults(f))
	a.signup("alice")
	s := watchSignIns(f)
	tooMuch := with(passwordForm("alice"), "scope", "admin")
	right := a.token(tooMuch).wantError(http.StatusBadRequest, "invalid_scope").answer()
	wrong := a.token(with(tooMuch, "password", "wrong")).answer()
	if right != wrong {
		t.Errorf("right password: %s\nwrong password: %s", right, wrong)
	}
	if got := s.begun.Load(); got != 0 {
		t.Errorf("%d sign-ins were tried, want none", got)
	}
}

// Requirement: line 17.
func TestTokensNeverRepeat(t *testing.T) {
	samples := soak.Size(100_000, 10_000)
	sessions := &sessionSink{}
	a := newApp(t, func(o *server.Options, _ *keys.Options) {
		sessions.Store = o.Store
		o.Store = sessions
	})
	to := oauth.Recipient{ClientID: "spa", FirstParty: true, Refresh: true}
	seen := make(map[string]bool, 4*samples)
	once := func(what, token string, length int) {
		t.Helper()
		if len(token) != length {
			t.Fatalf("%s %q has %d characters, want %d", what, token, len(token), length)
		}
		if seen[token] {
			t.Fatalf("%s %q came twice", what, token)
		}
		seen[token] = true
	}
	var bits big.Int // of all MACs, combined: a bit that never changes is no secret
	for range samples {
		issued, err := a.Tokens.Start(t.Context(), time.Now(), to, tokens.SignIn{UserID: ids.New[ids.User]()}, nil, nil, caller.Operator())
		if err != nil {
			t.Fatal(err)
		}
		// 5 bits a character: 130 bits.
		once("jti", jti(t, issued.AccessToken), 26)
		token, ok := strings.CutPrefix(issued.RefreshToken, "cs_rt_")
		if !ok {
			t.Fatalf("refresh token %q lacks its prefix", issued.RefreshToken)
		}
		raw, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			t.Fatalf("refresh token %q: %v", token, err)
		}
		once("refresh token", token, 82) // 61 bytes
		mac := raw[len(raw)-32:]         // 256 bits that no attacker can guess
		once("MAC", string(mac), 32)
		bits.Xor(&bits, new(big.Int).SetBytes(mac))

		code, err := a.Tokens.IssueCode(t.Context(), time.Now(), to, &tokens.Login{}, tokens.Asked{WithoutConsent: true})
		if err != nil {
			t.Fatal(err)
		}
		once("code", strings.TrimPrefix(code, "cs_ac_"), 43) // 256 bits
	}
	if n := bits.BitLen(); n < 200 {
		t.Errorf("the MACs differ in their last %d bits only", n)
	}

	// The endpoint issues tokens of the same form.
	a = newApp(t)
	a.signup("alice")
	r := a.login("alice")
	once("jti", jti(t, r.text("access_token")), 26)
	once("refresh token", strings.TrimPrefix(r.text("refresh_token"), "cs_rt_"), 82)
}

// sessionSink forgets sessions and codes: sampling tokens needs none.
type sessionSink struct{ server.Store }

func (sessionSink) CreateCode(context.Context, tokens.Code, time.Time, time.Time) error { return nil }

func (sessionSink) CreateSession(context.Context, tokens.Session, int64, audit.Event) error {
	return nil
}

// jti reads the claim from a JWT's payload.
func jti(t *testing.T, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		ID string `json:"jti"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims.ID
}

// brokenWrites is a store whose writes of sessions fail, before they have
// happened or after it.
type brokenWrites struct {
	server.Store
	before, after string // the verb
	err           error
}

func (s *brokenWrites) breaking(verb string, write func() error) error {
	if s.before == verb {
		return s.err
	}
	if err := write(); err != nil || s.after != verb {
		return err
	}
	return s.err
}

func (s *brokenWrites) CreateSession(ctx context.Context, one tokens.Session, epoch int64, ev audit.Event) error {
	return s.breaking("CreateSession", func() error { return s.Store.CreateSession(ctx, one, epoch, ev) })
}

func (s *brokenWrites) AdvanceSession(ctx context.Context, next tokens.Session, now time.Time) error {
	return s.breaking("AdvanceSession", func() error { return s.Store.AdvanceSession(ctx, next, now) })
}

func withBrokenWrites(s *brokenWrites) func(*server.Options, *keys.Options) {
	return func(o *server.Options, _ *keys.Options) { s.Store, o.Store = o.Store, s }
}

// wantUnavailable fails the test unless the answer is a 503 that says when to
// come back and nothing of the inside.
func (r *response) wantUnavailable() *response {
	r.t.Helper()
	r.wantNothing().wantError(http.StatusServiceUnavailable, "temporarily_unavailable")
	if got := r.Header().Get("Retry-After"); got != "1" {
		r.t.Errorf("Retry-After = %q, want 1", got)
	}
	if strings.Contains(r.Body.String(), "bad connection") {
		r.t.Errorf("the answer tells of the inside: %s", r.Body)
	}
	return r
}

func TestDatabaseAwayIsTemporary(t *testing.T) {
	f := &faults{}
	a := newApp(t, withFaults(f))
	a.signup("alice")
	login := a.login("alice").text("refresh_token")
	for _, away := range []string{"Client", "Session", "Failures", "UserByUsername alice"} {
		t.Run(away, func(t *testing.T) {
			a := a.in(t)
			a.restart() // or it might remember what it needs
			f.set(func(_ context.Context, verb string) error {
				if verb == away {
					return driver.ErrBadConn
				}
				return nil
			})
			defer f.set(nil)
			if away == "Session" {
				a.refresh(login).wantUnavailable()
			} else {
				a.token(passwordForm("alice")).wantUnavailable()
			}
		})
	}
	a.refresh(login).want(http.StatusOK)
}

// After a refresh whose commit succeeded and whose answer was lost, the client can
// retry with the same token: the session has neither forked nor ended.
func TestBrokenWriteForksNoSession(t *testing.T) {
	s := &brokenWrites{err: driver.ErrBadConn}
	a := newApp(t, withBrokenWrites(s))
	a.signup("alice")
	for _, c := range []struct{ before, after string }{{"AdvanceSession", ""}, {"", "AdvanceSession"}} {
		token := a.login("alice").text("refresh_token")
		s.before, s.after = c.before, c.after
		failed := a.refresh(token)
		s.before, s.after = "", ""
		failed.wantUnavailable()
		again := a.refresh(token).want(http.StatusOK).text("refresh_token")
		if once := a.refresh(token).want(http.StatusOK).text("refresh_token"); once != again {
			t.Errorf("%+v: the session forked: two answers to one token differ", c)
		}
		a.refresh(again).want(http.StatusOK)
	}
	for _, c := range []struct{ before, after string }{{"CreateSession", ""}, {"", "CreateSession"}} {
		s.before, s.after = c.before, c.after
		failed := a.token(passwordForm("alice"))
		s.before, s.after = "", ""
		failed.wantUnavailable()
		a.login("alice")
	}
}

// An unforeseen fault is told in brief and logged in full.
func TestUnforeseenErrorIsServerErrorWithoutTheInside(t *testing.T) {
	s := &brokenWrites{before: "CreateSession", err: errors.New("constraint of table sessions")}
	a := newApp(t, withBrokenWrites(s))
	a.signup("alice")
	r := a.token(passwordForm("alice")).wantNothing().wantError(http.StatusInternalServerError, "server_error")
	if strings.Contains(r.Body.String(), "constraint") {
		t.Errorf("the answer tells of the inside: %s", r.Body)
	}
	if !strings.Contains(a.logs.String(), "constraint of table sessions") {
		t.Error("the log does not tell what went wrong")
	}
}

func TestPathsThatAlmostMatchAreNotRedirected(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	for _, path := range []string{"/oauth/token/", "//oauth/token", "/oauth//token", "/OAUTH/token", "/oauth/token/x", "/oauth/%74oken/", "/oauth/../oauth/token"} {
		r := a.do(http.MethodPost, path, passwordForm("alice").Encode(), "Content-Type", formType).wantNothing()
		if r.Code != http.StatusNotFound {
			t.Errorf("%s: status = %d, want 404", path, r.Code)
		}
	}
}

// People paste secrets into every field there is.
func TestLogsHaveNoSecretsAndNoNamesThatDontExist(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	const typo = "pasted-into-the-wrong-field"
	login := a.login("alice")
	second := a.refresh(login.text("refresh_token"))
	a.token(form("grant_type", "client_credentials"), "Authorization", basic("web", secret)).want(http.StatusOK)
	for _, name := range []string{"grant_type", "client_id", "client_secret", "username", "password", "scope", "unknown", typo} {
		a.token(with(passwordForm("alice"), name, typo))
	}
	a.refresh(typo)
	a.refresh("cs_rt_" + typo)
	a.token(passwordForm("alice"), "Authorization", "Basic "+typo)
	a.token(form("grant_type", "client_credentials"), "Authorization", basic("api", typo))
	a.token(form("grant_type", "client_credentials"), "Authorization", basic(typo, typo))
	a.do(http.MethodPost, "/oauth/token?"+typo+"="+typo, passwordForm("alice").Encode(), "Content-Type", formType)
	a.do(http.MethodPost, "/oauth/token/"+typo, "")
	a.do(typo, "/oauth/token", "")
	logs := a.logs.String()
	for what, text := range map[string]string{
		"the password": password, "a client secret": secret, "what was pasted": typo,
		"a refresh token": login.text("refresh_token"), "the current refresh token": second.text("refresh_token"),
		"an access token": login.text("access_token"), "an ID token": login.text("id_token"),
	} {
		if strings.Contains(logs, text) {
			t.Errorf("the log has %s", what)
		}
	}
	if !strings.Contains(logs, `"client_id":"spa"`) {
		t.Error("the log does not name the client that asked: the test sees nothing")
	}
}

// FuzzTokenRequest sends what a stranger may send: whatever it is, the answer
// is a refusal in the form of RFC 6749 section 5.2, and never a 5xx.
func FuzzTokenRequest(f *testing.F) {
	a := newApp(f, func(o *server.Options, _ *keys.Options) { o.Log = slog.New(slog.DiscardHandler) })
	a.signup("alice")
	for _, body := range []string{
		passwordForm("nobody").Encode(), "grant_type=refresh_token&client_id=spa&refresh_token=cs_rt_x",
		"grant_type=client_credentials", "grant_type=password&username=%ff", "grant_type=password&client_id=spa&username=%00&password=%00",
		"grant_type=refresh_token&client_id=%00&refresh_token=+", "a=b;c=d", "%", "grant_type", "=&=",
	} {
		f.Add(body, "", formType)
		f.Add(body, basic("web", rand.Text()), formType+";charset=utf-8")
	}
	f.Fuzz(func(t *testing.T, body, authorization, contentType string) {
		a := a.in(t)
		header := []string{"Content-Type", contentType}
		if authorization != "" {
			header = append(header, "Authorization", authorization)
		}
		r := a.do(http.MethodPost, "/oauth/token", body, header...)
		if r.Code != http.StatusBadRequest && r.Code != http.StatusUnauthorized && r.Code != http.StatusTooManyRequests {
			t.Fatalf("status = %d: %s", r.Code, r.Body)
		}
		if got := r.text("error_description"); !description.MatchString(got) {
			t.Errorf("error_description has other characters: %q", got)
		}
		if got := r.Header().Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control = %q, want no-store", got)
		}
	})
}
