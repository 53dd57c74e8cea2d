package tokens_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/caller"
	"countersign/clients"
	"countersign/ids"
	"countersign/keys"
	"countersign/oauth"
	"countersign/seal"
	"countersign/store"
	"countersign/store/storetest"
	"countersign/tokens"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main{M: m}.Run()) }

const (
	issuer      = "https://auth.example.com"
	api         = "https://api.example.com"
	otherAPI    = "https://other.example.com"
	callback    = "https://app.example.com/callback"
	accessTTL   = 10 * time.Minute
	idleTTL     = time.Hour
	absoluteTTL = 24 * time.Hour
)

// service is a tokens.Service over a fresh database with the user alice and the client
// app.
type service struct {
	*tokens.Service
	t     testing.TB
	db    *store.DB
	ring  *keys.Ring
	alice accounts.User
	app   oauth.Recipient
	now   time.Time // the service's time; the tests move it
}

// onBoth runs a test on both databases.
func onBoth(t *testing.T, test func(t *testing.T, s *service)) {
	t.Run("SQLite", func(t *testing.T) { test(t, newService(t, storetest.Open(t))) })
	t.Run("MariaDB", func(t *testing.T) {
		db := storetest.OpenURL(t, storetest.MariaDBURL(t, filepath.Join(t.TempDir(), "countersign.db")))
		t.Cleanup(func() { db.Close() })
		test(t, newService(t, db))
	})
}

// settings are what the tests' tokens are issued by.
var settings = tokens.Settings{AccessTTL: accessTTL, RefreshIdleTTL: idleTTL, RefreshAbsoluteTTL: absoluteTTL, RefreshReplayWindow: time.Minute}

func newService(t testing.TB, db *store.DB) *service {
	t.Helper()
	master, err := seal.Parse(seal.Generate())
	noError(t, err)
	ring, err := keys.Open(t.Context(), keys.Options{
		Store: db, Seal: master, Algorithms: []string{"ES256"},
		Policy: keys.Policy{RotationPeriod: 720 * time.Hour, JWKSMaxAge: 15 * time.Minute, ClockSkew: 30 * time.Second, AccessTTL: accessTTL},
	})
	noError(t, err)
	issuing, err := tokens.New(tokens.Options{
		Store: db, Signer: ring, Seal: master, Issuer: issuer, IDTokenAlg: "ES256", Settings: settings,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	noError(t, err)
	s := &service{
		Service: issuing,
		t:       t, db: db, ring: ring, now: time.Now().Truncate(time.Millisecond).UTC(),
		app: oauth.Recipient{
			ClientID: "app", FirstParty: true, Scopes: oauth.Scopes{"openid", "email", "offline_access"}, Audiences: []string{api, otherAPI}, Refresh: true,
		},
	}
	s.alice = s.user("alice")
	s.client("app")
	s.client("other")
	return s
}

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *service) user(name string) accounts.User {
	s.t.Helper()
	u := accounts.User{ID: ids.New[ids.User](), Username: name, PasswordHash: "$", CreatedAt: s.now, UpdatedAt: s.now}
	noError(s.t, s.db.CreateUser(s.t.Context(), u, audit.Event{Time: s.now, Kind: audit.UserCreated}))
	return u
}

func (s *service) client(id string) {
	s.t.Helper()
	c := clients.Client{ID: ids.Client(id), CreatedAt: s.now, UpdatedAt: s.now}
	noError(s.t, s.db.CreateClient(s.t.Context(), c, audit.Event{Time: s.now, Kind: audit.ClientCreated}))
}

// signIn signs a user in to a browser. had is the browser's former login, or nil.
func (s *service) signIn(u accounts.User, had *tokens.Login) tokens.Login {
	s.t.Helper()
	l, err := s.SignInBrowser(s.t.Context(), s.now, tokens.SignIn{UserID: u.ID, Epoch: u.Epoch, AuthTime: s.now}, had, caller.Caller{UserAgent: "Firefox"})
	noError(s.t, err)
	return l
}

// code issues a code to the client app.
func (s *service) code(l tokens.Login, ask tokens.Asked) string {
	s.t.Helper()
	ask.RedirectURI, ask.WithoutConsent = callback, true
	code, err := s.IssueCode(s.t.Context(), s.now, s.app, &l, ask)
	noError(s.t, err)
	return code
}

// redeem exchanges a code as a client. The changes alter the usual exchange.
func (s *service) redeem(to oauth.Recipient, code string, change ...func(*tokens.Exchange)) (tokens.Issued, error) {
	s.t.Helper()
	x := tokens.Exchange{Code: code, RedirectURI: callback}
	for _, c := range change {
		c(&x)
	}
	return s.Redeem(s.t.Context(), s.now, to, x, caller.Operator())
}

// lives reports whether an issued session is live.
func (s *service) lives(i tokens.Issued) bool {
	s.t.Helper()
	_, err := s.db.Session(s.t.Context(), i.Session.ID, s.now)
	if err != nil && !errors.Is(err, tokens.ErrUnknown) {
		s.t.Fatal(err)
	}
	return err == nil
}

// wantLast fails the test unless the latest event about alice has that kind.
func (s *service) wantLast(kind audit.Kind) {
	s.t.Helper()
	all, err := s.db.Events(s.t.Context(), audit.Filter{UserID: s.alice.ID})
	noError(s.t, err)
	if len(all) == 0 || all[len(all)-1].Kind != kind {
		s.t.Errorf("events = %+v, want the last to be %s", all, kind)
	}
}

// wantError fails the test if the error is not the wanted one.
func wantError(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", what, got, want)
	}
}
