package server_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign/keys"
	"countersign/seal"
	"countersign/server"
	"countersign/test/soak"
)

// Requirement: line 41.
func TestJWKSHasPublicKeysOnly(t *testing.T) {
	a := newApp(t)
	got := a.do(http.MethodGet, "/.well-known/jwks.json", "").want(http.StatusOK)
	if kind := got.Header().Get("Content-Type"); kind != "application/jwk-set+json" {
		t.Errorf("Content-Type = %q, want application/jwk-set+json (RFC 7517 section 8.5.2)", kind)
	}
	want := map[string][]string{
		"EC":  {"alg", "crv", "kid", "kty", "use", "x", "y"},
		"RSA": {"alg", "e", "kid", "kty", "n", "use"},
	}
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(got.Body.Bytes(), &set); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 2 {
		t.Fatalf("%d keys, want one per algorithm: %s", len(set.Keys), got.Body)
	}
	for _, k := range set.Keys {
		members := slices.Sorted(maps.Keys(k))
		if kty, _ := k["kty"].(string); !slices.Equal(members, want[kty]) || k["use"] != "sig" {
			t.Errorf("key has %v, want %v and use sig", members, want[kty])
		}
	}
	// Nothing private in any encoding: not as a member, not inside one.
	for _, alg := range []string{"ES256", "RS256"} {
		_, private := a.signingKey(alg)
		var secrets []*big.Int
		switch k := private.(type) {
		case *ecdsa.PrivateKey:
			d, err := k.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			secrets = []*big.Int{new(big.Int).SetBytes(d)}
		case *rsa.PrivateKey:
			secrets = append([]*big.Int{k.D}, k.Primes...)
		}
		for _, secret := range secrets {
			if bytes.Contains(got.Body.Bytes(), []byte(base64.RawURLEncoding.EncodeToString(secret.Bytes()))) {
				t.Errorf("%s: the JWKS has the private key", alg)
			}
		}
	}
}

// Requirement: line 42.
func TestKidIsTheKeysThumbprint(t *testing.T) {
	a := newApp(t)
	if _, err := a.ring.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	body := a.do(http.MethodGet, "/.well-known/jwks.json", "").want(http.StatusOK).Body.Bytes()
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 4 {
		t.Fatalf("%d keys after a rotation, want 4", len(set.Keys))
	}
	seen := map[string]bool{}
	for _, k := range set.Keys {
		// RFC 7638: a kid that is a hash of the key can't come back with another.
		text := fmt.Sprintf(`{"e":%q,"kty":"RSA","n":%q}`, k["e"], k["n"])
		if k["kty"] == "EC" {
			text = fmt.Sprintf(`{"crv":%q,"kty":"EC","x":%q,"y":%q}`, k["crv"], k["x"], k["y"])
		}
		sum := sha256.Sum256([]byte(text))
		if want := base64.RawURLEncoding.EncodeToString(sum[:]); k["kid"] != want {
			t.Errorf("kid = %q, want the thumbprint %q", k["kid"], want)
		}
		if seen[k["kid"]] {
			t.Errorf("kid %s is there twice", k["kid"])
		}
		seen[k["kid"]] = true
	}
}

// obedient is a verifier that caches the JWKS for exactly as long as it may. It doesn't
// fetch the JWKS again when it misses a key.
type obedient struct {
	keys  verifier
	until time.Time
}

func (o *obedient) look(a *app) {
	if time.Now().Before(o.until) {
		return
	}
	got := a.do(http.MethodGet, "/.well-known/jwks.json", "").want(http.StatusOK)
	age, ok := strings.CutPrefix(got.Header().Get("Cache-Control"), "public, max-age=")
	seconds, err := strconv.Atoi(age)
	if !ok || err != nil {
		a.t.Fatalf("Cache-Control = %q, want public, max-age=n", got.Header().Get("Cache-Control"))
	}
	o.keys = readJWKS(a.t, got.Body.Bytes())
	o.until = time.Now().Add(time.Duration(seconds) * time.Second)
}

// Two replicas, one of which always looks at the database a poll earlier: what
// one signs, the other publishes.
//
// Requirement: line 43.
func TestRotationsRefuseNoToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	master := seal.Generate()
	days := soak.Size[time.Duration](365, 100)
	synctest.Test(t, func(t *testing.T) {
		quiet := func(o *server.Options, _ *keys.Options) { o.Log = slog.New(slog.DiscardHandler) }
		signs, publishes := openApp(t, path, master, quiet), openApp(t, path, master, quiet)
		signs.signup("alice")

		type issued struct {
			token, typ, audience, kid string
			exp                       time.Time
		}
		var (
			alive  []issued
			cache  obedient
			kids   = map[string]bool{}
			checks int
			began  = time.Now()
		)
		// Near an instant in the life of a key every minute counts, between
		// two of them a sample does.
		const near, step, sample = 17 * time.Minute, 43 * time.Second, 5 * time.Hour
		pause := func() time.Duration {
			list, err := signs.ring.List(t.Context(), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			next := sample
			for _, k := range list {
				for _, at := range []time.Time{k.SignsFrom, k.SignsUntil, k.PublishedUntil} {
					switch d := time.Until(at); {
					case d > near:
						next = min(next, d-near)
					case d > -near:
						return step
					}
				}
			}
			return next
		}
		for time.Since(began) < days*24*time.Hour {
			if err := publishes.ring.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			if err := signs.ring.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
			login := signs.login("alice")
			for _, kind := range []struct{ member, typ, audience string }{{"access_token", "at+jwt", issuer}, {"id_token", "JWT", "spa"}} {
				header, claims := login.claims(kind.member)
				kid := header["kid"].(string)
				kids[kid] = true
				alive = append(alive, issued{login.text(kind.member), kind.typ, kind.audience, kid, time.Unix(int64(claims["exp"].(float64)), 0)})
			}
			cache.look(publishes)
			published := publishes.jwks()
			alive = slices.DeleteFunc(alive, func(i issued) bool { return !time.Now().Before(i.exp) })
			for _, i := range alive {
				if _, ok := published[i.kid]; !ok {
					t.Fatalf("after %v: the key %s of a live token is not published", time.Since(began), i.kid)
				}
				if left := time.Until(i.exp); left > time.Minute && left < 9*time.Minute {
					continue // when it is new and when it is old is enough
				}
				if _, err := cache.keys.verify(i.token, i.typ, i.audience); err != nil {
					t.Fatalf("after %v: a verifier that obeys the cache headers refuses a live %s: %v", time.Since(began), i.typ, err)
				}
				checks++
			}
			if got := publishes.userinfo(login.text("access_token")); got.Code != http.StatusOK {
				t.Fatalf("after %v: the other replica refuses the token: %s", time.Since(began), got.Body)
			}
			time.Sleep(pause())
		}
		if n := int(days / 30); len(kids) < 2*n || len(kids) > 2*(n+2) {
			t.Errorf("%d keys signed in %d days of 30-day rotations of two algorithms", len(kids), days)
		}
		t.Logf("%d checks, %d keys", checks, len(kids))
	})
}

// Requirement: line 44.
func TestJWKSIsCacheable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		const path = "/.well-known/jwks.json"
		got := a.do(http.MethodGet, path, "").want(http.StatusOK)
		etag := got.Header().Get("ETag")
		if cache := got.Header().Get("Cache-Control"); cache != "public, max-age=900" {
			t.Errorf("Cache-Control = %q, want public, max-age=900", cache)
		}
		if len(etag) < 10 || etag[0] != '"' {
			t.Fatalf("ETag = %q, want a strong one", etag)
		}
		// A cache gives its copy to all callers, so every answer must say that any page
		// may read it, not only the answers to pages.
		if open := got.Header().Get("Access-Control-Allow-Origin"); open != "*" {
			t.Errorf("without Origin: Access-Control-Allow-Origin = %q, want *", open)
		}
		if got := a.do(http.MethodHead, path, "").want(http.StatusOK).Header().Get("ETag"); got != etag {
			t.Errorf("HEAD: ETag = %q, want %q", got, etag)
		}
		for _, header := range []string{etag, "W/" + etag, `"other", ` + etag, "*"} {
			got := a.do(http.MethodGet, path, "", "If-None-Match", header, "Origin", origin).want(http.StatusNotModified)
			if got.Body.Len() != 0 || got.Header().Get("ETag") != etag || got.Header().Get("Cache-Control") != "public, max-age=900" ||
				got.Header().Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("If-None-Match: %s: body %q, headers %v", header, got.Body, got.Header())
			}
		}
		a.do(http.MethodGet, path, "", "If-None-Match", `"other"`).want(http.StatusOK)

		// Keys are published before they sign for at least as long as a cache may keep
		// the JWKS.
		if _, err := a.ring.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		after := a.do(http.MethodGet, path, "", "If-None-Match", etag).want(http.StatusOK)
		if after.Header().Get("ETag") == etag {
			t.Error("the ETag stays although a key was added")
		}
		list, err := a.ring.List(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range list {
			if lead := k.SignsFrom.Sub(k.PublishedFrom); k.State == "next" && lead < 15*time.Minute {
				t.Errorf("key %s signs %v after it is published, which caches may keep for 15m", k.KID, lead)
			}
		}
	})
}

func TestRevokedKeyLeavesTheJWKSAndItsTokensDie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		login := a.login("alice")
		header, _ := login.claims("access_token")
		kid := header["kid"].(string)
		a.userinfo(login.text("access_token")).want(http.StatusOK)
		if err := a.ring.Revoke(t.Context(), kid); err != nil {
			t.Fatal(err)
		}
		if _, there := a.jwks()[kid]; there {
			t.Error("the revoked key is still published")
		}
		a.userinfo(login.text("access_token")).wantError(http.StatusUnauthorized, "invalid_token")
		// The session survives, and its next token is good.
		fresh := a.refresh(login.text("refresh_token")).want(http.StatusOK).text("access_token")
		a.userinfo(fresh).want(http.StatusOK)
	})
}

func TestJWKSOfAReplicaWithoutItsDatabaseIsNotCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.db.Close()
		time.Sleep(10 * time.Second) // it may lack a key that another replica made by now
		got := a.do(http.MethodGet, "/.well-known/jwks.json", "").want(http.StatusOK)
		if cache := got.Header().Get("Cache-Control"); cache != "public, max-age=0" {
			t.Errorf("Cache-Control = %q, want max-age=0", cache)
		}
		if len(readJWKS(t, got.Body.Bytes())) != 2 {
			t.Errorf("the keys in memory are not published: %s", got.Body)
		}
	})
}
