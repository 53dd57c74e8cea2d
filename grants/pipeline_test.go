package grants_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/caller"
	"countersign/clients"
	"countersign/grants"
	"countersign/oauth"
	"countersign/signin"
	"countersign/tokens"
)

// madeUp is a grant that neither the library nor the pipeline knows. It checks nothing
// by itself.
type madeUp struct {
	rules  grants.Rules
	issued []*grants.Request
}

func (g *madeUp) Rules() grants.Rules { return g.rules }

func (g *madeUp) Issue(_ context.Context, r *grants.Request) (grants.Answer, error) {
	g.issued = append(g.issued, r)
	return grants.Answer{
		Issued:    tokens.Issued{AccessToken: "made-up", ExpiresIn: 90 * time.Second, Scopes: r.Scopes},
		TokenType: "N_A",
	}, nil
}

const madeUpType = "urn:example:grant-type:made-up"

// withMadeUp returns our grants and g. The confidential client a and the public client may
// use g; client b may not.
func withMadeUp(t *testing.T, g *madeUp) *grants.Service {
	t.Helper()
	app, watched := ourApp(t)
	watched.grants = []string{madeUpType}
	if _, err := app.Clients.Create(t.Context(), time.Now(), clients.Client{
		ID: "public",
		Settings: clients.Settings{
			Name: "public", Public: true, Grants: []string{"refresh_token"}, Scopes: []string{"read"},
		},
	}, "", caller.Operator()); err != nil {
		t.Fatal(err)
	}
	s := grants.New(grants.Options{
		Users: app.Users, Clients: app.Clients, Tokens: app.Tokens, SignIns: signin.New(signin.Options{Users: app.Users, Tokens: app.Tokens, Factors: app.Factors}), Log: slog.New(slog.DiscardHandler),
		Unavailable: func(error) bool { return false }, Issued: func(string, bool) {},
	})
	s.Add(g)
	return s
}

func post(t *testing.T, target, contentType, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	return r
}

func TestAGrantGetsAllChecksWithoutCodeOfItsOwn(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	good := "grant_type=" + url.QueryEscape(madeUpType) + "&client_id=a&client_secret=" + trapSecret + "&proof=x&scope=read"
	change := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in %q", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	g := &madeUp{rules: grants.Rules{Type: madeUpType, For: grants.ConfidentialClient, Needs: []string{"proof"}, Takes: []string{"hint"}}}
	s := withMadeUp(t, g)
	for name, c := range map[string]struct {
		target, kind, body string
		status             int
		code, description  string
	}{
		"no client":            {"/", form, change("&client_id=a&client_secret="+trapSecret, ""), 401, "invalid_client", ""},
		"wrong secret":         {"/", form, change(trapSecret, "wrong"), 401, "invalid_client", ""},
		"no secret":            {"/", form, change("&client_secret="+trapSecret, ""), 401, "invalid_client", ""},
		"grant not registered": {"/", form, change("client_id=a", "client_id=b"), 400, "unauthorized_client", ""},
		"wrong kind of client": {"/", form, change("client_id=a&client_secret="+trapSecret, "client_id=public"), 400, "unauthorized_client", madeUpType + " needs a confidential client"},
		"repeated":             {"/", form, good + "&proof=y", 400, "invalid_request", "proof is repeated"},
		"optional repeated":    {"/", form, good + "&hint=y&hint=z", 400, "invalid_request", "hint is repeated"},
		"not a form":           {"/", "application/json", good, 400, "invalid_request", ""},
		"in the URL":           {"/?proof=x", form, change("&proof=x", ""), 400, "invalid_request", ""},
		"missing":              {"/", form, change("&proof=x", "&proof="), 400, "invalid_request", "proof is missing"},
		"malformed scope":      {"/", form, change("scope=read", "scope=%22"), 400, "invalid_scope", ""},
		"malformed resource":   {"/", form, good + "&resource=x", 400, "invalid_target", ""},
		"no grant_type":        {"/", form, change("grant_type", "type"), 400, "invalid_request", "grant_type is missing"},
		"unknown grant_type":   {"/", form, change("made-up", "made-upper"), 400, "unsupported_grant_type", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := s.Token(post(t, c.target, c.kind, c.body), caller.Caller{})
			say, ok := errors.AsType[*oauth.Error](err)
			if !ok || say.Status != c.status || say.Code != c.code || c.description != "" && say.Description != c.description {
				t.Errorf("got %v (%T), want %d %s: %s", err, err, c.status, c.code, c.description)
			}
			if len(g.issued) != 0 {
				t.Error("the grant was asked for tokens")
			}
			g.issued = nil
		})
	}

	answer, client, err := s.Token(post(t, "/", form, good+"&resource=https%3A%2F%2Fapi.example.com"), caller.Caller{Address: "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(answer)
	if want := `{"access_token":"made-up","token_type":"N_A","expires_in":90,"scope":"read"}`; err != nil || client != "a" || string(body) != want {
		t.Errorf("got %s for %s, %v; want %s for a", body, client, err, want)
	}
	if len(g.issued) != 1 {
		t.Fatalf("the grant was asked %d times, want once", len(g.issued))
	}
	r := g.issued[0]
	if r.Client.ID != "a" || r.Form.Get("proof") != "x" || r.From.Address != "192.0.2.1" || r.Now.IsZero() ||
		!slices.Equal(r.Scopes, oauth.Scopes{"read"}) || !slices.Equal(r.Resources, []string{"https://api.example.com"}) {
		t.Errorf("the grant saw %+v", r)
	}
	if !slices.Contains(s.Supported(), madeUpType) {
		t.Errorf("supported = %v, want the grant among them", s.Supported())
	}
}

func TestAGrantThatSaysForNoClientIsForNone(t *testing.T) {
	g := &madeUp{rules: grants.Rules{Type: madeUpType}}
	s := withMadeUp(t, g)
	_, _, err := s.Token(post(t, "/", "application/x-www-form-urlencoded",
		"grant_type="+url.QueryEscape(madeUpType)+"&client_id=a&client_secret="+trapSecret), caller.Caller{})
	if say, ok := errors.AsType[*oauth.Error](err); !ok || say.Code != oauth.UnauthorizedClient || len(g.issued) != 0 {
		t.Errorf("got %v, issued %d; want unauthorized_client and nothing", err, len(g.issued))
	}
}

// The client is looked up once for a request, and not at all while it is remembered.
func TestClientIsLookedUpOnce(t *testing.T) {
	app, watched := ourApp(t)
	e := &endpoint{t: t, handle: app.ServeHTTP}
	token := e.signIn()
	if watched.clients.Load() != 1 {
		t.Errorf("password: the client was looked up %d times", watched.clients.Load())
	}
	e.do("a", trapSecret, "", refreshBody(token)).want(t, "refresh", http.StatusOK, "")
	if watched.clients.Load() != 1 {
		t.Errorf("refresh: the client was looked up %d times more", watched.clients.Load()-1)
	}
}

// A request that can't succeed must not tell whether a password was right.
func TestNoPasswordIsLookedAtForARequestThatCannotSucceed(t *testing.T) {
	e := ours(t)
	for more, code := range map[string]string{
		"&scope=everything": "invalid_scope", "&resource=https%3A%2F%2Felsewhere.example": "invalid_target",
	} {
		for _, password := range []string{trapPassword, "wrong"} {
			e.do("a", trapSecret, "", signInBody(password)+more).want(t, password+more, http.StatusBadRequest, code)
		}
	}
	if e.hashes.Load() != 0 {
		t.Errorf("looked at %d passwords, want none", e.hashes.Load())
	}
}

// RFC 6749 section 5.1: an answer leaves out members without a value.
func TestMembersOfAnAnswer(t *testing.T) {
	r := ours(t).do("a", trapSecret, "", signInBody(trapPassword)+"&scope=read")
	want := []string{"access_token", "device_token", "expires_in", "refresh_token", "scope", "token_type"}
	if got := slices.Sorted(maps.Keys(r.body)); r.status != http.StatusOK || !slices.Equal(got, want) {
		t.Errorf("%d with members %v, want %v", r.status, got, want)
	}
	if r.body["token_type"] != "Bearer" || r.body["expires_in"] != 600.0 || r.body["scope"] != "read" {
		t.Errorf("got %v", r.body)
	}
}
