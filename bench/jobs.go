package main

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"slices"
)

// job is what callers do to a server, measured in passes through its steps.
type job struct {
	name    string
	prepare []step // what each caller does once, before
	steps   []step
	durable bool // bound by writing to disk
	hashes  bool // bound by hashing a password
}

const (
	user         = "user{site}x{caller}"
	pkceVerifier = "a-verifier-that-has-at-least-43-characters-as-it-must"

	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

var (
	basicWeb = "Basic " + base64.StdEncoding.EncodeToString([]byte("web:"+secret))
	basicAPI = "Basic " + base64.StdEncoding.EncodeToString([]byte("api:"+secret))
)

func get(path string, header ...string) step {
	return step{Method: "GET", Path: path, Header: headers(header), Want: 200}
}

func post(path, contentType, body string, header ...string) step {
	s := step{Method: "POST", Path: path, Header: headers(header), Body: body, Want: 200}
	if body != "" {
		s.Header["Content-Type"] = contentType
	}
	return s
}

func headers(list []string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(list); i += 2 {
		m[list[i]] = list[i+1]
	}
	return m
}

func (s step) want(status int) step     { s.Want = status; return s }
func (s step) taking(list ...take) step { s.Take = list; return s }
func (s step) with(name, v string) step { s.Header[name] = v; return s }

// query encodes names and values. Variables in values stay as they are.
func query(pairs ...string) (s string) {
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			s += "&"
		}
		value := pairs[i+1]
		if !variable.MatchString(value) {
			value = url.QueryEscape(value)
		}
		s += pairs[i] + "=" + value
	}
	return s
}

// network gives each caller an address of its own, as users have: hashing slots are shared
// out by networks.
func (s step) network() step { return s.with("X-Forwarded-For", "203.0.113.{caller}") }

func signUp(username string) step {
	return post("/signup", jsonType, `{"username":"`+username+`","password":"`+password+`"}`, "Origin", application).want(201).network()
}

var (
	refreshToken = take{Var: "refresh", JSON: "refresh_token"}
	accessToken  = take{Var: "access", JSON: "access_token"}
	refreshName  = "__Host-countersign_refresh"
	loginName    = "__Host-countersign_login"
)

// passwordGrant signs the caller's user in.
func passwordGrant(scope string) step {
	return post("/oauth/token", formType, query("grant_type", "password", "client_id", "spa", "scope", scope,
		"username", user, "password", password)).taking(refreshToken, accessToken).network()
}

// refreshing is the refresh of what the caller got last.
func refreshing(scope string) job {
	return job{
		prepare: []step{passwordGrant(scope)},
		steps: []step{post("/oauth/token", formType, query("grant_type", "refresh_token", "client_id", "spa", "refresh_token", "{refresh}")).
			taking(refreshToken)},
		durable: true,
	}
}

func (j job) named(name string) job { j.name = name; return j }

func jobNamed(name string) job {
	all := jobs()
	return all[slices.IndexFunc(all, func(j job) bool { return j.name == name })]
}

// jobs are all jobs, by what the table says of them.
func jobs() []job {
	// Without openid there is no ID token, whose signature is RS256.
	const plain, openid = "profile email", "openid profile email"

	basic := refreshing(plain)
	basic.prepare = []step{post("/oauth/token", formType, query("grant_type", "password", "scope", plain,
		"username", user, "password", password), "Authorization", basicWeb).taking(refreshToken).network()}
	basic.steps = []step{post("/oauth/token", formType, query("grant_type", "refresh_token", "refresh_token", "{refresh}"),
		"Authorization", basicWeb).taking(refreshToken)}

	// Once before, so that the server has hashed the secret.
	credentials := post("/oauth/token", formType, query("grant_type", "client_credentials", "scope", "read"), "Authorization", basicAPI)

	challenge := sha256.Sum256([]byte(pkceVerifier))
	code := job{
		name:    "authorization code, exchanged",
		durable: true,
		prepare: []step{post("/login", formType, query("username", user, "password", password), "Origin", issuer).
			want(303).taking(take{Var: "login", Cookie: loginName}).network()},
		steps: []step{
			get("/oauth/authorize?"+query("response_type", "code", "client_id", "spa", "redirect_uri", callback, "scope", plain, "state", "s",
				"prompt", "none", "code_challenge", base64.RawURLEncoding.EncodeToString(challenge[:]), "code_challenge_method", "S256"),
				"Cookie", loginName+"={login}").want(303).taking(take{Var: "code", Location: "code"}),
			post("/oauth/token", formType, query("grant_type", "authorization_code", "client_id", "spa", "redirect_uri", callback,
				"code", "{code}", "code_verifier", pkceVerifier)),
		},
	}

	return []job{
		{name: "jwks", steps: []step{get("/.well-known/jwks.json")}},
		{
			name:    "jwks, not modified",
			prepare: []step{get("/.well-known/jwks.json").taking(take{Var: "etag", Header: "ETag"})},
			steps:   []step{get("/.well-known/jwks.json", "If-None-Match", "{etag}").want(304)},
		},
		{name: "discovery", steps: []step{get("/.well-known/openid-configuration")}},
		refreshing(plain).named("refresh"),
		basic.named("refresh, confidential client"),
		refreshing(openid).named("refresh with ID token"),
		{
			name:    "session refresh by cookie",
			durable: true,
			prepare: []step{post("/session", jsonType, `{"username":"`+user+`","password":"`+password+`"}`, "Origin", application).
				taking(take{Var: "cookie", Cookie: refreshName}).network()},
			steps: []step{post("/session/refresh", "", "", "Origin", application, "Cookie", refreshName+"={cookie}").
				taking(take{Var: "cookie", Cookie: refreshName})},
		},
		{
			name:    "userinfo",
			prepare: []step{passwordGrant(openid)},
			steps:   []step{get("/userinfo", "Authorization", "Bearer {access}")},
		},
		{name: "client credentials", prepare: []step{credentials}, steps: []step{credentials}},
		{
			name:    "introspection",
			prepare: []step{passwordGrant(plain), credentials},
			steps:   []step{post("/oauth/introspect", formType, query("token", "{access}"), "Authorization", basicAPI)},
		},
		code,
		{name: "password", steps: []step{passwordGrant(plain)}, hashes: true},
		{name: "sign-up", steps: []step{signUp("new{run}x{caller}x{pass}")}, hashes: true},
	}
}
