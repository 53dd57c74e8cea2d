package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"countersign/accounts"
	"countersign/caller"
	"countersign/secrecy"
	"countersign/server"
	"countersign/upstreams"
)

// preset makes settings of a preset whose addresses are a test's provider.
func (p *idp) preset(name string, change ...func(*upstreams.Settings)) upstreams.Declared {
	s := upstreams.Settings{
		ID: name, Preset: name, ClientID: "us", Signup: true,
		AuthorizationEndpoint: p.URL + "/authorize", TokenEndpoint: p.URL + "/token", UserInfoEndpoint: p.URL + "/user",
	}
	for _, c := range change {
		c(&s)
	}
	return upstreams.Declared{Settings: s, Secret: secret}
}

// says has a path answer with JSON to a caller that has the access token.
func (p *idp) says(path, body string) {
	p.route(path, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer access" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	})
}

// Providers with documents of their own, in the shapes that they document.
func TestProvidersThatHaveNoIDTokens(t *testing.T) {
	for _, c := range []struct {
		name, title, preset string
		bodies              map[string]string
		proven              string // address that the account gets; empty: it is asked for
		shows               []string
	}{
		{"github", "GitHub", "github", map[string]string{
			"/user":        `{"id":583231,"login":"octocat","name":"The Octocat","email":"public@example.com","avatar_url":"https://avatars.example/u/583231"}`,
			"/user/emails": `[{"email":"public@example.com","verified":true,"primary":false},{"email":"octocat@example.com","verified":true,"primary":true}]`,
		}, "octocat@example.com", []string{"The Octocat", "https://avatars.example/u/583231"}},
		{"github, address not verified", "GitHub", "github", map[string]string{
			"/user":        `{"id":583231,"login":"octocat","email":"octocat@example.com"}`,
			"/user/emails": `[{"email":"other@example.com","verified":true,"primary":false},{"email":"octocat@example.com","verified":false,"primary":true}]`,
		}, "", nil},
		{"kakao", "Kakao", "kakao", map[string]string{
			"/user": `{"id":123456789,"connected_at":"2022-04-11T01:45:28Z","kakao_account":{"has_email":true,"is_email_valid":true,"is_email_verified":true,"email":"ryan@example.com","profile":{"nickname":"라이언","profile_image_url":"https://k.example/ryan.jpg","is_default_image":false}}}`,
		}, "ryan@example.com", []string{"라이언", "https://k.example/ryan.jpg"}},
		{"kakao, address not valid any more", "Kakao", "kakao", map[string]string{
			"/user": `{"id":123456789,"kakao_account":{"is_email_valid":false,"is_email_verified":true,"email":"ryan@example.com"}}`,
		}, "", nil},
		{"kakao, nothing but the id", "Kakao", "kakao", map[string]string{"/user": `{"id":123456789}`}, "", nil},
		{"naver", "Naver", "naver", map[string]string{
			"/user": `{"resultcode":"00","message":"success","response":{"id":"32742776","email":"openapi@example.com","nickname":"OpenAPI","profile_image":"https://n.example/x.jpg","name":"오픈 API"}}`,
		}, "", nil},
		{"discord", "Discord", "discord", map[string]string{
			"/user": `{"id":"80351110224678912","username":"nelly","global_name":"Nelly","avatar":"8342729096ea3675442027381ff50dfe","verified":true,"email":"nelly@example.com","locale":"en-US"}`,
		}, "nelly@example.com", []string{"Nelly", "https://cdn.discordapp.com/avatars/80351110224678912/8342729096ea3675442027381ff50dfe.png"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newIDP(t)
			for path, body := range c.bodies {
				p.says(path, body)
			}
			own := signingInWith(t, p.preset(c.preset, func(s *upstreams.Settings) {
				if c.preset == "github" {
					s.EmailsEndpoint = p.URL + "/user/emails"
				}
			}))
			s := newSurfer(t)
			r := s.open(own.url+"/login").at(own, "/login", http.StatusOK, "Continue with "+c.title).submit("with-" + c.preset)
			if c.proven == "" {
				r.at(own, "/signup/with", http.StatusOK, c.title).submit("join-form", "username", "someone", "email", "").at(own, "/me", http.StatusOK, "someone")
			} else {
				r.at(own, "/me", http.StatusOK, append(c.shows, c.proven, "Confirmed")...)
			}
			newSurfer(t).open(own.url+"/login/with/"+c.preset).at(own, "/me", http.StatusOK)
			p.tell(func(p *idp) {
				if !slices.Contains(p.secrets, secret) {
					t.Errorf("the provider got the secrets %q", p.secrets)
				}
			})
			// Another id is another user, and none is no user.
			p.says("/user", `{"id":1,"response":{"id":"1"}}`)
			if c.preset == "discord" {
				p.says("/user", `{"id":"1"}`)
			}
			newSurfer(t).open(own.url+"/login/with/"+c.preset).at(own, "/signup/with", http.StatusOK)
			p.says("/user", `{}`)
			newSurfer(t).open(own.url+"/login/with/"+c.preset).at(own, "/login/callback/", http.StatusBadGateway)
		})
	}
}

// Apple takes a secret that the server signs, answers with a form from its own site, and names
// the user beside the code.
func TestAppleAnswersWithAForm(t *testing.T) {
	p := newIDP(t)
	p.tell(func(p *idp) { p.user["email"], p.user["email_verified"] = "alice@privaterelay.example", "true" })
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	d := upstreams.Declared{
		Settings: upstreams.Settings{ID: "apple", Preset: "apple", Issuer: p.URL, ClientID: "us", TeamID: "TEAM", KeyID: "KEY", Signup: true},
		Secret:   secrecy.Text(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	}
	own := signingInWith(t, d)
	s := newSurfer(t)
	answer := s.answerFor(own, "apple")
	if asked := s.trail[0]; !strings.Contains(asked, "response_mode=form_post") || !strings.Contains(asked, "name") {
		t.Errorf("Apple is asked for %s", asked)
	}
	f := answer.Query()
	f.Set("user", `{"name":{"firstName":"Alice","lastName":"Liddell"},"email":"mallory@example.com"}`)
	to := own.url + "/login/callback/apple"
	// The browser posts the form without our cookies, and then follows us with them.
	without := newSurfer(t)
	without.stopAt = own.url
	r := without.post(to, "https://appleid.apple.com", "cross-site", f)
	r.at(own, "/login/callback/apple", http.StatusSeeOther)
	if r.header.Get("Set-Cookie") != "" {
		t.Errorf("the form's answer sets %q", r.header.Values("Set-Cookie"))
	}
	s.led(without.trail[0]).at(own, "/me", http.StatusOK, "Alice Liddell", "alice@privaterelay.example", "Confirmed")
	newSurfer(t).post(to, "https://evil.example", "cross-site", f).at(own, "/login/callback/apple", http.StatusBadRequest)

	var claims jwt.Claims
	token, err := jwt.ParseSigned(p.secrets[0], []jose.SignatureAlgorithm{jose.ES256})
	if err == nil {
		err = token.Claims(key.Public(), &claims)
	}
	if err == nil {
		err = claims.Validate(jwt.Expected{Issuer: "TEAM", Subject: "us", AnyAudience: jwt.Audience{p.URL}, Time: time.Now()})
	}
	if err != nil || token.Headers[0].KeyID != "KEY" {
		t.Errorf("the client's secret: %v %v", claims, err)
	}
	d.Secret = "no key"
	if _, err := upstreams.New(upstreams.Options{Providers: []upstreams.Declared{d}, Dev: true}); err == nil {
		t.Error("a key file without a key is accepted")
	}
}

// LINE signs ID tokens with the client's secret.
func TestLINESignsWithTheSecret(t *testing.T) {
	p := newIDP(t)
	key := secret + secret
	d := upstreams.Declared{Settings: upstreams.Settings{ID: "line", Preset: "line", Issuer: p.URL, ClientID: "us", Signup: true}, Secret: secrecy.Text(key)}
	own := signingInWith(t, d)
	for with, ok := range map[string]bool{key: true, secret + "another secret": false} {
		p.tell(func(p *idp) {
			p.sign = func(claims map[string]any) string { return signed(t, jose.HS256, []byte(with), claims) }
		})
		r := newSurfer(t).open(own.url + "/login/with/line")
		if ok {
			r.at(own, "/signup/with", http.StatusOK, "LINE")
		} else {
			r.at(own, "/login/callback/line", http.StatusBadGateway)
		}
	}
}

// No address of Microsoft's or LINE's counts as verified, whatever an ID token says: no account
// is offered to be linked, and a new one has the address to prove.
func TestPresetsWhoseProvidersVerifyNoAddress(t *testing.T) {
	for _, preset := range []string{"microsoft", "line"} {
		p := newIDP(t)
		p.tell(func(p *idp) {
			p.user["email"], p.user["email_verified"] = "alice@example.com", true
			p.document = map[string]any{"userinfo_endpoint": p.URL + "/userinfo"}
		})
		p.says("/userinfo", `{"sub":"u1","email":"alice@example.com","email_verified":true,"name":"Alice"}`)
		own := signingInWith(t, upstreams.Declared{
			Settings: upstreams.Settings{ID: "a", Preset: preset, Issuer: p.URL, ClientID: "us", Signup: true, LinkByEmail: upstreams.LinkVerified}, Secret: secret + secret,
		})
		for _, inToken := range []bool{true, false} {
			alice := own.has("", "alice@example.com", true)
			newSurfer(t).open(own.url+"/login/with/a").at(own, "/signup/with", http.StatusOK)
			if err := own.Users.Delete(t.Context(), time.Now(), alice.ID, caller.Operator()); err != nil {
				t.Fatal(err)
			}
			newSurfer(t).open(own.url+"/login/with/a").at(own, "/signup/with", http.StatusOK, `value="alice@example.com"`)
			if inToken {
				p.tell(func(p *idp) { delete(p.user, "email"); delete(p.user, "email_verified") })
			}
		}
		newSurfer(t).open(own.url+"/login/with/a").at(own, "/signup/with", http.StatusOK).
			submit("join-form", "username", "", "email", "alice@example.com").at(own, "/me", http.StatusOK, "Not confirmed yet")
	}
}

// Microsoft's document for all tenants leaves the tenant open, which each ID token names.
func TestMicrosoftNamesTheTenant(t *testing.T) {
	const tenant, other = "9188040d-6c67-4c5b-b112-36a304b66dad", "72f988bf-86f1-41af-91ab-2d7cd011db47"
	p := newIDP(t)
	p.route("/common/v2.0/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"issuer":"` + p.URL + `/{tenantid}/v2.0","authorization_endpoint":"` + p.URL + `/authorize","token_endpoint":"` + p.URL +
			`/token","jwks_uri":"` + p.URL + `/keys","id_token_signing_alg_values_supported":["ES256"]}`))
	})
	d := upstreams.Declared{Settings: upstreams.Settings{ID: "microsoft", Preset: "microsoft", Issuer: p.URL + "/common/v2.0", ClientID: "us", Signup: true}, Secret: secret}
	own := signingInWith(t, d)
	for _, c := range []struct {
		issuer, tid string
		ok          bool
	}{
		{p.URL + "/" + tenant + "/v2.0", tenant, true}, {p.URL + "/" + tenant + "/v2.0", other, false}, {p.URL + "/" + tenant + "/v2.0", "", false},
		{"https://evil.example/" + tenant + "/v2.0", tenant, false}, {p.URL + "/x/v2.0", "x", false}, {p.URL + "/{tenantid}/v2.0", "{tenantid}", false},
	} {
		p.tell(func(p *idp) {
			p.change = func(claims map[string]any) {
				claims["iss"], claims["tid"], claims["email"] = c.issuer, c.tid, "ceo@victim.example" // which any tenant may say
			}
		})
		s := newSurfer(t)
		r := s.open(own.url + "/login/with/microsoft")
		if c.ok {
			r.at(own, "/signup/with", http.StatusOK).submit("join-form", "username", "alice", "email", "").at(own, "/me", http.StatusOK)
		} else {
			r.at(own, "/login/callback/microsoft", http.StatusBadGateway)
			s.signedOut(own)
		}
	}
	// The same subject of another tenant is another user.
	p.tell(func(p *idp) {
		p.change = func(claims map[string]any) { claims["iss"], claims["tid"] = p.URL+"/"+other+"/v2.0", other }
	})
	newSurfer(t).open(own.url+"/login/with/microsoft").at(own, "/signup/with", http.StatusOK)
}

// What the ID token leaves out comes from the user info, if that is about the same user.
func TestUserInfoIsAboutTheSameUser(t *testing.T) {
	p := newIDP(t)
	p.tell(func(p *idp) { p.document = map[string]any{"userinfo_endpoint": p.URL + "/userinfo"} })
	own := signingInWith(t, p.provide("a"))
	p.says("/userinfo", `{"sub":"u2","email":"mallory@example.com","email_verified":true}`)
	newSurfer(t).open(own.url+"/login/with/a").at(own, "/login/callback/a", http.StatusBadGateway)
	p.says("/userinfo", `{"sub":"u1","email":"alice@example.com","email_verified":true,"name":"Alice"}`)
	newSurfer(t).open(own.url+"/login/with/a").at(own, "/me", http.StatusOK, "alice@example.com", "Confirmed")
}

// A new account has the names that the settings ask for, and none where sign-up is off.
func TestNewUsersOfProvidersGiveTheNamesThatTheSettingsAskFor(t *testing.T) {
	for _, c := range []struct {
		names    accounts.SignupNames
		verified bool // the provider has verified the address
		asks     bool
		fields   []string
	}{
		{accounts.SignupNames{}, true, false, nil},
		{accounts.SignupNames{}, false, true, []string{"username", "email"}},
		{accounts.SignupNames{Username: accounts.Required}, true, true, []string{"username", "email"}},
		{accounts.SignupNames{Email: accounts.None}, true, true, []string{"username"}},
		{accounts.SignupNames{Username: accounts.None}, false, true, []string{"email"}},
	} {
		p := newIDP(t)
		p.tell(func(p *idp) { p.user["email"], p.user["email_verified"] = "alice@example.com", c.verified })
		own := listen(t, func(_ string, o *server.Options) {
			o.Upstreams, o.Accounts.Signup = []upstreams.Declared{p.provide("a")}, c.names
		})
		s := newSurfer(t)
		r := s.open(own.url + "/login/with/a?to=/me/security")
		if !c.asks {
			r.at(own, "/me/security", http.StatusOK)
			continue
		}
		r.at(own, "/signup/with", http.StatusOK)
		for _, field := range []string{"username", "email"} {
			if got := strings.Contains(r.body, `name="`+field+`"`); got != slices.Contains(c.fields, field) {
				t.Errorf("%+v: the page has a field %s: %v", c, field, got)
			}
		}
		r.submit("join-form", "username", "", "email", "").at(own, "/signup/with", http.StatusBadRequest)
		pairs := []string{"username", "alice"}
		if c.fields[0] == "email" {
			pairs = []string{"email", "alice@example.com"}
		}
		r.submit("join-form", pairs...).at(own, "/me/security", http.StatusOK)
		r.submit("join-form", pairs...).at(own, "/me/security", http.StatusOK) // the form was sent twice
	}
	for _, off := range []func(*server.Options){
		func(o *server.Options) { o.SignupEnabled = false }, func(o *server.Options) { o.Upstreams[0].Signup = false },
	} {
		p := newIDP(t)
		p.tell(func(p *idp) { p.user["email"], p.user["email_verified"] = "alice@example.com", true })
		own := listen(t, func(_ string, o *server.Options) {
			o.Upstreams = []upstreams.Declared{p.provide("a")}
			off(o)
		})
		s := newSurfer(t)
		s.open(own.url+"/login/with/a").at(own, "/login/callback/a", http.StatusForbidden, "No account here is linked")
		s.open(own.url+"/signup/with").at(own, "/login", http.StatusOK)
	}
}
