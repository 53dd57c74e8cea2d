package server_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign/caller"
	"countersign/seal"
	"countersign/secrecy"
	"countersign/store/storetest"
)

// Promise 4: whatever happens, no password, secret or token is in the log, not even one
// that a caller sent in the wrong place. Nor is one at rest in the clear.
func TestNoSecretIsEverInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faults{}
		a := newApp(t, withFaults(f))
		all := map[string]bool{} // all texts that must not be found
		n := 0
		fresh := func(kind string) string {
			n++
			s := fmt.Sprintf("%s-%d-sEcReT-%x", kind, n, n*7919)
			all[s] = true
			return s
		}
		keep := func(got *response) *response {
			var body map[string]any
			if json.Unmarshal(got.Body.Bytes(), &body) == nil {
				for _, member := range []string{"access_token", "refresh_token", "id_token", "device_token"} {
					if token, ok := body[member].(string); ok {
						all[token] = true
						if parts := strings.Split(token, "."); len(parts) == 3 {
							all[parts[2]] = true // the signature makes the token
						}
					}
				}
			}
			return got
		}
		signIn := func(client, clientSecret, username, password string, header ...string) *response {
			f := form("grant_type", "password", "client_id", client, "username", username, "password", password)
			if clientSecret != "" {
				f.Set("client_secret", clientSecret)
			}
			return keep(a.token(f, header...))
		}
		tokens := 0
		for i := range 12 {
			name, pass := fmt.Sprintf("user%d", i), fresh("password")
			a.post("/signup", account(name, pass)).want(http.StatusCreated)
			login := signIn("spa", "", name, pass).want(http.StatusOK)
			access, refresh := login.text("access_token"), login.text("refresh_token")
			tokens++

			// What goes right.
			a.userinfo(access).want(http.StatusOK)
			next := keep(a.refresh(refresh)).want(http.StatusOK)
			keep(signIn("web", secret, name, pass).want(http.StatusOK))
			keep(a.token(form("grant_type", "client_credentials"), "Authorization", basic("web", secret))).want(http.StatusOK)

			// What goes wrong.
			signIn("spa", "", name, fresh("wrong-password"))
			signIn("spa", "", "nobody", fresh("nobodys-password"))
			signIn("web", fresh("wrong-secret"), name, pass)
			signIn("spa", fresh("secret-of-a-public-client"), name, pass)
			signIn("no-such-client", fresh("secret-of-no-client"), name, pass)
			a.token(form("grant_type", "client_credentials"), "Authorization", basic("web", fresh("wrong-basic")))
			a.token(form("grant_type", "client_credentials"), "Authorization", "Basic "+fresh("not-base64"))
			a.token(form("grant_type", "client_credentials"), "Authorization", "Bearer "+access)
			a.post("/signup", account(name, fresh("password-of-a-taken-name")))
			a.post("/signup", account("no spaces", fresh("password-of-a-bad-name")))
			a.post("/signup", `{"username":"x","password":["`+fresh("password-in-a-list")+`"]}`)
			a.post("/signup", `{"username":"x","password":"`+fresh("password-cut-off"))
			a.post("/signup", account("later", fresh("password-behind"))+fresh("rest"))
			a.do("POST", "/signup", account("later", fresh("password-as-text")), "Content-Type", "text/plain")

			// In the wrong place.
			signIn("spa", "", pass, name)
			signIn("spa", "", fresh("password-as-username"), "x")
			signIn(fresh("password-as-client"), "", name, pass)
			signIn("spa", "", refresh, access)
			signIn(secret, "", name, pass)
			a.post("/signup", account(fresh("password-as-username")+"@", pass))
			a.post("/signup", `{"`+fresh("password-as-member")+`":"`+pass+`"}`)
			a.post("/signup", `{"username":"later","password":"`+pass+`","email":"`+fresh("password-as-email")+`"}`)
			a.token(form("grant_type", pass, "client_id", "spa"))
			a.token(form("grant_type", "password", "client_id", "spa", "username", name, "password", pass, "scope", fresh("password-as-scope")))
			a.refresh(pass)
			a.refresh(access)
			a.refresh(refresh[:len(refresh)-1])
			a.refresh(refresh + "x")
			keep(a.token(form("grant_type", "refresh_token", "client_id", "other", "refresh_token", refresh)))
			a.userinfo(refresh)
			a.userinfo(pass)
			a.userinfo(login.text("id_token"))
			a.userinfo(access[:len(access)-3])
			for _, token := range []string{access, refresh, pass} {
				q := url.QueryEscape(token)
				a.do("GET", "/userinfo?access_token="+q, "")
				a.do("GET", "/userinfo/"+q, "")
				a.do("GET", "/"+q, "")
				a.do("POST", "/oauth/token?refresh_token="+q+"&password="+q, "")
				a.do("POST", "/oauth/token/"+q, "")
				for _, path := range aboutTokens {
					a.do("POST", path+"?token="+q, "")
					a.do("POST", path, form("token", "x", "token_type_hint", token, token, token).Encode(), "Content-Type", formKind, "Authorization", basic("reader", secret))
					a.do("POST", path, form("token", token, "client_id", token, "client_secret", token).Encode(), "Content-Type", formKind)
				}
				a.ask(token)
				a.revokeAs("other", "", token)
				a.do("GET", "/account/password/reset?token="+q, "")
				// The caller chooses a well-formed request id, and it is logged; no
				// token of ours is a well-formed request id.
				if token != pass {
					a.do("GET", "/readyz", "", "X-Request-Id", token)
				}
				a.do("GET", "/readyz", "", "User-Agent", token, "Referer", issuer+"/?t="+q, "Cookie", "t="+token,
					"X-Forwarded-For", token, "Origin", "https://"+token, "Authorization", "Bearer "+token, "X-Api-Key", token)
				a.do("GET", "/userinfo", "", "Authorization", token)
				a.do(strings.ToUpper(strings.Map(letters, token)), "/userinfo", "")
			}
			a.do("POST", "/userinfo", "access_token="+url.QueryEscape(access), "Content-Type", "application/x-www-form-urlencoded")

			switch i % 6 {
			case 0: // reuse, which is logged
				time.Sleep(2 * time.Minute)
				a.refresh(refresh).wantError(http.StatusBadRequest, "invalid_grant")
				a.refresh(next.text("refresh_token")).wantError(http.StatusBadRequest, "invalid_grant")
			case 1: // the password changes
				user, err := a.Users.ByUsername(t.Context(), name)
				if err != nil {
					t.Fatal(err)
				}
				if err := a.Users.SetPassword(t.Context(), time.Now(), user.ID, secrecy.Text(fresh("new-password")), caller.Operator()); err != nil {
					t.Fatal(err)
				}
				a.refresh(next.text("refresh_token"))
			case 2, 3: // the store fails or panics half-way
				for verb := range 6 {
					for _, panics := range []bool{false, true} {
						calls := 0
						f.set(failAfter(&calls, verb, panics))
						signIn("web", secret, name, pass)
						a.refresh(next.text("refresh_token"))
						a.userinfo(access)
						a.post("/signup", account("later", fresh("password-meanwhile")))
						f.set(nil)
					}
				}
			case 4: // guessing until it is throttled
				for range 15 {
					signIn("spa", "", name, fresh("guess"))
					signIn("web", fresh("guess"), name, pass)
				}
				time.Sleep(2 * time.Hour)
			case 5: // keys rotate, and one is revoked
				if _, err := a.ring.Rotate(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		all[password], all[secret], all["dev-secret"] = true, true, true
		if len(all) < 300 || tokens != 12 {
			t.Fatalf("only %d secrets: the scenario didn't run", len(all))
		}
		log := a.logs.String()
		if !strings.Contains(log, "refresh token reused") || !strings.Contains(log, `"panic"`) || !strings.Contains(log, "client request failed") {
			t.Error("the scenario left out what is logged most freely")
		}
		for _, s := range slices.Sorted(maps.Keys(all)) {
			for form, text := range map[string]string{
				"as it is":    s,
				"escaped":     url.QueryEscape(s),
				"path":        url.PathEscape(s),
				"in JSON":     strings.Trim(string(must(json.Marshal(s))), `"`),
				"quoted":      strings.Trim(fmt.Sprintf("%q", s), `"`),
				"base64":      base64.StdEncoding.EncodeToString([]byte(s)),
				"base64url":   base64.RawURLEncoding.EncodeToString([]byte(s)),
				"hex":         hex.EncodeToString([]byte(s)),
				"lower case":  strings.ToLower(s),
				"as bytes":    strings.Trim(fmt.Sprint([]byte(s)), "[]"),
				"half of it":  s[:len(s)/2+3],
				"its letters": strings.ToUpper(strings.Map(letters, s)),
			} {
				// Half of a JWT is its header, which is public.
				if form == "half of it" && (strings.HasPrefix(s, "eyJ") || len(s) < 24 || strings.Contains(s, "-sEcReT-")) {
					continue
				}
				if i := strings.Index(log, text); i >= 0 {
					line := log[strings.LastIndexByte(log[:i], '\n')+1:]
					line, _, _ = strings.Cut(line, "\n")
					t.Errorf("%.40q %s is in the log: %s", s, form, line)
				}
			}
		}
	})
}

// failAfter makes every store call after the first few fail.
func failAfter(calls *int, few int, panics bool) func(ctx context.Context, verb string) error {
	return func(_ context.Context, verb string) error {
		if verb == "Origins" {
			return nil
		}
		if *calls++; *calls <= few {
			return nil
		}
		if panics {
			panic("the store fell over")
		}
		return errors.New("the store fell over")
	}
}

// letters keeps only letters, for a method that net/http accepts.
func letters(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
		return r
	}
	return -1
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Promise 4, the other half: a stolen database gives an attacker no password, client
// secret, refresh token or private key.
func TestNoSecretIsAtRestInTheClear(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	a := openApp(t, path, seal.Generate())
	a.signup("alice")
	login := a.login("alice")
	fresh := a.refresh(login.text("refresh_token")).want(http.StatusOK)
	a.token(form("grant_type", "client_credentials"), "Authorization", basic("web", secret)).want(http.StatusOK)
	a.token(form("grant_type", "password", "client_id", "spa", "username", password, "password", "x")) // in the wrong field
	wanted := map[string][]byte{"password": []byte(password), "client secret": []byte(secret), "another client's secret": []byte("dev-secret")}
	for _, got := range []*response{login, fresh} {
		for _, kind := range []string{"access_token", "refresh_token", "id_token"} {
			token := got.text(kind)
			wanted[kind] = []byte(token[len(token)-40:])
			if kind == "refresh_token" {
				raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "cs_rt_"))
				if err != nil {
					t.Fatal(err)
				}
				wanted["MAC of a refresh token"] = raw[len(raw)-32:]
			}
		}
	}
	for _, alg := range []string{"ES256", "RS256"} {
		_, private := a.signingKey(alg)
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			t.Fatal(err)
		}
		wanted["private key "+alg] = der
		if k, ok := private.(*ecdsa.PrivateKey); ok {
			if wanted["private number of the "+alg+" key"], err = k.Bytes(); err != nil {
				t.Fatal(err)
			}
		}
	}
	found := false
	for _, file := range storetest.Files(t, path) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found = found || bytes.Contains(b, []byte("alice@example.net"))
		for name, s := range wanted {
			if bytes.Contains(b, s) {
				t.Errorf("%s: the %s is there in the clear", filepath.Base(file), name)
			}
		}
	}
	if !found {
		t.Error("not even the e-mail address was found: this test looks at the wrong files")
	}
}
