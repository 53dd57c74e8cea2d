package tokens_test

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"countersign/accounts"
	"countersign/audit"
	"countersign/caller"
	"countersign/oauth"
	"countersign/store/storetest"
	"countersign/tokens"
)

const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

// challenge is the S256 transformation of the verifier (RFC 7636 appendix B).
func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func fitting(x *tokens.Exchange) { x.Verifier = verifier }

// payload returns the claims of a JWT.
func payload(t testing.TB, token string) jwt.MapClaims {
	t.Helper()
	claims := jwt.MapClaims{}
	_, _, err := jwt.NewParser().ParseUnverified(token, claims)
	noError(t, err)
	return claims
}

func TestCodeBringsWhatWasAskedFor(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		l := s.signIn(s.alice, nil)
		proved := s.now
		s.now = s.now.Add(10 * time.Minute)
		code := s.code(l, tokens.Asked{Scopes: oauth.Scopes{"openid", "offline_access"}, Nonce: "n", Challenge: challenge(), Details: tokens.Details{UserInfoClaims: []string{"email"}}})
		if !strings.HasPrefix(code, "cs_ac_") || len(code) != len("cs_ac_")+43 {
			t.Errorf("the code is %q, want 256 bits under a prefix", code)
		}
		got, err := s.redeem(s.app, code, fitting)
		noError(t, err)
		if !slices.Equal(got.Scopes, oauth.Scopes{"openid", "offline_access"}) || got.RefreshToken == "" || !s.lives(got) {
			t.Errorf("issued %+v", got)
		}
		stored, err := s.db.Session(t.Context(), got.Session.ID, s.now)
		noError(t, err)
		if stored.LoginID != l.ID || !stored.AuthTime.Equal(proved) || stored.Device != "Firefox" || stored.Details.UserInfoClaims[0] != "email" {
			t.Errorf("the session is %+v", stored)
		}
		claims := payload(t, got.IDToken)
		if claims["nonce"] != "n" || claims["auth_time"] != float64(proved.Unix()) || claims["sub"] != s.alice.ID.String() || claims["sid"] != got.Session.ID.String() {
			t.Errorf("the ID token says %v", claims)
		}
		s.wantLast(audit.SessionCreated)
		again, err := s.db.Login(t.Context(), l.ID, s.now)
		noError(t, err)
		if want := s.now.Add(idleTTL); again.ExpiresAt.Sub(want).Abs() > time.Second {
			t.Errorf("the login expires at %v, want it put off to %v", again.ExpiresAt, want)
		}
	})
}

func TestCodeWithoutScopesGetsAllButOfflineAccess(t *testing.T) {
	s := newService(t, storetest.Open(t))
	got, err := s.redeem(s.app, s.code(s.signIn(s.alice, nil), tokens.Asked{}))
	noError(t, err)
	if !slices.Equal(got.Scopes, oauth.Scopes{"openid", "email"}) {
		t.Errorf("scopes = %v", got.Scopes)
	}
}

func TestIssueCodeRefuses(t *testing.T) {
	s := newService(t, storetest.Open(t))
	l := s.signIn(s.alice, nil)
	issue := func(l tokens.Login, ask tokens.Asked) error {
		ask.WithoutConsent = true
		_, err := s.IssueCode(t.Context(), s.now, s.app, &l, ask)
		return err
	}
	wantError(t, "a scope the client may not have", issue(l, tokens.Asked{Scopes: oauth.Scopes{"openid", "admin"}}), tokens.ErrScope)
	wantError(t, "a resource that isn't the client's", issue(l, tokens.Asked{Details: tokens.Details{Resources: []string{"https://elsewhere.example.org"}}}), tokens.ErrTarget)
	_, err := s.IssueCode(t.Context(), s.now, s.app, &l, tokens.Asked{})
	wantError(t, "no consent", err, tokens.ErrUnknown)
	noError(t, s.SignOutBrowser(t.Context(), s.now, &l, caller.Operator()))
	wantError(t, "a login that has ended", issue(l, tokens.Asked{}), tokens.ErrUnknown)
}

// A refused attempt doesn't use up the code: otherwise an attacker who saw the code could
// prevent its client from using it.
func TestRefusedExchangeDoesNotUseUpTheCode(t *testing.T) {
	s := newService(t, storetest.Open(t))
	l := s.signIn(s.alice, nil)
	code := s.code(l, tokens.Asked{Challenge: challenge(), Details: tokens.Details{Resources: []string{api}}})
	bare := s.code(l, tokens.Asked{})
	other := s.app
	other.ClientID = "other"
	for _, c := range []struct {
		what   string
		code   string
		to     oauth.Recipient
		change func(*tokens.Exchange)
		want   error
	}{
		{"another client", code, other, fitting, tokens.ErrUnknown},
		{"another redirect URI", code, s.app, func(x *tokens.Exchange) { fitting(x); x.RedirectURI += "/" }, tokens.ErrUnknown},
		{"no redirect URI", code, s.app, func(x *tokens.Exchange) { fitting(x); x.RedirectURI = "" }, tokens.ErrNoRedirectURI},
		{"no verifier", code, s.app, func(*tokens.Exchange) {}, tokens.ErrVerifier},
		{"another verifier", code, s.app, func(x *tokens.Exchange) { x.Verifier = strings.Repeat("x", 43) }, tokens.ErrVerifier},
		{"the challenge for a verifier", code, s.app, func(x *tokens.Exchange) { x.Verifier = challenge() }, tokens.ErrVerifier},
		{"a verifier to no challenge", bare, s.app, fitting, tokens.ErrVerifier},
		{"a resource that wasn't asked for", code, s.app, func(x *tokens.Exchange) { fitting(x); x.Resources = []string{otherAPI} }, tokens.ErrTarget},
		{"a resource that isn't the client's", bare, s.app, func(x *tokens.Exchange) { x.Resources = []string{issuer} }, tokens.ErrTarget},
		{"a code that is no code", "cs_ac_" + strings.Repeat("A", 43), s.app, fitting, tokens.ErrUnknown},
		{"a code without its prefix", strings.TrimPrefix(code, "cs_ac_"), s.app, fitting, tokens.ErrUnknown},
		{"no code", "", s.app, fitting, tokens.ErrUnknown},
		{"a code in capitals", strings.ToUpper(code), s.app, fitting, tokens.ErrUnknown},
	} {
		_, err := s.redeem(c.to, c.code, c.change)
		wantError(t, c.what, err, c.want)
	}
	for _, try := range []struct {
		code   string
		change func(*tokens.Exchange)
	}{{code, fitting}, {bare, func(*tokens.Exchange) {}}} {
		_, err := s.redeem(s.app, try.code, try.change)
		noError(t, err)
	}
}

func TestCodeExpires(t *testing.T) {
	s := newService(t, storetest.Open(t))
	l := s.signIn(s.alice, nil)
	late, intime := s.code(l, tokens.Asked{}), s.code(l, tokens.Asked{})
	issued := s.now
	s.now = issued.Add(time.Minute - time.Millisecond)
	_, err := s.redeem(s.app, intime)
	noError(t, err)
	s.now = issued.Add(time.Minute)
	_, err = s.redeem(s.app, late)
	wantError(t, "after a minute", err, tokens.ErrUnknown)
}

// The second use ends the session of the first (RFC 6749 section 4.1.2) for as long as the
// server keeps the code. This holds even if the login has ended and only the session lives.
func TestCodeUsedTwiceEndsItsSession(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		l := s.signIn(s.alice, nil)
		bystander, err := s.redeem(s.app, s.code(l, tokens.Asked{}))
		noError(t, err)
		for _, after := range []time.Duration{0, 5 * time.Minute, 11*time.Minute - time.Millisecond} {
			began := s.now
			code := s.code(l, tokens.Asked{Challenge: challenge(), Scopes: oauth.Scopes{"offline_access"}})
			first, err := s.redeem(s.app, code, fitting)
			noError(t, err)
			s.now = began.Add(after)
			if _, err := s.PurgeCodes(t.Context(), s.now, 100); err != nil {
				t.Fatal(err)
			}
			_, err = s.redeem(s.app, code) // without the verifier, so it ends nothing
			wantError(t, "without the verifier", err, tokens.ErrVerifier)
			if !s.lives(first) {
				t.Fatal("a stranger has ended the session")
			}
			for range 2 {
				_, err = s.redeem(s.app, code, fitting)
				wantError(t, "used twice", err, tokens.ErrCodeUsed)
				if s.lives(first) {
					t.Errorf("after %v, the session lives", after)
				}
			}
			s.wantLast(audit.CodeReused)
			if !s.lives(bystander) {
				t.Error("another session of the login has ended")
			}
		}

		code := s.code(l, tokens.Asked{Scopes: oauth.Scopes{"offline_access"}})
		offline, err := s.redeem(s.app, code)
		noError(t, err)
		noError(t, s.SignOutBrowser(t.Context(), s.now, &l, caller.Operator()))
		if !s.lives(offline) {
			t.Fatal("a session with offline_access has ended with its login")
		}
		_, err = s.redeem(s.app, code)
		wantError(t, "used twice, after the sign-out", err, tokens.ErrCodeUsed)
		if s.lives(offline) {
			t.Error("the session lives")
		}
		n, err := s.PurgeCodes(t.Context(), s.now.Add(11*time.Minute), 100)
		noError(t, err)
		if n == 0 {
			t.Error("the codes are kept for ever")
		}
	})
}

func TestCodeDiesWithWhatItCameOf(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		for name, end := range map[string]struct {
			do   func(u accounts.User, l *tokens.Login) error
			want error
		}{
			"signed out": {func(_ accounts.User, l *tokens.Login) error {
				return s.SignOutBrowser(t.Context(), s.now, l, caller.Operator())
			}, tokens.ErrUserGone},
			"all sessions ended": {func(u accounts.User, _ *tokens.Login) error {
				_, err := s.EndUserSessions(t.Context(), s.now, u.ID, caller.Operator())
				return err
			}, tokens.ErrUserGone},
			"disabled": {func(u accounts.User, _ *tokens.Login) error {
				return s.db.DisableUser(t.Context(), u.ID, s.now, audit.Event{Time: s.now, Kind: audit.UserDisabled})
			}, tokens.ErrUserGone},
			"password changed": {func(u accounts.User, _ *tokens.Login) error {
				return s.db.SetPasswordHash(t.Context(), u.ID, "new", accounts.By{Operator: true}, s.now, audit.Event{Time: s.now, Kind: audit.UserPasswordChanged})
			}, tokens.ErrUserGone},
			"deleted": {func(u accounts.User, _ *tokens.Login) error {
				return s.db.DeleteUser(t.Context(), u.ID, accounts.By{Operator: true}, s.now, audit.Event{Time: s.now, Kind: audit.UserDeleted})
			}, tokens.ErrUnknown},
		} {
			u := s.user(name)
			l := s.signIn(u, nil)
			code := s.code(l, tokens.Asked{})
			before, err := s.redeem(s.app, s.code(l, tokens.Asked{}))
			noError(t, err)
			noError(t, end.do(u, &l))
			_, err = s.redeem(s.app, code)
			wantError(t, name, err, end.want)
			if s.lives(before) {
				t.Errorf("%s: the session lives", name)
			}
		}
	})
}

// The client gets nothing that the operator has taken from it since the authorization
// request.
func TestCodeGivesNoMoreThanTheClientHasNow(t *testing.T) {
	s := newService(t, storetest.Open(t))
	l := s.signIn(s.alice, nil)
	ask := tokens.Asked{Scopes: oauth.Scopes{"openid", "email"}, Details: tokens.Details{Resources: []string{api}}}
	less := s.app
	less.Scopes = oauth.Scopes{"openid"}
	got, err := s.redeem(less, s.code(l, ask))
	noError(t, err)
	if !slices.Equal(got.Scopes, oauth.Scopes{"openid"}) || !slices.Equal(got.Session.Scopes, oauth.Scopes{"openid"}) {
		t.Errorf("scopes = %v, of the session %v", got.Scopes, got.Session.Scopes)
	}
	elsewhere := s.app
	elsewhere.Audiences = []string{otherAPI}
	_, err = s.redeem(elsewhere, s.code(l, ask))
	wantError(t, "the resource is the client's no more", err, tokens.ErrTarget)
}

func TestCodeNarrowsResources(t *testing.T) {
	s := newService(t, storetest.Open(t))
	l := s.signIn(s.alice, nil)
	both := tokens.Asked{Scopes: oauth.Scopes{"email"}, Details: tokens.Details{Resources: []string{api, otherAPI}}}
	one := tokens.Asked{Scopes: oauth.Scopes{"email"}, Details: tokens.Details{Resources: []string{otherAPI}}}
	for _, c := range []struct {
		ask    tokens.Asked
		bring  []string
		access any // audience of the access token
		next   any // audience after a refresh without resources
	}{
		{tokens.Asked{Scopes: oauth.Scopes{"email"}}, nil, []any{api, otherAPI}, []any{api, otherAPI}},
		{tokens.Asked{Scopes: oauth.Scopes{"email"}}, []string{api}, api, []any{api, otherAPI}},
		{both, []string{otherAPI}, otherAPI, []any{api, otherAPI}},
		{one, nil, otherAPI, otherAPI},
		{one, []string{otherAPI}, otherAPI, otherAPI},
	} {
		got, err := s.redeem(s.app, s.code(l, c.ask), func(x *tokens.Exchange) { x.Resources = c.bring })
		noError(t, err)
		next, err := s.Refresh(t.Context(), s.now, s.app, got.RefreshToken, nil, nil, caller.Operator())
		noError(t, err)
		for token, want := range map[string]any{got.AccessToken: c.access, next.AccessToken: c.next} {
			aud := payload(t, token)["aud"]
			if list, ok := want.([]any); ok {
				if got, ok := aud.([]any); !ok || !slices.Equal(got, list) {
					t.Errorf("asked for %v, brought %v: aud = %v, want %v", c.ask.Details.Resources, c.bring, aud, want)
				}
			} else if aud != want {
				t.Errorf("asked for %v, brought %v: aud = %v, want %v", c.ask.Details.Resources, c.bring, aud, want)
			}
		}
	}
}
