package authorize_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/authorize"
	"countersign/caller"
	"countersign/clients"
	"countersign/consents"
	"countersign/factors"
	"countersign/hashing"
	"countersign/ids"
	"countersign/keys"
	"countersign/limits"
	"countersign/oauth"
	"countersign/seal"
	"countersign/signin"
	"countersign/store/storetest"
	"countersign/tokens"
)

const issuer = "https://auth.example.com"

// rig is an authorize.Service with a fresh database, a client, and an ID token that the
// client got.
type rig struct {
	*authorize.Service
	seal    *seal.Keys
	client  clients.Client
	alice   ids.User
	now     time.Time
	idToken string
}

func newRig(t testing.TB) *rig {
	t.Helper()
	db := storetest.Open(t)
	master, err := seal.Parse(seal.Generate())
	noError(t, err)
	ring, err := keys.Open(t.Context(), keys.Options{
		Store: db, Seal: master, Algorithms: []string{"ES256"},
		Policy: keys.Policy{RotationPeriod: 720 * time.Hour, JWKSMaxAge: 15 * time.Minute, ClockSkew: 30 * time.Second, AccessTTL: time.Minute},
	})
	noError(t, err)
	issued, err := tokens.New(tokens.Options{
		Store: db, Signer: ring, Seal: master, Issuer: issuer, IDTokenAlg: "ES256",
		Settings: tokens.Settings{AccessTTL: time.Minute, RefreshIdleTTL: time.Hour, RefreshAbsoluteTTL: time.Hour},
	})
	noError(t, err)
	log := slog.New(slog.DiscardHandler)
	registry, err := clients.New(clients.Options{
		Store: db, Argon2: hashing.Argon2{MemoryKiB: 8, Iterations: 1, Parallelism: 1}, Slots: limits.NewSlots(1, 1), Log: log,
		Throttle: storetest.Throttle(t, db),
	})
	noError(t, err)
	r := &rig{seal: master, now: time.Now()}
	r.client, err = registry.Create(t.Context(), r.now, clients.Client{
		ID: "app",
		Settings: clients.Settings{
			Name: "App", Public: true, Grants: []string{"authorization_code"}, Scopes: []string{"openid", "profile", "email"},
			RedirectURIs:           []string{"https://app.example.com/callback", "https://app.example.com/?keep=this", "http://127.0.0.1/back", "com.example.app:/back"},
			PostLogoutRedirectURIs: []string{"https://app.example.com/bye", "https://app.example.com/bye?keep=this"},
		},
	}, "", caller.Operator())
	noError(t, err)
	alice := accounts.User{ID: ids.New[ids.User](), Username: "alice", CreatedAt: r.now, UpdatedAt: r.now}
	noError(t, db.CreateUser(t.Context(), alice, audit.Event{Time: r.now, Kind: audit.UserCreated}))
	got, err := issued.Start(t.Context(), r.now, oauth.Recipient{ClientID: "app", FirstParty: true, Scopes: oauth.Scopes{"openid"}}, tokens.SignIn{UserID: alice.ID, AuthTime: r.now}, nil, nil, caller.Operator())
	noError(t, err)
	r.idToken, r.alice = got.IDToken, alice.ID
	second, err := factors.New(factors.Options{Store: db, Seal: master})
	noError(t, err)
	r.Service = authorize.New(authorize.Options{
		SignIns: signin.New(signin.Options{Tokens: issued, Factors: second, Seal: master}),
		Clients: registry, Consents: consents.Service{Store: db}, Tokens: issued, Seal: master, Issuer: issuer, Claims: oauth.ScopeOfClaim(),
	})
	return r
}

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// isPage reports whether err is an error that a page shows, and fails the test if it is
// an unexpected error.
func isPage(t *testing.T, err error) bool {
	t.Helper()
	if err == nil {
		return false
	}
	if _, ok := errors.AsType[*authorize.PageError](err); !ok {
		t.Fatalf("error %v, want one for a page", err)
	}
	return true
}

// FuzzRead: whatever a request says, only a registered client is answered, at an
// address registered for it; an accepted request asks only for what the client may
// have, and its ticket restores it unchanged.
func FuzzRead(f *testing.F) {
	s := newRig(f)
	good := "response_type=code&client_id=app&redirect_uri=https%3A%2F%2Fapp.example.com%2Fcallback&scope=openid&state=s&nonce=n" +
		"&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
	for _, more := range []string{
		"", "&state=again", "&state=%ff", "&response_mode=form_post", "&response_mode=fragment", "&prompt=none", "&prompt=none+login", "&prompt=login+login+create",
		"&acr_values=mfa+gold+pwd+mfa", "&acr_values=%00", "&max_age=0", "&max_age=-1", "&max_age=99999999999999999999", "&id_token_hint=" + s.idToken, "&id_token_hint=a.b.c", "&resource=" + url.QueryEscape(issuer),
		"&resource=&resource=x", "&request=x", "&request_uri=x", "&registration=x", "&ui_locales=ko+en", "&claims=%7B%7D", "&claims=null", "&claims=[",
		`&claims={"userinfo":{"name":null,"address":{"essential":true}},"id_token":{"acr":{"essential":true,"values":[1]}}}`,
		`&claims={"id_token":{"sub":{"value":7}}}`, `&claims={"id_token":{"sub":{"value":"x"}},"userinfo":{"sub":null}}`,
	} {
		f.Add(good + more)
	}
	for old, replaced := range map[string]string{
		"openid": "openid+admin", "S256": "plain", "code_challenge=E9": "code_challenge=", "client_id=app": "client_id=", "app&redirect": "APP&redirect", "callback": "callback%2f",
		"https%3A%2F%2Fapp.example.com%2Fcallback": "http%3A%2F%2F127.0.0.1:4711%2Fback", "code&client": "token&client",
	} {
		f.Add(strings.Replace(good, old, replaced, 1))
	}
	f.Add(strings.Replace(good, "https%3A%2F%2Fapp.example.com%2Fcallback", "https%3A%2F%2Fapp.example.com%2F%3Fkeep=this", 1))
	f.Add(strings.Replace(good, "https%3A%2F%2Fapp.example.com%2Fcallback", "com.example.app:/back", 1) + "&response_mode=form_post")
	f.Fuzz(func(t *testing.T, query string) {
		form, _ := url.ParseQuery(query)
		r, err := s.Read(t.Context(), s.now, query)
		refusal, refused := errors.AsType[*oauth.Error](err)
		if !refused && isPage(t, err) {
			if r != nil {
				t.Errorf("%v, and yet %+v", err, r)
			}
			return
		}
		if r.ClientID != "app" || !s.client.AllowsRedirectURI(r.RedirectURI) || form.Get("redirect_uri") != r.RedirectURI {
			t.Fatalf("the client is %q, its answer goes to %q", r.ClientID, r.RedirectURI)
		}
		if len(form["state"]) < 2 && r.State != form.Get("state") {
			t.Errorf("state is %q, was %q", r.State, form.Get("state"))
		}
		if refused {
			answer := s.Refuse(r, refusal)
			s.leadsBack(t, r, &answer)
			for _, c := range refusal.Description {
				if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
					t.Errorf("error_description %q has %q (RFC 6749 section 4.1.2.1)", refusal.Description, c)
				}
			}
			return
		}
		if !r.Scopes.Within(s.client.Scopes) || len(r.Challenge) != 43 || r.FormPost && !strings.HasPrefix(r.RedirectURI, "http") {
			t.Errorf("the request is %+v", r)
		}
		for _, scope := range r.Permissions() {
			if !slices.Contains(s.client.Scopes, scope) {
				t.Errorf("the request is about %q", scope)
			}
		}
		ticket := s.Ticket(r)
		again, err := s.Resume(t.Context(), s.now, ticket)
		noError(t, err)
		if s.Ticket(again) != ticket || !slices.Equal(again.Permissions(), r.Permissions()) || again.State != r.State {
			t.Errorf("the request is %+v, and from its ticket %+v", r, again)
		}
		if _, err := s.ResumeLogout(t.Context(), s.now, ticket); !isPage(t, err) {
			t.Error("its ticket is one to sign out, too")
		}
	})
}

// leadsBack fails the test unless an answer leads to the redirect URI, with parameters
// that decode to the intended values.
func (s *rig) leadsBack(t *testing.T, r *authorize.Request, answer *authorize.Response) {
	t.Helper()
	rest, ok := strings.CutPrefix(answer.Location(), r.RedirectURI)
	if !ok || rest == "" || rest[0] != '?' && rest[0] != '&' || strings.Contains(r.RedirectURI, "?") != (rest[0] == '&') {
		t.Fatalf("the answer leads to %q, want %q and parameters", answer.Location(), r.RedirectURI)
	}
	values, err := url.ParseQuery(rest[1:])
	if err != nil || len(values) != len(answer.Values) {
		t.Fatalf("the parameters of %q: %v, %v", rest, values, err)
	}
	for _, v := range answer.Values {
		if values.Get(v.Name) != v.Value {
			t.Errorf("%s is read as %q, was %q", v.Name, values.Get(v.Name), v.Value)
		}
	}
	if values.Get("iss") != issuer {
		t.Errorf("iss is %q", values.Get("iss"))
	}
}

// FuzzResume: a changed ticket is invalid; and a valid one, of any version, leads only
// to registered addresses.
func FuzzResume(f *testing.F) {
	s := newRig(f)
	request := &authorize.Request{ClientID: "app", RedirectURI: "https://app.example.com/callback", Scopes: oauth.Scopes{"openid"}, AskedAt: s.now.UnixMilli()}
	ticket := s.Ticket(request)
	b, err := json.Marshal(request)
	noError(f, err)
	logout := s.LogoutTicket(&authorize.Logout{ClientID: "app", AskedAt: s.now.UnixMilli()})
	for _, text := range []string{"", ticket, ticket + "A", ticket[:len(ticket)-1], ticket + "\n", " " + ticket, strings.ToUpper(ticket), logout, "cs_ar_", "cs_ar_AAAA", string(b)} {
		f.Add(text, b)
	}
	for _, old := range []string{
		"", "null", "{}", "[]", "7", `{"client_id":"app"}`, `{"client_id":"app","redirect_uri":"https://evil.example/","asked_at":9999999999999}`,
		strings.Replace(string(b), "app.example.com", "evil.example", 1), strings.Replace(string(b), `"scopes":["openid"]`, `"scopes":null,"max_age":-1,"id_token_claims":["x"]`, 1),
	} {
		f.Add("", []byte(old))
	}
	f.Fuzz(func(t *testing.T, text string, made []byte) {
		if _, err := s.Resume(t.Context(), s.now, text); !isPage(t, err) && text != ticket {
			t.Errorf("%q is a ticket", text)
		}
		if _, err := s.ResumeLogout(t.Context(), s.now, text); !isPage(t, err) && text != logout {
			t.Errorf("%q is a ticket to sign out", text)
		}
		r, err := s.Resume(t.Context(), s.now, s.seal.Token("cs_ar_", "authorization request", made))
		if !isPage(t, err) && (r.ClientID != "app" || !s.client.AllowsRedirectURI(r.RedirectURI) || r.AskedAt < s.now.Add(-time.Hour).UnixMilli()) {
			t.Errorf("the ticket of %q leads to %q of %q", made, r.RedirectURI, r.ClientID)
		}
		_, err = s.ResumeLogout(t.Context(), s.now, s.seal.Token("cs_ar_", "logout request", made))
		isPage(t, err)
	})
}

// FuzzReadLogout: whatever a request to sign out says, the browser then goes only to an
// address registered for the client, and a user whom the client's ID token doesn't name
// is not signed out unasked.
func FuzzReadLogout(f *testing.F) {
	s := newRig(f)
	bye := "post_logout_redirect_uri=" + url.QueryEscape("https://app.example.com/bye")
	for _, query := range []string{
		"", "client_id=app", "client_id=app&" + bye, "client_id=app&state=s&" + bye + "%3Fkeep=this", bye, "client_id=nobody&" + bye, "client_id=app&" + bye + "%2F",
		"id_token_hint=" + s.idToken, "id_token_hint=" + s.idToken + "&state=a%26b&" + bye, "id_token_hint=" + s.idToken + "&client_id=other", "id_token_hint=a.b.c",
		"client_id=app&client_id=app", "client_id=app&ui_locales=ko&logout_hint=alice&state=%ff&" + bye,
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		form, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		r, err := s.ReadLogout(t.Context(), s.now, form)
		if isPage(t, err) {
			if r != nil {
				t.Errorf("%v, and yet %+v", err, r)
			}
			return
		}
		if r.Subject != "" && form.Get("id_token_hint") != s.idToken || !r.Session.IsZero() && r.Subject == "" {
			t.Errorf("%q: the request is %+v", query, r)
		}
		if r.Agreed(&tokens.Login{UserID: ids.New[ids.User]()}) {
			t.Errorf("%q: another user is signed out unasked", query)
		}
		to := form.Get("post_logout_redirect_uri")
		if r.GoTo() != "" && (!strings.HasPrefix(r.GoTo(), to) || !s.client.AllowsPostLogoutRedirectURI(to) || r.ClientID != "app") {
			t.Errorf("%q: the browser goes to %q", query, r.GoTo())
		}
		if rest := strings.TrimPrefix(r.GoTo(), to); rest != "" && (form.Get("state") == "" || !strings.HasPrefix(rest[1:], "state=") || strings.Contains(rest[1:], "&")) {
			t.Errorf("%q: the browser goes to %q", query, r.GoTo())
		}
	})
}
