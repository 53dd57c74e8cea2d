package server_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"countersign/audit"
	"countersign/caller"
	"countersign/clients"
	"countersign/ids"
	"countersign/keys"
	"countersign/seal"
	"countersign/server"
)

// refreshAs presents a refresh token as another client than spa, by Basic.
func (a *app) refreshAs(id, clientSecret, token string, more ...string) *response {
	a.t.Helper()
	return a.token(form(append([]string{"grant_type", "refresh_token", "refresh_token", token}, more...)...), "Authorization", basic(id, clientSecret))
}

// wantDead fails the test unless r is the one answer to every bad refresh token.
func (r *response) wantDead() *response {
	r.t.Helper()
	return r.wantNothing().wantError(http.StatusBadRequest, "invalid_grant")
}

// next refreshes and returns the new refresh token.
func (a *app) next(token string) string {
	a.t.Helper()
	return a.refresh(token).want(http.StatusOK).text("refresh_token")
}

// events are the recorded events of a kind.
func (a *app) events(kind audit.Kind) []audit.Record {
	a.t.Helper()
	all, err := a.db.Events(a.t.Context(), audit.Filter{})
	if err != nil {
		a.t.Fatalf("read events: %v", err)
	}
	return slices.DeleteFunc(all, func(r audit.Record) bool { return r.Kind != kind })
}

// Requirement: line 24.
func TestTokenIsItsClientsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		first := a.login("alice").text("refresh_token")
		second := a.next(first)
		time.Sleep(2 * time.Minute)
		// Neither the current token nor one whose reuse would end the session.
		for _, token := range []string{second, first} {
			a.refreshAs("web", secret, token).wantDead()
			a.refreshAs("other", "", token).wantDead()
			a.token(form("grant_type", "refresh_token", "client_id", "third", "refresh_token", token)).wantDead()
			a.refreshAs("web", "wrong", token).wantChallenge()
			a.refreshAs("spa", "wrong", token).wantChallenge()
			a.refreshAs("nobody", "", token).wantChallenge()
			a.token(form("grant_type", "refresh_token", "refresh_token", token)).wantChallenge()
		}
		a.wantCounter("alice", 1)
		a.refresh(second).want(http.StatusOK)
		if n := len(a.events(audit.SessionReused)); n != 0 {
			t.Errorf("%d reuses were recorded", n)
		}
	})
}

// Requirement: line 25.
func TestScopeNarrowsAndNeverWidens(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	r := a.token(with(passwordForm("alice"), "scope", "openid profile email")).want(http.StatusOK)
	token := r.text("refresh_token")
	for _, scope := range []string{
		"roles", "openid roles", "openid profile email offline_access", "admin", "openid admin", "OPENID", // wider
		" ", "openid  profile", `"`, // malformed
	} {
		a.refresh(token, "scope", scope).wantNothing().wantError(http.StatusBadRequest, "invalid_scope")
	}
	a.wantCounter("alice", 0) // nothing was spent

	for n, c := range []struct{ ask, want string }{
		{"profile", "profile"},
		{"", "openid profile email"}, // the session keeps what was granted
		{"email openid", "email openid"},
		{"openid profile email", "openid profile email"},
		{"profile profile", "profile"},
	} {
		r := a.refresh(token, "scope", c.ask).want(http.StatusOK)
		_, access := r.claims("access_token")
		if got := r.text("scope"); got != c.want || access["scope"] != c.want {
			t.Errorf("asked for %q: scope = %q, in the token %q, want %q", c.ask, got, access["scope"], c.want)
		}
		if _, ok := r.json()["id_token"]; ok != strings.Contains(c.want, "openid") {
			t.Errorf("asked for %q: an ID token came: %v", c.ask, ok)
		}
		token = r.text("refresh_token")
		a.wantCounter("alice", uint64(n+1))
	}
}

// A client that repeats a request after a lost response may ask for less, too, but not
// for more.
//
// Requirement: line 25.
func TestScopeOfASupersededToken(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	first := a.token(with(passwordForm("alice"), "scope", "openid profile")).want(http.StatusOK).text("refresh_token")
	second := a.next(first)
	a.refresh(first, "scope", "openid email").wantNothing().wantError(http.StatusBadRequest, "invalid_scope")
	r := a.refresh(first, "scope", "profile").want(http.StatusOK)
	if got := r.text("scope"); got != "profile" {
		t.Errorf("scope = %q, want what was asked for", got)
	}
	if got := r.text("refresh_token"); got != second {
		t.Errorf("refresh token %q, want the current one %q", got, second)
	}
	if got := a.refresh(second).text("scope"); got != "openid profile" {
		t.Errorf("scope = %q, want the session's", got)
	}
}

// A scope that the client loses is lost to its old sessions, too.
func TestScopeTakenFromTheClientIsGoneAtRefresh(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	token := a.login("alice").text("refresh_token")
	spa := testClients[0].Client
	spa.Scopes = []string{"openid", "profile", "read"}
	if _, err := a.Clients.Put(t.Context(), time.Now(), spa, "", caller.Operator()); err != nil {
		t.Fatal(err)
	}
	if got := a.refresh(token).want(http.StatusOK).text("scope"); got != "openid profile" {
		t.Errorf("scope = %q, want what both the session and the client have", got)
	}
}

// Requirement: line 26.
func TestReuseEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		id := a.signup("alice")
		first := a.login("alice")
		second := a.refresh(first.text("refresh_token"))
		if first.text("refresh_token") == second.text("refresh_token") {
			t.Fatal("the refresh token was not rotated")
		}
		a.userinfo(first.text("access_token")).want(http.StatusOK)
		time.Sleep(time.Minute + time.Millisecond)

		a.refresh(first.text("refresh_token")).wantDead()
		reuse := a.events(audit.SessionReused)
		_, access := first.claims("access_token")
		if len(reuse) != 1 || reuse[0].UserID.String() != id || reuse[0].ClientID != "spa" || reuse[0].SessionID.String() != access["sid"] ||
			reuse[0].Address != "192.0.2.1" || reuse[0].RequestID == "" || !reuse[0].Time.Equal(time.Now()) {
			t.Errorf("recorded reuses %+v, want one that says who, what and from where", reuse)
		}

		// Its successors are dead, too, as are access tokens at our own endpoints.
		a.refresh(second.text("refresh_token")).wantDead()
		a.refresh(first.text("refresh_token")).wantDead()
		for _, r := range []*response{first, second} {
			if got := a.userinfo(r.text("access_token")).Code; got != http.StatusUnauthorized {
				t.Errorf("userinfo answered %d to an access token of the session", got)
			}
		}
		if n := len(a.events(audit.SessionReused)); n != 1 {
			t.Errorf("%d reuses were recorded for one", n)
		}
		if n := a.sessionsOf("alice"); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// A client that comes back inside the window gets the current token, however often, and
// changes nothing.
//
// Requirement: line 27.
func TestSupersededInsideTheWindowGetsTheCurrentToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		first := a.login("alice").text("refresh_token")
		winner := a.refresh(first).want(http.StatusOK)
		second := winner.text("refresh_token")
		seen := map[string]bool{winner.text("access_token"): true}
		for range 5 {
			time.Sleep(12 * time.Second) // to the last instant of the window
			r := a.refresh(first).want(http.StatusOK)
			if got := r.text("refresh_token"); got != second {
				t.Fatalf("refresh token %q, want the winner's %q", got, second)
			}
			if seen[r.text("access_token")] {
				t.Error("the access token is not a fresh one")
			}
			seen[r.text("access_token")] = true
			_, access := r.claims("access_token")
			if got := int64(access["iat"].(float64)); got != time.Now().Unix() {
				t.Errorf("iat = %d, want now, %d", got, time.Now().Unix())
			}
		}
		a.wantCounter("alice", 1)

		// The token before the last gets the last one, too.
		third := a.next(second)
		if got := a.next(second); got != third {
			t.Errorf("refresh token %q, want the current %q", got, third)
		}
		time.Sleep(time.Minute)
		a.refresh(second).want(http.StatusOK) // its last instant
		time.Sleep(time.Millisecond)
		a.refresh(second).wantDead()
	})
}

// A replay doesn't extend the session: otherwise a thief could keep a session alive
// with replays.
//
// Requirement: line 27.
func TestReplayMovesNoExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, lifetimes(time.Hour, 3*time.Hour, 50*time.Minute))
		a.signup("alice")
		first := a.login("alice").text("refresh_token")
		second := a.next(first)
		time.Sleep(45 * time.Minute)
		a.refresh(first).want(http.StatusOK)
		time.Sleep(15*time.Minute - time.Second)
		a.refresh(second).want(http.StatusOK) // an hour less a second after it came
		time.Sleep(time.Hour)
		a.refresh(second).wantDead()
	})
}

func lifetimes(idle, absolute, window time.Duration) func(*server.Options, *keys.Options) {
	return func(o *server.Options, _ *keys.Options) {
		o.Tokens.RefreshIdleTTL, o.Tokens.RefreshAbsoluteTTL, o.Tokens.RefreshReplayWindow = idle, absolute, window
	}
}

func TestWindowOfZeroIsStrict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, lifetimes(time.Hour, 3*time.Hour, 0))
		a.signup("alice")
		first := a.login("alice").text("refresh_token")
		second := a.next(first)
		third := a.next(second)
		a.refresh(second).wantDead() // at the very moment it was superseded
		a.refresh(third).wantDead()
		if n := len(a.events(audit.SessionReused)); n != 1 {
			t.Errorf("%d reuses were recorded, want 1", n)
		}
	})
}

// The times of eight rotations are kept. An older token may or may not have been
// superseded inside the window: it is refused, and no session ends for it.
func TestMoreRotationsInAWindowThanAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		chain := []string{a.login("alice").text("refresh_token")}
		for n := range 8 {
			time.Sleep(time.Second)
			chain = append(chain, a.next(chain[n]))
		}
		for n, token := range chain {
			if got := a.next(token); n < 8 && got != chain[8] {
				t.Fatalf("token %d of 8 rotations: got %q, want the current one", n, got)
			} else if n == 8 {
				chain = append(chain, got) // the ninth rotation
			}
		}
		if got := a.next(chain[1]); got != chain[9] {
			t.Fatalf("the oldest remembered: got %q, want the current one", got)
		}
		a.refresh(chain[0]).wantDead()
		if got := a.next(chain[1]); got != chain[9] {
			t.Fatalf("after an undecidable one: got %q, want the current one", got)
		}
		if n := len(a.events(audit.SessionReused)); n != 0 {
			t.Errorf("%d reuses were recorded", n)
		}

		// Once all remembered rotations are outside the window, the token counts as
		// reused.
		time.Sleep(2 * time.Minute)
		chain = append(chain, a.next(chain[9]))
		a.refresh(chain[0]).wantDead()
		a.refresh(chain[10]).wantDead()
		if n := len(a.events(audit.SessionReused)); n != 1 {
			t.Errorf("%d reuses were recorded, want 1", n)
		}
	})
}

// Requirement: line 29.
func TestReuseInOneSessionLeavesTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		a.signup("bob")
		stolen := a.login("alice").text("refresh_token")
		same := a.login("alice")                                                           // of the same user and client
		web := a.token(asWeb, "Authorization", basic("web", secret)).text("refresh_token") // of the same user
		bobs := a.login("bob").text("refresh_token")                                       // of the same client
		a.next(stolen)
		time.Sleep(2 * time.Minute)
		a.refresh(stolen).wantDead()
		if n := a.sessionsOf("alice"); n != 2 {
			t.Errorf("alice has %d sessions, want the other 2", n)
		}
		a.userinfo(same.text("access_token")).want(http.StatusOK)
		a.refresh(same.text("refresh_token")).want(http.StatusOK)
		a.refreshAs("web", secret, web).want(http.StatusOK)
		a.refresh(bobs).want(http.StatusOK)
	})
}

// Requirement: line 30.
func TestSessionsEnd(t *testing.T) {
	const idle, absolute = time.Hour, 3 * time.Hour
	t.Run("idle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a := newApp(t, lifetimes(idle, absolute, time.Minute))
			a.signup("alice")
			token := a.login("alice").text("refresh_token")
			time.Sleep(idle - time.Millisecond)
			token = a.next(token)
			time.Sleep(idle)
			a.refresh(token).wantDead()
		})
	})
	t.Run("absolute", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a := newApp(t, lifetimes(idle, absolute, time.Minute))
			a.signup("alice")
			began, token, rotations := time.Now(), a.login("alice").text("refresh_token"), 0
			for time.Since(began) < absolute-time.Millisecond {
				time.Sleep(min(13*time.Minute, absolute-time.Millisecond-time.Since(began)))
				token = a.next(token)
				rotations++
			}
			if rotations < 10 {
				t.Fatalf("%d rotations", rotations)
			}
			time.Sleep(time.Millisecond)
			a.refresh(token).wantDead()
			if n := a.sessionsOf("alice"); n != 0 {
				t.Errorf("%d sessions are listed", n)
			}
		})
	})
}

// Requirement: line 31.
func TestSessionsDieWithWhatTheyStandOn(t *testing.T) {
	now := time.Now
	for name, end := range map[string]func(a *app, user ids.User, session ids.Session) error{
		"password set": func(a *app, user ids.User, _ ids.Session) error {
			return a.Users.SetPassword(a.t.Context(), now(), user, "another good password", caller.Operator())
		},
		"user disabled": func(a *app, user ids.User, _ ids.Session) error {
			return a.Users.Disable(a.t.Context(), now(), user, caller.Operator())
		},
		"user disabled and enabled": func(a *app, user ids.User, _ ids.Session) error {
			if err := a.Users.Disable(a.t.Context(), now(), user, caller.Operator()); err != nil {
				return err
			}
			return a.Users.Enable(a.t.Context(), now(), user, caller.Operator())
		},
		"user deleted": func(a *app, user ids.User, _ ids.Session) error {
			return a.Users.Delete(a.t.Context(), now(), user, caller.Operator())
		},
		"session revoked": func(a *app, _ ids.User, session ids.Session) error {
			return a.Tokens.EndSession(a.t.Context(), now(), session, caller.Operator())
		},
		"all sessions revoked": func(a *app, user ids.User, _ ids.Session) error {
			_, err := a.Tokens.EndUserSessions(a.t.Context(), now(), user, caller.Operator())
			return err
		},
		"client deleted and made again": func(a *app, _ ids.User, _ ids.Session) error {
			if err := a.Clients.Delete(a.t.Context(), now(), "spa", caller.Operator()); err != nil {
				return err
			}
			_, err := a.Clients.Create(a.t.Context(), now(), testClients[0].Client, "", caller.Operator())
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t)
			a.signup("bob")
			bobs := a.login("bob").text("refresh_token")
			user := ids.User(uuid.MustParse(a.signup("alice")))
			first := a.login("alice")
			second := a.refresh(first.text("refresh_token"))
			_, access := second.claims("access_token")
			if err := end(a, user, ids.Session(uuid.MustParse(access["sid"].(string)))); err != nil {
				t.Fatal(err)
			}
			for _, r := range []*response{second, first} {
				a.refresh(r.text("refresh_token")).wantDead()
				if got := a.userinfo(r.text("access_token")).Code; got != http.StatusUnauthorized {
					t.Errorf("userinfo answered %d", got)
				}
			}
			if name != "client deleted and made again" {
				a.refresh(bobs).want(http.StatusOK)
			}
		})
	}
	t.Run("client deleted", func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		token := a.login("alice").text("refresh_token")
		if err := a.Clients.Delete(t.Context(), now(), "spa", caller.Operator()); err != nil {
			t.Fatal(err)
		}
		a.refresh(token).wantChallenge()
	})
}

// Requirement: line 32.
func TestAllDeadTokensGetTheSameAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, key := filepath.Join(t.TempDir(), "countersign.db"), seal.Generate()
		a := openApp(t, path, key, lifetimes(time.Hour, 3*time.Hour, time.Minute))
		stranger := newApp(t)
		for _, each := range []*app{a, stranger} {
			each.signup("alice")
		}
		ended := a.login("alice").text("refresh_token")
		a.next(ended)
		expired := a.login("alice").text("refresh_token")
		time.Sleep(time.Hour)
		revoked := a.login("alice")
		_, access := revoked.claims("access_token")
		if err := a.Tokens.EndSession(t.Context(), time.Now(), ids.Session(uuid.MustParse(access["sid"].(string))), caller.Operator()); err != nil {
			t.Fatal(err)
		}
		reused := a.login("alice").text("refresh_token")
		a.next(reused)
		time.Sleep(2 * time.Minute)
		live := a.login("alice")
		good := live.text("refresh_token")
		for !strings.ContainsAny(strings.TrimPrefix(good, "cs_rt_"), "-_") { // or the other alphabet writes the same
			live = a.login("alice")
			good = live.text("refresh_token")
		}
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(good, "cs_rt_"))
		if err != nil {
			t.Fatal(err)
		}
		forged := func(change func(b []byte)) string {
			b := slices.Clone(raw)
			change(b)
			return "cs_rt_" + base64.RawURLEncoding.EncodeToString(b)
		}
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		last := strings.IndexByte(alphabet, good[len(good)-1])

		want := a.refresh("cs_rt_x").wantDead().answer()
		bad := map[string]string{
			"of an ended session":      ended,
			"expired":                  expired,
			"revoked":                  revoked.text("refresh_token"),
			"reused":                   reused,
			"reused, again":            reused,
			"of another installation":  stranger.login("alice").text("refresh_token"),
			"truncated":                good[:len(good)-1],
			"truncated much":           good[:20],
			"the prefix":               "cs_rt_",
			"without the prefix":       strings.TrimPrefix(good, "cs_rt_"),
			"prefix in capitals":       "CS_RT_" + strings.TrimPrefix(good, "cs_rt_"),
			"longer":                   good + "A",
			"padded":                   good + "==",
			"with a space before":      " " + good,
			"with a line break after":  good + "\n",
			"with a line break inside": good[:30] + "\n" + good[30:],
			"in another spelling":      good[:len(good)-1] + string(alphabet[last^1]), // its spare bits set
			"in the other alphabet":    "cs_rt_" + base64.RawStdEncoding.EncodeToString(raw),
			"an access token":          live.text("access_token"),
			"an ID token":              live.text("id_token"),
			"60,000 characters":        strings.Repeat("x", 60_000),
			"not ASCII":                "cs_rt_한",
			"of another version":       forged(func(b []byte) { b[0]++ }),
			"of another master key":    forged(func(b []byte) { b[1]++ }),
			"of another session":       forged(func(b []byte) { b[20]++ }),
			"with the next counter":    forged(func(b []byte) { binary.BigEndian.PutUint64(b[21:], 1) }),
			"with an absurd counter":   forged(func(b []byte) { b[21] = 0xff }),
			"with another MAC":         forged(func(b []byte) { b[60]++ }),
			"with no MAC":              forged(func(b []byte) { clear(b[29:]) }),
			"of nothing":               forged(func(b []byte) { clear(b) }),
		}
		for _, name := range slices.Sorted(maps.Keys(bad)) {
			if got := a.refresh(bad[name]).wantDead().answer(); got != want {
				t.Errorf("%s:\n%s\nwant as for any other:\n%s", name, got, want)
			}
		}
		a.refresh(good).want(http.StatusOK)
	})
}

// A token ahead of its session means that the database is an older copy. That
// is no theft.
func TestTokenAheadOfARestoredDatabaseIsRefusedOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		chain := []string{a.login("alice").text("refresh_token")}
		for n := range 2 {
			time.Sleep(time.Hour)
			chain = append(chain, a.next(chain[n]))
		}
		user, err := a.Users.ByUsername(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		all, err := a.Tokens.OfUser(t.Context(), time.Now(), user.ID)
		if err != nil || len(all) != 1 {
			t.Fatalf("sessions = %v, %v", all, err)
		}
		// The copy: the session as it was after its first rotation.
		restored := all[0]
		if err := a.db.EndSession(t.Context(), restored.ID, audit.Event{Time: time.Now(), Kind: audit.SessionRevoked}); err != nil {
			t.Fatal(err)
		}
		restored.Counter, restored.Rotations = 1, restored.Rotations[:1]
		if err := a.db.CreateSession(t.Context(), restored, user.Epoch, audit.Event{Time: time.Now(), Kind: audit.SessionCreated}); err != nil {
			t.Fatal(err)
		}
		a.refresh(chain[2]).wantDead()
		if got := a.next(chain[1]); got != chain[2] {
			t.Errorf("the session went on with %q, want %q", got, chain[2])
		}
		if n := len(a.events(audit.SessionReused)); n != 0 {
			t.Errorf("%d reuses were recorded", n)
		}
	})
}

// Requirement: line 33.
func TestRefreshedIDTokenIsOfTheSameSignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		id := a.signup("alice")
		began := time.Now().Unix()
		r := a.token(with(passwordForm("alice"), "nonce", "n-of-a-stranger")).want(http.StatusOK)
		_, first := r.claims("id_token")
		for n := range 4 {
			now := time.Now().Unix()
			idToken := r.text("id_token")
			header, claims := r.claims("id_token")
			if _, err := a.jwks().verify(idToken, "JWT", "spa"); err != nil {
				t.Errorf("refresh %d: %v", n, err)
			}
			if header["alg"] != "RS256" {
				t.Errorf("refresh %d: alg = %v, want RS256, which every client must know", n, header["alg"])
			}
			half := sha256.Sum256([]byte(r.text("access_token")))
			for claim, want := range map[string]any{
				"iss": issuer, "sub": id, "aud": "spa", "auth_time": float64(began), "sid": first["sid"], // as at first
				"iat": float64(now), "exp": float64(now + 600), // fresh
				"at_hash": base64.RawURLEncoding.EncodeToString(half[:16]),
			} {
				if claims[claim] != want {
					t.Errorf("refresh %d: %s = %v, want %v", n, claim, claims[claim], want)
				}
			}
			if nonce, ok := claims["nonce"]; ok {
				t.Errorf("refresh %d: nonce = %v, none was sent at an authorization endpoint", n, nonce)
			}
			if _, access := r.claims("access_token"); access["auth_time"] != float64(began) || access["sid"] != first["sid"] {
				t.Errorf("refresh %d: the access token tells of another sign-in: %v", n, access)
			}
			time.Sleep(7 * time.Minute)
			r = a.refresh(r.text("refresh_token")).want(http.StatusOK)
		}
	})
}

// A replayed refresh gets ID tokens of the same rules.
//
// Requirement: line 33.
func TestReplayedRefreshGetsAnIDTokenOfItsOwnAccessToken(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	first := a.login("alice").text("refresh_token")
	a.next(first)
	r := a.refresh(first).want(http.StatusOK)
	_, claims := r.claims("id_token")
	half := sha256.Sum256([]byte(r.text("access_token")))
	if want := base64.RawURLEncoding.EncodeToString(half[:16]); claims["at_hash"] != want {
		t.Errorf("at_hash = %v, want %v", claims["at_hash"], want)
	}
}

func TestIDTokenIsSignedAsTheClientChose(t *testing.T) {
	algs := []string{"ES256", "RS256", "PS256", "EdDSA"}
	a := newApp(t, withAlgorithms(algs...))
	a.signup("alice")
	var jwks jose.JSONWebKeySet
	if err := json.Unmarshal(a.do(http.MethodGet, "/.well-known/jwks.json", "").want(http.StatusOK).Body.Bytes(), &jwks); err != nil {
		t.Fatal(err)
	}
	for _, alg := range algs {
		id := fmt.Sprintf("chose-%s", alg)
		if _, err := a.Clients.Create(t.Context(), time.Now(), clients.Client{
			ID: ids.Client(id),
			Settings: clients.Settings{
				Name: "Chose", Public: true, FirstParty: true, IDTokenAlg: alg,
				Grants: []string{"password", "refresh_token"}, Scopes: []string{"openid"},
			},
		}, "", caller.Operator()); err != nil {
			t.Fatal(err)
		}
		first := a.token(with(passwordForm("alice"), "client_id", id)).want(http.StatusOK)
		for _, r := range []*response{first, a.refreshAs(id, "", first.text("refresh_token")).want(http.StatusOK)} {
			header, claims := r.claims("id_token")
			if header["alg"] != alg {
				t.Errorf("alg = %v, want %s", header["alg"], alg)
			}
			if header, _ := r.claims("access_token"); header["alg"] != "ES256" {
				t.Errorf("the access token's alg = %v, want ES256, whatever the client chose for ID tokens", header["alg"])
			}
			wantLibrariesVerify(t, jwks, alg, r.text("id_token"))

			hash := sha256.New() // OpenID Connect Core section 3.1.3.6: the hash of the algorithm
			if alg == "EdDSA" {
				hash = sha512.New() // of Ed25519
			}
			hash.Write([]byte(r.text("access_token")))
			sum := hash.Sum(nil)
			if want := base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2]); claims["at_hash"] != want {
				t.Errorf("%s: at_hash = %v, want %v", alg, claims["at_hash"], want)
			}
		}
	}
}

// wantLibrariesVerify fails the test unless go-jose and golang-jwt accept a token by
// the key that it names, with its algorithm only.
func wantLibrariesVerify(t *testing.T, jwks jose.JSONWebKeySet, alg, token string) {
	t.Helper()
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil {
		t.Fatalf("%s: go-jose: %v", alg, err)
	}
	found := jwks.Key(signed.Signatures[0].Header.KeyID)
	if len(found) != 1 || found[0].Algorithm != alg {
		t.Fatalf("%s: keys in the JWKS = %+v, want one of that algorithm", alg, found)
	}
	if _, err := signed.Verify(found[0]); err != nil {
		t.Errorf("%s: go-jose: %v", alg, err)
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{alg}), jwt.WithIssuer(issuer), jwt.WithAudience("chose-"+alg), jwt.WithStrictDecoding())
	if _, err := parser.Parse(token, func(*jwt.Token) (any, error) { return found[0].Key, nil }); err != nil {
		t.Errorf("%s: golang-jwt: %v", alg, err)
	}
}
