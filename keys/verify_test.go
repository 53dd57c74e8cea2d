package keys_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"countersign/keys"
	"countersign/seal"
	"countersign/store"
	"countersign/store/storetest"
)

// A forger signs any header and any claims with the ring's own ES256 key, which it opens
// with the master key. So Verify refuses a forged token for its content, not its signature.
type forger struct {
	ring    *keys.Ring
	kid     string
	private crypto.Signer
}

func newForger(t testing.TB) *forger {
	t.Helper()
	db, mk := storetest.Open(t), master(t)
	ring := open(t, db, mk, monthly, "ES256", "EdDSA")
	maintain(t, ring)
	stored, err := db.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range stored {
		if k.Alg == "ES256" {
			return &forger{ring: ring, kid: k.KID, private: unseal(t, mk, k)}
		}
	}
	t.Fatal("no ES256 key")
	return nil
}

func unseal(t testing.TB, mk *seal.Keys, k keys.Key) crypto.Signer {
	t.Helper()
	der, err := mk.Open("signing key", k.Sealed, []byte(k.KID))
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	return private.(crypto.Signer)
}

func (f *forger) token(t testing.TB, method jwt.SigningMethod, key any, change func(header, claims map[string]any)) string {
	t.Helper()
	now := time.Now()
	header := map[string]any{"typ": atJWT, "alg": method.Alg(), "kid": f.kid}
	claims := jwt.MapClaims{"iss": issuer, "aud": []string{audience}, "sub": "alice", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	if change != nil {
		change(header, claims)
	}
	token, err := (&jwt.Token{Header: header, Claims: claims, Method: method}).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// point returns the coordinates of the ES256 public key. A verifier that confuses
// algorithms might use them as the secret of HS256.
func (f *forger) point() []byte {
	point, err := f.private.Public().(*ecdsa.PublicKey).Bytes()
	if err != nil {
		panic(err)
	}
	return point[1:]
}

func TestVerifyAcceptsTheMediaTypeInEveryForm(t *testing.T) {
	f := newForger(t)
	for _, typ := range []string{"at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"} {
		token := f.token(t, jwt.SigningMethodES256, f.private, func(header, _ map[string]any) { header["typ"] = typ })
		if err := verify(f.ring, token); err != nil {
			t.Errorf("typ %s: %v", typ, err)
		}
	}
}

func TestVerifyReadsTheClaims(t *testing.T) {
	f := newForger(t)
	var got jwt.RegisteredClaims
	token := f.token(t, jwt.SigningMethodES256, f.private, nil)
	if err := f.ring.Verify(time.Now(), token, atJWT, issuer, &got); err != nil || got.Subject != "alice" {
		t.Errorf("claims = %+v, err = %v", got, err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	f := newForger(t)
	mine := func(change func(header, claims map[string]any)) string {
		return f.token(t, jwt.SigningMethodES256, f.private, change)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkix, err := x509.MarshalPKIXPublicKey(f.private.Public())
	if err != nil {
		t.Fatal(err)
	}
	var edKID string
	for _, info := range list(t, f.ring) {
		if info.Alg == "EdDSA" {
			edKID = info.KID
		}
	}
	good := mine(nil)
	if err := verify(f.ring, good); err != nil {
		t.Fatalf("the genuine token: %v", err)
	}
	cut := strings.LastIndex(good, ".")
	header := func(name string, value any) string {
		return mine(func(header, _ map[string]any) { header[name] = value })
	}
	claim := func(name string, value any) string {
		return mine(func(_, claims map[string]any) { claims[name] = value })
	}
	without := func(name string) string {
		return mine(func(header, claims map[string]any) { delete(header, name); delete(claims, name) })
	}
	tests := map[string]string{
		"nothing":               "",
		"not a JWT":             "a.b.c",
		"another key":           f.token(t, jwt.SigningMethodES256, other, nil),
		"no signature":          good[:cut+1],
		"changed signature":     good[:cut+1] + "AAAA" + good[cut+5:],
		"trailing bits":         good[:len(good)-1] + nextLetter(good[len(good)-1]),
		"none":                  f.token(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"HS256 with PKIX":       f.token(t, jwt.SigningMethodHS256, pkix, nil),
		"HS256 with PEM":        f.token(t, jwt.SigningMethodHS256, []byte("-----BEGIN PUBLIC KEY-----\n"+base64.StdEncoding.EncodeToString(pkix)), nil),
		"HS256 with point":      f.token(t, jwt.SigningMethodHS256, f.point(), nil),
		"another key's kid":     header("kid", edKID),
		"unknown kid":           header("kid", "unknown"),
		"kid of another type":   header("kid", 7),
		"no kid":                without("kid"),
		"no typ":                without("typ"),
		"typ JWT":               header("typ", "JWT"),
		"typ of another type":   header("typ", []string{atJWT}),
		"typ with a slash":      header("typ", "text/at+jwt"),
		"crit":                  header("crit", []string{"exp"}),
		"crit empty":            header("crit", nil),
		"jku":                   header("jku", "https://evil.example/jwks"),
		"x5u":                   header("x5u", "https://evil.example/cert"),
		"jwk":                   header("jwk", map[string]string{"kty": "EC"}),
		"x5c":                   header("x5c", []string{"MII"}),
		"wrong issuer":          claim("iss", issuer+"/"),
		"no issuer":             without("iss"),
		"no exp":                without("exp"),
		"exp of another type":   claim("exp", "tomorrow"),
		"expired":               claim("exp", time.Now().Unix()-1),
		"not yet valid":         claim("nbf", time.Now().Add(time.Minute).Unix()),
		"too long":              claim("x", strings.Repeat("x", 8<<10)),
		"claims not an object":  f.raw(t, `[1]`),
		"claims null":           f.raw(t, `null`),
		"four parts":            good + ".x",
		"leading white space":   " " + good,
		"JSON serialization":    `{"payload":"e30","signature":""}`,
		"encrypted, five parts": "a.b.c.d.e",
	}
	for name, token := range tests {
		if err := verify(f.ring, token); !errors.Is(err, keys.ErrInvalidToken) {
			t.Errorf("%s: err = %v, want ErrInvalidToken", name, err)
		}
	}
}

func TestVerifyLooksAtATokenAgainThatWasGood(t *testing.T) {
	f := newForger(t)
	token := f.token(t, jwt.SigningMethodES256, f.private, nil)
	for range 2 {
		if err := verify(f.ring, token); err != nil {
			t.Fatal(err)
		}
	}
	var c jwt.RegisteredClaims
	now := time.Now()
	dot := strings.LastIndex(token, ".")
	for name, err := range map[string]error{
		"expired":              f.ring.Verify(now.Add(2*time.Minute), token, atJWT, issuer, &c),
		"another typ":          f.ring.Verify(now, token, "JWT", issuer, &c),
		"another issuer":       f.ring.Verify(now, token, atJWT, "https://other.example", &c),
		"its key has left":     f.ring.Verify(now.Add(200*24*time.Hour), token, atJWT, issuer, &c),
		"another signature":    verify(f.ring, token[:dot+1]+nextLetter(token[dot+1])+token[dot+2:]),
		"others' claims":       verify(f.ring, f.token(t, jwt.SigningMethodES256, f.private, nil)[:20]+token[20:dot-1]+nextLetter(token[dot-1])+token[dot:]),
		"without a signature":  verify(f.ring, token[:dot+1]),
		"a second spelling":    verify(f.ring, token+"\n"),
		"a fourth part":        verify(f.ring, token+".e30"),
		"no third part at all": verify(f.ring, token[:dot]),
	} {
		if !errors.Is(err, keys.ErrInvalidToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := f.ring.Revoke(t.Context(), f.kid); err != nil {
		t.Fatal(err)
	}
	if err := verify(f.ring, token); !errors.Is(err, keys.ErrInvalidToken) {
		t.Errorf("with a revoked key: %v", err)
	}
}

func TestVerifyGivesExpNoLeeway(t *testing.T) {
	f := newForger(t)
	now := time.Now().Truncate(time.Second)
	token := f.token(t, jwt.SigningMethodES256, f.private, func(_, claims map[string]any) { claims["exp"] = now.Add(time.Minute).Unix() })
	at := func(d time.Duration) error {
		return f.ring.Verify(now.Add(d), token, atJWT, issuer, &jwt.RegisteredClaims{})
	}
	if err := at(time.Minute - time.Nanosecond); err != nil {
		t.Errorf("just before exp: %v", err)
	}
	if err := at(time.Minute); !errors.Is(err, jwt.ErrTokenExpired) {
		t.Errorf("at exp: err = %v, want jwt.ErrTokenExpired", err)
	}
}

// An RSA key can sign with RS256 and PS256, but each of our keys has one algorithm (RFC
// 8725 section 3.1), and PS256 allows one salt length (RFC 7518 section 3.5).
func TestVerifyTakesAnRSAKeyForItsOwnAlgorithmOnly(t *testing.T) {
	db, mk := storetest.Open(t), master(t)
	ring := open(t, db, mk, monthly, "RS256", "PS256")
	maintain(t, ring)
	stored, err := db.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	forgers := map[string]*forger{}
	for _, k := range stored {
		forgers[k.Alg] = &forger{ring: ring, kid: k.KID, private: unseal(t, mk, k)}
	}
	if forgers["RS256"].kid == forgers["PS256"].kid {
		t.Fatal("RS256 and PS256 share a key")
	}
	salted := func(length int) jwt.SigningMethod {
		return &jwt.SigningMethodRSAPSS{
			SigningMethodRSA: jwt.SigningMethodPS256.SigningMethodRSA,
			Options:          &rsa.PSSOptions{SaltLength: length},
		}
	}
	for _, c := range []struct {
		name   string
		key    string
		method jwt.SigningMethod
		good   bool
	}{
		{"RS256 by its key", "RS256", jwt.SigningMethodRS256, true},
		{"PS256 by its key", "PS256", jwt.SigningMethodPS256, true},
		{"PS256 by the key of RS256", "RS256", jwt.SigningMethodPS256, false},
		{"RS256 by the key of PS256", "PS256", jwt.SigningMethodRS256, false},
		{"RS512 by the key of RS256", "RS256", jwt.SigningMethodRS512, false},
		{"PS512 by the key of PS256", "PS256", jwt.SigningMethodPS512, false},
		{"PS256 with 32 bytes of salt", "PS256", salted(32), true},
		{"PS256 without salt", "PS256", salted(0), false},
		{"PS256 with 31 bytes of salt", "PS256", salted(31), false},
		{"PS256 with 64 bytes of salt", "PS256", salted(64), false},
		{"PS256 with all the salt that fits", "PS256", salted(rsa.PSSSaltLengthAuto), false},
	} {
		f := forgers[c.key]
		err := verify(ring, f.token(t, c.method, f.private, nil))
		if good := err == nil; good != c.good {
			t.Errorf("%s: err = %v, want it good: %v", c.name, err, c.good)
		}
	}
}

func TestVerifyNeedsAnIssuer(t *testing.T) {
	f := newForger(t)
	defer func() {
		if recover() == nil {
			t.Error("Verify without an issuer returned")
		}
	}()
	f.ring.Verify(time.Now(), "", atJWT, "", &jwt.RegisteredClaims{})
}

func TestVerifyLeavesTheAudienceToItsCallers(t *testing.T) {
	f := newForger(t)
	for name, change := range map[string]func(header, claims map[string]any){
		"another audience": func(_, claims map[string]any) { claims["aud"] = "https://other.example.com" },
		"no audience":      func(_, claims map[string]any) { delete(claims, "aud") },
	} {
		if err := verify(f.ring, f.token(t, jwt.SigningMethodES256, f.private, change)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerifyHintChecksSignatureTypAndIssuerOnly(t *testing.T) {
	f := newForger(t)
	check := func(name string, change func(header, claims map[string]any), want error) {
		t.Helper()
		token := f.token(t, jwt.SigningMethodES256, f.private, change)
		for _, claims := range []jwt.Claims{&jwt.RegisteredClaims{}, jwt.MapClaims{}} {
			if err := f.ring.VerifyHint(token, atJWT, issuer, claims); !errors.Is(err, want) {
				t.Errorf("%s: err = %v, want %v", name, err, want)
			}
		}
	}
	check("another audience", func(_, claims map[string]any) { claims["aud"] = "https://other.example.com" }, nil)
	check("expired", func(_, claims map[string]any) { claims["exp"] = time.Now().Unix() - 1 }, nil)
	check("no exp", func(_, claims map[string]any) { delete(claims, "exp") }, nil)
	check("another issuer", func(_, claims map[string]any) { claims["iss"] = issuer + "/" }, jwt.ErrTokenInvalidIssuer)
	check("no issuer", func(_, claims map[string]any) { delete(claims, "iss") }, jwt.ErrTokenInvalidIssuer)
	check("issuer of another type", func(_, claims map[string]any) { claims["iss"] = []string{issuer} }, keys.ErrInvalidToken)
	check("another typ", func(header, _ map[string]any) { header["typ"] = "JWT" }, keys.ErrInvalidToken)
	check("unknown kid", func(header, _ map[string]any) { header["kid"] = "unknown" }, keys.ErrInvalidToken)
	check("crit", func(header, _ map[string]any) { header["crit"] = []string{"exp"} }, keys.ErrInvalidToken)

	token := f.token(t, jwt.SigningMethodES256, f.private, nil)
	refused := map[string]string{
		"no signature":      token[:strings.LastIndex(token, ".")+1],
		"none":              f.token(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"HS256":             f.token(t, jwt.SigningMethodHS256, f.point(), nil),
		"claims null":       f.raw(t, `null`),
		"claims not object": f.raw(t, `[1]`),
		"too long":          f.token(t, jwt.SigningMethodES256, f.private, func(_, claims map[string]any) { claims["x"] = strings.Repeat("x", 8<<10) }),
	}
	for name, token := range refused {
		if err := f.ring.VerifyHint(token, atJWT, issuer, jwt.MapClaims{}); !errors.Is(err, keys.ErrInvalidToken) {
			t.Errorf("%s: err = %v, want ErrInvalidToken", name, err)
		}
	}
}

func TestVerifyHintTakesAKeyOutOfPublicationUnlessRevoked(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		ring := open(t, db, master(t), monthly)
		token := sign(t, ring, "ES256", monthly.AccessTTL)
		until := list(t, ring)[0].PublishedUntil
		hint := func() error { return ring.VerifyHint(token, atJWT, issuer, &jwt.RegisteredClaims{}) }

		time.Sleep(time.Until(until))
		maintain(t, ring)
		if kid := kidOf(t, token); slices.Contains(published(t, ring), kid) {
			t.Fatal("the key is published still")
		}
		if err := hint(); err != nil {
			t.Errorf("a key out of publication: %v", err)
		}
		if err := ring.Revoke(t.Context(), kidOf(t, token)); err != nil {
			t.Fatal(err)
		}
		if err := hint(); !errors.Is(err, keys.ErrInvalidToken) {
			t.Errorf("a revoked key: err = %v, want ErrInvalidToken", err)
		}
	})
}

// raw signs a payload that is not a JSON object of claims.
func (f *forger) raw(t testing.TB, payload string) string {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	text := encode(fmt.Appendf(nil, `{"typ":%q,"alg":"ES256","kid":%q}`, atJWT, f.kid)) + "." + encode([]byte(payload))
	sig, err := jwt.SigningMethodES256.Sign(text, f.private)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + encode(sig)
}

// nextLetter changes the last letter of a base64 text, in bits that decoders ignore.
func nextLetter(letter byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, letter)+1])
}

// thumbprints computes RFC 7638 from a JWKS, with the text written out.
func thumbprints(t testing.TB, body []byte) (all []struct{ kid, want string }) {
	t.Helper()
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		text := map[string]string{
			"EC":  `{"crv":"` + k["crv"] + `","kty":"EC","x":"` + k["x"] + `","y":"` + k["y"] + `"}`,
			"RSA": `{"e":"` + k["e"] + `","kty":"RSA","n":"` + k["n"] + `"}`,
			"OKP": `{"crv":"` + k["crv"] + `","kty":"OKP","x":"` + k["x"] + `"}`,
		}[k["kty"]]
		hash := sha256.Sum256([]byte(text))
		all = append(all, struct{ kid, want string }{k["kid"], base64.RawURLEncoding.EncodeToString(hash[:])})
	}
	return all
}

func FuzzVerify(f *testing.F) {
	forger := newForger(f)
	good := forger.token(f, jwt.SigningMethodES256, forger.private, func(_, claims map[string]any) {
		claims["exp"] = time.Now().Add(time.Hour).Unix()
	})
	f.Add([]byte(good))
	f.Add([]byte(forger.token(f, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil)))
	f.Add([]byte(forger.raw(f, `null`)))
	f.Add([]byte("e30.e30."))
	f.Fuzz(func(t *testing.T, token []byte) {
		for _, claims := range []jwt.Claims{&jwt.RegisteredClaims{}, jwt.MapClaims{}} {
			err := forger.ring.Verify(time.Now(), string(token), atJWT, issuer, claims)
			hint := forger.ring.VerifyHint(string(token), atJWT, issuer, claims)
			if (err == nil || hint == nil) && string(token) != good {
				t.Errorf("accepted a forgery: %s", token)
			}
		}
	})
}
