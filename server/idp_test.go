package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"countersign/server"
	"countersign/upstreams"
)

// idp is a provider that does what a test tells it to. Each browser that comes is that of
// one user, who allows everything.
type idp struct {
	*httptest.Server
	t   *testing.T
	key *ecdsa.PrivateKey

	mu       sync.Mutex
	user     map[string]any              // claims about the user, for the ID token
	change   func(claims map[string]any) // of the next ID tokens
	sign     func(claims map[string]any) string
	asked    map[string]url.Values       // authorization requests by their code
	document map[string]any              // changes of the discovery document
	noPKCE   bool                        // it doesn't check the verifier
	answer   url.Values                  // added to the answer, empty values remove
	routes   map[string]http.HandlerFunc // in place of its own
	secrets  []string                    // that clients have sent
}

func newIDP(t *testing.T) *idp {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &idp{t: t, key: key, user: map[string]any{"sub": "u1"}, asked: map[string]url.Values{}, routes: map[string]http.HandlerFunc{}}
	p.sign = func(claims map[string]any) string {
		return signed(t, jose.ES256, jose.JSONWebKey{Key: key, KeyID: "k"}, claims)
	}
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.Close)
	return p
}

// signed makes a JWT.
func signed(t *testing.T, alg jose.SignatureAlgorithm, key any, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, _ := json.Marshal(claims)
	object, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (p *idp) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	route := p.routes[r.URL.Path]
	p.mu.Unlock()
	if route != nil {
		route(w, r)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	say := func(v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		d := map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"ES256", "none", "HS256"},
		}
		maps.Copy(d, p.document)
		say(d)
	case "/keys":
		say(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
	case "/authorize":
		asked := r.URL.Query()
		code := rand.Text()
		p.asked[code] = asked
		back := url.Values{"code": {code}, "state": {asked.Get("state")}}
		for name, values := range p.answer {
			if back[name] = values; values[0] == "" {
				back.Del(name)
			}
		}
		http.Redirect(w, r, asked.Get("redirect_uri")+"?"+back.Encode(), http.StatusSeeOther)
	case "/token":
		_ = r.ParseForm()
		asked, known := p.asked[r.PostForm.Get("code")]
		delete(p.asked, r.PostForm.Get("code"))
		sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
		if !known || asked.Get("redirect_uri") != r.PostForm.Get("redirect_uri") ||
			!p.noPKCE && asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) {
			w.WriteHeader(http.StatusBadRequest)
			say(map[string]any{"error": "invalid_grant"})
			return
		}
		_, basic, _ := r.BasicAuth()
		p.secrets = append(p.secrets, r.PostForm.Get("client_secret"), basic)
		claims := map[string]any{
			"iss": p.URL, "aud": "us", "exp": time.Now().Add(time.Minute).Unix(), "iat": time.Now().Unix(), "nonce": asked.Get("nonce"),
		}
		if asked.Get("max_age") != "" { // each proof there is new
			claims["auth_time"] = time.Now().Unix()
		}
		maps.Copy(claims, p.user)
		if p.change != nil {
			p.change(claims)
		}
		say(map[string]any{"access_token": "access", "token_type": "Bearer", "id_token": p.sign(claims)})
	default:
		http.NotFound(w, r)
	}
}

// tell changes the provider.
func (p *idp) tell(change func(*idp)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// route has a function answer a path.
func (p *idp) route(path string, answer http.HandlerFunc) {
	p.tell(func(p *idp) { p.routes[path] = answer })
}

// provide makes settings of the provider.
func (p *idp) provide(id string, change ...func(*upstreams.Settings)) upstreams.Declared {
	d := upstreams.Declared{Settings: upstreams.Settings{ID: id, Issuer: p.URL, ClientID: "us", Name: "Other", Signup: true}, Secret: secret}
	for _, c := range change {
		c(&d.Settings)
	}
	return d
}

// signingInWith starts a server that signs users in with providers.
func signingInWith(t *testing.T, providers ...upstreams.Declared) *listening {
	t.Helper()
	return listen(t, func(_ string, o *server.Options) { o.Upstreams = providers })
}

// answerFor returns the address that the provider leads a browser to which begins at a
// server, before the browser goes there.
func (s *surfer) answerFor(l *listening, id string) *url.URL {
	s.t.Helper()
	s.stopAt = l.url + "/login/callback/"
	s.open(l.url + "/login/with/" + id)
	s.stopAt = ""
	if len(s.trail) == 0 {
		s.t.Fatal("the browser was led nowhere")
	}
	u, err := url.Parse(s.trail[len(s.trail)-1])
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

// changed returns an address with other parameters, of which empty ones are left out.
func changed(u *url.URL, pairs ...string) string {
	v := *u
	v.RawQuery = ""
	q := u.Query()
	for i := 0; i < len(pairs); i += 2 {
		if q.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			q.Del(pairs[i])
		}
	}
	v.RawQuery = q.Encode()
	return v.String()
}

// signedOut fails the test if a user is signed in to the browser.
func (s *surfer) signedOut(l *listening) {
	s.t.Helper()
	s.open(l.url+"/me").at(l, "/login", http.StatusOK)
}

// back goes where an answer leads, to a provider, and returns our answer to the provider's.
func (p *person) back(r *response) *response {
	p.a.t.Helper()
	to := r.Header().Get("Location")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	asked, err := http.NewRequestWithContext(p.a.t.Context(), http.MethodGet, to, nil)
	if err != nil {
		p.a.t.Fatal(err)
	}
	resp, err := client.Do(asked)
	if err != nil {
		p.a.t.Fatalf("%v: %d %s", err, r.Code, r.Body)
	}
	resp.Body.Close()
	return p.open(strings.TrimPrefix(resp.Header.Get("Location"), issuer))
}

// with signs in with a provider.
func (p *person) with(id string) *response {
	p.a.t.Helper()
	return p.back(p.submit("/login/with/"+id, form()))
}
