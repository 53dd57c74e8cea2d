package signin_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"countersign/accounts"
	"countersign/caller"
	"countersign/clients"
	"countersign/factors"
	"countersign/hashing"
	"countersign/ids"
	"countersign/keys"
	"countersign/limits"
	"countersign/oauth"
	"countersign/seal"
	"countersign/secrecy"
	"countersign/signin"
	"countersign/store/storetest"
	"countersign/tokens"
	"countersign/upstreams"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main{M: m}.Run()) }

const (
	password = "a quiet harbour at dusk"
	callback = "https://app.example.com/callback"
)

// rig is a Service on a fresh database with the user alice and the client app.
type rig struct {
	*signin.Service
	t       testing.TB
	users   *accounts.Users
	tokens  *tokens.Service
	factors *factors.Service
	seal    *seal.Keys
	// factorsAre gives the Service other settings about second factors.
	factorsAre func(factors.Settings)
	browser    *signin.Browser
	alice      accounts.User
	app        oauth.Recipient
	now        time.Time
}

func newRig(t testing.TB, change ...func(*accounts.Options)) *rig {
	t.Helper()
	db := storetest.Open(t)
	master, err := seal.Parse(seal.Generate())
	noError(t, err)
	ring, err := keys.Open(t.Context(), keys.Options{
		Store: db, Seal: master, Algorithms: []string{"ES256"},
		Policy: keys.Policy{RotationPeriod: 720 * time.Hour, JWKSMaxAge: 15 * time.Minute, AccessTTL: 10 * time.Minute},
	})
	noError(t, err)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	cheap := hashing.Argon2{MemoryKiB: 8, Iterations: 1, Parallelism: 1}
	throttle := storetest.Throttle(t, db)
	o := accounts.Options{Store: db, Settings: accounts.Settings{Passwords: accounts.PasswordPolicy{MinLength: 8}}, Argon2: cheap, Slots: limits.NewSlots(2, 100), Throttle: throttle, Seal: master, Log: log}
	for _, c := range change {
		c(&o)
	}
	r := &rig{t: t, seal: master, now: time.Now().Truncate(time.Millisecond)}
	r.users, err = accounts.New(o)
	noError(t, err)
	registry, err := clients.New(clients.Options{Store: db, Argon2: cheap, Slots: limits.NewSlots(2, 100), Throttle: throttle, Log: log})
	noError(t, err)
	r.tokens, err = tokens.New(tokens.Options{
		Store: db, Signer: ring, Seal: master, Issuer: "https://auth.example.com", IDTokenAlg: "ES256", Log: log,
		Settings: tokens.Settings{AccessTTL: 10 * time.Minute, RefreshIdleTTL: time.Hour, RefreshAbsoluteTTL: 24 * time.Hour},
	})
	noError(t, err)
	providers, err := upstreams.New(upstreams.Options{Seal: master, Throttle: throttle, Log: log})
	noError(t, err)
	r.factorsAre = func(s factors.Settings) {
		t.Helper()
		var err error
		r.factors, err = factors.New(factors.Options{Settings: s, Store: db, Seal: master, Throttle: throttle, Issuer: "Acme"})
		noError(t, err)
		r.Service = signin.New(signin.Options{Users: r.users, Tokens: r.tokens, Factors: r.factors, Seal: master, Throttle: throttle, Upstreams: providers})
	}
	r.factorsAre(factors.Settings{TOTP: true})
	r.browser = &signin.Browser{SignIns: r.Service, Clients: registry, ClientID: "app", Log: log, Issued: func(string, bool) {}}
	r.alice, err = r.users.Create(t.Context(), r.now, accounts.NewUser{
		Username: "alice", Password: password, Email: "alice@example.com",
	}, caller.Operator())
	noError(t, err)
	app, err := registry.Create(t.Context(), r.now, clients.Client{
		ID: "app",
		Settings: clients.Settings{
			Name: "App", FirstParty: true, Public: true, Grants: []string{"password", "refresh_token", "authorization_code"},
			RedirectURIs: []string{callback}, Scopes: []string{"openid", "read"},
		},
	}, "", caller.Operator())
	noError(t, err)
	r.app = app.Recipient()
	return r
}

// appCode is the code that an authenticator app shows at a time.
func appCode(t testing.TB, secret string, at time.Time) string {
	t.Helper()
	code, err := totp.GenerateCode(secret, at)
	noError(t, err)
	return code
}

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r *rig) prove(p signin.Proof) (signin.Outcome, error) {
	return r.Prove(r.t.Context(), r.now, p, caller.Caller{UserAgent: "Firefox"})
}

// signedIn returns the outcome of a proof that signs in.
func (r *rig) signedIn(p signin.Proof) signin.Outcome {
	r.t.Helper()
	o, err := r.prove(p)
	noError(r.t, err)
	if o.State != signin.SignedIn {
		r.t.Fatalf("%T: %v", p, o.State)
	}
	return o
}

// use tries to start a session and a login from an outcome, and to get a code, and returns the
// errors of the first two.
func (r *rig) use(o *signin.Outcome) (start, enter error) {
	issued, start := r.Start(r.t.Context(), r.now, r.app, o, nil, nil, caller.Caller{})
	if start != nil && issued.AccessToken != "" {
		r.t.Errorf("%v: tokens with an error", o.State)
	}
	_, enter = r.Enter(r.t.Context(), r.now, o, nil, caller.Caller{})
	code, coded := r.Code(r.t.Context(), r.now, r.app, o, tokens.Asked{WithoutConsent: true}, caller.Caller{})
	if fmt.Sprint(coded) != fmt.Sprint(enter) || (coded == nil) != (code != "") {
		r.t.Errorf("%v: code %q, %v; want what Enter says, %v", o.State, code, coded, enter)
	}
	return start, enter
}

func TestOnlyASignedInOutcomeOpensAnything(t *testing.T) {
	r := newRig(t)
	for _, state := range []signin.State{signin.Refused, signin.AddressDue, signin.FactorDue, signin.EnrolmentDue, signin.EnrolmentDue + 1, -1} {
		start, enter := r.use(&signin.Outcome{State: state, User: r.alice, AuthTime: r.now})
		if !errors.Is(start, signin.ErrIncomplete) || !errors.Is(enter, signin.ErrIncomplete) {
			t.Errorf("%v: start %v, enter %v; want both refused", state, start, enter)
		}
	}
	good := r.signedIn(signin.Password{Username: "alice", Password: password})
	if start, enter := r.use(&good); start != nil || enter != nil {
		t.Errorf("signed in: start %v, enter %v", start, enter)
	}
}

func TestZeroProofsProveNothing(t *testing.T) {
	r := newRig(t)
	for _, p := range []signin.Proof{
		nil, signin.Password{}, signin.OwnPassword{}, signin.Code{}, signin.SignUp{}, signin.Remembered{}, signin.Remembered(nil),
		signin.SecondFactor{}, signin.FirstFactor{}, signin.Reset{},
	} {
		if o, err := r.prove(p); err == nil || o.State != signin.Refused {
			t.Errorf("%T: %v, %v", p, o.State, err)
		}
		if s, err := r.browser.SignIn(t.Context(), r.now, p, nil, caller.Caller{}); err == nil || s.AccessToken != "" {
			t.Errorf("%T signs in to /session: %v", p, err)
		}
	}
}

func TestPasswordsSayWhoWhenAndHow(t *testing.T) {
	r := newRig(t)
	for _, p := range []signin.Proof{
		signin.Password{Username: "Alice", Password: password}, signin.OwnPassword{UserID: r.alice.ID, At: ids.Place{Session: ids.New[ids.Session]()}, Password: password},
	} {
		o := r.signedIn(p)
		if o.User.ID != r.alice.ID || !o.AuthTime.Equal(r.now) || !slices.Equal(o.Methods, oauth.Methods{"pwd"}) {
			t.Errorf("%T: %+v", p, o)
		}
	}
	for _, p := range []signin.Proof{
		signin.Password{Username: "alice", Password: "wrong"}, signin.OwnPassword{UserID: r.alice.ID, At: ids.Place{Session: ids.New[ids.Session]()}, Password: "wrong"},
	} {
		if o, err := r.prove(p); !errors.Is(err, accounts.ErrBadCredentials) || o.State != signin.Refused {
			t.Errorf("%T: %v, %v", p, o.State, err)
		}
	}
}

func TestProofIsWorthNothingOnceTheAccountChanged(t *testing.T) {
	r := newRig(t)
	o := r.signedIn(signin.Password{Username: "alice", Password: password})
	noError(t, r.users.SetPassword(t.Context(), r.now, r.alice.ID, "another harbour at dawn", caller.Operator()))
	if start, enter := r.use(&o); !errors.Is(start, accounts.ErrBadCredentials) || !errors.Is(enter, accounts.ErrBadCredentials) {
		t.Errorf("start %v, enter %v", start, enter)
	}
}

func TestSignUpSignsInUnlessTheAddressIsDue(t *testing.T) {
	bob := signin.SignUp{Username: "bob", Email: "bob@example.com", Password: password}
	r := newRig(t)
	if o := r.signedIn(bob); o.User.Username != "bob" || !slices.Equal(o.Methods, oauth.Methods{"pwd"}) {
		t.Errorf("%+v", o)
	}
	if o := r.signedIn(bob); o.User.Username != "bob" { // the form was sent twice
		t.Errorf("%+v", o)
	}
	bob.Password = "another harbour at dawn"
	if o, err := r.prove(bob); !errors.Is(err, accounts.ErrUsernameTaken) || o.State != signin.Refused {
		t.Errorf("a name that is taken: %v, %v", o.State, err)
	}
	strict := newRig(t, func(o *accounts.Options) { o.Mail, o.RequireVerifiedEmail = true, true })
	o, err := strict.prove(bob)
	noError(t, err)
	if o.State != signin.AddressDue {
		t.Errorf("got %v", o.State)
	}
	if start, enter := strict.use(&o); !errors.Is(start, signin.ErrIncomplete) || !errors.Is(enter, signin.ErrIncomplete) {
		t.Errorf("start %v, enter %v", start, enter)
	}
}

func TestRememberedLoginAndTheCodeThatComesOfIt(t *testing.T) {
	r := newRig(t)
	o := r.signedIn(signin.Password{Username: "alice", Password: password})
	l, err := r.Enter(t.Context(), r.now, &o, nil, caller.Caller{UserAgent: "Firefox"})
	noError(t, err)
	r.now = r.now.Add(time.Minute)
	has := signin.Remembered{"planted", r.tokens.LoginToken(&l)}
	known := r.signedIn(has)
	if known.Login == nil || known.Login.ID != l.ID || known.User.Username != "alice" || !known.AuthTime.Equal(l.AuthTime) {
		t.Errorf("%+v", known)
	}
	// A browser that is signed in again without a new proof was last proven when it was.
	if again, err := r.Enter(t.Context(), r.now, &known, nil, caller.Caller{}); err != nil || !again.AuthTime.Equal(l.AuthTime) {
		t.Errorf("entered again: authenticated at %v, %v, want %v", again.AuthTime, err, l.AuthTime)
	}

	code, err := r.tokens.IssueCode(t.Context(), r.now, r.app, known.Login, tokens.Asked{RedirectURI: callback, WithoutConsent: true})
	noError(t, err)
	exchange := signin.Code{Code: code, RedirectURI: callback}
	if _, err := r.prove(exchange); !errors.Is(err, signin.ErrBadCode) {
		t.Errorf("a code without its client: %v", err)
	}
	first, err := r.browser.SignIn(t.Context(), r.now, exchange, nil, caller.Caller{})
	noError(t, err)
	if first.User.ID != r.alice.ID || !first.Session.AuthTime.Equal(l.AuthTime) {
		t.Errorf("%+v", first)
	}
	// A code leaves the login of the session it replaces alive; a password ends it.
	code, err = r.tokens.IssueCode(t.Context(), r.now, r.app, known.Login, tokens.Asked{RedirectURI: callback, WithoutConsent: true})
	noError(t, err)
	second, err := r.browser.SignIn(t.Context(), r.now, signin.Code{Code: code, RedirectURI: callback}, []string{first.RefreshToken}, caller.Caller{})
	noError(t, err)
	if _, err := r.browser.User(t.Context(), r.now, []string{first.RefreshToken}, caller.Operator()); !errors.Is(err, signin.ErrLoginRequired) {
		t.Errorf("the former session: %v", err)
	}
	r.signedIn(has)
	if _, err := r.browser.SignIn(t.Context(), r.now, signin.Password{Username: "alice", Password: password}, []string{second.RefreshToken}, caller.Caller{}); err != nil {
		t.Fatal(err)
	}
	if o, err := r.prove(has); !errors.Is(err, signin.ErrLoginRequired) || o.State != signin.Refused {
		t.Errorf("the login of a replaced session: %v, %v", o.State, err)
	}
}

func TestConfirmTakesARecentProofOrThePassword(t *testing.T) {
	r := newRig(t)
	at := func(age time.Duration) time.Time { return r.now.Add(-age) }
	for _, c := range []struct {
		name         string
		proven       time.Time
		signedIn     time.Time
		password     secrecy.Text
		want, wanted error // of Confirm and ConfirmAnew
	}{
		{"signed in, not proven", time.Time{}, r.now, "", signin.ErrStale, signin.ErrStale},
		{"proven by the sign-in", at(10 * time.Minute), at(10 * time.Minute), "", nil, signin.ErrStale},
		{"proven since", at(10 * time.Minute), at(time.Hour), "", nil, nil},
		{"proven too long ago", at(10*time.Minute + time.Millisecond), at(time.Hour), "", signin.ErrStale, signin.ErrStale},
		{"password", time.Time{}, at(time.Hour), password, nil, nil},
		{"wrong password", time.Time{}, at(time.Hour), "wrong", accounts.ErrBadCredentials, accounts.ErrBadCredentials},
		{"proven, but the password is wrong", r.now, at(time.Hour), "wrong", accounts.ErrBadCredentials, accounts.ErrBadCredentials},
	} {
		mine := tokens.Session{ID: ids.New[ids.Session](), UserID: r.alice.ID, AuthTime: c.signedIn, ProvenAt: c.proven, Epoch: r.alice.Epoch}
		user, err := r.Confirm(t.Context(), r.now, signin.OwnerIn(&mine), c.password, caller.Caller{})
		if !errors.Is(err, c.want) || err == nil && (user.ID != r.alice.ID || user.Epoch != r.alice.Epoch) {
			t.Errorf("%s: got %v, %v, want %v", c.name, user, err, c.want)
		}
		if _, err := r.ConfirmAnew(t.Context(), r.now, signin.OwnerIn(&mine), c.password, caller.Caller{}); !errors.Is(err, c.wanted) {
			t.Errorf("%s, anew: got %v, want %v", c.name, err, c.wanted)
		}
	}
	if _, err := r.Confirm(t.Context(), r.now, signin.Owner{}, "", caller.Caller{}); !errors.Is(err, signin.ErrStale) {
		t.Errorf("the zero session: %v", err)
	}
}
