package server_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"countersign/caller"
	"countersign/clients"
	"countersign/keys"
	"countersign/server"
)

// withAlgorithms chooses the signing algorithms.
func withAlgorithms(algs ...string) func(*server.Options, *keys.Options) {
	return func(_ *server.Options, k *keys.Options) { k.Algorithms = algs }
}

// signingKey returns the newest key of an algorithm with its private half, as an attacker
// with the database and the master key could.
func (a *app) signingKey(alg string) (keys.Key, crypto.Signer) {
	a.t.Helper()
	all, err := a.db.Keys(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	for i := len(all) - 1; i >= 0; i-- {
		k := all[i]
		if k.Alg != alg {
			continue
		}
		der, err := a.options.Seal.Open("signing key", k.Sealed, []byte(k.KID))
		if err != nil {
			a.t.Fatal(err)
		}
		private, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			a.t.Fatal(err)
		}
		return k, private.(crypto.Signer)
	}
	a.t.Fatalf("no %s key", alg)
	panic("unreachable")
}

// verifier is a resource server that knows only the keys of a JWKS.
type verifier map[string]struct {
	alg string
	key crypto.PublicKey
}

// readJWKS returns a verifier with the keys of a JWKS.
func readJWKS(t testing.TB, body []byte) verifier {
	t.Helper()
	var set struct {
		Keys []struct{ Kty, Crv, Alg, KID, X, Y, N, E string }
	}
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatalf("JWKS: %v", err)
	}
	v := verifier{}
	for _, k := range set.Keys {
		var parts [4][]byte
		for i, text := range []string{k.X, k.Y, k.N, k.E} {
			b, err := base64.RawURLEncoding.DecodeString(text)
			if err != nil {
				t.Fatalf("JWKS: key %s: %v", k.KID, err)
			}
			parts[i] = b
		}
		entry := v[k.KID]
		entry.alg = k.Alg
		switch k.Kty {
		case "EC":
			public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, parts[0]...), parts[1]...))
			if err != nil {
				t.Fatalf("JWKS: key %s: %v", k.KID, err)
			}
			entry.key = public
		case "RSA":
			entry.key = &rsa.PublicKey{
				N: new(big.Int).SetBytes(parts[2]),
				E: int(new(big.Int).SetBytes(parts[3]).Int64()),
			}
		default:
			t.Fatalf("JWKS: key %s has kty %q", k.KID, k.Kty)
		}
		v[k.KID] = entry
	}
	return v
}

// verify checks a token as RFC 9068 section 4 says, and returns its claims.
func (v verifier) verify(token, typ, audience string) (jwt.MapClaims, error) {
	claims := jwt.MapClaims{}
	_, err := jwt.NewParser(
		jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithValidMethods([]string{"ES256", "RS256"}),
	).ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		if t.Header["typ"] != typ {
			return nil, fmt.Errorf("typ is %v, want %s", t.Header["typ"], typ)
		}
		kid, _ := t.Header["kid"].(string)
		k, ok := v[kid]
		if !ok {
			return nil, fmt.Errorf("unknown kid %q", kid)
		}
		if k.alg != t.Method.Alg() {
			return nil, fmt.Errorf("alg is %s, its key's %s", t.Method.Alg(), k.alg)
		}
		return k.key, nil
	})
	return claims, err
}

// jwks fetches the keys.
func (a *app) jwks() verifier {
	a.t.Helper()
	return readJWKS(a.t, a.do(http.MethodGet, "/.well-known/jwks.json", "").want(http.StatusOK).Body.Bytes())
}

// Requirement: line 34.
func TestAccessTokenHeaderAndKey(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	login := a.login("alice")
	header, _ := login.claims("access_token")
	if header["typ"] != "at+jwt" {
		t.Errorf("typ = %v, want at+jwt", header["typ"])
	}
	if header["alg"] != "ES256" {
		t.Errorf("alg = %v, want ES256", header["alg"])
	}
	if len(header) != 3 {
		t.Errorf("header = %v, want typ, alg and kid", header)
	}
	if _, err := a.jwks().verify(login.text("access_token"), "at+jwt", issuer); err != nil {
		t.Errorf("a resource server that has the JWKS refuses the token: %v", err)
	}
	if _, err := a.jwks().verify(login.text("id_token"), "JWT", "spa"); err != nil {
		t.Errorf("a client that has the JWKS refuses the ID token: %v", err)
	}
}

// Requirement: line 35.
func TestAccessTokenClaims(t *testing.T) {
	a := newApp(t)
	id := a.signup("alice")
	before := time.Now().Unix()
	login := a.login("alice")
	_, claims := login.claims("access_token")
	for name, want := range map[string]any{
		"iss": issuer, "sub": id, "aud": issuer, "client_id": "spa", "scope": ownScope, "acr": "pwd",
	} {
		if claims[name] != want {
			t.Errorf("%s = %v, want %v", name, claims[name], want)
		}
	}
	iat, exp := claims["iat"].(float64), claims["exp"].(float64)
	if int64(iat) < before || exp-iat != 600 || claims["auth_time"] != iat {
		t.Errorf("iat = %v, exp = %v, auth_time = %v, want now, 600 later, and now", iat, exp, claims["auth_time"])
	}
	if roles, ok := claims["roles"]; ok {
		t.Errorf("roles = %v, want none: the scope was granted, no role was", roles)
	}
	if sid, _ := claims["sid"].(string); sid == "" {
		t.Error("no sid")
	}
	if got := login.text("scope"); got != claims["scope"] {
		t.Errorf("response's scope = %q, the token's %q", got, claims["scope"])
	}
	if amr, _ := claims["amr"].([]any); !slices.Equal(amr, []any{"pwd"}) {
		t.Errorf("amr = %v, want [pwd]", claims["amr"])
	}
	for name := range claims {
		switch name {
		case "iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "auth_time", "acr", "amr", "sid", "roles":
		default:
			t.Errorf("unexpected claim %s: access tokens are read by every resource server", name)
		}
	}

	seen := map[any]bool{}
	for range 200 {
		_, claims := a.token(form("grant_type", "client_credentials", "client_id", "api", "client_secret", "dev-secret")).
			want(http.StatusOK).claims("access_token")
		if jti, _ := claims["jti"].(string); len(jti) < 22 || seen[jti] { // 22 characters hold 128 bits
			t.Fatalf("jti = %q, want one that is unique", jti)
		}
		seen[claims["jti"]] = true
		if claims["sub"] != "api" || claims["client_id"] != "api" || claims["sid"] != nil || claims["auth_time"] != nil {
			t.Fatalf("a client's own token says %v", claims)
		}
	}
}

// Requirement: line 36.
func TestIssuerIsTheMetadatasToTheByte(t *testing.T) {
	for _, iss := range []string{issuer, "https://auth.example.com:8443", issuer + "/tenant"} {
		a := newApp(t, func(o *server.Options, _ *keys.Options) { o.Issuer = iss })
		base := strings.TrimPrefix(strings.TrimPrefix(iss, issuer), ":8443")
		said := a.do(http.MethodGet, base+"/.well-known/openid-configuration", "").want(http.StatusOK).text("issuer")
		_, claims := a.do(http.MethodPost, base+"/oauth/token",
			form("grant_type", "client_credentials", "client_id", "api", "client_secret", "dev-secret").Encode(),
			"Content-Type", "application/x-www-form-urlencoded").want(http.StatusOK).claims("access_token")
		if claims["iss"] != iss || said != iss {
			t.Errorf("iss = %v and metadata says %q, want %q", claims["iss"], said, iss)
		}
	}
}

// Requirement: line 37.
func TestRS256CanBeSelected(t *testing.T) {
	a := newApp(t, withAlgorithms("RS256", "ES256"))
	a.signup("alice")
	header, _ := a.login("alice").claims("access_token")
	if header["alg"] != "RS256" {
		t.Errorf("access token alg = %v, want RS256", header["alg"])
	}
	for kid, k := range a.jwks() {
		if public, ok := k.key.(*rsa.PublicKey); ok && public.N.BitLen() < 2048 {
			t.Errorf("RSA key %s has %d bits", kid, public.N.BitLen())
		}
	}
	client := clients.Client{
		ID: "es",
		Settings: clients.Settings{
			Name: "ES", Public: true, FirstParty: true, Grants: []string{"password"}, Scopes: []string{"openid"}, IDTokenAlg: "ES256",
		},
	}
	if _, err := a.Clients.Put(t.Context(), time.Now(), client, "", caller.Operator()); err != nil {
		t.Fatal(err)
	}
	f := passwordForm("alice")
	f.Set("client_id", "es")
	login := a.token(f).want(http.StatusOK)
	if header, _ := login.claims("id_token"); header["alg"] != "ES256" {
		t.Errorf("ID token alg = %v, want the ES256 that the client chose", header["alg"])
	}
	parts := strings.Split(login.text("id_token"), ".")
	if signature, err := base64.RawURLEncoding.DecodeString(parts[2]); err != nil || len(signature) != 64 {
		t.Errorf("ES256 signature has %d bytes (%v), want 64: R and S (RFC 7518 section 3.4)", len(signature), err)
	}
}

// Requirement: line 38.
func TestTokensOfOneKindAreNoTokensOfAnother(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	login := a.login("alice")
	a.userinfo(login.text("access_token")).want(http.StatusOK)
	for _, kind := range []string{"id_token", "refresh_token"} {
		a.userinfo(login.text(kind)).wantError(http.StatusUnauthorized, "invalid_token")
	}
	for _, kind := range []string{"id_token", "access_token"} {
		a.refresh(login.text(kind)).wantError(http.StatusBadRequest, "invalid_grant")
	}
	if _, err := a.jwks().verify(login.text("access_token"), "JWT", issuer); err == nil {
		t.Error("a client takes the access token for an ID token")
	}
	// An ID token is no access token, even if its audience is the issuer.
	k, private := a.signingKey("ES256")
	_, claims := login.claims("access_token")
	delete(claims, "client_id")
	id := forge(t, jwt.SigningMethodES256, private, map[string]any{"typ": "JWT", "kid": k.KID}, claims)
	a.userinfo(id).wantError(http.StatusUnauthorized, "invalid_token")
}

// forge signs any header and claims with any key.
func forge(t testing.TB, method jwt.SigningMethod, key any, header, claims map[string]any) string {
	t.Helper()
	header = maps.Clone(header)
	if _, said := header["alg"]; !said {
		header["alg"] = method.Alg()
	}
	token := jwt.Token{Header: header, Claims: jwt.MapClaims(claims), Method: method}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatalf("forge: %v", err)
	}
	return text
}

// Requirement: line 39.
func TestForgedAccessTokensAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		_, genuine := a.login("alice").claims("access_token")
		es, esKey := a.signingKey("ES256")
		rs, rsKey := a.signingKey("RS256")
		strangerEC, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(esKey.Public())
		if err != nil {
			t.Fatal(err)
		}
		publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		jwk := map[string]any{
			"kty": "EC", "crv": "P-256", "kid": es.KID,
			"x": base64.RawURLEncoding.EncodeToString(strangerEC.X.FillBytes(make([]byte, 32))),
			"y": base64.RawURLEncoding.EncodeToString(strangerEC.Y.FillBytes(make([]byte, 32))),
		}
		now := time.Now().Unix()

		header := map[string]any{"typ": "at+jwt", "kid": es.KID}
		with := func(m map[string]any, pairs ...any) map[string]any {
			m = maps.Clone(m)
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i+1] == nil {
					delete(m, pairs[i].(string))
				} else {
					m[pairs[i].(string)] = pairs[i+1]
				}
			}
			return m
		}
		ours := func(header, claims map[string]any) string {
			return forge(t, jwt.SigningMethodES256, esKey, header, claims)
		}
		good := ours(header, genuine)
		parts := strings.Split(good, ".")
		b64 := base64.RawURLEncoding.EncodeToString

		// A token from forge without changes must be valid: otherwise the rest of this
		// test would prove nothing.
		for name, token := range map[string]string{
			"as we make them":     good,
			"typ in full":         ours(with(header, "typ", "application/at+jwt"), genuine),
			"typ in capitals":     ours(with(header, "typ", "AT+JWT"), genuine),
			"of our RSA key":      forge(t, jwt.SigningMethodRS256, rsKey, with(header, "kid", rs.KID), genuine),
			"for an API":          ours(header, with(genuine, "aud", "https://api.example.com")),
			"one audience of two": ours(header, with(genuine, "aud", []string{"https://api.example.com", issuer})),
		} {
			if got := a.userinfo(token); got.Code != http.StatusOK {
				t.Errorf("%s: %d %s, want 200", name, got.Code, got.Body)
			}
		}
		for name, token := range map[string]string{
			"alg none":                       forge(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, header, genuine),
			"alg None":                       forge(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, with(header, "alg", "None"), genuine),
			"no signature":                   parts[0] + "." + parts[1] + ".",
			"no third part":                  parts[0] + "." + parts[1],
			"a fourth part":                  good + "." + parts[2],
			"HS256 with the public PEM":      forge(t, jwt.SigningMethodHS256, publicPEM, header, genuine),
			"HS256 with the public DER":      forge(t, jwt.SigningMethodHS256, der, header, genuine),
			"HS256 with the JWKS":            forge(t, jwt.SigningMethodHS256, a.do(http.MethodGet, "/.well-known/jwks.json", "").Body.Bytes(), header, genuine),
			"HS256 with nothing":             forge(t, jwt.SigningMethodHS256, []byte{}, header, genuine),
			"another signer, our kid":        forge(t, jwt.SigningMethodES256, strangerEC, header, genuine),
			"another signer, its kid":        forge(t, jwt.SigningMethodES256, strangerEC, with(header, "kid", "stranger"), genuine),
			"another signer, jwk":            forge(t, jwt.SigningMethodES256, strangerEC, with(header, "jwk", jwk), genuine),
			"another signer, jku":            forge(t, jwt.SigningMethodES256, strangerEC, with(header, "jku", "https://evil.example/jwks"), genuine),
			"our RSA key under the EC kid":   forge(t, jwt.SigningMethodRS256, rsKey, header, genuine),
			"our EC key under the RSA kid":   ours(with(header, "kid", rs.KID), genuine),
			"RS256 said, ES256 signed":       ours(with(header, "alg", "RS256"), genuine),
			"ES384 said":                     ours(with(header, "alg", "ES384"), genuine),
			"no kid":                         ours(with(header, "kid", nil), genuine),
			"kid of another type":            ours(with(header, "kid", []string{es.KID}), genuine),
			"wrong iss":                      ours(header, with(genuine, "iss", "https://evil.example")),
			"iss with a slash more":          ours(header, with(genuine, "iss", issuer+"/")),
			"no iss":                         ours(header, with(genuine, "iss", nil)),
			"empty aud":                      ours(header, with(genuine, "aud", []string{})),
			"no aud":                         ours(header, with(genuine, "aud", nil)),
			"no exp":                         ours(header, with(genuine, "exp", nil)),
			"exp 0":                          ours(header, with(genuine, "exp", 0)),
			"expired this second":            ours(header, with(genuine, "exp", now)),
			"expired by a second":            ours(header, with(genuine, "exp", now-1)),
			"no typ":                         ours(with(header, "typ", nil), genuine),
			"typ JWT":                        ours(with(header, "typ", "JWT"), with(genuine, "client_id", nil)),
			"typ JWT, without an id":         ours(with(header, "typ", "JWT"), with(genuine, "jti", nil)),
			"typ of a logout token":          ours(with(header, "typ", "logout+jwt"), genuine),
			"crit":                           ours(with(header, "crit", []string{"exp"}), genuine),
			"crit, unknown":                  ours(with(header, "crit", []string{"https://evil.example"}, "https://evil.example", true), genuine),
			"crit, empty":                    ours(with(header, "crit", []string{}), genuine),
			"jku":                            ours(with(header, "jku", issuer+"/.well-known/jwks.json"), genuine),
			"x5u":                            ours(with(header, "x5u", "https://evil.example/cert"), genuine),
			"x5c":                            ours(with(header, "x5c", []string{b64(der)}), genuine),
			"jwk":                            ours(with(header, "jwk", jwk), genuine),
			"another payload":                parts[0] + "." + b64([]byte(`{"sub":"root"}`)) + "." + parts[2],
			"a signature byte flipped":       good[:len(good)-2] + flip(good[len(good)-2]) + good[len(good)-1:],
			"padding":                        good + "=",
			"a line break inside":            parts[0] + "." + parts[1] + "\n." + parts[2],
			"a space behind":                 good + " ",
			"a session that is not one":      ours(header, with(genuine, "sid", "alice")),
			"a session that never was":       ours(header, with(genuine, "sid", "0198c0de-0000-7000-8000-000000000000")),
			"a subject that never was":       ours(header, with(genuine, "sub", "0198c0de-0000-7000-8000-000000000000")),
			"nonsense":                       "nonsense",
			"dots":                           strings.Repeat(".", 5000),
			"longer than any of ours":        ours(header, with(genuine, "x", strings.Repeat("x", 16<<10))),
			"a JWS in JSON":                  `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`,
			"the other base64":               base64.StdEncoding.EncodeToString([]byte(good)),
			"the signature's other encoding": parts[0] + "." + parts[1] + "." + lastBits(parts[2]),
		} {
			got := a.userinfo(token)
			if got.Code != http.StatusUnauthorized || !strings.Contains(got.Header().Get("WWW-Authenticate"), `error="invalid_token"`) {
				t.Errorf("%s: %d %s %s, want 401 invalid_token", name, got.Code, got.Header().Get("WWW-Authenticate"), got.Body)
			}
		}
	})
}

// flip returns another base64url character, which differs in the high bits.
func flip(c byte) string {
	if c == 'A' {
		return "g"
	}
	return "A"
}

// lastBits changes the unused bits of the last character. A lax decoder reads the same
// signature from the result, so that one token has two spellings.
func lastBits(part string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(alphabet, part[len(part)-1])
	return part[:len(part)-1] + string(alphabet[i^1])
}

// Requirement: line 40.
func TestOwnTokensGetNoLeewayAndNoNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		login := a.login("alice")
		_, claims := login.claims("access_token")
		if nbf, ok := claims["nbf"].(float64); ok && nbf > claims["iat"].(float64) {
			t.Errorf("nbf = %v is later than iat = %v", nbf, claims["iat"])
		}
		if got := login.json()["expires_in"]; got != 600.0 {
			t.Errorf("expires_in = %v, want 600", got)
		}
		token := login.text("access_token")
		exp := time.Unix(int64(claims["exp"].(float64)), 0)
		time.Sleep(time.Until(exp) - time.Millisecond)
		a.userinfo(token).want(http.StatusOK)
		time.Sleep(time.Millisecond)
		a.userinfo(token).wantError(http.StatusUnauthorized, "invalid_token")
	})
}
