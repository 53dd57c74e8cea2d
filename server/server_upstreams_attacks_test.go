package server_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"countersign/upstreams"
)

// A browser signs in with the answer to its own request alone, and once: an attacker's
// answer, or one that was used, signs no user in.
//
// Requirement: line 82.
func TestOnlyTheAnswerToTheBrowsersOwnRequestCounts(t *testing.T) {
	p := newIDP(t)
	p.tell(func(p *idp) { p.user["email"], p.user["email_verified"] = "alice@example.com", true })
	own := signingInWith(t, p.provide("a"), p.provide("b"))
	const again = "Please sign in again."

	// Login CSRF: the attacker's answer, in a browser with no request, and in one with its own.
	mallory := newSurfer(t)
	stolen := mallory.answerFor(own, "a")
	victim := newSurfer(t)
	victim.led(stolen.String()).at(own, "/login/callback/a", http.StatusBadRequest, again, "Continue with Other")
	victim.signedOut(own)
	mine := victim.answerFor(own, "a")
	victim.led(stolen.String()).at(own, "/login/callback/a", http.StatusBadRequest, again)
	victim.signedOut(own)

	// The attacker's code with the victim's own state: PKCE, and where a provider has none, the
	// nonce.
	for _, without := range []bool{false, true} {
		p.tell(func(p *idp) { p.noPKCE = without })
		injecting := newSurfer(t)
		a := injecting.answerFor(own, "a")
		code := newSurfer(t).answerFor(own, "a").Query().Get("code")
		injecting.led(changed(a, "code", code)).at(own, "/login/callback/a", http.StatusBadGateway, "something that we can't use")
		injecting.signedOut(own)
	}
	p.tell(func(p *idp) { p.noPKCE = false })

	// Mix-up: the answer of one provider at the callback of another.
	mixed := *mine
	mixed.Path = "/login/callback/b"
	victim.led(mixed.String()).at(own, "/login/callback/b", http.StatusBadRequest, again)
	victim.led(changed(mine, "state", "")).at(own, "/login/callback/a", http.StatusBadRequest, again)
	victim.led(changed(mine, "state", mine.Query().Get("state")+"x")).at(own, "/login/callback/a", http.StatusBadRequest, again)
	victim.led(mine.String()+"&state="+mine.Query().Get("state")).at(own, "/login/callback/a", http.StatusBadRequest, again)
	victim.signedOut(own)

	// The right one, which none of these have spent, then counts; and only once.
	victim.led(mine.String()).at(own, "/me", http.StatusOK, "alice@example.com")
	victim.led(mine.String()).at(own, "/login/callback/a", http.StatusBadRequest, again)
	twice := newSurfer(t)
	answer := twice.answerFor(own, "a")
	jar := twice.client.Jar.Cookies(answer)
	twice.led(answer.String()).at(own, "/me", http.StatusOK)
	replaying := newSurfer(t)
	replaying.client.Jar.SetCookies(answer, jar) // with the very cookies
	replaying.led(answer.String()).at(own, "/login/callback/a", http.StatusBadRequest, again)
	replaying.signedOut(own)
}

// The application that the user is on the way to is the one that the user came from.
func TestTheWayToAnApplicationIsBoundToTheAnswer(t *testing.T) {
	p := newIDP(t)
	p.tell(func(p *idp) { p.user["email"], p.user["email_verified"] = "alice@example.com", true })
	own := signingInWith(t, p.provide("a"))
	ticketFor := func(client string) string {
		f, _ := newSurfer(t).open(own.url + "/oauth/authorize?" + authorization(client).Encode()).form("login-form")
		return f.Get("ticket")
	}
	s := newSurfer(t)
	s.stopAt = own.url + "/login/callback/"
	s.open(own.url + "/login/with/a?ticket=" + ticketFor("spa"))
	answer, err := url.Parse(s.trail[len(s.trail)-1])
	if err != nil {
		t.Fatal(err)
	}
	s.stopAt = ""
	root := &url.URL{Scheme: answer.Scheme, Host: answer.Host, Path: "/"}
	for _, c := range s.client.Jar.Cookies(answer) {
		if kept, _, found := strings.Cut(c.Value, "~"); found {
			s.client.Jar.SetCookies(root, []*http.Cookie{{Name: c.Name, Value: kept + "~" + ticketFor("rp"), Path: "/"}})
		}
	}
	s.led(answer.String()).at(own, "/login/callback/a", http.StatusBadRequest, "Please sign in again.")
	s.signedOut(own)
}

// RFC 9207: the answer says who answers.
//
// Requirement: line 82.
func TestTheAnswerIsOfItsIssuer(t *testing.T) {
	p := newIDP(t)
	p.tell(func(p *idp) { p.user["email"], p.user["email_verified"] = "alice@example.com", true })
	for _, due := range []bool{false, true} {
		p.tell(func(p *idp) { p.document = map[string]any{"authorization_response_iss_parameter_supported": due} })
		own := signingInWith(t, p.provide("a"))
		for iss, ok := range map[string]bool{p.URL: true, "https://evil.example": false, "": !due} {
			s := newSurfer(t)
			r := s.led(changed(s.answerFor(own, "a"), "iss", iss))
			if ok {
				r.at(own, "/me", http.StatusOK)
				continue
			}
			r.at(own, "/login/callback/a", http.StatusBadGateway)
			s.signedOut(own)
		}
		s := newSurfer(t)
		a := s.answerFor(own, "a")
		s.led(changed(a, "iss", p.URL, "code", "", "error", "access_denied", "error_description", "<script>alert(1)</script>")).
			at(own, "/login/callback/a", http.StatusForbidden, "Other did not sign you in")
		s.signedOut(own)
	}
}

// Requirement: line 83.
func TestIDTokensAreCheckedInFull(t *testing.T) {
	p := newIDP(t)
	p.tell(func(p *idp) { p.user["email"], p.user["email_verified"] = "alice@example.com", true })
	own := signingInWith(t, p.provide("a"))
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(p.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	right := p.sign
	set := func(name string, value any) func(map[string]any) { return func(c map[string]any) { c[name] = value } }
	for what, c := range map[string]struct {
		change func(map[string]any)
		sign   func(map[string]any) string
	}{
		"another client's":            {change: set("aud", "another")},
		"without an audience":         {change: func(c map[string]any) { delete(c, "aud") }},
		"for another client, too":     {change: set("aud", []string{"us", "another"})},
		"another client's by azp":     {change: set("azp", "another")},
		"another issuer's":            {change: set("iss", "https://evil.example")},
		"expired":                     {change: set("exp", time.Now().Add(-time.Minute).Unix())},
		"of the future":               {change: set("nbf", time.Now().Add(time.Hour).Unix())},
		"without a nonce":             {change: func(c map[string]any) { delete(c, "nonce") }},
		"with another nonce":          {change: set("nonce", "another")},
		"without a subject":           {change: func(c map[string]any) { delete(c, "sub") }},
		"with a subject of controls":  {change: set("sub", "u\n1")},
		"with too long a subject":     {change: set("sub", strings.Repeat("u", 256))},
		"with another access token's": {change: set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA")},
		"signed by a stranger": {sign: func(c map[string]any) string {
			return signed(t, jose.ES256, jose.JSONWebKey{Key: stranger, KeyID: "k"}, c)
		}},
		"signed with the public key": {sign: func(c map[string]any) string { return signed(t, jose.HS256, public, c) }},
		"signed with the secret":     {sign: func(c map[string]any) string { return signed(t, jose.HS256, []byte(secret+secret), c) }},
		"not signed": {sign: func(c map[string]any) string {
			payload, _ := json.Marshal(c)
			return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload) + "."
		}},
		"no token": {sign: func(map[string]any) string { return "" }},
	} {
		t.Run(what, func(t *testing.T) {
			p.tell(func(p *idp) {
				p.change, p.sign = c.change, right
				if c.sign != nil {
					p.sign = c.sign
				}
			})
			s := newSurfer(t)
			s.open(own.url+"/login/with/a").at(own, "/login/callback/a", http.StatusBadGateway, "something that we can't use", "Continue with Other")
			s.signedOut(own)
		})
	}
	p.tell(func(p *idp) { p.change, p.sign = nil, right })
	newSurfer(t).open(own.url+"/login/with/a").at(own, "/me", http.StatusOK, "alice@example.com")
}

// A provider without a preset has to say that its user has given a proof anew, where that is
// asked for. Otherwise the sign-in there proves nothing.
func TestAProofAnewIsWhatTheProviderSaysItIs(t *testing.T) {
	p := newIDP(t)
	p.tell(func(p *idp) { p.user["email"], p.user["email_verified"] = "alice@example.com", true })
	own := signingInWith(t, p.provide("a"))
	s := newSurfer(t)
	s.open(own.url+"/login/with/a").at(own, "/me", http.StatusOK)
	for _, c := range []struct {
		at any // auth_time
		ok bool
	}{
		{time.Now().Unix(), true}, {time.Now().Add(-30 * time.Second).Unix(), true},
		{time.Now().Add(-2 * time.Minute).Unix(), false}, {time.Now().Add(-9 * time.Minute).Unix(), false}, {0, false}, {nil, false},
	} {
		p.tell(func(p *idp) {
			p.change = func(claims map[string]any) {
				if claims["auth_time"] = c.at; c.at == nil {
					delete(claims, "auth_time")
				}
			}
		})
		own.age(11 * time.Minute)
		s.stopAt = own.url + "/login/callback/"
		s.open(own.url + "/me/data").submit("with-a")
		asked, err := url.Parse(s.trail[0])
		if err != nil || asked.Query().Get("max_age") != "0" || asked.Query().Get("prompt") != "login" {
			t.Errorf("the provider is asked for %s, %v", asked, err)
		}
		answer := s.trail[len(s.trail)-1]
		s.stopAt = ""
		if r := s.led(answer); c.ok {
			r.at(own, "/me/data", http.StatusOK)
		} else {
			r.at(own, "/login/callback/a", http.StatusForbidden, "Other did not have you sign in anew there")
		}
		// A sign-in that needn't be new is none the worse.
		newSurfer(t).open(own.url+"/login/with/a").at(own, "/me", http.StatusOK, "alice@example.com")
	}
	// Nor is an account linked by it.
	bob := own.has("bob", "bob@example.com", true)
	p.tell(func(p *idp) { p.user["sub"] = "u2" })
	signedInto(t, own, "bob").open(own.url+"/me/security").submit("link-a").at(own, "/me/security", http.StatusOK, "Nothing has changed")
	if own.identities(bob) != 0 {
		t.Error("it is linked")
	}
}

// A provider that does not work is no error of ours: the page has the other ways in, soon.
func TestAProviderThatFailsLeavesTheOtherWaysIn(t *testing.T) {
	slow := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the server doesn't notice that the caller has gone
		<-r.Context().Done()
	}
	large := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"issuer":"`))
		for range 10 {
			_, _ = w.Write(bytes.Repeat([]byte("x"), 1<<20))
		}
	}
	elsewhere := newIDP(t)
	for what, answer := range map[string]http.HandlerFunc{
		"slow": slow, "large": large,
		"wrong":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"nonsense": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"leads on": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
		},
	} {
		for _, path := range []string{"/.well-known/openid-configuration", "/token", "/keys", "/userinfo"} {
			t.Run(what+path, func(t *testing.T) {
				t.Parallel()
				p := newIDP(t)
				p.tell(func(p *idp) { p.document = map[string]any{"userinfo_endpoint": p.URL + "/userinfo"} })
				p.route(path, answer)
				own := signingInWith(t, p.provide("a"))
				s := newSurfer(t)
				began := time.Now()
				r := s.open(own.url + "/login/with/a")
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
				if r.status != http.StatusServiceUnavailable && r.status != http.StatusBadGateway {
					t.Errorf("status = %d", r.status)
				}
				r.at(own, "/login/", r.status, "Sign in", "Continue with Other", "Other")
				if _, to := r.form("login-form"); to == "" {
					t.Error("there is no other way in")
				}
				s.signedOut(own)
			})
		}
	}
	t.Run("down", func(t *testing.T) {
		p := newIDP(t)
		own := signingInWith(t, p.provide("a"))
		p.Close()
		own.signup("alice")
		newSurfer(t).open(own.url+"/login/with/a").at(own, "/login/with/a", http.StatusServiceUnavailable, "Other can't be reached at the moment").
			submit("login-form", "username", "alice", "password", password).at(own, "/me", http.StatusOK)
	})
}

// Nothing that a provider or a caller says leads the browser anywhere else.
func TestProvidersLeadNowhereElse(t *testing.T) {
	p := newIDP(t)
	p.tell(func(p *idp) { p.user["email"], p.user["email_verified"] = "alice@example.com", true })
	own := signingInWith(t, p.provide("a"))
	for _, to := range []string{"https://evil.example/", "//evil.example", "/me/../oauth", "/logout"} {
		s := newSurfer(t)
		s.open(own.url+"/login/with/a?to="+to).at(own, "/me", http.StatusOK)
	}
	newSurfer(t).open(own.url+"/login/with/a?to=/me/security").at(own, "/me/security", http.StatusOK)
	newSurfer(t).open(own.url+"/login/with/nobody").at(own, "/login/with/nobody", http.StatusNotFound)
	newSurfer(t).open(own.url+"/login/callback/nobody?state=x&code=x").at(own, "/login/callback/nobody", http.StatusNotFound)
	// Another site leads to the sign-in page, and no further.
	newSurfer(t).led(own.url+"/login/with/a").at(own, "/login", http.StatusOK, "Continue with Other")
	s := newSurfer(t)
	s.post(own.url+"/login/with/a", "https://evil.example", "cross-site", form()).at(own, "/login/with/a", http.StatusForbidden, "Another site sent this form")
	// Addresses of the document are https, too, but for --dev on this machine.
	p.tell(func(p *idp) { p.document = map[string]any{"authorization_endpoint": "http://192.0.2.1/authorize"} })
	fresh := signingInWith(t, p.provide("a"))
	newSurfer(t).open(fresh.url+"/login/with/a").at(fresh, "/login/with/a", http.StatusServiceUnavailable)
}

func TestSettingsOfProvidersAreChecked(t *testing.T) {
	p := newIDP(t)
	for what, change := range map[string]func(*upstreams.Declared){
		"no id":                     func(d *upstreams.Declared) { d.ID = "" },
		"a path as id":              func(d *upstreams.Declared) { d.ID = "../x" },
		"an unknown preset":         func(d *upstreams.Declared) { d.Preset = "gogle" },
		"no issuer":                 func(d *upstreams.Declared) { d.Issuer = "" },
		"an issuer elsewhere":       func(d *upstreams.Declared) { d.Issuer = "http://192.0.2.1" },
		"an issuer for github":      func(d *upstreams.Declared) { d.Preset = "github" },
		"no secret for a preset":    func(d *upstreams.Declared) { d.Preset, d.Secret = "google", "" },
		"no team for apple":         func(d *upstreams.Declared) { d.Preset = "apple" },
		"a team for another":        func(d *upstreams.Declared) { d.TeamID = "x" },
		"scopes without openid":     func(d *upstreams.Declared) { d.Scopes = []string{"email"} },
		"another way of linking":    func(d *upstreams.Declared) { d.LinkByEmail = "always" },
		"no client id":              func(d *upstreams.Declared) { d.ClientID = "" },
		"a name of two lines":       func(d *upstreams.Declared) { d.Name = "a\nb" },
		"an endpoint with fragment": func(d *upstreams.Declared) { d.TokenEndpoint = "https://a.example/#x" },
	} {
		d := p.provide("a")
		change(&d)
		if err := d.Check(d.Secret != "", true); err == nil {
			t.Errorf("%s: it is accepted", what)
		}
	}
	d := p.provide("a")
	if err := d.Check(true, false); err == nil {
		t.Error("http without --dev is accepted")
	}
}
