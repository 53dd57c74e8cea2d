package server_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/caller"
	"countersign/clients"
	"countersign/keys"
	"countersign/server"
)

var documents = []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"}

// Requirement: line 45.
func TestMetadataIsServedAtTheIssuer(t *testing.T) {
	a := newApp(t)
	for _, path := range documents {
		got := a.do(http.MethodGet, path, "").want(http.StatusOK)
		if kind := got.Header().Get("Content-Type"); kind != "application/json" {
			t.Errorf("%s: Content-Type = %q, want application/json", path, kind)
		}
		u, err := url.Parse(got.text("issuer"))
		if err != nil || u.String() != issuer || u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
			t.Errorf("%s: issuer = %q, want %q", path, got.text("issuer"), issuer)
		}
		if open := got.Header().Get("Access-Control-Allow-Origin"); open != "*" {
			t.Errorf("%s: Access-Control-Allow-Origin = %q, want *", path, open)
		}
		a.do(http.MethodHead, path, "").want(http.StatusOK)
		a.do(http.MethodGet, path, "", "If-None-Match", got.Header().Get("ETag")).want(http.StatusNotModified)
	}
}

// Requirement: line 46.
func TestWellKnownPathsOfAnIssuerWithAPath(t *testing.T) {
	const tenant = issuer + "/tenant/one"
	a := newApp(t, func(o *server.Options, _ *keys.Options) { o.Issuer = tenant })
	const base = "/tenant/one"
	for path, status := range map[string]int{
		// OpenID Connect Discovery section 4.1 appends, RFC 8414 section 3.1 inserts.
		base + "/.well-known/openid-configuration":               http.StatusOK,
		"/.well-known/oauth-authorization-server" + base:         http.StatusOK,
		base + "/.well-known/jwks.json":                          http.StatusOK,
		"/.well-known/openid-configuration":                      http.StatusNotFound,
		"/.well-known/oauth-authorization-server":                http.StatusNotFound,
		"/.well-known/oauth-authorization-server/tenant":         http.StatusNotFound,
		"/.well-known/oauth-authorization-server" + base + "/":   http.StatusNotFound,
		"/.well-known/oauth-authorization-server/another/tenant": http.StatusNotFound,
		"/.well-known/jwks.json":                                 http.StatusNotFound,
		"/oauth/token":                                           http.StatusNotFound,
		"/userinfo":                                              http.StatusNotFound,
		"/signup":                                                http.StatusNotFound,
		base + "/oauth/token":                                    http.StatusMethodNotAllowed,
		base + "/signup":                                         http.StatusOK, // the page
		base + "/userinfo":                                       http.StatusUnauthorized,
		base + "x/userinfo":                                      http.StatusNotFound,
	} {
		got := a.do(http.MethodGet, path, "", "Origin", "https://anybody.example")
		if got.Code != status {
			t.Errorf("GET %s = %d, want %d", path, got.Code, status)
		}
		if open := got.Header().Get("Access-Control-Allow-Origin") == "*"; open != strings.Contains(path, "/.well-known/") {
			t.Errorf("GET %s: readable from any page: %v", path, open)
		}
	}
	// A client that starts from either document gets a token that userinfo takes.
	a.post(base+"/signup", `{"username":"alice","password":"`+password+`"}`).want(http.StatusCreated)
	for _, path := range []string{base + documents[0], documents[1] + base} {
		document := a.do(http.MethodGet, path, "")
		if got := document.text("issuer"); got != tenant {
			t.Errorf("%s: issuer = %q, want %q", path, got, tenant)
		}
		login := a.do(http.MethodPost, document.text("token_endpoint"), passwordForm("alice").Encode(),
			"Content-Type", "application/x-www-form-urlencoded").want(http.StatusOK)
		a.do(http.MethodGet, document.text("userinfo_endpoint"), "",
			"Authorization", "Bearer "+login.text("access_token")).want(http.StatusOK)
		header, claims := login.claims("access_token")
		if _, ok := readJWKS(t, a.do(http.MethodGet, document.text("jwks_uri"), "").Body.Bytes())[header["kid"].(string)]; !ok {
			t.Errorf("%s: its jwks_uri lacks the token's key", path)
		}
		if claims["iss"] != tenant || claims["aud"] != tenant {
			t.Errorf("iss = %v, aud = %v, want %s", claims["iss"], claims["aud"], tenant)
		}
	}
}

// advertised is a list in the metadata.
func advertised(t *testing.T, document map[string]any, member string) []string {
	t.Helper()
	list, ok := document[member].([]any)
	if !ok || len(list) == 0 {
		t.Errorf("%s = %v, want a list that is not empty", member, document[member])
	}
	var all []string
	for _, one := range list {
		all = append(all, one.(string))
	}
	return all
}

// Requirement: line 47.
func TestWhatIsAdvertisedWorksAndWhatWorksIsAdvertised(t *testing.T) {
	a := newApp(t)
	if _, err := a.Users.Create(t.Context(), time.Now(), accounts.NewUser{
		Username: "alice", Password: password, Email: "alice@example.net", Roles: []string{"admin"}, // or there would be no claim of them
	}, caller.Operator()); err != nil {
		t.Fatal(err)
	}
	first := a.do(http.MethodGet, documents[0], "").want(http.StatusOK)
	document := first.json()
	if second := a.do(http.MethodGet, documents[1], ""); second.Body.String() != first.Body.String() {
		t.Error("the two documents differ")
	}
	for member, value := range document {
		if list, ok := value.([]any); ok && len(list) == 0 {
			t.Errorf("%s is an empty list, which RFC 8414 section 3.2 forbids", member)
		}
		if value == nil {
			t.Errorf("%s is null", member)
		}
	}
	advertised(t, document, "response_types_supported")

	login := a.login("alice")
	person := a.person()
	person.signIn(person.authorize(authorization("spa")), "alice")
	offline := func() string { return a.login("alice").text("refresh_token") }
	uses := map[string]func(path string) *response{
		"token_endpoint": func(path string) *response {
			return a.do(http.MethodPost, path, passwordForm("alice").Encode(), "Content-Type", "application/x-www-form-urlencoded")
		},
		"authorization_challenge_endpoint": func(path string) *response {
			return a.do(http.MethodPost, path, challengeForm("spa", "username", "alice", "password", password).Encode(), "Content-Type", formKind)
		},
		"revocation_endpoint": func(path string) *response {
			return a.do(http.MethodPost, path, form("client_id", "spa", "token", offline()).Encode(), "Content-Type", "application/x-www-form-urlencoded")
		},
		"introspection_endpoint": func(path string) *response {
			return a.do(http.MethodPost, path, form("token", offline()).Encode(), "Content-Type", "application/x-www-form-urlencoded", "Authorization", basic("reader", secret))
		},
		"authorization_endpoint": func(path string) *response {
			return a.person().follow(a.person().open(path + "?" + authorization("spa").Encode()))
		},
		"end_session_endpoint": func(path string) *response {
			return person.follow(person.open(path + "?" + form("id_token_hint", a.login("alice").text("id_token")).Encode()))
		},
		"userinfo_endpoint": func(path string) *response {
			a.do(http.MethodPost, path, "", "Authorization", "Bearer "+login.text("access_token")).want(http.StatusOK)
			return a.do(http.MethodGet, path, "", "Authorization", "Bearer "+login.text("access_token"))
		},
		"jwks_uri": func(path string) *response { return a.do(http.MethodGet, path, "") },
	}
	for member, value := range document {
		where, ok := value.(string)
		if !ok || member == "issuer" {
			continue
		}
		path, ok := strings.CutPrefix(where, issuer)
		if !ok {
			t.Errorf("%s = %q, want it below the issuer", member, where)
			continue
		}
		use, ok := uses[member]
		if !ok {
			t.Errorf("%s is advertised, and this test doesn't know how to use it", member)
			continue
		}
		use(path).want(http.StatusOK)
		delete(uses, member)
	}
	for member := range uses {
		t.Errorf("%s works but is not advertised", member)
	}

	code := person.signIn(person.authorize(authorization("spa")), "alice").code(spaCallback) // signed out above
	grants := advertised(t, document, "grant_types_supported")
	parameters := map[string]url.Values{
		"password":           passwordForm("alice"),
		"refresh_token":      form("client_id", "spa", "refresh_token", offline()),
		"client_credentials": form("client_id", "api", "client_secret", "dev-secret"),
		"authorization_code": exchangeForm("spa", code),
		"implicit":           form("client_id", "spa"),
		"urn:ietf:params:oauth:grant-type:device_code":    form("client_id", "spa", "device_code", "x"),
		"urn:ietf:params:oauth:grant-type:jwt-bearer":     form("client_id", "spa", "assertion", "x"),
		"urn:ietf:params:oauth:grant-type:saml2-bearer":   form("client_id", "spa", "assertion", "x"),
		"urn:ietf:params:oauth:grant-type:token-exchange": form("client_id", "spa", "subject_token", "x"),
		"urn:openid:params:grant-type:ciba":               form("client_id", "spa", "auth_req_id", "x"),
		"__implicit":                                      form("client_id", "spa"), // the library's name for it
		"Password":                                        passwordForm("alice"),
	}
	for grant, f := range parameters {
		f.Set("grant_type", grant)
		got := a.token(f)
		if slices.Contains(grants, grant) {
			if got.Code != http.StatusOK {
				t.Errorf("grant %s is advertised: %d %s", grant, got.Code, got.Body)
			}
		} else if got.Code != http.StatusBadRequest || got.text("error") != "unsupported_grant_type" {
			t.Errorf("grant %s is not advertised: %d %s, want unsupported_grant_type", grant, got.Code, got.Body)
		}
	}
	for _, grant := range grants {
		if _, ok := parameters[grant]; !ok {
			t.Errorf("grant %s is advertised, and this test doesn't know it", grant)
		}
	}

	for endpoint, methods := range map[string]map[string]func() *response{
		"token": {
			"client_secret_basic": func() *response { return a.token(ownToken, "Authorization", basic("api", "dev-secret")) },
			"client_secret_post":  func() *response { return a.token(with(ownToken, "client_id", "api", "client_secret", "dev-secret")) },
			"none":                func() *response { return a.token(passwordForm("alice")) },
		},
		"revocation": {
			"client_secret_basic": func() *response { return a.revoke("x", "Authorization", basic("api", "dev-secret")) },
			"client_secret_post":  func() *response { return a.revokeAs("api", "dev-secret", "x") },
			"none":                func() *response { return a.revokeAs("spa", "", "x") },
		},
		"introspection": {
			"client_secret_basic": func() *response { return a.introspect("x", "Authorization", basic("reader", secret)) },
			"client_secret_post":  func() *response { return a.introspectAs("reader", secret, "x") },
		},
	} {
		for _, method := range advertised(t, document, endpoint+"_endpoint_auth_methods_supported") {
			use, ok := methods[method]
			if !ok {
				t.Errorf("%s: client authentication %s is advertised, and this test doesn't know it", endpoint, method)
				continue
			}
			use().want(http.StatusOK)
			delete(methods, method)
		}
		for method := range methods {
			t.Errorf("%s: client authentication %s works but is not advertised", endpoint, method)
		}
	}

	scopes := advertised(t, document, "scopes_supported")
	a.putProfile(a.login("alice"), fullProfile).want(http.StatusOK)
	full := a.withScopes("alice", strings.Join(scopes, " "))
	if got := full.text("scope"); got != strings.Join(scopes, " ") {
		t.Errorf("scope = %q, want all that is advertised: %q", got, scopes)
	}

	_, idToken := full.claims("id_token")
	said := a.userinfo(full.text("access_token")).json()
	for _, claim := range advertised(t, document, "claims_supported") {
		if idToken[claim] == nil && said[claim] == nil && claim != "nonce" { // nonce is there only if the request had one
			t.Errorf("claim %s is advertised, but in neither the ID token nor userinfo", claim)
		}
	}
	for claim := range said {
		if !slices.Contains(advertised(t, document, "claims_supported"), claim) {
			t.Errorf("userinfo says %s, which is not advertised", claim)
		}
	}
	for claim := range idToken {
		if !slices.Contains(advertised(t, document, "claims_supported"), claim) {
			t.Errorf("the ID token says %s, which is not advertised", claim)
		}
	}
}

// Requirement: line 48.
func TestMetadataSaysWhatOpenIDAsksFor(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	document := a.do(http.MethodGet, documents[0], "").want(http.StatusOK).json()
	if got := advertised(t, document, "subject_types_supported"); !slices.Equal(got, []string{"public"}) {
		t.Errorf("subject_types_supported = %v, want public", got)
	}
	algs := advertised(t, document, "id_token_signing_alg_values_supported")
	if !slices.Contains(algs, "RS256") {
		t.Errorf("id_token_signing_alg_values_supported = %v, want RS256 in it", algs)
	}
	if header, _ := a.login("alice").claims("id_token"); header["alg"] != "RS256" {
		t.Errorf("ID token alg = %v, want RS256 by default (OpenID Connect Core section 15.1)", header["alg"])
	}
	for _, alg := range algs {
		client := clients.Client{
			ID: "alg",
			Settings: clients.Settings{
				Name: "Alg", Public: true, FirstParty: true, Grants: []string{"password"}, Scopes: []string{"openid"}, IDTokenAlg: alg,
			},
		}
		if _, err := a.Clients.Put(t.Context(), time.Now(), client, "", caller.Operator()); err != nil {
			t.Fatal(err)
		}
		f := passwordForm("alice")
		f.Set("client_id", "alg")
		if header, _ := a.token(f).want(http.StatusOK).claims("id_token"); header["alg"] != alg {
			t.Errorf("ID token alg = %v, want the client's choice %s, which is advertised", header["alg"], alg)
		}
	}
}
