package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/caller"
	"countersign/clients"
	"countersign/ids"
	"countersign/keys"
	"countersign/server"
	"countersign/store/storetest"
	"countersign/tokens"
)

// asWeb signs in at the confidential client.
var asWeb = form("grant_type", "password", "username", "alice", "password", password)

// Requirement: line 19.
func TestSignInSucceedsWithARefreshToken(t *testing.T) {
	a := newApp(t)
	id := a.signup("alice")
	for name, r := range map[string]*response{
		"public client":          a.login("alice"),
		"confidential client":    a.token(asWeb, "Authorization", basic("web", secret)),
		"name in another form":   a.token(passwordForm("Ａｌｉｃｅ")),
		"without openid":         a.token(with(passwordForm("alice"), "scope", "profile")),
		"without offline_access": a.token(with(passwordForm("alice"), "scope", "openid")),
	} {
		t.Run(name, func(t *testing.T) {
			if got := r.want(http.StatusOK).text("refresh_token"); !strings.HasPrefix(got, "cs_rt_") {
				t.Errorf("refresh token %q lacks the prefix that secret scanners know", got)
			}
			_, access := r.claims("access_token")
			if got := access["sub"]; got != id {
				t.Errorf("sub = %v, want the user's id %v", got, id)
			}
			_, hasID := r.json()["id_token"]
			if openid := strings.Contains(r.text("scope"), "openid"); hasID != openid {
				t.Errorf("an ID token came: %v, openid was granted: %v", hasID, openid)
			}
		})
	}
}

// The answer to every failure is the same to the byte, and so is the work.
//
// Requirement: line 19.
func TestFailedSignInsAreAlike(t *testing.T) {
	a := newApp(t, withHeavyHashes)
	a.signup("alice")
	disabled, err := ids.Parse[ids.User](a.signup("mallory"))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Users.Disable(t.Context(), time.Now(), disabled, caller.Operator()); err != nil {
		t.Fatal(err)
	}
	deleted, err := ids.Parse[ids.User](a.signup("trudy"))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Users.Delete(t.Context(), time.Now(), deleted, caller.Operator()); err != nil {
		t.Fatal(err)
	}
	want := a.token(with(passwordForm("alice"), "password", password+"!")).wantNothing().wantError(http.StatusBadRequest, "invalid_grant").answer()
	for name, f := range map[string]url.Values{
		"wrong password":           with(passwordForm("alice"), "password", password+"!"),
		"password in other case":   with(passwordForm("alice"), "password", strings.ToUpper(password)),
		"password with a space":    with(passwordForm("alice"), "password", password+" "),
		"password and NUL":         with(passwordForm("alice"), "password", password+"\x00"),
		"password malformed":       with(passwordForm("alice"), "password", "\x01\x02"),
		"password of 60,000":       with(passwordForm("alice"), "password", strings.Repeat("x", 60_000)),
		"unknown user":             passwordForm("nobody"),
		"disabled user":            with(passwordForm("mallory"), "password", password+"!"),
		"deleted user":             passwordForm("trudy"),
		"id for a name":            passwordForm(disabled.String()),
		"her e-mail address":       with(passwordForm("alice@example.net"), "password", password+"!"),
		"unknown e-mail address":   passwordForm("alice@example.org"),
		"malformed e-mail address": passwordForm("al ice@@\"example\x00"),
		"malformed name":           passwordForm("al ice"),
		"name of a space":          passwordForm(" "),
		"name and NUL":             passwordForm("alice\x00"),
		"name of 60,000":           passwordForm(strings.Repeat("x", 60_000)),
		"name for a query":         passwordForm("alice' OR '1'='1"),
		"name for a pattern":       passwordForm("alic%"),
		"name with another letter": passwordForm("аlice"), // Cyrillic а
	} {
		t.Run(name, func(t *testing.T) {
			var r *response
			if n := hashesIn(func() { r = a.token(f) }); n != 1 {
				t.Errorf("%d hashes, want 1", n)
			}
			if got := r.wantNothing().answer(); got != want {
				t.Errorf("got:\n%s\nwant what a wrong password gets:\n%s", got, want)
			}
		})
	}
}

// With every slot taken and the queue full, a request that needs a password hash can't
// be answered. So a request that is answered needed none.
//
// Requirement: line 20.
func TestNoPasswordWorkForAClientThatFailsToAuthenticate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faults{}
		a := newApp(t, withFaults(f), func(o *server.Options, _ *keys.Options) { o.Hashing.MaxConcurrentHashes = 1 })
		a.signup("alice")
		sign := watchSignIns(f)
		release := sign.hold()
		var wg sync.WaitGroup
		for n := range 1 + 32 {
			wg.Go(func() { a.token(passwordForm(fmt.Sprintf("flood%d", n))) })
		}
		synctest.Wait()
		begun, now := sign.begun.Load(), time.Now()

		for _, header := range [][]string{
			{"Authorization", basic("web", "wrong-secret")},
			{"Authorization", basic("nobody", "wrong-secret")},
			{"Authorization", basic("web", "")},
			nil,
		} {
			right := a.token(asWeb, header...).wantChallenge().answer()
			wrong := a.token(with(asWeb, "password", "wrong"), header...).wantChallenge().answer()
			if right != wrong {
				t.Errorf("right password:\n%s\nwrong password:\n%s", right, wrong)
			}
		}
		a.token(with(asWeb, "client_id", "third")).wantError(http.StatusBadRequest, "unauthorized_client")
		a.token(asWeb, "Authorization", basic("api", "dev-secret")).wantError(http.StatusBadRequest, "unauthorized_client")
		if n := sign.begun.Load() - begun; n != 0 {
			t.Errorf("%d passwords were looked at", n)
		}
		if waited := time.Since(now); waited != 0 {
			t.Errorf("the refusals waited %v", waited)
		}
		// The control: an authenticated client has to wait.
		a.token(asWeb, "Authorization", basic("web", secret)).wantUnavailable()
		release()
		wg.Wait()
	})
}

// A caller without the client's secret can't spend the guesses of its users.
//
// Requirement: line 20.
func TestAttemptsWithoutTheClientSpendNoGuesses(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	for range 30 {
		a.token(with(asWeb, "password", "wrong"), "Authorization", basic("web", "wrong-secret")).wantNothing()
		a.token(with(asWeb, "password", "wrong", "client_id", "web")).wantChallenge()
	}
	for range 11 { // all of them are there
		a.token(with(passwordForm("alice"), "password", "wrong")).wantError(http.StatusBadRequest, "invalid_grant")
	}
}

// Requirement: line 21.
func TestUsernameAndPasswordAreRequired(t *testing.T) {
	f := &faults{}
	a := newApp(t, withFaults(f))
	a.signup("alice")
	sign := watchSignIns(f)
	for _, missing := range [][]string{{"username"}, {"password"}, {"username", "password"}} {
		a.token(without(passwordForm("alice"), missing...)).wantNothing().wantError(http.StatusBadRequest, "invalid_request")
	}
	if n := sign.begun.Load(); n != 0 {
		t.Errorf("%d passwords were looked at", n)
	}
}

// Requirement: line 23.
func TestOnlyFirstPartyClientsSeePasswords(t *testing.T) {
	f := &faults{}
	a := newApp(t, withFaults(f))
	a.signup("alice")
	// No command makes such a client; a database may have one all the same.
	if err := storetest.PutClient(t.Context(), a.db, clients.Client{
		ID: "partner", CreatedAt: time.Now(), UpdatedAt: time.Now(),
		Settings: clients.Settings{
			Public: true, Grants: []string{"password", "refresh_token"}, Scopes: []string{"openid"},
		},
	}, audit.Event{Time: time.Now(), Kind: audit.ClientCreated}); err != nil {
		t.Fatal(err)
	}
	sign := watchSignIns(f)
	for _, client := range []string{"partner", "third"} {
		right := a.token(with(passwordForm("alice"), "client_id", client)).wantNothing().wantError(http.StatusBadRequest, "unauthorized_client").answer()
		wrong := a.token(with(passwordForm("alice"), "client_id", client, "password", "wrong")).answer()
		if right != wrong {
			t.Errorf("%s: right password:\n%s\nwrong password:\n%s", client, right, wrong)
		}
	}
	if n := sign.begun.Load(); n != 0 {
		t.Errorf("%d passwords were looked at", n)
	}
	if n := a.sessionsOf("alice"); n != 0 {
		t.Errorf("%d sessions were opened", n)
	}
}

// A flood of sign-ins is told to come back later, and slows nothing else.
func TestFloodOfSignInsSlowsSignInsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slots, queue = 2, 2 * 32
		f := &faults{}
		a := newApp(t, withFaults(f), func(o *server.Options, _ *keys.Options) { o.Hashing.MaxConcurrentHashes = slots })
		a.signup("alice")
		login := a.login("alice")
		sign := watchSignIns(f)
		release := sign.hold()
		began := time.Now()
		flood := make([]*response, slots+queue)
		var wg sync.WaitGroup
		for n := range flood {
			wg.Go(func() { flood[n] = a.token(passwordForm(fmt.Sprintf("flood%d", n))) })
		}
		synctest.Wait()
		if n := sign.begun.Load(); n != slots {
			t.Fatalf("%d sign-ins run at once, want %d", n, slots)
		}

		token := login.text("refresh_token")
		for range 5 {
			a.token(passwordForm("alice")).wantUnavailable()
			a.token(passwordForm("nobody")).wantUnavailable()
			token = a.refresh(token).want(http.StatusOK).text("refresh_token")
			a.userinfo(login.text("access_token")).want(http.StatusOK)
			a.do(http.MethodGet, "/.well-known/jwks.json", "").want(http.StatusOK)
			a.do(http.MethodGet, "/.well-known/openid-configuration", "").want(http.StatusOK)
			a.do(http.MethodGet, "/healthz", "").want(http.StatusOK)
			a.do(http.MethodGet, "/readyz", "").want(http.StatusOK)
			a.token(ownToken, "Authorization", basic("api", "dev-secret")).want(http.StatusOK)
			a.token(ownToken, "Authorization", basic("api", "wrong-secret")).wantChallenge()
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("the others waited %v", waited)
		}

		// A caller that queues too long gets the same answer, and nothing is left
		// behind.
		time.Sleep(time.Minute)
		wg.Wait()
		for _, r := range flood {
			r.wantUnavailable()
		}
		release()
		a.login("alice")
	})
}

// Sign-ins that have to wait their turn do the same bounded work.
func TestSignInsWaitTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faults{}
		a := newApp(t, withFaults(f), func(o *server.Options, _ *keys.Options) { o.Hashing.MaxConcurrentHashes = 1 })
		a.signup("alice")
		sign := watchSignIns(f)
		release := sign.hold()
		answers := make([]*response, 20)
		var wg sync.WaitGroup
		for n := range answers {
			wg.Go(func() { answers[n] = a.token(passwordForm("alice")) })
		}
		synctest.Wait()
		release()
		wg.Wait()
		for _, r := range answers {
			r.want(http.StatusOK)
		}
	})
}

func TestRolesAreSaidWhereTheyAreGranted(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	if _, err := a.Users.Create(t.Context(), time.Now(), accounts.NewUser{
		Username: "boss", Password: password, Roles: []string{"admin", "편집자"},
	}, caller.Operator()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		form url.Values
		want any
	}{
		"granted":            {with(passwordForm("boss"), "scope", "openid roles"), []any{"admin", "편집자"}},
		"granted by default": {passwordForm("boss"), []any{"admin", "편집자"}},
		"granted, none":      {with(passwordForm("alice"), "scope", "roles"), nil},
		"not granted":        {with(passwordForm("boss"), "scope", "openid profile"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := a.in(t)
			first := a.token(c.form).want(http.StatusOK)
			for what, r := range map[string]*response{"first": first, "refreshed": a.refresh(first.text("refresh_token"))} {
				if _, access := r.claims("access_token"); !reflect.DeepEqual(access["roles"], c.want) {
					t.Errorf("%s: roles = %#v, want %#v", what, access["roles"], c.want)
				}
			}
		})
	}
	t.Run("not for the asking", func(t *testing.T) {
		r := a.in(t).token(with(passwordForm("alice"), "roles", "admin")).want(http.StatusOK)
		if _, access := r.claims("access_token"); access["roles"] != nil {
			t.Errorf("roles = %#v, want none", access["roles"])
		}
	})
}

// A token says what was so when it was issued. What is issued after a change says the new
// roles, and so does userinfo.
func TestChangedRolesAreInWhatIsIssuedNext(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	first := a.token(with(passwordForm("alice"), "scope", "openid roles")).want(http.StatusOK)
	alice, err := a.Users.ByUsername(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	said := func(claims map[string]any, want any) {
		t.Helper()
		if !reflect.DeepEqual(claims["roles"], want) {
			t.Errorf("roles = %#v, want %#v", claims["roles"], want)
		}
	}
	for _, c := range []struct {
		change func(context.Context, time.Time, ids.User, string, caller.Caller) (accounts.User, error)
		role   string
		was    any
		is     any
	}{
		{a.Users.AddRole, "admin", nil, []any{"admin"}},
		{a.Users.AddRole, "편집자", []any{"admin"}, []any{"admin", "편집자"}},
		{a.Users.RemoveRole, "admin", []any{"admin", "편집자"}, []any{"편집자"}},
		{a.Users.RemoveRole, "편집자", []any{"편집자"}, nil},
	} {
		if _, err := c.change(t.Context(), time.Now(), alice.ID, c.role, caller.Operator()); err != nil {
			t.Fatal(err)
		}
		said(a.ask(first.text("access_token")).want(http.StatusOK).json(), c.was)
		said(a.userinfo(first.text("access_token")).want(http.StatusOK).json(), c.is)
		first = a.refresh(first.text("refresh_token")).want(http.StatusOK)
		_, access := first.claims("access_token")
		said(access, c.is)
	}
	if n := len(a.events(audit.UserRolesChanged)); n != 4 {
		t.Errorf("%d events, want 4", n)
	}
}

func TestAudienceIsTheClients(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	web := []string{"Authorization", basic("web", secret)}
	for name, c := range map[string]struct {
		answer *response
		want   any
	}{
		"the issuer by default":              {a.login("alice"), issuer},
		"the issuer without openid":          {a.token(with(passwordForm("alice"), "scope", "profile")), issuer},
		"the client's":                       {a.token(with(asWeb, "scope", "read"), web...), "https://api.example.com"},
		"the client's own token":             {a.token(with(ownToken, "scope", "read"), web...), "https://api.example.com"},
		"to which openid adds nothing":       {a.token(with(asWeb, "scope", "openid read"), web...), "https://api.example.com"},
		"not what the request says":          {a.token(with(passwordForm("alice"), "audience", "https://evil.example")), issuer},
		"after a refresh too":                {a.refresh(a.login("alice").text("refresh_token")), issuer},
		"of a client that acts for itself":   {a.token(ownToken, "Authorization", basic("api", "dev-secret")), issuer + "/userinfo"},
		"of narrowed scope at a refresh too": {a.refresh(a.login("alice").text("refresh_token"), "scope", "profile"), issuer},
	} {
		t.Run(name, func(t *testing.T) {
			if _, access := c.answer.want(http.StatusOK).claims("access_token"); !reflect.DeepEqual(access["aud"], c.want) {
				t.Errorf("aud = %#v, want %#v", access["aud"], c.want)
			}
		})
	}
}

// overtaken runs a change between the proof of a password and the session.
type overtaken struct {
	server.Store
	by  func() error
	err error
}

func (s *overtaken) CreateSession(ctx context.Context, one tokens.Session, epoch int64, ev audit.Event) error {
	if s.by != nil {
		s.err, s.by = s.by(), nil
	}
	return s.Store.CreateSession(ctx, one, epoch, ev)
}

// A sign-in that began before the account was disabled must not succeed after that.
func TestSignInThatIsOvertakenFails(t *testing.T) {
	for name, overtake := range map[string]func(a *app, id ids.User) error{
		"disabled": func(a *app, id ids.User) error {
			return a.Users.Disable(a.t.Context(), time.Now(), id, caller.Operator())
		},
		"disabled and enabled": func(a *app, id ids.User) error {
			if err := a.Users.Disable(a.t.Context(), time.Now(), id, caller.Operator()); err != nil {
				return err
			}
			return a.Users.Enable(a.t.Context(), time.Now(), id, caller.Operator())
		},
		"deleted": func(a *app, id ids.User) error {
			return a.Users.Delete(a.t.Context(), time.Now(), id, caller.Operator())
		},
		"password set": func(a *app, id ids.User) error {
			return a.Users.SetPassword(a.t.Context(), time.Now(), id, "another good password", caller.Operator())
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &overtaken{}
			a := newApp(t, func(o *server.Options, _ *keys.Options) { s.Store, o.Store = o.Store, s })
			id, err := ids.Parse[ids.User](a.signup("alice"))
			if err != nil {
				t.Fatal(err)
			}
			s.by = func() error { return overtake(a, id) }
			a.token(passwordForm("alice")).wantNothing().wantError(http.StatusBadRequest, "invalid_grant")
			if s.err != nil || s.by != nil {
				t.Fatalf("nothing overtook the sign-in: %v", s.err)
			}
			if all, err := a.Tokens.OfUser(t.Context(), time.Now(), id); err != nil || len(all) != 0 {
				t.Errorf("sessions = %v, %v, want none", all, err)
			}
		})
	}
}
