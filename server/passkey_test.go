package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"
	"golang.org/x/net/html"

	"countersign/caller"
)

// device is a device with one passkey.
type device struct {
	key    virtualwebauthn.Credential
	user   []byte // the user handle
	synced bool   // the passkey may be on other devices
	count  uint32 // the counter; 0: the device doesn't count
}

// answerOf is what a browser and a device make of options. A test may change it.
type answerOf struct {
	client           map[string]any // the client data
	rpID             string
	present, checked bool // the user was there, and was verified
	synced           bool
	count            uint32
	user             []byte
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// newKey makes the key of a passkey. The library gets the length of one in 128 wrong, whose
// coordinates begin with a zero.
func newKey() virtualwebauthn.Credential {
	for {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		public, err := private.PublicKey.Bytes()
		if err != nil {
			panic(err)
		}
		if public[1] == 0 || public[33] == 0 {
			continue
		}
		data, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			panic(err)
		}
		return virtualwebauthn.NewCredentialWithImportedKey(virtualwebauthn.KeyTypeEC2, data)
	}
}

// weakKeys makes keys that others can sign for.
func weakKeys(t testing.TB) map[string]virtualwebauthn.Credential {
	t.Helper()
	of := func(key *rsa.PrivateKey) virtualwebauthn.Credential {
		data, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return virtualwebauthn.NewCredentialWithImportedKey(virtualwebauthn.KeyTypeRSA, data)
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]virtualwebauthn.Credential{"a short RSA key": of(short)}
}

// newDevice gives the user of a page that has just signed in a passkey, on a device of its own.
func (p *page) newDevice(synced bool) (d *device, recovery []string) {
	p.a.t.Helper()
	d = &device{key: newKey(), synced: synced}
	r := p.addPasskey(d, issuer).want(http.StatusCreated)
	codes, _ := r.json()["recovery_codes"].([]any)
	for _, c := range codes {
		recovery = append(recovery, c.(string))
	}
	return d, recovery
}

// addPasskey has a device make a passkey for the user of a page, on a page of an origin.
func (p *page) addPasskey(d *device, origin string) *response {
	p.a.t.Helper()
	r := p.do(http.MethodPost, "/account/factors/passkeys/options", "").want(http.StatusOK)
	return p.do(http.MethodPost, "/account/factors/passkeys", p.newPasskey(d, r, origin))
}

// newPasskey returns the request that adds a device's passkey.
func (p *page) newPasskey(d *device, options *response, origin string) string {
	p.a.t.Helper()
	made := d.makes(p.a.t, options.Body.String(), origin)
	return `{"name":"laptop","credential":` + made + `}`
}

// use has the device answer options, as WebAuthn JSON, on our own page.
func (d *device) use(options any, change ...func(*answerOf)) string {
	o := options.(map[string]any)
	a := answerOf{
		client: map[string]any{"type": "webauthn.get", "challenge": o["challenge"], "origin": issuer},
		rpID:   o["rpId"].(string), present: true, checked: true, synced: d.synced, user: d.user, count: d.count,
	}
	for _, c := range change {
		c(&a)
	}
	client, _ := json.Marshal(a.client)
	rp := sha256.Sum256([]byte(a.rpID))
	flags := byte(0)
	for bit, set := range map[byte]bool{0x01: a.present, 0x04: a.checked, 0x08 | 0x10: a.synced} {
		if set {
			flags |= bit
		}
	}
	data := binary.BigEndian.AppendUint32(append(rp[:], flags), a.count)
	hash := sha256.Sum256(client)
	digest := sha256.Sum256(append(data[:len(data):len(data)], hash[:]...))
	signature, err := d.key.Key.Sign(digest[:])
	if err != nil {
		panic(err)
	}
	answer, _ := json.Marshal(map[string]any{
		"type": "public-key", "id": b64(d.key.ID), "rawId": b64(d.key.ID), "clientExtensionResults": map[string]any{},
		"response": map[string]any{"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(signature), "userHandle": b64(a.user)},
	})
	return string(answer)
}

// askPasskey asks for a passkey, and returns the challenge and the options.
func (p *page) askPasskey() (challenge string, options any) {
	p.a.t.Helper()
	r := p.do(http.MethodPost, "/session/passkey/options", "").want(http.StatusOK)
	return r.text("challenge"), r.json()["publicKey"]
}

// passkey signs in by a passkey.
func (p *page) passkey(challenge, credential string) *response {
	p.a.t.Helper()
	return p.do(http.MethodPost, "/session/passkey", `{"challenge":"`+challenge+`","credential":`+credential+`}`)
}

// signInWith signs in with a device.
func (p *page) signInWith(d *device, change ...func(*answerOf)) *response {
	p.a.t.Helper()
	challenge, options := p.askPasskey()
	return p.passkey(challenge, d.use(options, change...))
}

// ownPage opens a page of ours in a new browser, where passkeys can be used.
func (a *app) ownPage() *page {
	p := a.page()
	p.origin = issuer
	return p
}

// withPasskey makes a user with a passkey, who is signed in to a page.
func (a *app) withPasskey(name string, synced bool) (*page, *device, []string) {
	a.t.Helper()
	a.signup(name)
	p := a.ownPage()
	p.signIn(name, password).want(http.StatusOK)
	d, recovery := p.newDevice(synced)
	return p, d, recovery
}

// enrolPasskey has a device make a passkey at /factor/enrol, as the page asks.
func (p *person) enrolPasskey(d *device, page *response) *response {
	p.a.t.Helper()
	f := page.page("passkey-form")
	f.Set("credential", d.makes(p.a.t, page.attribute("passkey-form", "data-options"), issuer))
	return p.submit("/factor/enrol", f)
}

// makes has a device make the passkey that options ask for, as WebAuthn JSON, on a page of an
// origin.
func (d *device) makes(t testing.TB, options, origin string) string {
	t.Helper()
	asked, err := virtualwebauthn.ParseAttestationOptions(options)
	if err != nil {
		t.Fatal(err)
	}
	d.user = []byte(asked.UserID)
	auth := virtualwebauthn.NewAuthenticatorWithOptions(virtualwebauthn.AuthenticatorOptions{BackupEligible: d.synced, BackupState: d.synced})
	return virtualwebauthn.CreateAttestationResponse(virtualwebauthn.RelyingParty{ID: asked.RelyingPartyID, Origin: origin}, auth, d.key, *asked)
}

// attribute returns an attribute of the element with an id.
func (r *response) attribute(id, name string) string {
	r.t.Helper()
	doc, err := html.Parse(strings.NewReader(r.Body.String()))
	if err != nil {
		r.t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if attribute(n, "id") == id {
			return attribute(n, name)
		}
	}
	r.t.Fatalf("there is no %s: %s", id, r.Body)
	return ""
}

// passkeys makes the operations about passkeys give their answers.
func (o *observer) passkeys(a *app) {
	a.provenUser("gus")
	p := a.ownPage()
	p.signIn("gus", password).want(http.StatusOK)
	d, _ := p.newDevice(true)
	p.signInWith(d).want(http.StatusOK)
	p.signInWith(&device{key: newKey(), user: d.user}).want(http.StatusUnauthorized)
	p.do(http.MethodPost, "/session/passkey", "{}").want(http.StatusBadRequest)
	p.do(http.MethodPost, "/session/passkey/options", `{"x":1}`).want(http.StatusBadRequest)
	p.do(http.MethodPost, "/account/factors/passkeys/options", `{"x":1}`).want(http.StatusBadRequest)
	p.addPasskey(d, issuer).want(http.StatusBadRequest)
	for range 18 {
		p.newDevice(true)
	}
	p.addPasskey(&device{key: newKey()}, issuer).want(http.StatusConflict)
	second := a.ownPage()
	r := second.signIn("gus", password).want(http.StatusUnauthorized)
	second.secondPasskey(r.text("challenge"), d.use(r.json()["public_key"])).want(http.StatusOK)
	challenge, options := p.askPasskey()
	p.do(http.MethodPost, "/account/proof", `{"challenge":"`+challenge+`","credential":`+d.use(options)+`}`).want(http.StatusNoContent)
	user, err := a.Users.ByUsername(a.t.Context(), "gus")
	if err == nil {
		err = a.Users.Disable(a.t.Context(), time.Now(), user.ID, caller.Operator())
	}
	if err != nil {
		a.t.Fatal(err)
	}
	p.signInWith(d).want(http.StatusForbidden)
}
