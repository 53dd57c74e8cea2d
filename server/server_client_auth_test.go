package server_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"countersign/audit"
	"countersign/caller"
	"countersign/clients"
	"countersign/keys"
	"countersign/server"
)

// ownToken asks for a token of a client's own.
var ownToken = form("grant_type", "client_credentials")

// rawBasic returns an Authorization header whose text is not form-encoded.
func rawBasic(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }

// wantChallenge fails the test unless the answer is a 401 that asks for Basic
// (RFC 6749 section 5.2).
func (r *response) wantChallenge() *response {
	r.t.Helper()
	r.wantNothing().wantError(http.StatusUnauthorized, "invalid_client")
	if got := r.Header().Get("WWW-Authenticate"); !strings.HasPrefix(got, "Basic realm=") {
		r.t.Errorf("WWW-Authenticate = %q, want Basic with a realm", got)
	}
	return r
}

// Requirement: line 7.
func TestConfidentialClientsAuthenticateByBasicOrPost(t *testing.T) {
	a := newApp(t)
	const odd = "odd :%+&=~/?#id" // of a former version: new ids have no :, % and +
	web, err := a.Clients.ByID(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	web.ID = odd
	if err := a.db.CreateClient(t.Context(), web, audit.Event{Kind: audit.ClientCreated, Time: time.Now()}); err != nil {
		t.Fatal(err)
	}
	path := url.PathEscape // a space as %20
	everyByte := func(s string) (encoded string) {
		for i := range len(s) {
			encoded += fmt.Sprintf("%%%02x", s[i])
		}
		return encoded
	}
	for name, authorization := range map[string]string{
		"plain":                  basic("api", "dev-secret"),
		"spaces as plus":         basic(odd, secret),
		"spaces as %20":          rawBasic(strings.NewReplacer(":", "%3A", "+", "%2B").Replace(path(odd)) + ":" + strings.ReplaceAll(path(secret), "+", "%2B")),
		"every byte encoded":     rawBasic(everyByte(odd) + ":" + everyByte(secret)),
		"scheme in small":        "basic" + strings.TrimPrefix(basic("api", "dev-secret"), "Basic"),
		"scheme in capitals":     "BASIC" + strings.TrimPrefix(basic("api", "dev-secret"), "Basic"),
		"more than one space":    "Basic  " + strings.TrimPrefix(basic("api", "dev-secret"), "Basic "),
		"colon in secret as is":  rawBasic("web:" + strings.ReplaceAll(url.QueryEscape(secret), "%3A", ":")),
		"space in secret as is":  rawBasic("web:" + strings.ReplaceAll(url.QueryEscape(secret), "+", " ")),
		"percent signs in small": rawBasic("web:" + strings.ToLower(url.QueryEscape(secret))),
	} {
		t.Run(name, func(t *testing.T) {
			a.in(t).token(ownToken, "Authorization", authorization).want(http.StatusOK)
		})
	}
	for _, c := range []struct{ id, secret string }{{"api", "dev-secret"}, {"web", secret}, {odd, secret}} {
		t.Run("post/"+c.id, func(t *testing.T) {
			a.in(t).token(with(ownToken, "client_id", c.id, "client_secret", c.secret)).want(http.StatusOK)
		})
	}
}

// Requirement: line 8.
func TestBadBasicIsChallenged(t *testing.T) {
	for name, authorization := range map[string]string{
		"wrong secret":         basic("api", "wrong"),
		"secret of another":    basic("api", secret),
		"secret as a prefix":   basic("api", "dev-secre"),
		"secret and more":      basic("api", "dev-secret\x00"),
		"other case":           basic("API", "dev-secret"),
		"no secret":            basic("api", ""),
		"no id":                basic("", "dev-secret"),
		"nothing":              rawBasic(":"),
		"no colon":             rawBasic("api"),
		"colon encoded":        rawBasic("api%3Adev-secret"),
		"encoded twice":        basic(url.QueryEscape("web"), url.QueryEscape(secret)),
		"broken escape":        rawBasic("api:%zz"),
		"not UTF-8":            rawBasic("api:\xff"),
		"escaped not UTF-8":    rawBasic("api:%ff"),
		"not base64":           "Basic %%%",
		"base64 with a space":  "Basic " + base64.StdEncoding.EncodeToString([]byte("api:dev-")) + " " + base64.StdEncoding.EncodeToString([]byte("secret")),
		"two in one":           basic("api", "dev-secret") + ", " + basic("api", "dev-secret"),
		"no credentials":       "Basic",
		"nothing at all":       "",
		"another scheme":       "Bearer " + strings.TrimPrefix(basic("api", "dev-secret"), "Basic "),
		"no scheme":            strings.TrimPrefix(basic("api", "dev-secret"), "Basic "),
		"no space":             "Basic" + strings.TrimPrefix(basic("api", "dev-secret"), "Basic "),
		"the name of nobody":   basic("nobody", "dev-secret"),
		"a very long secret":   basic("api", strings.Repeat("x", 10_000)),
		"a public one's guess": basic("spa", "dev-secret"),
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t, quick) // with all guesses still to come
			a.signup("alice")
			a.token(ownToken, "Authorization", authorization).wantChallenge()
			// Credentials in the body don't replace a failed header.
			a.token(with(ownToken, "client_id", "api", "client_secret", "dev-secret"), "Authorization", authorization).wantNothing()
			a.token(passwordForm("alice"), "Authorization", authorization).wantNothing()
		})
	}
	t.Run("in the body", func(t *testing.T) {
		newApp(t, quick).token(with(ownToken, "client_id", "api", "client_secret", "wrong")).wantChallenge()
	})
}

// Requirement: line 9.
func TestOneWayToAuthenticateAtATime(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	login := a.login("alice").text("refresh_token")
	withPassword := form("grant_type", "password", "username", "alice", "password", password)
	withRefresh := form("grant_type", "refresh_token", "refresh_token", login)
	api, spa := basic("api", "dev-secret"), basic("spa", "")

	for name, c := range map[string]struct {
		form          url.Values
		authorization string
	}{
		"the same secret twice":         {with(ownToken, "client_id", "api", "client_secret", "dev-secret"), api},
		"the same secret without id":    {with(ownToken, "client_secret", "dev-secret"), api},
		"another secret":                {with(ownToken, "client_id", "api", "client_secret", "x"), api},
		"a public client and a secret":  {with(withPassword, "client_id", "spa", "client_secret", "x"), spa},
		"another client in the body":    {with(ownToken, "client_id", "web"), api},
		"a public client in the body":   {with(ownToken, "client_id", "spa"), api},
		"a public client by Basic":      {with(ownToken, "client_id", "api"), spa},
		"a public client, both secrets": {with(withRefresh, "client_id", "api", "client_secret", "dev-secret"), spa},
	} {
		t.Run(name, func(t *testing.T) {
			a.in(t).token(c.form, "Authorization", c.authorization).wantNothing().wantError(http.StatusBadRequest, "invalid_request")
		})
	}
	for name, c := range map[string]struct {
		form          url.Values
		authorization string
	}{
		"a bare client_id beside Basic":             {with(ownToken, "client_id", "api"), api},
		"an empty client_secret beside Basic":       {with(ownToken, "client_id", "api", "client_secret", ""), api},
		"a public client by Basic, signing in":      {withPassword, spa},
		"a public client by Basic, bare client_id":  {with(withPassword, "client_id", "spa"), spa},
		"a public client by Basic, refreshing":      {withRefresh, spa},
		"a public client by Basic, empty, refresh":  {with(withRefresh, "client_id", "spa", "client_secret", ""), spa},
		"a public client with an empty body secret": {with(withPassword, "client_id", "spa", "client_secret", ""), ""},
	} {
		t.Run(name, func(t *testing.T) {
			var header []string
			if c.authorization != "" {
				header = []string{"Authorization", c.authorization}
			}
			a.in(t).token(c.form, header...).want(http.StatusOK)
		})
	}
}

// A public client that sends a secret was registered otherwise than its author
// thinks, or is an attacker who looks for a client with a secret.
func TestSecretOfAPublicClientIsRefused(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	f := without(passwordForm("alice"), "client_id")
	for _, guess := range []string{"x", " ", "dev-secret", "\x00"} {
		a.token(f, "Authorization", basic("spa", guess)).wantChallenge()
		a.token(with(f, "client_id", "spa", "client_secret", guess)).wantChallenge()
	}
	a.token(f, "Authorization", basic("spa", "")).want(http.StatusOK)
}

// Requirement: line 10.
func TestConfidentialClientsMustAuthenticateForEveryGrant(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	asWeb := []string{"Authorization", basic("web", secret)}
	signIn := form("grant_type", "password", "username", "alice", "password", password)
	token := a.token(signIn, asWeb...).want(http.StatusOK).text("refresh_token")
	for name, f := range map[string]url.Values{
		"password":           signIn,
		"refresh_token":      form("grant_type", "refresh_token", "refresh_token", token),
		"client_credentials": ownToken,
	} {
		t.Run(name, func(t *testing.T) {
			a := a.in(t)
			a.token(f).wantChallenge()
			a.token(with(f, "client_id", "web")).wantChallenge()
			a.token(with(f, "client_id", "web", "client_secret", "")).wantChallenge()
			a.token(f, "Authorization", basic("web", "")).wantChallenge()
			a.token(with(f, "client_id", "web"), "Authorization", basic("web", "")).wantChallenge()
			a.token(f, asWeb...).want(http.StatusOK)
		})
	}
}

// Requirement: line 11.
func TestUnknownClientLooksLikeAWrongSecret(t *testing.T) {
	a := newApp(t, withHeavyHashes)
	var wrong, unknown *response
	for _, c := range []struct {
		way  string
		send func(id string) *response
		work int
	}{
		{"Basic", func(id string) *response { return a.token(ownToken, "Authorization", basic(id, "wrong-secret")) }, 1},
		{"post", func(id string) *response {
			return a.token(with(ownToken, "client_id", id, "client_secret", "wrong-secret"))
		}, 1},
		{"no secret", func(id string) *response { return a.token(with(ownToken, "client_id", id)) }, 0},
	} {
		wrongWork := hashesIn(func() { wrong = c.send("api") })
		unknownWork := hashesIn(func() { unknown = c.send("nobody") })
		if got, want := unknown.wantChallenge().answer(), wrong.wantChallenge().answer(); got != want {
			t.Errorf("%s: unknown client:\n%s\nwrong secret:\n%s", c.way, got, want)
		}
		if wrongWork != c.work || unknownWork != c.work {
			t.Errorf("%s: %d hashes for a wrong secret, %d for an unknown client, want %d each", c.way, wrongWork, unknownWork, c.work)
		}
	}
}

// Requirement: line 12.
func TestGrantsAreTheClientsOwn(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	token := a.login("alice").text("refresh_token")
	signIn := form("grant_type", "password", "username", "alice", "password", password)
	refresh := form("grant_type", "refresh_token", "refresh_token", token)
	for name, c := range map[string]struct {
		form          url.Values
		authorization string
	}{
		"password for one that has client_credentials":      {signIn, basic("api", "dev-secret")},
		"refresh_token for one that has client_credentials": {refresh, basic("api", "dev-secret")},
		"password for one that has refresh_token":           {signIn, basic("third", "")},
		"client_credentials for a public one":               {ownToken, basic("spa", "")},
	} {
		t.Run(name, func(t *testing.T) {
			a.in(t).token(c.form, "Authorization", c.authorization).wantNothing().wantError(http.StatusBadRequest, "unauthorized_client")
		})
	}
	if n := a.sessionsOf("alice"); n != 1 {
		t.Errorf("%d sessions, want the 1 of before", n)
	}

	t.Run("a grant that was taken away", func(t *testing.T) {
		a := a.in(t)
		spa := testClients[0].Client
		spa.Grants = []string{"password"}
		if _, err := a.Clients.Put(t.Context(), time.Now(), spa, "", caller.Operator()); err != nil {
			t.Fatal(err)
		}
		a.refresh(token).wantNothing().wantError(http.StatusBadRequest, "unauthorized_client")
		r := a.login("alice")
		if _, ok := r.json()["refresh_token"]; ok {
			t.Errorf("got a refresh token it could not use: %s", r.Body)
		}
	})
	t.Run("client_credentials of a public one, whatever the database says", func(t *testing.T) {
		a := a.in(t)
		a.alter("spa", func(c *clients.Client) { c.Grants = []string{"client_credentials"} })
		a.token(ownToken, "Authorization", basic("spa", "")).wantNothing().wantError(http.StatusBadRequest, "unauthorized_client")
	})
}

// wantWait fails the test unless the answer is a 429 that says to wait that long.
func (r *response) wantWait(d time.Duration) *response {
	r.t.Helper()
	r.wantNothing().wantError(http.StatusTooManyRequests, "temporarily_unavailable")
	if got, want := r.Header().Get("Retry-After"), fmt.Sprint(int(d.Seconds())); got != want {
		r.t.Errorf("Retry-After = %q, want %q", got, want)
	}
	return r
}

// guesses are two ways to guess a secret, and what is common to them.
var guesses = map[string]struct {
	known, unknown func(a *app, address string) *response // wrong
	right          func(a *app, address string) *response
	status         int
	code           string
}{
	"client secret": {
		known: func(a *app, address string) *response {
			return a.token(ownToken, append(from(address), "Authorization", basic("web", "wrong-secret"))...)
		},
		unknown: func(a *app, address string) *response {
			return a.token(ownToken, append(from(address), "Authorization", basic("nobody", "wrong-secret"))...)
		},
		right: func(a *app, address string) *response {
			return a.token(ownToken, append(from(address), "Authorization", basic("web", secret))...)
		},
		status: http.StatusUnauthorized, code: "invalid_client",
	},
	"password": {
		known: func(a *app, address string) *response {
			return a.token(with(passwordForm("alice"), "password", "wrong"), from(address)...)
		},
		unknown: func(a *app, address string) *response { return a.token(passwordForm("nobody"), from(address)...) },
		right:   func(a *app, address string) *response { return a.token(passwordForm("alice"), from(address)...) },
		status:  http.StatusBadRequest, code: "invalid_grant",
	},
}

// Requirement: line 16.
func TestGuessesAreThrottled(t *testing.T) {
	const home, elsewhere = "203.0.113.7", "203.0.113.8"
	for name, g := range guesses {
		synctest.Test(t, func(t *testing.T) {
			a := newApp(t, withProxy)
			a.signup("alice")
			g.right(a, home).want(http.StatusOK)

			// Nothing shows whether the name exists: not the answers, not their number
			// before a wait, not the length of the wait.
			both := func() *response {
				t.Helper()
				known, unknown := g.known(a, home), g.unknown(a, home)
				if known.answer() != unknown.answer() {
					t.Fatalf("%s: a name that exists:\n%s\none that doesn't:\n%s", name, known.answer(), unknown.answer())
				}
				return known
			}
			for range 11 { // ten are free, the next is what has to be waited for
				both().wantNothing().wantError(g.status, g.code)
			}
			wait := time.Second
			for range 12 {
				both().wantWait(wait)
				g.right(a, home).wantWait(wait) // or waiting would tell which guess is right
				g.right(a, elsewhere).want(http.StatusOK)
				time.Sleep(wait - time.Millisecond)
				both().wantWait(time.Second) // what is left, rounded up
				time.Sleep(time.Millisecond)
				both().wantNothing().wantError(g.status, g.code)
				wait = min(2*wait, 15*time.Minute)
			}
			if wait != 15*time.Minute {
				t.Fatalf("%s: the wait has not reached its end", name)
			}
			both().wantWait(wait)
			time.Sleep(wait)
			g.right(a, home).want(http.StatusOK) // and the budget is full again
			g.known(a, home).wantNothing().wantError(g.status, g.code)
			g.right(a, home).want(http.StatusOK)
		})
	}
}

// Guesses are counted by the part of the address that a subscriber can't change at
// will.
//
// Requirement: line 16.
func TestGuessesAreCountedByNetwork(t *testing.T) {
	for name, c := range map[string]struct {
		addresses []string // of the guesser, in turn
		victim    string
	}{
		"IPv4 address": {[]string{"203.0.113.7", "::ffff:203.0.113.7"}, "203.0.113.6"},
		"IPv6 network": {[]string{"2001:db8:1:2::1", "2001:db8:1:2:ffff::1", "2001:db8:1:2:1:2:3:4"}, "2001:db8:1:3::1"},
	} {
		t.Run(name, func(t *testing.T) {
			for what, g := range guesses {
				synctest.Test(t, func(t *testing.T) {
					a := newApp(t, withProxy)
					a.signup("alice")
					for n := range 11 {
						g.known(a, c.addresses[n%len(c.addresses)]).wantError(g.status, g.code)
					}
					for _, address := range c.addresses {
						g.known(a, address).wantWait(time.Second)
					}
					if r := g.right(a, c.victim); r.Code != http.StatusOK {
						t.Errorf("%s: the owner, elsewhere: status = %d: %s", what, r.Code, r.Body)
					}
				})
			}
		})
	}
	t.Run("not by what a stranger claims", func(t *testing.T) {
		for _, g := range guesses {
			synctest.Test(t, func(t *testing.T) {
				a := newApp(t) // that trusts no proxy
				a.signup("alice")
				for n := range 11 {
					g.known(a, fmt.Sprintf("203.0.113.%d", n)).wantError(g.status, g.code)
				}
				g.known(a, "203.0.113.99").wantWait(time.Second)
			})
		}
	})
}

// Parallel guesses get no more tries than guesses in a row, except for those whose work
// has already begun.
//
// Requirement: line 16.
func TestParallelGuessesOverdrawByTheSlotsOnly(t *testing.T) {
	const slots = 2
	for name, g := range guesses {
		t.Run(name, func(t *testing.T) {
			a := newApp(t, func(o *server.Options, _ *keys.Options) { o.Hashing.MaxConcurrentHashes = slots })
			a.signup("alice")
			answers := make([]*response, 60)
			var wg sync.WaitGroup
			for i := range answers {
				wg.Go(func() { answers[i] = g.known(a, "") })
			}
			wg.Wait()
			tried := 0
			for _, r := range answers {
				switch r.Code {
				case g.status:
					tried++
				case http.StatusTooManyRequests:
				default:
					t.Errorf("status = %d: %s", r.Code, r.Body)
				}
			}
			if tried < 11 || tried > 10+slots {
				t.Errorf("%d of %d simultaneous guesses were tried, want 11 to %d", tried, len(answers), 10+slots)
			}
		})
	}
}

// A flood of guesses at a client's secret must not lock out its owner.
func TestOwnerOfAGeneratedSecretNeverWaits(t *testing.T) {
	a := newApp(t)
	generated := clients.GenerateSecret()
	if _, err := a.Clients.Create(t.Context(), time.Now(), clients.Client{
		ID: "machine",
		Settings: clients.Settings{
			Name: "Machine", Grants: []string{"client_credentials"}, Scopes: []string{"read"},
		},
	}, generated, caller.Operator()); err != nil {
		t.Fatal(err)
	}
	for range 11 {
		a.token(ownToken, "Authorization", basic("machine", string(clients.GenerateSecret()))).wantChallenge()
	}
	a.token(ownToken, "Authorization", basic("machine", "wrong")).wantWait(time.Second)
	a.token(ownToken, "Authorization", basic("machine", string(generated))).want(http.StatusOK)
}

func TestReplacedSecretIsDeadAtOnce(t *testing.T) {
	a := newApp(t)
	a.token(ownToken, "Authorization", basic("api", "dev-secret")).want(http.StatusOK) // and remembered as proven
	declared, err := a.Clients.ByID(t.Context(), "api")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Clients.Put(t.Context(), time.Now(), declared, "another-secret", caller.Operator()); err != nil {
		t.Fatal(err)
	}
	a.token(ownToken, "Authorization", basic("api", "dev-secret")).wantChallenge()
	a.token(ownToken, "Authorization", basic("api", "another-secret")).want(http.StatusOK)
	replaced, err := a.Clients.RotateSecret(t.Context(), time.Now(), "api", caller.Operator())
	if err != nil {
		t.Fatal(err)
	}
	a.token(ownToken, "Authorization", basic("api", "another-secret")).wantChallenge()
	a.token(ownToken, "Authorization", basic("api", string(replaced))).want(http.StatusOK)
	if err := a.Clients.Delete(t.Context(), time.Now(), "api", caller.Operator()); err != nil {
		t.Fatal(err)
	}
	a.token(ownToken, "Authorization", basic("api", string(replaced))).wantChallenge()
}
