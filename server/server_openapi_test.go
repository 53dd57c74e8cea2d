package server_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	openapierrors "github.com/pb33f/libopenapi-validator/errors"
	"github.com/pb33f/libopenapi-validator/helpers"

	"countersign/accounts"
	"countersign/caller"
	"countersign/ids"
	"countersign/server"
	"countersign/test/smtpd"
	"countersign/upstreams"
)

// described is an operation of the OpenAPI document.
type described struct {
	Tags        []string
	RequestBody struct{ Content map[string]any }
	Responses   map[string]any
}

// openapiOf returns the document that a server serves, and its operations by method and
// path.
func openapiOf(t *testing.T, a *app) (document []byte, operations map[string]described) {
	t.Helper()
	got := a.do(http.MethodGet, "/openapi.json", "").want(http.StatusOK)
	var read struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(got.Body.Bytes(), &read); err != nil {
		t.Fatal(err)
	}
	operations = map[string]described{}
	for path, item := range read.Paths {
		for method, text := range item {
			if method == "servers" {
				continue
			}
			var d described
			if err := json.Unmarshal(text, &d); err != nil {
				t.Fatal(err)
			}
			operations[strings.ToUpper(method)+" "+path] = d
		}
	}
	return got.Body.Bytes(), operations
}

// headersOfAny are the headers that any answer may have and that no operation lists.
var headersOfAny = []string{
	"Cache-Control", "Content-Security-Policy", "Pragma", "Referrer-Policy", "Strict-Transport-Security", "Vary",
	"X-Content-Type-Options", "X-Frame-Options", "X-Request-Id",
	"Access-Control-Allow-Credentials", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers",
}

func newValidator(t *testing.T, document []byte, options ...config.Option) validator.Validator {
	t.Helper()
	parsed, err := libopenapi.NewDocument(document)
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(parsed, append(options, config.WithFormatAssertions())...)
	if len(errs) > 0 {
		t.Fatal(errors.Join(errs...))
	}
	return v
}

func TestOpenAPIDocumentIsPublicAndCacheable(t *testing.T) {
	for base, name := range map[string]string{"": issuer, "/tenant/one": issuer + "/tenant/one"} {
		a := newApp(t, withOptions(func(o *server.Options) { o.Issuer = name }))
		got := a.do(http.MethodGet, base+"/openapi.json", "", "Origin", "https://anybody.example").want(http.StatusOK)
		for header, want := range map[string]string{
			"Content-Type": "application/json", "Access-Control-Allow-Origin": "*", "Cache-Control": "public, max-age=3600",
		} {
			if value := got.Header().Get(header); value != want {
				t.Errorf("%s: %q, want %q", header, value, want)
			}
		}
		a.do(http.MethodGet, base+"/openapi.json", "", "If-None-Match", got.Header().Get("ETag")).want(http.StatusNotModified)
		a.do(http.MethodHead, base+"/openapi.json", "").want(http.StatusOK)

		var document struct {
			Servers    []struct{ URL string }
			Paths      map[string]struct{ Servers []struct{ URL string } }
			Components struct {
				SecuritySchemes struct {
					OpenID struct{ OpenIDConnectURL string } `json:"openid"`
					OAuth2 struct {
						Flows map[string]struct{ AuthorizationURL, TokenURL string }
					} `json:"oauth2"`
				}
			}
		}
		if err := json.Unmarshal(got.Body.Bytes(), &document); err != nil {
			t.Fatal(err)
		}
		schemes := document.Components.SecuritySchemes
		code := schemes.OAuth2.Flows["authorizationCode"]
		for _, pair := range [][2]string{
			{document.Servers[0].URL, name},
			{document.Paths["/healthz"].Servers[0].URL, issuer},
			{document.Paths["/.well-known/oauth-authorization-server"+base].Servers[0].URL, issuer},
			{schemes.OpenID.OpenIDConnectURL, name + "/.well-known/openid-configuration"},
			{code.AuthorizationURL, name + "/oauth/authorize"},
			{code.TokenURL, name + "/oauth/token"},
		} {
			if pair[0] != pair[1] {
				t.Errorf("%q, want %q", pair[0], pair[1])
			}
		}
	}
}

func TestOpenAPIDocumentIsValid(t *testing.T) {
	document, _ := openapiOf(t, newApp(t))
	if ok, wrong := newValidator(t, document).ValidateDocument(); !ok {
		for _, one := range wrong {
			t.Errorf("%s: %s", one.Message, one.Reason)
			for _, cause := range one.SchemaValidationErrors {
				t.Errorf("%s", cause)
			}
		}
	}
}

// variable is a variable part of a route, as gin writes it.
var variable = regexp.MustCompile(`:(\w+)`)

func TestOpenAPIDocumentHasEveryRouteAndNoOther(t *testing.T) {
	a := newApp(t)
	_, operations := openapiOf(t, a)
	var routes []string
	for _, route := range a.Routes() {
		if !strings.HasPrefix(route, "HEAD ") { // as GET
			routes = append(routes, variable.ReplaceAllString(route, "{$1}"))
		}
	}
	slices.Sort(routes)
	if diff := cmp.Diff(routes, slices.Sorted(maps.Keys(operations))); diff != "" {
		t.Errorf("what there is (-) is not what openapi.json says (+):\n%s", diff)
	}
}

// seen is a request and its answer.
type seen struct {
	request *http.Request
	sent    string
	answer  *response
}

// observer watches servers.
type observer struct{ all []seen }

func (o *observer) watch(a *app) {
	a.watch = func(method, target, body string, header []string, r *response) {
		request := httptest.NewRequest(method, issuer+target, strings.NewReader(body))
		for i := 0; i < len(header); i += 2 {
			request.Header.Add(header[i], header[i+1])
		}
		o.all = append(o.all, seen{request, body, r})
	}
}

// Every operation gives every answer that the document lists, and no other, with the
// listed headers and members and no others. Every accepted request conforms to the
// document.
func TestEveryAnswerIsAsTheOpenAPIDocumentSays(t *testing.T) {
	var o observer
	var document []byte
	var operations map[string]described
	synctest.Test(t, func(t *testing.T) {
		document, operations = openapiOf(t, newApp(t))
		o.everything(t, operations)
	})
	o.providers(t) // which listen
	// An answer has nothing that the document doesn't mention. Requests may, because
	// browsers send more.
	answers := newValidator(t, document, config.WithStrictMode(), config.WithStrictIgnoredHeadersExtra(headersOfAny...))
	requests := newValidator(t, document, config.WithURLEncodedBodyValidation(), config.WithRejectUndeclaredRequestBody())
	router := http.NewServeMux()
	left := map[string]bool{}
	for operation, d := range operations {
		router.Handle(operation, http.NotFoundHandler())
		for status := range d.Responses {
			left[operation+" "+status] = true
		}
	}
	for _, s := range o.all {
		_, operation := router.Handler(s.request)
		status := strconv.Itoa(s.answer.Code)
		if _, exact := operations[operation].Responses[status]; !exact {
			status = status[:1] + "XX"
		}
		delete(left, operation+" "+status)
		answer := s.answer.Result()
		if strings.HasSuffix(operation, " /userinfo") && status == "401" && s.answer.Body.Len() == 0 {
			continue // without a token, only the header says so (RFC 6750 section 3.1)
		}
		_, wrong := answers.ValidateHttpResponse(s.request, answer)
		if s.answer.Code < 400 {
			_, more := requests.ValidateHttpRequestSync(s.request)
			wrong = append(wrong, slices.DeleteFunc(more, aboutEncoding)...)
		}
		for _, one := range wrong {
			t.Errorf("%s, asked with %q and answered with %d %.300q: %s: %s %v", operation, s.sent, s.answer.Code, s.answer.Body, one.Message, one.Reason, one.SchemaValidationErrors)
		}
	}
	for _, answer := range slices.Sorted(maps.Keys(left)) {
		t.Errorf("never seen: %s", answer)
	}
}

// aboutEncoding reports whether an error is about reserved characters in a form, which
// the library checks after it has unescaped them.
func aboutEncoding(err *openapierrors.ValidationError) bool {
	return err.ValidationSubType == helpers.ReservedValues
}

// everything makes every operation give every answer.
func (o *observer) everything(t *testing.T, operations map[string]described) {
	a, box := simulated(t)
	o.watch(a)
	o.documents(a, operations)
	o.factors(a)
	o.enrolments(t)
	o.passwordRemoval(a)
	time.Sleep(time.Minute)
	box.empty()
	in := o.people(t, a, box)
	o.clients(a, in)
	o.hostedPages(t, a, in)
	o.refusals(a, in, operations)
	o.throttles(a, in)
	o.otherServers(t)
	o.outage(a, in, operations)
}

func (o *observer) documents(a *app, operations map[string]described) {
	for operation, d := range operations {
		if _, cacheable := d.Responses["304"]; cacheable {
			path := strings.TrimPrefix(operation, "GET ")
			a.do(http.MethodGet, path, "", "If-None-Match", a.do(http.MethodGet, path, "").want(http.StatusOK).Header().Get("ETag"))
		}
	}
	a.do(http.MethodGet, "/healthz", "").want(http.StatusOK)
	a.do(http.MethodGet, "/readyz", "").want(http.StatusOK)
}

// signedIn is a user who uses everything.
type signedIn struct {
	page    *page   // signed in with a cookie
	browser *person // signed in at the hosted pages
	tokens  *response
	mailed  string // a token that has been used
}

// people has users sign up, prove their address, sign in, manage their account and
// delete it.
func (o *observer) people(t *testing.T, a *app, box *outbox) *signedIn {
	in := &signedIn{page: a.page(), browser: a.person()}
	p := in.page
	p.do(http.MethodPost, "/signup", `{"username":"alice","password":"`+password+`","email":"alice@example.net","ui_locales":"ko"}`).want(http.StatusCreated)
	letter := token(t, box.take(t))
	p.do(http.MethodPost, "/account/email/resend", `{"email":"alice@example.net"}`).want(http.StatusAccepted)
	box.take(t)
	p.verify(letter).want(http.StatusNoContent)
	p.verify(letter).want(http.StatusOK)
	p.do(http.MethodPost, "/signup", `{"username":"alice","password":"`+password+`"}`).want(http.StatusConflict)

	p.forgot("alice@example.net").want(http.StatusAccepted)
	in.mailed = token(t, box.take(t))
	p.reset(in.mailed, password).want(http.StatusNoContent)
	p.reset(in.mailed, password).want(http.StatusOK)
	box.take(t)

	a.signup("dave") // whose used token is tried with other passwords
	box.take(t)
	p.forgot("dave@example.net").want(http.StatusAccepted)
	used := token(t, box.take(t))
	p.reset(used, password).want(http.StatusNoContent)
	box.take(t)
	status := 0
	for i := 0; i < 40 && status != http.StatusTooManyRequests; i++ {
		status = p.reset(used, "another password").Code
	}
	p.forgot("alice@example.net").want(http.StatusAccepted)
	in.browser.submit("/reset", form("token", token(t, box.take(t)), "password", password)).want(http.StatusOK)
	box.take(t)
	applying := a.person()
	asks := applying.authorize(authorization("spa")).page("login-form")
	asks.Set("email", "alice@example.net")
	applying.submit("/forgot", asks).want(http.StatusOK)
	applying.submit("/reset", form("token", token(t, box.take(t)), "password", password)).want(http.StatusSeeOther)
	box.take(t)
	p.signIn("alice", password).want(http.StatusOK)
	p.refresh().want(http.StatusOK)
	p.do(http.MethodGet, "/session", "").want(http.StatusOK)
	p.signIn("alice", "another password").want(http.StatusUnauthorized)
	p.do(http.MethodPost, "/session", `{"code":"bad","code_verifier":"bad","redirect_uri":"`+spaCallback+`"}`).wantProblem(http.StatusUnauthorized, "invalid_code")

	in.tokens = a.login("alice")
	for _, scope := range []string{everyScope, "openid"} {
		a.userinfo(a.withScopes("alice", scope).text("access_token")).want(http.StatusOK)
	}
	a.putProfile(in.tokens, strings.Replace(fullProfile, "ko-KR", "en-GB", 1)).want(http.StatusOK)
	a.profile(in.tokens).want(http.StatusOK)
	a.userinfo(a.withScopes("alice", everyScope).text("access_token")).want(http.StatusOK)
	p.bearer(http.MethodPost, "/userinfo", "", in.tokens).want(http.StatusOK)
	p.bearer(http.MethodGet, "/account/sessions", "", in.tokens).want(http.StatusOK)
	p.bearer(http.MethodGet, "/account/export", "", in.tokens).want(http.StatusOK)
	_, claims := a.login("alice").claims("access_token")
	p.bearer(http.MethodDelete, "/account/sessions/"+claims["sid"].(string), "", in.tokens).want(http.StatusNoContent)
	p.bearer(http.MethodDelete, "/account/sessions/"+claims["sid"].(string), "", in.tokens).want(http.StatusNotFound)
	p.bearer(http.MethodPost, "/account/password", `{"current_password":"`+password+`","new_password":"`+password+`"}`, in.tokens).want(http.StatusNoContent)
	box.take(t)

	// An address that another user proves in the meantime.
	p.bearer(http.MethodPost, "/account/email", `{"email":"new@example.net","current_password":"`+password+`"}`, in.tokens).want(http.StatusAccepted)
	late := token(t, box.takeBoth(t, "alice@example.net"))
	p.do(http.MethodPost, "/signup", `{"username":"quick","password":"`+password+`","email":"new@example.net"}`).want(http.StatusCreated)
	in.browser.submit("/verify", form("token", token(t, box.take(t)))).want(http.StatusOK)
	p.verify(late).want(http.StatusConflict)

	leaving := a.login("quick")
	p.bearer(http.MethodDelete, "/account/sessions", "", leaving).want(http.StatusNoContent)
	p.bearer(http.MethodPost, "/account/proof", `{"current_password":"`+password+`"}`, leaving).want(http.StatusNoContent)
	p.bearer(http.MethodDelete, "/account", "", leaving).want(http.StatusNoContent)
	gone := a.page()
	gone.do(http.MethodPost, "/session/refresh", "").want(http.StatusUnauthorized)
	gone.do(http.MethodGet, "/session", "").want(http.StatusUnauthorized)
	gone.do(http.MethodDelete, "/session", "").want(http.StatusNoContent)
	in.tokens = a.login("alice")
	p.signIn("alice", password).want(http.StatusOK)
	return in
}

// clients has clients get tokens by every grant, introspect them and revoke them.
func (o *observer) clients(a *app, in *signedIn) {
	code := in.browser.signIn(in.browser.authorize(authorization("spa")), "alice").code(spaCallback)
	a.exchange(code).want(http.StatusOK)
	a.exchange(code).want(http.StatusBadRequest)
	own := a.challenge(challengeForm("spa", "username", "alice", "password", password)).want(http.StatusOK)
	a.exchange(own.text("authorization_code"), "redirect_uri", "").want(http.StatusOK)
	a.challenge(challengeForm("spa", "username", "fay", "password", password)).want(http.StatusBadRequest)
	got := a.refresh(a.login("alice").text("refresh_token")).want(http.StatusOK)
	machine := a.token(form("grant_type", "client_credentials"), "Authorization", basic("api", "dev-secret")).want(http.StatusOK)
	a.token(form("grant_type", "client_credentials"), "Authorization", basic("api", "wrong")).want(http.StatusUnauthorized)
	for _, token := range []string{got.text("access_token"), machine.text("access_token"), "nothing"} {
		a.introspect(token, "Authorization", basic("reader", secret)).want(http.StatusOK)
	}
	a.introspect("nothing", "Authorization", basic("reader", "wrong")).want(http.StatusUnauthorized)
	a.introspect("nothing", "Authorization", basic("web", secret)).want(http.StatusBadRequest)
	a.revokeAs("spa", "", got.text("refresh_token")).want(http.StatusOK)
	a.revokeAs("api", "dev-secret", machine.text("access_token")).want(http.StatusBadRequest)
	a.revokeAs("api", "wrong", "nothing").want(http.StatusUnauthorized)
	a.userinfo(machine.text("access_token")).want(http.StatusForbidden)
	a.do(http.MethodPost, "/userinfo", "", "Authorization", "Bearer "+machine.text("access_token")).want(http.StatusForbidden)
}

// hostedPages opens and fills in the hosted pages, with and without a waiting
// application.
func (o *observer) hostedPages(t *testing.T, a *app, in *signedIn) {
	p, nobody := in.browser, a.person()
	formPost := authorization("spa", "response_mode", "form_post")
	waiting := nobody.open("/oauth/authorize?" + authorization("spa").Encode()).want(http.StatusSeeOther)
	_, ticket, _ := strings.Cut(waiting.Header().Get("Location"), "ticket=")

	p.open("/oauth/authorize?" + formPost.Encode()).want(http.StatusOK)
	p.open("/oauth/authorize?client_id=nobody").want(http.StatusBadRequest)
	p.post("/oauth/authorize", formPost).want(http.StatusSeeOther)
	p.follow(p.post("/oauth/authorize", formPost)).want(http.StatusOK)
	p.follow(p.post("/oauth/authorize", authorization("spa"))).want(http.StatusSeeOther)
	p.post("/oauth/authorize", authorization("spa", "response_mode", "form_post", "scope", "more")).want(http.StatusOK)
	p.post("/oauth/authorize", form("client_id", "nobody")).want(http.StatusBadRequest)
	p.open("/oauth/authorize/resume").want(http.StatusBadRequest)

	nobody.open("/login?ticket=" + ticket).want(http.StatusOK)
	nobody.open("/login?ticket=bad").want(http.StatusBadRequest)
	p.open("/login").want(http.StatusSeeOther)
	nobody.submit("/login", form("ticket", ticket, "username", "alice", "password", "another password")).want(http.StatusBadRequest)
	posting := nobody.open("/oauth/authorize?" + formPost.Encode()).want(http.StatusSeeOther)
	_, postingTicket, _ := strings.Cut(posting.Header().Get("Location"), "ticket=")
	a.person().submit("/login", form("ticket", postingTicket, "username", "alice", "password", password)).want(http.StatusOK)

	nobody.open("/signup?ticket=" + ticket).want(http.StatusOK)
	nobody.open("/signup?ticket=bad").want(http.StatusBadRequest)
	nobody.submit("/signup", form("username", "bob")).want(http.StatusBadRequest)
	a.person().submit("/signup", form("username", "bob", "password", password, "email", "")).want(http.StatusSeeOther)

	asked := p.open("/oauth/authorize?" + authorization("rp").Encode()).want(http.StatusSeeOther)
	_, consent, _ := strings.Cut(asked.Header().Get("Location"), "ticket=")
	p.open("/consent?ticket=" + consent).want(http.StatusOK)
	p.open("/consent?ticket=" + ticket).want(http.StatusSeeOther)
	p.open("/consent").want(http.StatusBadRequest)
	p.submit("/consent", form("ticket", consent)).want(http.StatusOK)
	p.submit("/consent", form("ticket", consent, "decision", "deny")).want(http.StatusSeeOther)
	p.submit("/consent", form()).want(http.StatusBadRequest)
	p.submit("/consent", form("ticket", consent, "decision", "allow")).want(http.StatusSeeOther)
	in.page.bearer(http.MethodGet, "/account/consents", "", in.tokens).want(http.StatusOK)
	in.page.bearer(http.MethodGet, "/account/export", "", in.tokens).want(http.StatusOK)
	in.page.bearer(http.MethodDelete, "/account/consents/rp", "", in.tokens).want(http.StatusNoContent)
	in.page.bearer(http.MethodDelete, "/account/consents/rp", "", in.tokens).want(http.StatusNotFound)

	p.open("/").want(http.StatusSeeOther)
	for _, path := range mePaths {
		p.open(path).want(http.StatusOK)
		nobody.open(path).want(http.StatusSeeOther)
		p.submit(path, form("nothing", "x")).want(http.StatusSeeOther)
		p.submit(path, form("client", "\xff", "id", "\xff")).want(http.StatusBadRequest)
	}
	p.act("/me", "profile-form", "birthdate", "May").want(http.StatusBadRequest)
	p.act("/me/security", "password-form").want(http.StatusBadRequest)
	p.act("/me/data", "export-form").want(http.StatusOK)
	p.act("/me/data", "delete-form").want(http.StatusBadRequest)
	leaving := a.person()
	leaving.submit("/signup", form("username", "leaving", "password", password)).want(http.StatusSeeOther)
	leaving.act("/me/data", "delete-form", "confirm", "yes").want(http.StatusSeeOther)
	leaving.open("/me/deleted").want(http.StatusOK)
	leaving.open("/me/deleted").want(http.StatusSeeOther)
	nobody.open("/error").want(http.StatusBadRequest)
	nobody.open("/forgot").want(http.StatusOK)
	nobody.open("/forgot?ticket=bad").want(http.StatusBadRequest)
	nobody.submit("/forgot", form("email", "alice@example.net")).want(http.StatusOK)
	nobody.submit("/forgot", form("email", "")).want(http.StatusBadRequest)
	nobody.open("/verify/again").want(http.StatusOK)
	nobody.open("/verify/again?ticket=bad").want(http.StatusBadRequest)
	nobody.submit("/verify/again", form("username", "alice")).want(http.StatusOK)
	nobody.submit("/verify/again", form("username", "")).want(http.StatusBadRequest)
	nobody.open("/reset?token=" + in.mailed).want(http.StatusOK)
	nobody.submit("/reset", form("token", in.mailed, "password", password)).want(http.StatusBadRequest)
	nobody.open("/verify?token=" + in.mailed).want(http.StatusOK)
	nobody.submit("/verify", form("token", in.mailed)).want(http.StatusBadRequest)

	p.open("/oauth/logout?client_id=spa").want(http.StatusSeeOther)
	p.open("/oauth/logout?client_id=nobody").want(http.StatusBadRequest)
	toLogOut := nobody.post("/oauth/logout", form("client_id", "spa")).want(http.StatusSeeOther)
	nobody.open(toLogOut.Header().Get("Location")).want(http.StatusSeeOther)
	nobody.post("/oauth/logout", form("client_id", "nobody")).want(http.StatusBadRequest)
	p.open("/logout").want(http.StatusOK)
	p.open("/logout?ticket=bad").want(http.StatusBadRequest)
	p.submit("/logout", form("ticket", "bad")).want(http.StatusBadRequest)
	nobody.submit("/logout", form()).want(http.StatusSeeOther)
}

// refusals makes wrong requests of every kind that the document's answers suggest.
func (o *observer) refusals(a *app, in *signedIn, operations map[string]described) {
	bearer := "Bearer " + in.tokens.text("access_token")
	client := "Bearer " + a.token(form("grant_type", "client_credentials"), "Authorization", basic("api", "dev-secret")).text("access_token")
	for operation, d := range operations {
		method, path, _ := strings.Cut(operation, " ")
		path = strings.NewReplacer("{id}", "any", "{client_id}", "any").Replace(path)
		body, kind := "{}", "application/json"
		if _, isForm := d.RequestBody.Content["application/x-www-form-urlencoded"]; isForm {
			body, kind = "token=x", "application/x-www-form-urlencoded"
		} else if d.RequestBody.Content == nil {
			body, kind = "", ""
		}
		if _, ok := d.Responses["415"]; ok {
			a.do(method, path, "text", "Authorization", bearer, "Content-Type", "text/plain").want(http.StatusUnsupportedMediaType)
			a.do(method, path, strings.Repeat(" ", 70_000), "Authorization", bearer, "Content-Type", "application/json").want(http.StatusRequestEntityTooLarge)
			a.do(method, path, `{"nonsense":1}`, "Authorization", bearer, "Content-Type", "application/json").want(http.StatusBadRequest)
		}
		if _, ok := d.Responses["403"]; ok {
			a.do(method, path, body, "Content-Type", kind, "Origin", "https://elsewhere.example.org", "Sec-Fetch-Site", "cross-site", "Authorization", client)
		}
		if _, ok := d.Responses["401"]; ok {
			a.do(method, path, body, "Content-Type", kind, "Origin", origin)
			a.do(method, path, body, "Content-Type", kind, "Origin", origin, "Authorization", "Bearer bad")
			a.do(method, path, body, "Content-Type", kind, "Origin", origin, "Authorization", bearer, "Authorization", bearer)
		}
	}
	// From an allowed origin.
	in.page.bearer(http.MethodPost, "/account/password", `{"current_password":"`+password+`","new_password":"short"}`, in.tokens).want(http.StatusBadRequest)
}

// providers has users sign in with another provider.
func (o *observer) providers(t *testing.T) {
	p, post := newIDP(t), smtpd.Start(t)
	verified := func(address string, is bool) {
		p.tell(func(p *idp) { p.user["sub"], p.user["email"], p.user["email_verified"] = address, address, is })
	}
	with := func(more ...func(*server.Options)) *app {
		a := newApp(t, withOptions(func(o *server.Options) {
			o.Dev, o.Upstreams = true, []upstreams.Declared{p.provide("a", func(s *upstreams.Settings) { s.LinkByEmail = upstreams.LinkVerified })}
			for _, change := range more {
				change(o)
			}
		}))
		o.watch(a)
		return a
	}
	a := with()
	a.signup("alice")
	alice := a.person()
	verified("alice@example.net", true)
	alice.open("/login/with/a").goesTo("/login") // from elsewhere
	alice.back(alice.do(http.MethodGet, "/login/with/a", "").want(http.StatusSeeOther)).goesTo("/login/link")
	alice.do(http.MethodGet, "/login/with/nobody", "").want(http.StatusNotFound)
	alice.do(http.MethodGet, "/login/with/a?ticket=bad", "").want(http.StatusBadRequest)
	alice.submit("/login/with/nobody", form()).want(http.StatusNotFound)
	alice.submit("/login/with/a", form("ticket", "bad")).want(http.StatusBadRequest)
	alice.open("/login/callback/a?state=x").want(http.StatusBadRequest)
	alice.open("/login/callback/nobody").want(http.StatusNotFound)
	alice.post("/login/callback/a", form("state", "x", "code", "y", "user", "{}")).want(http.StatusSeeOther)
	a.do(http.MethodPost, "/login/callback/a", "{}", "Content-Type", "application/json").want(http.StatusBadRequest)
	p.tell(func(p *idp) { p.answer = url.Values{"code": {""}, "error": {"access_denied"}} })
	alice.with("a").want(http.StatusForbidden)
	p.tell(func(p *idp) { p.answer = nil })

	alice.open("/login/link").want(http.StatusOK)
	alice.open("/login/link?ticket=bad").want(http.StatusBadRequest)
	alice.submit("/login/link", form("ticket", "bad")).want(http.StatusBadRequest)
	alice.submit("/login/link", form()).goesTo("/login")
	a.person().open("/login/link").want(http.StatusSeeOther)
	a.person().submit("/login/link", form()).want(http.StatusSeeOther)
	alice.do(http.MethodPost, "/login/link", "", "Origin", "https://evil.example", "Content-Type", "application/x-www-form-urlencoded").want(http.StatusForbidden)

	alice.open("/signup/with").want(http.StatusOK)
	alice.open("/signup/with?ticket=bad").want(http.StatusBadRequest)
	alice.do(http.MethodPost, "/signup/with", "", "Origin", "https://evil.example", "Content-Type", "application/x-www-form-urlencoded").want(http.StatusForbidden)
	a.person().open("/signup/with").want(http.StatusSeeOther)
	a.person().submit("/signup/with", form()).want(http.StatusSeeOther)

	verified("carol@example.net", true)
	carol := a.person()
	carol.with("a").goesTo("/me")
	r := carol.open("/me/security").want(http.StatusOK)
	unlink := r.page(unlinkForm.FindStringSubmatch(r.Body.String())[1])
	carol.submit("/me/security", unlink).want(http.StatusConflict)
	carol.act("/me/security", "link-a").want(http.StatusSeeOther)
	hers := a.page()
	hers.do(http.MethodPost, "/session", `{"code":"`+carol.authorize(authorization("spa")).code(spaCallback)+`","code_verifier":"`+pkceVerifier+`","redirect_uri":"`+spaCallback+`"}`).want(http.StatusOK)
	id := hers.do(http.MethodGet, "/account/identities", "").want(http.StatusOK).json()["identities"].([]any)[0].(map[string]any)["id"].(string)
	hers.do(http.MethodGet, "/account/export", "").want(http.StatusOK)
	hers.do(http.MethodDelete, "/account/identities/"+id, "").wantProblem(http.StatusConflict, "last_way_in")
	hers.do(http.MethodDelete, "/account/identities/any", "").wantProblem(http.StatusNotFound, "no_identity")
	bob := a.page()
	a.signup("bob")
	_, claims := bob.signIn("bob", password).want(http.StatusOK).claims("access_token")
	user, err := a.Users.ByUsername(t.Context(), "bob")
	if err == nil {
		var sid ids.Session
		sid, err = ids.Parse[ids.Session](claims["sid"].(string))
		if err == nil {
			err = a.Users.Link(t.Context(), time.Now(), user.ID, ids.Place{Session: sid}, accounts.Named{Provider: "a", Key: [32]byte{1}}, caller.Operator())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	his := bob.do(http.MethodGet, "/account/identities", "").want(http.StatusOK).json()["identities"].([]any)[0].(map[string]any)["id"].(string)
	bob.do(http.MethodDelete, "/account/identities/"+his, "").want(http.StatusNoContent)

	for status := 0; status != http.StatusTooManyRequests; {
		status = alice.submit("/signup/with", form("username", "alice")).Code
	}

	careful := with(withMail(post), func(o *server.Options) { o.Accounts.RequireVerifiedEmail = true })
	verified("dave@example.net", false)
	dave := careful.person()
	dave.with("a").goesTo("/signup/with")
	dave.submit("/signup/with", form("email", "dave@example.net")).want(http.StatusOK)

	p.Close()
	away := with().person()
	away.do(http.MethodGet, "/login/with/a", "").want(http.StatusServiceUnavailable)
	away.submit("/login/with/a", form()).want(http.StatusServiceUnavailable)
	late := a.person()
	to, _ := url.Parse(late.submit("/login/with/a", form()).want(http.StatusSeeOther).Header().Get("Location"))
	late.open("/login/callback/a?code=x&state=" + to.Query().Get("state")).want(http.StatusServiceUnavailable)
}

// throttles guesses, and asks for too much mail.
func (o *observer) throttles(a *app, in *signedIn) {
	until429 := func(what string, try func(i int) *response) {
		for i := range 40 {
			if try(i).Code == http.StatusTooManyRequests {
				return
			}
		}
		a.t.Errorf("%s: never 429", what)
	}
	a.signup("carol")
	carol := a.login("carol")
	wrong := `{"current_password":"another password","new_password":"` + password + `"}`
	until429("token", func(int) *response {
		return a.token(form("grant_type", "password", "client_id", "spa", "username", "carol", "password", "another password"))
	})
	until429("challenge", func(int) *response {
		return a.challenge(challengeForm("spa", "username", "carol", "password", "another password"))
	})
	until429("session", func(int) *response { return in.page.signIn("carol", "another password") })
	until429("login", func(int) *response {
		return in.browser.submit("/login", form("username", "carol", "password", "another password"))
	})
	until429("remove password", func(int) *response {
		return in.page.bearer(http.MethodDelete, "/account/password", `{"current_password":"another password"}`, carol)
	})
	until429("password", func(int) *response { return in.page.bearer(http.MethodPost, "/account/password", wrong, carol) })
	until429("email", func(int) *response {
		return in.page.bearer(http.MethodPost, "/account/email", `{"email":"new@example.net","current_password":"another password"}`, carol)
	})
	until429("proof", func(int) *response {
		return in.page.bearer(http.MethodPost, "/account/proof", `{"current_password":"another password"}`, carol)
	})
	until429("delete", func(int) *response {
		return in.page.bearer(http.MethodDelete, "/account", `{"current_password":"another password"}`, carol)
	})
	dina := a.person()
	dina.submit("/signup", form("username", "dina", "password", password)).want(http.StatusSeeOther)
	for path, do := range map[string]string{"/me": "email", "/me/security": "password", "/me/data": "delete", "/me/factors": "factor_begin"} {
		f := form("do", do, "account", dina.open("/me").page("profile-form").Get("account"), "confirm", "yes", "current_password", "another password", "new_password", "", "email", "new@example.net")
		until429(path, func(int) *response { return dina.submit(path, f) })
	}
	until429("revoke", func(int) *response { return a.revokeAs("web", "wrong", "x") })
	until429("introspect", func(int) *response { return a.introspectAs("reader", "wrong", "x") })
	until429("forgot", func(int) *response { return in.page.forgot("carol@example.net") })
	until429("forgot page", func(int) *response { return in.browser.submit("/forgot", form("email", "carol@example.net")) })
	until429("verify again", func(int) *response { return in.browser.submit("/verify/again", form("username", "carol")) })
	until429("resend", func(int) *response {
		return in.page.do(http.MethodPost, "/account/email/resend", `{"username":"carol"}`)
	})
}

// otherServers asks servers with other configurations.
func (o *observer) otherServers(t *testing.T) {
	bare := newApp(t, withOptions(func(o *server.Options) { o.SignupEnabled, o.SessionCookie.Client = false, "nobody" }))
	o.watch(bare)
	p, browser := bare.page(), bare.person()
	p.do(http.MethodPost, "/signup", `{"username":"alice","password":"`+password+`"}`).wantProblem(http.StatusForbidden, "signup_disabled")
	browser.open("/signup").want(http.StatusForbidden)
	browser.open("/forgot").want(http.StatusNotFound)
	browser.open("/.well-known/change-password").want(http.StatusSeeOther)
	browser.submit("/forgot", form("email", "alice")).want(http.StatusNotFound)
	browser.open("/verify/again").want(http.StatusNotFound)
	browser.submit("/verify/again", form("username", "alice")).want(http.StatusNotFound)
	p.forgot("alice@example.net").wantProblem(http.StatusNotFound, "mail_off")
	p.answer("x", "totp", "000000").wantProblem(http.StatusNotFound, "browser_sign_in_off")
	p.passkey("x", "{}").wantProblem(http.StatusNotFound, "browser_sign_in_off")
	p.do(http.MethodPost, "/account/email/resend", `{"username":"alice"}`).wantProblem(http.StatusNotFound, "mail_off")
	p.signIn("alice", password).wantProblem(http.StatusNotFound, "browser_sign_in_off")
	p.keep(refreshName, "cs_rt_any")
	p.refresh().wantProblem(http.StatusNotFound, "browser_sign_in_off")

	numbered := newApp(t, withOptions(func(o *server.Options) { o.Issuer = "https://192.0.2.1" }))
	o.watch(numbered)
	numbered.page().do(http.MethodPost, "/session/passkey/options", "").wantProblem(http.StatusNotFound, "passkeys_off")

	mailless := newApp(t)
	o.watch(mailless)
	mailless.signup("alice")
	mailless.page().bearer(http.MethodPost, "/account/email", `{"email":"new@example.net","current_password":"`+password+`"}`, mailless.login("alice")).wantProblem(http.StatusNotFound, "mail_off")

	modern := newApp(t, withOptions(func(o *server.Options) { o.RFC9700 = true }))
	o.watch(modern)
	modern.page().signIn("alice", password).wantProblem(http.StatusForbidden, "password_sign_in_off")

	careful, _ := simulated(t, func(o *server.Options) { o.Accounts.RequireVerifiedEmail = true })
	o.watch(careful)
	status := 0
	for i := range 31 {
		status = careful.person().submit("/signup", form("username", "user"+strconv.Itoa(i), "password", password, "email", "user"+strconv.Itoa(i)+"@example.net")).Code
	}
	if status != http.StatusTooManyRequests {
		t.Errorf("sign-up: %d, want 429", status)
	}
}

// outage asks every operation while the database is away.
func (o *observer) outage(a *app, in *signedIn, operations map[string]described) {
	bearer := []string{"Authorization", "Bearer " + in.tokens.text("access_token"), "Content-Type", "application/json", "Origin", origin}
	waiting := a.person().open("/oauth/authorize?" + authorization("spa").Encode())
	_, ticket, _ := strings.Cut(waiting.Header().Get("Location"), "ticket=")
	challenge := in.page.challenged("fay")
	alone, options := in.page.askPasskey()
	a.db.Close()
	time.Sleep(2 * time.Second) // the server keeps an answer of /readyz that long
	a.do(http.MethodGet, "/readyz", "").want(http.StatusServiceUnavailable)
	bodies := map[string]string{
		"POST /signup":                  `{"username":"dave","password":"` + password + `"}`,
		"POST /session":                 `{"username":"alice","password":"` + password + `"}`,
		"POST /account/password/forgot": `{"username":"alice"}`,
		"POST /account/email/resend":    `{"username":"alice"}`,
		"POST /account/password/reset":  `{"token":"` + in.mailed + `","new_password":"` + password + `"}`,
		"POST /account/email/verify":    `{"token":"` + in.mailed + `"}`,
	}
	everyForm := form("ticket", ticket, "token", in.mailed, "username", "alice", "password", password, "client_id", "spa", "grant_type", "password", "email", "alice@example.net",
		"code_challenge", challengeOf(pkceVerifier), "code_challenge_method", "S256")
	for operation, d := range operations {
		method, path, _ := strings.Cut(operation, " ")
		_, isForm := d.RequestBody.Content["application/x-www-form-urlencoded"]
		_, isJSON := d.RequestBody.Content["application/json"]
		switch _, fails := d.Responses["5XX"]; {
		case !fails:
		case operation == "POST /session/factor":
			in.page.answer(challenge, "totp", "000000")
		case operation == "POST /session/passkey":
			in.page.passkey(alone, (&device{key: newKey()}).use(options))
		case strings.HasPrefix(path, "/session") && operation != "POST /session":
			in.page.do(method, path, "")
		case path == "/oauth/authorize":
			in.browser.open(path + "?" + authorization("spa").Encode())
			in.browser.post(path, authorization("spa"))
		case path == "/logout":
			in.browser.open(path)
			in.browser.submit(path, form())
		case slices.Contains(d.Tags, "Authorization"), slices.Contains(d.Tags, "Hosted pages"):
			in.browser.do(method, path+"?"+everyForm.Encode(), everyForm.Encode(),
				"Content-Type", "application/x-www-form-urlencoded", "Origin", issuer, "Sec-Fetch-Site", "same-origin")
		case isForm && !isJSON:
			in.browser.submit(path, everyForm)
		default:
			a.do(method, strings.NewReplacer("{id}", "any", "{client_id}", "any").Replace(path), bodies[operation], bearer...)
		}
	}
}
