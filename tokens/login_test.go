package tokens_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
	"countersign/oauth"
	"countersign/seal"
	"countersign/store/storetest"
	"countersign/tokens"
)

// Each sign-in starts a new login, so that a copied token of the former login is
// worthless. The former login's sessions and codes move to the new one.
func TestSignInBrowserGoesOnWithTheSameUser(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		l := s.signIn(s.alice, nil)
		s.wantLast(audit.LoginCreated)
		issued, err := s.redeem(s.app, s.code(l, tokens.Asked{}))
		noError(t, err)
		s.now = s.now.Add(30 * time.Minute)
		pending := s.code(l, tokens.Asked{})
		again := s.signIn(s.alice, &l)
		s.wantLast(audit.LoginCreated)
		if again.ID == l.ID || !again.AuthTime.Equal(s.now) || !again.ExpiresAt.Equal(s.now.Add(idleTTL)) || !again.AbsoluteExpiresAt.Equal(s.now.Add(absoluteTTL)) {
			t.Errorf("the login is %+v, was %+v", again, l)
		}
		_, err = s.LoginOf(t.Context(), s.now, []string{s.LoginToken(&l)})
		wantError(t, "former login", err, tokens.ErrUnknown)
		got, err := s.LoginOf(t.Context(), s.now, []string{s.LoginToken(&again)})
		noError(t, err)
		if !got.AuthTime.Equal(s.now) || got.Username != "alice" {
			t.Errorf("the login is stored as %+v", got)
		}
		late, err := s.redeem(s.app, pending)
		noError(t, err)
		if !s.lives(issued) || !s.lives(late) {
			t.Error("a session has ended")
		}
		noError(t, s.SignOutBrowser(t.Context(), s.now, &again, caller.Operator()))
		if s.lives(issued) || s.lives(late) {
			t.Error("a session outlives the sign-out")
		}
	})
}

// The sessions of an expired login do not move to the new one.
func TestSignInBrowserAfterTheLoginExpired(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		l := s.signIn(s.alice, nil)
		issued, err := s.redeem(s.app, s.code(l, tokens.Asked{}))
		noError(t, err)
		s.now = s.now.Add(idleTTL - time.Minute)
		_, err = s.Refresh(t.Context(), s.now, s.app, issued.RefreshToken, nil, nil, caller.Operator())
		noError(t, err)
		s.now = s.now.Add(2 * time.Minute)
		again := s.signIn(s.alice, &l)
		noError(t, s.SignOutBrowser(t.Context(), s.now, &again, caller.Operator()))
		if !s.lives(issued) {
			t.Error("a session of another login has ended")
		}
	})
}

func TestSignInBrowserReplacesAnotherUser(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		hers := s.signIn(s.alice, nil)
		issued, err := s.redeem(s.app, s.code(hers, tokens.Asked{}))
		noError(t, err)
		pending := s.code(hers, tokens.Asked{})
		his := s.signIn(s.user("bob"), &hers)
		if his.ID == hers.ID {
			t.Fatal("bob has alice's login")
		}
		_, err = s.LoginOf(t.Context(), s.now, []string{s.LoginToken(&hers)})
		wantError(t, "alice's login", err, tokens.ErrUnknown)
		if !s.lives(issued) {
			t.Error("alice's session has ended")
		}
		_, err = s.redeem(s.app, pending)
		wantError(t, "alice's code", err, tokens.ErrUserGone)
	})
}

// A password change ends a login; the next sign-in, with the new password, starts another.
func TestSignInBrowserAfterTheEpochMoved(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		l := s.signIn(s.alice, nil)
		former := tokens.SignIn{UserID: s.alice.ID, Epoch: s.alice.Epoch}
		noError(t, s.db.SetPasswordHash(t.Context(), s.alice.ID, "new", accounts.By{Operator: true}, s.now, audit.Event{Time: s.now, Kind: audit.UserPasswordChanged}))
		_, err := s.LoginOf(t.Context(), s.now, []string{s.LoginToken(&l)})
		wantError(t, "former login", err, tokens.ErrUnknown)
		for _, had := range []*tokens.Login{nil, &l} {
			_, err = s.SignInBrowser(t.Context(), s.now, former, had, caller.Operator())
			wantError(t, "who proved the former password", err, tokens.ErrUserGone)
		}
		s.alice.Epoch++
		again := s.signIn(s.alice, &l)
		if again.ID == l.ID {
			t.Error("the former login lives again")
		}
	})
}

func TestLoginOfSeveralCookies(t *testing.T) {
	s := newService(t, storetest.Open(t))
	first, second := s.signIn(s.alice, nil), s.signIn(s.user("bob"), nil)
	ended := s.signIn(s.alice, nil)
	noError(t, s.SignOutBrowser(t.Context(), s.now, &ended, caller.Operator()))
	stranger := newService(t, storetest.Open(t))
	foreign := stranger.LoginToken(&first)
	one, two, over := s.LoginToken(&first), s.LoginToken(&second), s.LoginToken(&ended)
	for _, c := range []struct {
		candidates []string
		want       ids.Login // zero: no login
	}{
		{nil, ids.Login{}},
		{[]string{""}, ids.Login{}},
		{[]string{over}, ids.Login{}},
		{[]string{foreign}, ids.Login{}},
		{[]string{first.ID.String()}, ids.Login{}},
		{[]string{strings.Replace(one, "cs_li_", "cs_rt_", 1)}, ids.Login{}},
		{[]string{one + "A", one + "=", " " + one, strings.ToUpper(one)}, ids.Login{}},
		{[]string{one}, first.ID},
		{[]string{one, one}, first.ID},
		{[]string{one, two}, ids.Login{}}, // another user's: one of them is planted
		{[]string{two, one}, ids.Login{}},
		{[]string{"planted", foreign, over, two}, second.ID},
	} {
		got, err := s.LoginOf(t.Context(), s.now, c.candidates)
		if c.want.IsZero() {
			wantError(t, strings.Join(c.candidates, ", "), err, tokens.ErrUnknown)
		} else if err != nil || got.ID != c.want {
			t.Errorf("%v: login %v, %v, want %v", c.candidates, got.ID, err, c.want)
		}
	}
	// A refresh token is not accepted as a login token, though both are an id under a MAC.
	issued, err := s.redeem(s.app, s.code(first, tokens.Asked{}))
	noError(t, err)
	_, err = s.LoginOf(t.Context(), s.now, []string{issued.RefreshToken, "cs_li_" + strings.TrimPrefix(issued.RefreshToken, "cs_rt_")})
	wantError(t, "a refresh token", err, tokens.ErrUnknown)
	s.now = first.ExpiresAt.Add(time.Minute)
	_, err = s.LoginOf(t.Context(), s.now, []string{one})
	wantError(t, "expired", err, tokens.ErrUnknown)
}

// Signing out of the browser ends the login's sessions, except those with offline_access
// (OpenID Connect Core section 11); signing out twice is no error.
func TestSignOutBrowser(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		l, elsewhere := s.signIn(s.alice, nil), s.signIn(s.alice, nil)
		issue := func(l tokens.Login, scopes ...string) tokens.Issued {
			t.Helper()
			issued, err := s.redeem(s.app, s.code(l, tokens.Asked{Scopes: scopes}))
			noError(t, err)
			return issued
		}
		online, offline, other := issue(l, "openid"), issue(l, "openid", "offline_access"), issue(elsewhere, "openid")
		refreshed, err := s.Refresh(t.Context(), s.now, s.app, online.RefreshToken, nil, nil, caller.Operator())
		noError(t, err)
		narrowed, err := s.Refresh(t.Context(), s.now, s.app, offline.RefreshToken, oauth.Scopes{"openid"}, nil, caller.Operator())
		noError(t, err)
		byPassword, err := s.Start(t.Context(), s.now, s.app, tokens.SignIn{UserID: s.alice.ID, AuthTime: s.now}, nil, nil, caller.Operator())
		noError(t, err)
		pending := s.code(l, tokens.Asked{})

		for range 2 {
			noError(t, s.SignOutBrowser(t.Context(), s.now, &l, caller.Caller{Address: "192.0.2.1"}))
		}
		s.wantLast(audit.LoginEnded)
		for name, session := range map[string]struct {
			tokens.Issued
			lives bool
		}{
			"online": {refreshed, false}, "with offline_access": {narrowed, true}, "of another browser": {other, true}, "by password": {byPassword, true},
		} {
			if s.lives(session.Issued) != session.lives {
				t.Errorf("session %s lives: %v, want %v", name, !session.lives, session.lives)
			}
		}
		_, err = s.redeem(s.app, pending)
		wantError(t, "code", err, tokens.ErrUserGone)
		_, err = s.LoginOf(t.Context(), s.now, []string{s.LoginToken(&l)})
		wantError(t, "login", err, tokens.ErrUnknown)
		_, err = s.LoginOf(t.Context(), s.now, []string{s.LoginToken(&elsewhere)})
		noError(t, err)
	})
}

// Revoking a session also signs its browser out: otherwise the client could start a new
// session without the user.
func TestEndSessionSignsItsBrowserOut(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		l, elsewhere := s.signIn(s.alice, nil), s.signIn(s.alice, nil)
		first, err := s.redeem(s.app, s.code(l, tokens.Asked{}))
		noError(t, err)
		sibling, err := s.redeem(s.app, s.code(l, tokens.Asked{}))
		noError(t, err)
		noError(t, s.EndSession(t.Context(), s.now, first.Session.ID, caller.Operator()))
		s.wantLast(audit.SessionRevoked)
		_, err = s.LoginOf(t.Context(), s.now, []string{s.LoginToken(&l)})
		wantError(t, "login", err, tokens.ErrUnknown)
		if s.lives(first) || !s.lives(sibling) {
			t.Errorf("it lives: %v, the other session of the browser: %v", s.lives(first), s.lives(sibling))
		}
		_, err = s.LoginOf(t.Context(), s.now, []string{s.LoginToken(&elsewhere)})
		noError(t, err)
		wantError(t, "again", s.EndSession(t.Context(), s.now, first.Session.ID, caller.Operator()), tokens.ErrUnknown)
	})
}

func TestPurgeLoginsWaitsForSlowClocks(t *testing.T) {
	s := newService(t, storetest.Open(t))
	l := s.signIn(s.alice, nil)
	for _, c := range []struct {
		late time.Duration
		want int64
	}{{0, 0}, {5*time.Minute - time.Millisecond, 0}, {5 * time.Minute, 1}} {
		n, err := s.PurgeLogins(t.Context(), l.ExpiresAt.Add(c.late), 10)
		if err != nil || n != c.want {
			t.Errorf("%v after it expired: purged %d, %v, want %d", c.late, n, err, c.want)
		}
	}
}

func TestReadHint(t *testing.T) {
	s := newService(t, storetest.Open(t))
	issued, err := s.redeem(s.app, s.code(s.signIn(s.alice, nil), tokens.Asked{Scopes: oauth.Scopes{"openid"}}))
	noError(t, err)
	h, err := s.ReadHint(issued.IDToken)
	noError(t, err)
	if h.Subject != s.alice.ID.String() || !slices.Equal(h.ClientID, []ids.Client{"app"}) || h.Session != issued.Session.ID {
		t.Errorf("the hint is %+v", h)
	}
	stranger := newService(t, storetest.Open(t))
	foreign, err := stranger.redeem(stranger.app, stranger.code(stranger.signIn(stranger.alice, nil), tokens.Asked{Scopes: oauth.Scopes{"openid"}}))
	noError(t, err)
	parts := strings.Split(issued.IDToken, ".")
	for what, token := range map[string]string{
		"an access token": issued.AccessToken, "another server's": foreign.IDToken, "nothing": "", "no JWT": "a.b.c",
		"a refresh token": issued.RefreshToken, "without its signature": parts[0] + "." + parts[1] + ".",
		"of no algorithm": "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + parts[1] + ".", "with another's signature": parts[0] + "." + parts[1] + "." + strings.Split(foreign.IDToken, ".")[2],
	} {
		h, err := s.ReadHint(token)
		wantError(t, what, err, tokens.ErrUnknown)
		if h.Subject != "" || h.ClientID != nil || !h.Session.IsZero() {
			t.Errorf("%s: refused, and yet %+v", what, h)
		}
	}
}

// FuzzLoginOf checks that no login token with changes verifies, and that every token that
// verifies has the spelling that the server issued.
func FuzzLoginOf(f *testing.F) {
	s := newService(f, storetest.Open(f))
	l := s.signIn(s.alice, nil)
	token := s.LoginToken(&l)
	master, err := seal.Parse(seal.Generate())
	noError(f, err)
	for _, text := range []string{
		"", token, token + "A", token + "=", token + "\n", " " + token, strings.ToUpper(token), token[:len(token)-1], strings.TrimPrefix(token, "cs_li_"),
		"cs_li_", "cs_li_AAAA", master.Token("cs_li_", "login", l.ID[:]), strings.Replace(token, "cs_li_", "cs_rt_", 1), l.ID.String(),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := s.LoginOf(t.Context(), s.now, []string{text})
		switch {
		case text == token && (err != nil || got.ID != l.ID):
			t.Fatalf("the token is refused: %v", err)
		case text != token && err == nil:
			t.Fatalf("%q is the login %v, whose token is %q", text, got.ID, token)
		}
		if got, err := s.LoginOf(t.Context(), s.now, []string{text, token}); err != nil || got.ID != l.ID {
			t.Errorf("beside %q, the token is refused: %v", text, err)
		}
	})
}
