package browser_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// poster is a provider on another site that answers as Apple does: with a form that the
// browser posts by itself.
type poster struct {
	*httptest.Server
	key   *ecdsa.PrivateKey
	mu    sync.Mutex
	asked url.Values
}

func newPoster(t *testing.T) *poster {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &poster{key: key}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *poster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":%q,"token_endpoint":%q,"jwks_uri":%q,"id_token_signing_alg_values_supported":["ES256"]}`,
			p.URL, p.URL+"/authorize", p.URL+"/token", p.URL+"/keys")
	case "/keys":
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "k", Algorithm: "ES256"}}})
	case "/authorize":
		p.asked = r.URL.Query()
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><title>Poster</title><form method="post" action=%q><input name="state" value=%q><input name="code" value="c"></form><script>document.forms[0].submit()</script>`,
			p.asked.Get("redirect_uri"), p.asked.Get("state"))
	case "/token":
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: p.key, KeyID: "k"}}, nil)
		if err != nil {
			panic(err)
		}
		claims, _ := json.Marshal(map[string]any{
			"iss": p.URL, "aud": "us", "sub": "u1", "nonce": p.asked.Get("nonce"), "exp": time.Now().Add(time.Minute).Unix(), "iat": time.Now().Unix(),
			"email": "bob@example.org", "email_verified": "true",
		})
		object, err := signer.Sign(claims)
		if err != nil {
			panic(err)
		}
		token, _ := object.CompactSerialize()
		_ = json.NewEncoder(w).Encode(map[string]string{"access_token": "a", "token_type": "Bearer", "id_token": token})
	default:
		http.NotFound(w, r)
	}
}

// Users sign in to an application with their account at another server of ours, without
// scripts on the pages, and with a provider on another site that answers with a form.
func TestUsersSignInWithOtherProviders(t *testing.T) {
	other, poster := newHosted(t), newPoster(t)
	other.signUp("alice")
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(poster.key)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "key.p8"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "c.yaml"), fmt.Appendf(nil, `upstreams:
- {id: other, name: Acme ID, issuer: %q, client_id: us}
- {id: apple, preset: apple, issuer: %q, client_id: us, client_secret_file: %q, team_id: T, key_id: K}
`, other.origin, poster.URL, filepath.Join(dir, "key.p8")), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	h := newHosted(t, "COUNTERSIGN_CONFIG="+filepath.Join(dir, "c.yaml"))
	other.register("us", "Downstream", "--public", "--first-party", "--scope", "openid", "--scope", "profile", "--scope", "email",
		"--redirect-uri", h.origin+"/login/callback/other")

	b := newProfile(t).newTab()
	b.scripts(false)
	b.open(h.authorization())
	b.isAt("Sign in")
	b.press("Continue with Acme ID")
	b.shows("Sign in to continue to Downstream.")
	b.signIn("alice")
	b.isAt("Almost done") // the address is not verified there
	b.fill("E-mail address", "")
	b.fill("Username", "alice2")
	b.press("Create the account")
	b.isAt("Allow access?")
	b.press("Allow")
	h.back(b, 0).code(t)
	b.open(h.origin + "/me/security")
	b.isAt("Security")
	b.shows("Acme ID")
	b.scripts(true)
	b.open(h.origin + "/me/security")
	b.rests()
	b.press("Link Apple")
	b.isAt("Security")
	b.shows("The account is linked")

	c := newProfile(t).newTab()
	c.open(h.origin + "/login")
	c.rests()
	c.press("Continue with Apple")
	c.isAt("Profile")
	c.shows("alice2")
}
