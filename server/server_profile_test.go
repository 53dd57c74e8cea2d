package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"countersign/accounts"
	"countersign/audit"
	"countersign/caller"
	"countersign/clients"
	"countersign/ids"
	"countersign/oauth"
	"countersign/server"
	"countersign/tokens"
)

// fullProfile is a profile that says everything.
const fullProfile = `{
	"name": "Alice 愛 Sample", "given_name": "Alice", "family_name": "Sample", "middle_name": "愛", "nickname": "Al",
	"profile": "https://example.com/~alice#me", "picture": "https://example.com/alice.png", "website": "http://alice.example",
	"gender": "female", "birthdate": "0000-02-29", "zoneinfo": "Asia/Seoul", "locale": "ko-KR", "phone_number": "+82212345678;ext=9",
	"address": {
		"formatted": "1 Main Street\nSeoul", "street_address": "1 Main Street\n2nd floor", "locality": "Seoul", "region": "Seoul",
		"postal_code": "04524", "country": "KR"
	}
}`

// everyScope are the scopes that open a claim.
const everyScope = "openid profile email phone address roles"

// withScopes declares a first-party client that may have every scope and returns a
// sign-in at it for some.
func (a *app) withScopes(username, scope string) *response {
	a.t.Helper()
	scopes, _ := oauth.ParseScopes(everyScope + " groups offline_access account")
	client := clients.Client{ID: "whole", Settings: clients.Settings{Name: "Whole", Public: true, FirstParty: true, Grants: []string{"password", "refresh_token"}, Scopes: scopes}}
	if _, err := a.Clients.Put(a.t.Context(), time.Now(), client, "", caller.Operator()); err != nil {
		a.t.Fatal(err)
	}
	f := passwordForm(username)
	f.Set("client_id", string(client.ID))
	f.Set("scope", scope)
	return a.token(f).want(http.StatusOK)
}

// putProfile replaces the profile of the user whose access token is in an answer.
func (a *app) putProfile(in *response, body string, header ...string) *response {
	a.t.Helper()
	return a.do(http.MethodPut, "/account/profile", body,
		append([]string{"Content-Type", "application/json", "Authorization", "Bearer " + in.text("access_token")}, header...)...)
}

// profile gets the profile of the user whose access token is in an answer.
func (a *app) profile(in *response) *response {
	a.t.Helper()
	return a.do(http.MethodGet, "/account/profile", "", "Authorization", "Bearer "+in.text("access_token"))
}

// object is a JSON object.
func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestUserinfoSaysEveryClaimByItsScope(t *testing.T) {
	a := newApp(t)
	id := a.signup("alice")
	a.putProfile(a.login("alice"), fullProfile).want(http.StatusOK)
	user, err := a.Users.ByUsername(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	claims := object(t, fullProfile)
	claims["sub"], claims["preferred_username"], claims["updated_at"] = id, "alice", float64(user.UpdatedAt.Unix())
	claims["email"], claims["email_verified"] = "alice@example.net", false
	claims["phone_number_verified"] = false
	of := map[string][]string{
		"profile": {
			"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile",
			"picture", "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
		},
		"email":   {"email", "email_verified"},
		"phone":   {"phone_number", "phone_number_verified"},
		"address": {"address"},
		"roles":   {}, // she has none
		"openid":  {"sub"},
	}
	for _, scopes := range []string{"openid", "openid profile", "openid email", "openid phone", "openid address", "openid roles", "address openid phone", everyScope} {
		want := map[string]any{}
		for scope := range strings.FieldsSeq(scopes) {
			for _, claim := range of[scope] {
				want[claim] = claims[claim]
			}
		}
		got := a.userinfo(a.withScopes("alice", scopes).text("access_token")).want(http.StatusOK).json()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", scopes, diff)
		}
	}
	if len(claims) != len(slices.Concat(slices.Collect(maps.Values(of))...)) {
		t.Error("a claim is in no scope, or in two")
	}
}

// Claims without a value are left out (OpenID Connect Core section 5.3.2).
func TestUserinfoLeavesOutAbsentClaims(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	said := func() string {
		got := a.userinfo(a.withScopes("alice", everyScope).text("access_token")).want(http.StatusOK).json()
		for _, claim := range []string{"sub", "preferred_username", "updated_at", "email", "email_verified"} {
			if _, ok := got[claim]; !ok {
				t.Errorf("%s is missing in %v", claim, got)
			}
			delete(got, claim)
		}
		rest, _ := json.Marshal(got)
		return string(rest)
	}
	for _, c := range [][2]string{
		{``, `{"name":"alice"}`},
		{`{}`, `{"name":"alice"}`},
		{`{"nickname":"Al"}`, `{"name":"alice","nickname":"Al"}`},
		{`{"name":"","address":{},"phone_number":null}`, `{"name":"alice"}`},
		{`{"address":null}`, `{"name":"alice"}`},
		{`{"address":{"country":"KR","region":""}}`, `{"address":{"country":"KR"},"name":"alice"}`},
	} {
		if c[0] != "" {
			a.putProfile(a.login("alice"), c[0]).want(http.StatusOK)
		}
		if got := said(); got != c[1] {
			t.Errorf("after %s userinfo says %s, want %s", c[0], got, c[1])
		}
	}
}

// count counts the reads of a verb.
func (f *faults) count(verb string) *int {
	n := new(int)
	f.set(func(_ context.Context, v string) error {
		if v == verb {
			*n++
		}
		return nil
	})
	return n
}

func TestUserinfoReadsTheProfileOnlyIfAsked(t *testing.T) {
	f := &faults{}
	a := newApp(t, withFaults(f))
	a.signup("alice")
	read := f.count("Profile")
	for scope, want := range map[string]int{
		"openid": 0, "openid email": 0, "openid email roles offline_access": 0, "openid profile": 1, "openid phone": 1, "openid address": 1, everyScope: 1,
	} {
		token := a.withScopes("alice", scope).text("access_token")
		*read = 0
		a.userinfo(token).want(http.StatusOK)
		if *read != want {
			t.Errorf("%s: the profile was read %d times, want %d", scope, *read, want)
		}
	}
	token := a.withScopes("alice", everyScope).text("access_token")
	f.set(func(_ context.Context, verb string) error {
		if verb == "Profile" {
			return errors.New("broken")
		}
		return nil
	})
	a.userinfo(token).wantError(http.StatusInternalServerError, "server_error")
}

// Claims that a client asks for by name (OpenID Connect Core section 5.5) are added to
// those of the scopes, in the place where it asked for them.
func TestClaimsAskedForByName(t *testing.T) {
	f := &faults{}
	a := newApp(t, withFaults(f))
	id := a.signup("alice")
	a.putProfile(a.login("alice"), fullProfile).want(http.StatusOK)
	a.withScopes("alice", "openid") // its client may have every scope
	scopes, _ := oauth.ParseScopes(everyScope)
	to := oauth.Recipient{ClientID: "whole", FirstParty: true, Scopes: scopes}
	now := time.Now()
	login, err := a.Tokens.SignInBrowser(t.Context(), now, tokens.SignIn{UserID: ids.User(uuid.MustParse(id))}, nil, caller.Operator())
	if err != nil {
		t.Fatal(err)
	}
	exchange := func() (tokens.Issued, error) {
		code, err := a.Tokens.IssueCode(t.Context(), now, to, &login, tokens.Asked{WithoutConsent: true, Scopes: oauth.Scopes{"openid"}, Details: tokens.Details{
			IDTokenClaims:  []string{"address", "email_verified", "iss", "sub", "invented"},
			UserInfoClaims: []string{"name", "phone_number_verified", "email", "invented"},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return a.Tokens.Redeem(t.Context(), now, to, tokens.Exchange{Code: code}, caller.Operator())
	}
	issued, err := exchange()
	if err != nil {
		t.Fatal(err)
	}
	got := a.userinfo(issued.AccessToken).want(http.StatusOK).json()
	want := map[string]any{"sub": id, "name": "Alice 愛 Sample", "phone_number_verified": false, "email": "alice@example.net"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("userinfo (-want +got):\n%s", diff)
	}
	body, _ := json.Marshal(map[string]string{"id_token": issued.IDToken})
	_, said := (&response{&httptest.ResponseRecorder{Body: bytes.NewBuffer(body)}, t}).claims("id_token")
	if diff := cmp.Diff(object(t, fullProfile)["address"], said["address"]); diff != "" {
		t.Errorf("address in the ID token (-want +got):\n%s", diff)
	}
	if said["email_verified"] != false || said["iss"] != issuer || said["sub"] != id || said["name"] != nil || said["email"] != nil {
		t.Errorf("the ID token says %v", said)
	}

	// The user is deleted during the exchange: there are no claims.
	f.set(func(_ context.Context, verb string) error {
		if verb == "User" {
			return accounts.ErrUnknownUser
		}
		return nil
	})
	if _, err := exchange(); !errors.Is(err, tokens.ErrUserGone) {
		t.Errorf("deleted user: %v, want ErrUserGone", err)
	}
}

func TestAccountProfileIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		a.signup("bob")
		in := a.login("alice")
		if got := a.profile(in).want(http.StatusOK).Body.String(); got != "{}\n" {
			t.Errorf("the first profile is %s, want none", got)
		}
		before := a.userinfo(in.text("access_token")).json()["updated_at"].(float64)
		for _, body := range []string{fullProfile, `{"name":"Al","address":{"country":"KR"}}`, `{"nickname":"<Al> & \"I\""}`, `{}`} {
			time.Sleep(time.Second)
			for what, got := range map[string]*response{"PUT": a.putProfile(in, body), "GET": a.profile(in)} {
				if diff := cmp.Diff(object(t, body), got.want(http.StatusOK).json()); diff != "" {
					t.Errorf("%s (-want +got):\n%s", what, diff)
				}
				if got.Header().Get("Cache-Control") != "no-store" || got.Header().Get("Content-Type") != "application/json" {
					t.Errorf("%s: header %v", what, got.Header())
				}
			}
			said := a.userinfo(in.text("access_token")).json()
			if after := said["updated_at"].(float64); after != before+1 {
				t.Errorf("updated_at moved from %v to %v, want a second", before, after)
			}
			before++
		}
		if got := a.profile(a.login("bob")).want(http.StatusOK).Body.String(); got != "{}\n" {
			t.Errorf("bob's profile is %s", got)
		}
		events, err := a.db.Events(t.Context(), audit.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, ev := range events {
			if ev.Kind == audit.UserProfileChanged {
				n++
				if ev.UserID.IsZero() || ev.Address == "" || ev.RequestID == "" {
					t.Errorf("event %+v", ev)
				}
			}
		}
		if n != 4 {
			t.Errorf("%d changes recorded, want 4", n)
		}
	})
}

func TestAccountProfileRefusesWhatIsNotOne(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	in := a.login("alice")
	a.putProfile(in, fullProfile).want(http.StatusOK)
	for body, want := range map[string]string{
		`{"name":"a","planet":"Mars"}`:                            "planet unknown",
		`{"Name":"a"}`:                                            "Name unknown",
		`{"name":"a","name":"a"}`:                                 "name repeated",
		`{"name":"a","NAME":"a"}`:                                 "NAME repeated",
		`{"name":1}`:                                              "name wrong_type",
		`{"name":{}}`:                                             "name wrong_type",
		`{"name":"\ud800"}`:                                       "name invalid_characters",
		`{"name":"a\u0000b"}`:                                     "name invalid_characters",
		`{"name":"\u202eecila"}`:                                  "name invalid_characters",
		`{"name":"a\nb"}`:                                         "name invalid_characters",
		`{"name":" "}`:                                            "name invalid_characters",
		`{"name":"` + strings.Repeat("a", 257) + `"}`:             "name too_long",
		`{"website":"javascript:alert(document.domain)"}`:         "website invalid",
		`{"picture":"https://example.com\\@evil.com/a"}`:          "picture invalid",
		`{"profile":"https://user:secret@example.com/"}`:          "profile invalid",
		`{"birthdate":"1990-02-30"}`:                              "birthdate invalid",
		`{"zoneinfo":"../../etc/passwd"}`:                         "zoneinfo invalid",
		`{"zoneinfo":"Local"}`:                                    "zoneinfo invalid",
		`{"locale":"en_US"}`:                                      "locale invalid",
		`{"phone_number":"0800 123"}`:                             "phone_number invalid",
		`{"phone_number":"+1425","phone_number_verified":true}`:   "phone_number_verified unknown",
		`{"email":"thief@example.net","email_verified":true}`:     "email unknown, email_verified unknown",
		`{"sub":"x","preferred_username":"x","updated_at":1}`:     "sub unknown, preferred_username unknown, updated_at unknown",
		`{"roles":["admin"]}`:                                     "roles unknown",
		`{"address":"1 Main Street"}`:                             "address wrong_type",
		`{"address":[{"country":"KR"}]}`:                          "address wrong_type",
		`{"address":true}`:                                        "address wrong_type",
		`{"address":{"planet":"Mars"}}`:                           "address.planet unknown",
		`{"address":{"Country":"KR"}}`:                            "address.Country unknown",
		`{"address":{"country":"KR","country":"DE"}}`:             "address.country repeated",
		`{"address":{"country":"KR","COUNTRY":"DE"}}`:             "address.COUNTRY repeated",
		`{"address":{"country":{"code":"KR"}}}`:                   "address.country wrong_type",
		`{"address":{"country":"\udc00"}}`:                        "address.country invalid_characters",
		`{"address":{"country":"KR"},"address":{"region":"x"}}`:   "address repeated",
		`{"address":{"locality":"a\nb","formatted":"a\u0007"}}`:   "address.formatted invalid_characters, address.locality invalid_characters",
		`{"address.country":"KR"}`:                                "address.country unknown",
		`{"birthdate":"x","locale":"x!","address":{"x":"y"}}`:     "address.x unknown",
		`{"birthdate":"x","locale":"x!"}`:                         "birthdate invalid, locale invalid",
		`{"address":{"` + strings.Repeat("a", 90) + `":"KR"}}`:    "address." + strings.Repeat("a", 56) + "... unknown",
		`{"name":"a","address":{"country":"\u2066"},"x":"` + `"}`: "x unknown",
	} {
		got := a.putProfile(in, body).wantProblem(http.StatusBadRequest, "invalid_input")
		var problem struct {
			Errors []struct{ Field, Code, Detail string }
		}
		if err := json.Unmarshal(got.Body.Bytes(), &problem); err != nil {
			t.Fatal(err)
		}
		var wrong []string
		for _, e := range problem.Errors {
			wrong = append(wrong, e.Field+" "+e.Code)
			if e.Detail == "" {
				t.Errorf("%s: no detail", body)
			}
		}
		if said := strings.Join(wrong, ", "); said != want {
			t.Errorf("%s is refused for %s, want %s", body, said, want)
		}
	}
	long := `"https://example.com/` + strings.Repeat("a", 2000) + `"`
	a.putProfile(in, `{"profile":`+long+`,"picture":`+long+`,"website":`+long+`,"address":{"formatted":"`+strings.Repeat("愛", 1000)+`"}}`).
		wantProblem(http.StatusBadRequest, "invalid_input")
	for _, body := range []string{``, `[]`, `null`, `"x"`, `{`, `{"address":{}`, `{"address":{"country":}}`, `{}{}`, "{\"name\":\"\xff\"}", `{"address":{"country":"KR",}}`} {
		a.putProfile(in, body).wantProblem(http.StatusBadRequest, "malformed")
	}
	a.putProfile(in, `{"name":"`+strings.Repeat("a", 65<<10)+`"}`).wantProblem(http.StatusRequestEntityTooLarge, "too_large")
	a.do(http.MethodPut, "/account/profile", "name=a", "Authorization", "Bearer "+in.text("access_token"), "Content-Type", "application/x-www-form-urlencoded").
		wantProblem(http.StatusUnsupportedMediaType, "unsupported_media_type")
	for _, method := range []string{http.MethodPost, http.MethodPatch, http.MethodDelete} {
		a.do(method, "/account/profile", "{}", "Authorization", "Bearer "+in.text("access_token")).wantProblem(http.StatusMethodNotAllowed, "method_not_allowed")
	}
	if diff := cmp.Diff(object(t, fullProfile), a.profile(in).json()); diff != "" {
		t.Errorf("what was refused has changed the profile (-want +got):\n%s", diff)
	}
}

func TestAccountProfileIsForOurOwnApplications(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	login := a.login("alice")
	whole := a.withScopes("alice", everyScope)
	a.alter("whole", func(c *clients.Client) { c.FirstParty, c.Grants = false, []string{"refresh_token"} })
	a.profile(whole).wantProblem(http.StatusForbidden, "insufficient_scope")
	a.putProfile(whole, `{"name":"Thief"}`).wantProblem(http.StatusForbidden, "insufficient_scope")
	if got := a.profile(login).want(http.StatusOK).Body.String(); got != "{}\n" {
		t.Errorf("the profile is %s", got)
	}
}

// A page of an allowed origin may read and write the profile, also with the token in a
// cookie; other pages may not.
func TestAccountProfileFromPages(t *testing.T) {
	a := newApp(t, withOptions(func(o *server.Options) { o.SessionCookie.AccessCookie = true }))
	a.signup("alice")
	p := a.page()
	p.signIn("alice", password).want(http.StatusOK)
	p.do(http.MethodPut, "/account/profile", `{"name":"Alice"}`).want(http.StatusOK)
	wantReadable(t, p.do(http.MethodGet, "/account/profile", "").want(http.StatusOK), origin)
	a.preflight("/account/profile", origin, http.MethodPut).want(http.StatusNoContent)
	p.origin = "https://evil.example"
	p.do(http.MethodPut, "/account/profile", `{"name":"Thief"}`).wantProblem(http.StatusForbidden, "origin_not_allowed")
	a.preflight("/account/profile", p.origin, http.MethodPut).want(http.StatusForbidden)
	p.origin = origin
	if got := p.do(http.MethodGet, "/account/profile", "").text("name"); got != "Alice" {
		t.Errorf("name = %s", got)
	}
}

// A client's own token has no scopes about a user.
func TestPhoneAndAddressAreScopesOfUsers(t *testing.T) {
	a := newApp(t)
	client := clients.Client{ID: "robot", Settings: clients.Settings{Name: "Robot", Grants: []string{"client_credentials"}, Scopes: []string{"read", "phone", "address"}}}
	if _, err := a.Clients.Put(t.Context(), time.Now(), client, secret, caller.Operator()); err != nil {
		t.Fatal(err)
	}
	if got := a.token(form("grant_type", "client_credentials"), "Authorization", basic("robot", secret)).want(http.StatusOK).text("scope"); got != "read" {
		t.Errorf("scope = %q, want read", got)
	}
}
