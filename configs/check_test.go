package configs_test

import (
	"strings"
	"testing"

	"countersign/configs"
)

const serveable = "issuer: https://auth.example.com\nmaster_key_file: /run/secrets/key\n"

func TestServeNeedsIssuerAndMasterKey(t *testing.T) {
	load(t, configs.Source{Serve: true, File: write(t, serveable)})
	load(t, configs.Source{})
	got := strings.Join(problems(t, configs.Source{Serve: true}), "\n")
	if !strings.Contains(got, "issuer: is missing") || !strings.Contains(got, "no master key is given") {
		t.Error(got)
	}
}

func TestServeTakesMasterKeyFromEnvironment(t *testing.T) {
	load(t, configs.Source{Serve: true, Environ: []string{"COUNTERSIGN_ISSUER=https://auth.example.com", "COUNTERSIGN_MASTER_KEY=k"}})
}

func TestServeRefusesWhatNeedsMail(t *testing.T) {
	src := configs.Source{File: write(t, serveable+"signup: {require_verified_email: true}")}
	load(t, src)
	src.Serve = true
	wantProblem(t, src, "c.yaml:3: signup.require_verified_email", "needs mail")
	src.Dev = true
	load(t, src) // prints it
	const smtp = "smtp: {host: mail.example.com, from: no-reply@example.com}\n"
	src = configs.Source{Serve: true, File: write(t, serveable+smtp+"signup: {require_verified_email: true}")}
	load(t, src) // links lead to the server's own pages
}

func TestIssuer(t *testing.T) {
	for _, test := range []struct{ issuer, want, wantDev string }{
		{"https://auth.example.com", "", ""},
		{"https://auth.example.com:8443/tenants/one", "", ""},
		{"https://127.0.0.1", "", ""},
		{"http://localhost:8080", "must begin with https://", ""},
		{"http://127.0.0.1:8080/x", "must begin with https://", ""},
		{"http://[::1]:8080", "must begin with https://", ""},
		{"http://auth.example.com", "must begin with https://", "http:// on localhost"},
		{"http://localhost.example.com", "must begin with https://", "http:// on localhost"},
		{"auth.example.com", "must be a URL", "must be a URL"},
		{"https://", "must be a URL", "must be a URL"},
		{"https://:443", "must be a URL", "must be a URL"},
		{"https:auth.example.com", "must be a URL", "must be a URL"},
		{"https://a b", "must be a URL", "must be a URL"},
		{"https://auth.example.com/", "slash", "slash"},
		{"https://auth.example.com/x/", "slash", "slash"},
		{"https://auth.example.com/x//y", "plain path", "plain path"},
		{"https://auth.example.com/x/../y", "plain path", "plain path"},
		{"https://auth.example.com/a%20b", "plain path", "plain path"},
		{"https://auth.example.com:443", "default port", "default port"},
		{"https://auth.example.com/.well-known/x", "below /.well-known", "below /.well-known"},
		{"https://auth.example.com/x:y", "plain path", "plain path"},
		{"https://auth.example.com/*x", "plain path", "plain path"},
		{"https://auth.example.com?x=y", "query", "query"},
		{"https://auth.example.com?", "query", "query"},
		{"https://auth.example.com#", "fragment", "fragment"},
		{"https://me@auth.example.com", "user or password", "user or password"},
		{"https://Auth.example.com", "lower-case", "lower-case"},
		{"HTTPS://auth.example.com", "lower case", "lower case"},
		{"https://auth.example.com:99999", "port", "port"},
	} {
		t.Run(test.issuer, func(t *testing.T) {
			for _, dev := range []bool{false, true} {
				want := test.want
				if dev {
					want = test.wantDev
				}
				src := configs.Source{Serve: true, Dev: dev, Environ: []string{"COUNTERSIGN_ISSUER=" + test.issuer, "COUNTERSIGN_MASTER_KEY=k"}}
				if want == "" {
					load(t, src)
				} else {
					wantProblem(t, src, "COUNTERSIGN_ISSUER: issuer: ", test.issuer, want)
				}
			}
		})
	}
}

func TestGoodValues(t *testing.T) {
	for _, yaml := range []string{
		`listen: "auth.internal:443"`,
		`home_url: "https://app.example.com/#/home?x=y"`,
		`{issuer: "https://auth.example.com/x", home_url: "https://auth.example.com/x/me"}`,
		`{issuer: "https://auth.example.com/x", home_url: "https://auth.example.com/"}`,
		`home_url: "http://localhost:3000"`,
		`theme: {logo: logo.svg, accent: "#4338CA", accent_dark: "#fff", radius: 0.5rem, links: {support: "mailto:a@b.example"}}`,
		`admin_listen: "[::1]:9090"`,
		`{admin_listen: "127.0.0.1:9090", admin_hosts: [auth1.corp.example.com, auth2.corp.example.com], admin_pprof: true}`,
		`{listen: "192.0.2.1:8080", admin_listen: "127.0.0.1:8080"}`,
		`{listen: ":0", admin_listen: ":0"}`,
		`trusted_proxies: [10.0.0.1, 10.0.0.0/8, "::1", "fd00::/8"]`,
		`cors: {allowed_origins: [https://app.example.com, "http://localhost:3000", "https://localhost:*", "http://[::1]:3000"]}`,
		`tokens: {refresh_replay_window: 0s}`,
		`factors: {totp: false, required: none, remember_browser: 0s}`,
		`factors: {totp: false, passkeys: true, required: all, remember_browser: 8760h}`,
		`factors: {required: [admin, "회계"]}`,
		`factors: {required: []}`,
		`keys: {clock_skew: 0s, algorithms: [EdDSA]}`,
		`keys: {algorithms: [ES256, PS256]}`,
		`keys: {rotation_period: 21m, jwks_max_age: 15m}`,
		`keys: {rotation_period: 1000s, jwks_max_age: 745s, clock_skew: 0s}`,
		`keys: {rotation_period: 1000s, jwks_max_age: 10s, clock_skew: 400s}`,
		`passwords: {argon2: {memory: 46MiB, iterations: 1}}`,
		`passwords: {argon2: {memory: 7MiB, iterations: 7, parallelism: 4}}`,
		`session_cookie: {domain: example.com, same_site: lax}`,
		`smtp: {host: mail.example.com, from: "Acme <no-reply@example.com>"}`,
		`smtp: {host: localhost, tls: none, username: u, password_file: p, from: no-reply@bücher.example, helo: auth.example.com}`,
		`smtp: {helo: "2001:db8::1"}`,
		`database: {url: "sqlite:/var/lib/countersign.db"}`,
		`database: {url: "mysql://u@h1:3306,h2:3307/db?tls=true", password_file: /run/secrets/db, pool: {max_open: 4, max_idle: 4}}`,
		`database: {url: "mysql://u:@h/db", password_file: /run/secrets/db}`,
	} {
		t.Run(yaml, func(t *testing.T) { load(t, configs.Source{File: write(t, yaml)}) })
	}
}

func TestBadValues(t *testing.T) {
	for _, test := range []struct{ yaml, key, want string }{
		{`home_url: app.example.com`, "home_url", "https URL of a page of yours"},
		{`home_url: "http://app.example.com/"`, "home_url", "https URL of a page of yours"},
		{`home_url: "javascript:alert(1)"`, "home_url", "https URL of a page of yours"},
		{`home_url: "https://u:p@app.example.com/"`, "home_url", "https URL of a page of yours"},
		{`home_url: "https://app.example.com/ x"`, "home_url", "https URL of a page of yours"},
		{`{issuer: "https://auth.example.com", home_url: "https://auth.example.com/"}`, "home_url", "leads on to home_url"},
		{`{issuer: "https://auth.example.com/x", home_url: "https://auth.example.com/x/login?a=b"}`, "home_url", "leads on to home_url"},
		{`theme: {accent: "#ffd23f"}`, "theme.accent", "1.44:1"},
		{`theme: {accent_dark: "#4338ca"}`, "theme.accent_dark", "2.65:1"},
		{`theme: {radius: 1em}`, "theme.radius", "2rem or 32px"},
		{`theme: {links: {terms: "http://example.com"}}`, "theme.links.terms", "https URL"},
		{`theme: {footer: "a\nb"}`, "theme.footer", "on one line"},
		{`profile: oauth21`, "profile", "must be rfc9700 or empty"},
		{`service_name: ""`, "service_name", "1 to 64 printable characters"},
		{`service_name: "a\nb"`, "service_name", `"a\nb"`},
		{`listen: "8080"`, "listen", `must be host:port, such as :8080 or 127.0.0.1:8080, not "8080"`},
		{`listen: ":http"`, "listen", "must be host:port"},
		{`listen: ":65536"`, "listen", "must be host:port"},
		{`listen: "a b:80"`, "listen", "must be host:port"},
		{`admin_listen: "x"`, "admin_listen", "must be host:port"},
		{`admin_listen: ":8080"`, "admin_listen", `":8080" is where listen (:8080) takes the public's requests: give it another port`},
		{`admin_listen: "127.0.0.1:8080"`, "admin_listen", "give it another port"},
		{`{listen: "127.0.0.1:9090", admin_listen: "[::]:9090"}`, "admin_listen", "give it another port"},
		{`{listen: "127.0.0.1:9090", admin_listen: "localhost:9090"}`, "admin_listen", "give it another port"},
		{`{listen: "[::1]:9090", admin_listen: "[0:0::1]:9090"}`, "admin_listen", "give it another port"},
		{`admin_hosts: [auth1.example.com, "auth2.example.com:9090"]`, "admin_hosts[1]", "without a port"},
		{`admin_hosts: ["*"]`, "admin_hosts[0]", "must be a domain name"},
		{`admin_hosts: [Auth1]`, "admin_hosts[0]", "in lower case"},
		{`admin_pprof: yes`, "admin_pprof", "must be true or false"},
		{`shutdown_timeout: 0s`, "shutdown_timeout", "must be at least 1ms, not 0s"},
		{`database: {url: ""}`, "database.url", "must begin with sqlite:"},
		{`database: {url: "postgres://u:hunter2@h/db"}`, "database.url", "must begin with sqlite:"},
		{`database: {url: "sqlite:"}`, "database.url", "has no path"},
		{`database: {url: "mysql:u:hunter2@h/db"}`, "database.url", "be like mysql://"},
		{`database: {password_file: p}`, "database.password_file", "this one is sqlite"},
		{`database: {url: "mysql://u:hunter2@h:3306,h2/db?tls=true", password_file: p}`, "database.password_file", "database.url has a password already"},
		{`database: {pool: {max_open: 1}}`, "database.pool.max_open", "must be at least 2, not 1"},
		{`database: {pool: {max_idle: 0}}`, "database.pool.max_idle", "must be at least 1, not 0"},
		{`database: {pool: {max_open: 8}}`, "database.pool.max_idle", "16 is more than max_open (8)"},
		{`database: {pool: {max_lifetime: 0s}}`, "database.pool.max_lifetime", "must be at least 1s"},
		{`database: {pool: {max_idle_time: 0s}}`, "database.pool.max_idle_time", "must be at least 1s"},
		{`database: {url: [a], password_file: p}`, "database.url", "must be text"}, // and nothing of the password's file
		{`trusted_proxies: [10.0.0.1, proxy.example.com]`, "trusted_proxies[1]", `such as 10.0.0.0/8, not "proxy.example.com"`},

		{`tokens: {access_ttl: 0s}`, "tokens.access_ttl", "must be at least 1s, not 0s"},
		{`tokens: {refresh_idle_ttl: 5000h}`, "tokens.refresh_idle_ttl", "5000h is longer than refresh_absolute_ttl (4320h)"},
		{`tokens: {refresh_idle_ttl: 1m}`, "tokens.refresh_replay_window", "1m must be shorter than refresh_idle_ttl (1m)"},
		{`tokens: {audience: [""]}`, "tokens.audience[0]", "1 to 512 characters"},
		{`tokens: {audience: ["a,b"]}`, "tokens.audience[0]", "commas"},

		{`keys: {algorithms: []}`, "keys.algorithms", "at least one of ES256, EdDSA, PS256, RS256"},
		{`keys: {algorithms: [HS256]}`, "keys.algorithms[0]", `"HS256" is none of ES256, EdDSA, PS256, RS256`},
		{`keys: {algorithms: [ES256, ES256]}`, "keys.algorithms[1]", `"ES256" is repeated`},
		{`keys: {rotation_period: 20m}`, "keys.rotation_period", "a key would sign before caches can know it: it is published jwks_max_age + clock_skew + 5s = 15m + 30s + 5s = 15m35s before it signs, which must fit in 3/4 of this (15m); raise it to 20m47s or more"},
		{`keys: {rotation_period: 438000h, jwks_max_age: 438000h, clock_skew: 438000h}`, "keys.rotation_period", "876000h0m5s before it signs"},
		{`tokens: {access_ttl: 720h}`, "tokens.access_ttl", "a token could outlive its key's publication: access_ttl + clock_skew = 720h + 30s = 720h0m30s must be at most rotation_period (720h)"},

		{`passwords: {min_length: 7}`, "passwords.min_length", "must be 8 (the minimum of NIST SP 800-63B) to 256, not 7"},
		{`passwords: {min_length: 257}`, "passwords.min_length", "not 257"},
		{`passwords: {max_concurrent_hashes: -1}`, "passwords.max_concurrent_hashes", "must be 0 (the number of CPUs) to 1024, not -1"},
		{`passwords: {argon2: {memory: 12MiB}}`, "passwords.argon2.memory", "12MiB is too little with iterations: 2, OWASP asks for 19MiB at 2"},
		{`passwords: {argon2: {iterations: 1}}`, "passwords.argon2.memory", "OWASP asks for 46MiB at 1"},
		{`passwords: {argon2: {memory: 8KiB, iterations: 64}}`, "passwords.argon2.memory", "OWASP asks for 7MiB at 5"},
		{`passwords: {argon2: {memory: 5GiB}}`, "passwords.argon2.memory", "must be 8KiB to 1GiB, not 5GiB"},
		{`passwords: {argon2: {iterations: 0}}`, "passwords.argon2.iterations", "must be 1 to 64, not 0"},
		{`passwords: {argon2: {parallelism: 256}}`, "passwords.argon2.parallelism", "must be 1 to 16"},
		{`factors: {required: admin}`, "factors.required", `must be none or all, or a list such as [a, b], not "admin"`},
		{`factors: {required: true}`, "factors.required", "must be none or all"},
		{`factors: {required: }`, "factors.required", "has no value"},
		{`factors: {required: [admin, all]}`, "factors.required[1]", `"all" stands alone`},
		{`factors: {required: ["a b"]}`, "factors.required[0]", "must be a role"},
		{`factors: {required: ["a,b"]}`, "factors.required[0]", "must be a role"},
		{`factors: {required: [admin], totp: false, passkeys: false}`, "factors.required", "let them set up none"},
		{`factors: {remember_browser: 8761h}`, "factors.remember_browser", "must be 0s to 8760h"},
		{`throttle: {window: 1m, max_wait: 1h}`, "throttle.window", "no wait can last that long"},
		{`trusted_proxies: [0.0.0.0/0]`, "trusted_proxies[0]", "is every machine"},

		{`session_cookie: {client: ""}`, "session_cookie.client", "must be the id of a client"},
		{`session_cookie: {domain: "a b"}`, "session_cookie.domain", "must be a domain name"},
		{`{issuer: "https://auth.example.com", session_cookie: {domain: example.org}}`, "session_cookie.domain", "must be the issuer's host"},
		{`{issuer: "https://auth.example.com", session_cookie: {domain: com}}`, "session_cookie.domain", "must be your own domain"},
		{`{issuer: "https://me.github.io", session_cookie: {domain: github.io}}`, "session_cookie.domain", "must be your own domain"},
		{`session_cookie: {same_site: Strict}`, "session_cookie.same_site", "must be strict, lax or none"},
		{`throttle: {strangers_per_account: 0}`, "throttle.strangers_per_account", "must be 1 to 1000000, not 0"},
		{`throttle: {failures_per_network: 0}`, "throttle.failures_per_network", "must be 1 to 1000000, not 0"},
		{`smtp: {host: "https://mail", from: a@example.com}`, "smtp.host", "must be a host name"},
		{`smtp: {host: mail.example.com}`, "smtp.host", "needs smtp.from"},
		{`smtp: {tls: ssl}`, "smtp.tls", "must be starttls, tls or none"},
		{`smtp: {username: u, password_file: p, tls: none, host: mail.example.com, from: a@example.com}`, "smtp.tls", "in the clear"},
		{`smtp: {host: mail.example.com, from: 앨리스@example.com}`, "smtp.from", "must be ASCII before the @"},
		{`smtp: {helo: mail}`, "smtp.helo", "a host name with a dot"},
		{`smtp: {helo: "a b.example"}`, "smtp.helo", "a host name with a dot"},
		{`smtp: {helo: "[192.0.2.1]"}`, "smtp.helo", "an IP address"},
		{`smtp: {username: u}`, "smtp.username", "needs smtp.password_file"},
		{`smtp: {password_file: p}`, "smtp.password_file", "needs smtp.username"},
		{`links: {verify_email: "https://app.example.com/"}`, "links.verify_email", "{token}"},
		{`links: {reset_password: "http://app.example.com/#{token}"}`, "links.reset_password", "https URL"},
		{`smtp: {from: nobody}`, "smtp.from", "must be an e-mail address"},
		{`audit: {retention: 0s}`, "audit.retention", "must be at least 1s"},
	} {
		t.Run(test.yaml, func(t *testing.T) {
			wantProblem(t, configs.Source{File: write(t, test.yaml)}, "c.yaml:1: "+test.key+": ", test.want)
		})
	}
}

func TestAValueThatCantBeReadIsNotCheckedAsWell(t *testing.T) {
	for _, yaml := range []string{
		`keys: {rotation_period: 11m, jwks_max_age: x}`,
		`tokens: {refresh_idle_ttl: 1s, refresh_replay_window: x}`,
		`tokens: 5`,
		`keys: {algorithms: [5]}`,
		`clients: [{id: [], public: true, grants: [refresh_token]}]`,
		`clients: [{id: a, public: perhaps, grants: [refresh_token]}]`,
	} {
		t.Run(yaml, func(t *testing.T) { wantProblem(t, configs.Source{File: write(t, yaml)}) })
	}
}

func TestOriginsAreWhatBrowsersSend(t *testing.T) {
	for _, test := range []struct{ origin, want string }{
		{"*", "must begin with a scheme"},
		{"null", "sandboxed page"},
		{"app.example.com", "must begin with a scheme"},
		{"https://", "must "},
		{"https://app.example.com/", "must "},
		{"https://app.example.com/x", "must "},
		{"https://app.example.com?x", "must "},
		{"https://App.example.com", "must "},
		{"HTTPS://app.example.com", "must "},
		{"https://me@app.example.com", "must "},
		{"https://*.example.com", "must "},
		{"https://app.example.com:*", "must "},
		{"http://localhost.example.com:*", "must "},
		{"ftp://localhost:*", "must "},
		{"https://app.example.com:0", "must "},
		{"https://app.example.com:65536", "must "},
		{"https://app.example.com:08080", "must "},
		{"https://bücher.example", "must "},
		{"https://app.example.com\n", "must "},
		{"https://app.example.com:443", "default port"},
		{"http://localhost:80", "default port"},
	} {
		t.Run(test.origin, func(t *testing.T) {
			src := configs.Source{File: write(t, "cors: {allowed_origins: ['"+strings.ReplaceAll(test.origin, "\n", "\n\n  ")+"']}")}
			wantProblem(t, src, "cors.allowed_origins[0]", test.want)
		})
	}
}

func TestGoodClients(t *testing.T) {
	for _, test := range []struct{ name, yaml string }{
		{"page", `{id: a, public: true, grants: [authorization_code], redirect_uris: [https://a.example/cb, "https://a.example/cb?x=y"], origins: [https://a.example]}`},
		{"native app", `{id: a, public: true, grants: [authorization_code], redirect_uris: ["com.example.app:/cb", "http://127.0.0.1/cb", "http://localhost:1234/cb", "http://[::1]/cb"]}`},
		{"ours", `{id: a, public: true, first_party: true, grants: [password, refresh_token], scopes: ["a:b/c"]}`},
		{"service", `{id: a, secret_file: /s, grants: [client_credentials], may_introspect: true, audiences: [https://b.example]}`},
		{"old server", `{id: a, secret_file: /s, grants: [authorization_code], redirect_uris: [https://a.example], pkce_optional: true, id_token_alg: RS256}`},
		{"strict server", `{id: a, secret_file: /s, grants: [authorization_code], redirect_uris: [https://a.example], require_pkce: true, require_acr: mfa}`},
		{"page of a former version", `{id: a, public: true, grants: [refresh_token], pkce_optional: true, require_pkce: false}`},
	} {
		t.Run(test.name, func(t *testing.T) { load(t, configs.Source{File: write(t, "clients: ["+test.yaml+"]")}) })
	}
}

func TestBadClients(t *testing.T) {
	for _, test := range []struct{ yaml, field, want string }{
		{`{public: true, grants: [refresh_token]}`, "id", "must not be empty"},
		{`{id: "a\tb", public: true, grants: [refresh_token]}`, "id", "printable ASCII"},
		{`{id: é, public: true, grants: [refresh_token]}`, "id", "printable ASCII"},
		{`{id: a, grants: [refresh_token]}`, "secret_file", "a confidential client needs one"},
		{`{id: a, public: true, secret_file: /s, grants: [refresh_token]}`, "secret_file", "a public client has none"},
		{`{id: a, public: true}`, "grants", "needs at least one"},
		{`{id: a, public: true, grants: [implicit]}`, "grants[0]", `"implicit" is none of password, refresh_token, authorization_code, client_credentials`},
		{`{id: a, public: true, grants: [refresh_token, refresh_token]}`, "grants[1]", "repeated"},
		{`{id: a, public: true, grants: [password]}`, "grants[0]", "needs a first-party client"},
		{`{id: a, public: true, grants: [client_credentials]}`, "grants[0]", "needs a confidential client"},
		{`{id: a, public: true, grants: [authorization_code]}`, "redirect_uris", "needs at least one"},
		{`{id: a, public: true, grants: [refresh_token], may_introspect: true}`, "may_introspect", "needs a confidential client"},
		{`{id: a, public: true, grants: [refresh_token], origins: ["*"]}`, "origins[0]", "must begin with a scheme"},
		{`{id: a, public: true, grants: [refresh_token], scopes: ["a b"]}`, "scopes[0]", "no spaces"},
		{`{id: a, public: true, grants: [refresh_token], audiences: [""]}`, "audiences[0]", "1 to 512 characters"},
		{`{id: a, public: true, grants: [refresh_token], id_token_alg: EdDSA}`, "id_token_alg", `"EdDSA" is none of the algorithms in keys.algorithms (ES256, RS256)`},
		{`{id: a, public: true, grants: [refresh_token], access_token_alg: HS256}`, "access_token_alg", `"HS256" is none of the algorithms in keys.algorithms (ES256, RS256)`},
		{`{id: a, public: true, grants: [refresh_token], require_acr: gold}`, "require_acr", `"gold" is none of pwd, mfa, phr`},
		{`{id: a, public: true, grants: [refresh_token], access_token_typ: jwt}`, "access_token_typ", `"jwt" must be at+jwt or JWT`},
		{`{id: a, public: true, grants: [refresh_token], post_logout_redirect_uris: [/x]}`, "post_logout_redirect_uris[0]", "must begin with a scheme"},
	} {
		t.Run(test.yaml, func(t *testing.T) {
			wantProblem(t, configs.Source{File: write(t, "clients:\n- "+test.yaml)}, "c.yaml:2: clients[0]."+test.field+": ", test.want)
		})
	}
}

func TestClientIDsAreUnique(t *testing.T) {
	client := "- {id: a, public: true, grants: [refresh_token]}\n"
	wantProblem(t, configs.Source{File: write(t, "clients:\n"+client+client)}, `c.yaml:3: clients[1].id: "a" is the id of clients[0] too`)
}

func TestBadRedirectURIs(t *testing.T) {
	for _, test := range []struct{ uri, want string }{
		{"/callback", "must begin with a scheme"},
		{"https://a.example/a b", "characters of a URI"},
		{`https://a.example\@b.example`, "characters of a URI"},
		{"https://a.example/cb#x", "fragment"},
		{"https://a.example/cb#", "fragment"},
		{"https://me:hunter2@a.example/cb", "username or password"},
		{"https:///cb", "must have a host"},
		{"http://a.example/cb", "must use https"},
		{"http://localhost.a.example/cb", "must use https"},
		{"myapp:/cb", "must have the scheme https"},
		{"javascript:alert(1)", "must have the scheme https"},
		{"http://localhost:*", "only serve --dev allows"},
		{"http://localhost:*/cb", "must be a URI"},
	} {
		t.Run(test.uri, func(t *testing.T) {
			yaml := "clients: [{id: a, public: true, grants: [authorization_code], redirect_uris: ['" + test.uri + "']}]"
			wantProblem(t, configs.Source{File: write(t, yaml)}, "clients[0].redirect_uris[0]", test.want)
		})
	}
}

func TestDeclaredClientsMayUseTheLocalhostPatternInDev(t *testing.T) {
	load(t, configs.Source{Dev: true, File: write(t,
		`clients: [{id: a, public: true, grants: [authorization_code], redirect_uris: ["http://localhost:*"]}]`)})
}

func TestSignupNames(t *testing.T) {
	for text, want := range map[string]string{
		"{}": "", "{username: none}": "", "{email: none, username: required}": "",
		"{username: none, email: none}":                  "leave nothing to sign in with",
		"{username: maybe}":                              "must be required, optional or none",
		"{email: none, require_verified_email: true}":    "needs the addresses",
		"{username: none, require_verified_email: true}": "",
	} {
		src := configs.Source{File: write(t, serveable+"signup: "+text)}
		if want == "" {
			load(t, src)
			continue
		}
		wantProblem(t, src, "c.yaml:3: signup.", want)
	}
}
