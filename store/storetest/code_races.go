package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/clients"
	"countersign/consents"
	"countersign/ids"
	"countersign/store"
	"countersign/tokens"
)

// browsing is a user who is signed in to a browser, with a session, and a code for each
// racer.
type browsing struct {
	user     accounts.User
	client   clients.Client
	login    tokens.Login
	first    tokens.Session
	codes    []tokens.Code
	sessions []tokens.Session // the session for each code
}

func browse(t testing.TB, db *store.DB, name string, scopes ...string) *browsing {
	t.Helper()
	b := &browsing{user: addUser(t, db, name), client: addClient(t, db, name)}
	b.login = addLogin(t, db, b.user)
	addConsent(t, db, b.user, b.client, "openid")
	b.first = exchanged(t, db, addCode(t, db, b.login, b.client.ID, scopes...))
	for range racers {
		c := addCode(t, db, b.login, b.client.ID, scopes...)
		b.codes, b.sessions = append(b.codes, c), append(b.sessions, sessionFor(c))
	}
	return b
}

// redeem exchanges the i-th code.
func (b *browsing) redeem(ctx context.Context, db *store.DB, i int) error {
	return db.RedeemCode(ctx, b.codes[i], b.sessions[i], at, event(audit.SessionCreated))
}

// ending is a call that ends all sessions and codes of a login.
type ending struct {
	name string
	do   func(ctx context.Context, db *store.DB, b *browsing) error
}

// endings are the calls that end a session that came from a code. The invariant: after one
// of them and an exchange have both returned, there is no session. The store refuses an
// exchange that comes later; the ending ends the session of one that came earlier.
var endings = []ending{
	{"EndLogin", func(ctx context.Context, db *store.DB, b *browsing) error {
		return db.EndLogin(ctx, b.login.ID, event(audit.LoginEnded))
	}},
	{"EndUserSessions", func(ctx context.Context, db *store.DB, b *browsing) error {
		_, err := db.EndUserSessions(ctx, b.user.ID, ids.Place{}, event(audit.SessionRevoked))
		return err
	}},
	{"DisableUser", func(ctx context.Context, db *store.DB, b *browsing) error {
		return db.DisableUser(ctx, b.user.ID, at, event(audit.UserDisabled))
	}},
	{"SetPasswordHash", func(ctx context.Context, db *store.DB, b *browsing) error {
		return db.SetPasswordHash(ctx, b.user.ID, "new", accounts.By{Operator: true}, at, event(audit.UserPasswordChanged))
	}},
	{"DeleteUser", func(ctx context.Context, db *store.DB, b *browsing) error {
		return db.DeleteUser(ctx, b.user.ID, accounts.By{Operator: true}, at, event(audit.UserDeleted))
	}},
	{"DeleteConsent", func(ctx context.Context, db *store.DB, b *browsing) error {
		return db.DeleteConsent(ctx, b.user.ID, b.client.ID, event(audit.ConsentRevoked))
	}},
	{"DeleteClient", func(ctx context.Context, db *store.DB, b *browsing) error {
		return db.DeleteClient(ctx, b.client.ID, event(audit.ClientDeleted))
	}},
}

// raceEnding makes one racer call end while all others exchange a code. It returns which
// racers got a session.
func (r replicas) raceEnding(t *testing.T, b *browsing, round int, end func(ctx context.Context, db *store.DB) error) (got []bool) {
	t.Helper()
	got = make([]bool, racers)
	allSucceed(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
		if i == round {
			return end(ctx, db)
		}
		err := b.redeem(ctx, db, i)
		got[i] = err == nil
		if errors.Is(err, tokens.ErrUserGone) || errors.Is(err, tokens.ErrUnknown) {
			return nil
		}
		return err
	}))
	return got
}

var codeRacePromises = []racePromise{
	{"RedeemCode/one winner", func(t *testing.T, r replicas) {
		l, client := addLogin(t, r[0], addUser(t, r[0], "alice")), addClient(t, r[0], "app")
		for range rounds {
			c := addCode(t, r[0], l, client.ID)
			tries := make([]tokens.Session, racers)
			for i := range tries {
				tries[i] = sessionFor(c)
			}
			before := number(t, r[0])
			winner := oneWins(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
				err := db.RedeemCode(ctx, c, tries[i], at, event(audit.SessionCreated))
				if errors.Is(err, tokens.ErrCodeUsed) { // the caller must find the session to end
					if found, err := db.Code(ctx, c.ID); err != nil || found.SessionID.IsZero() {
						return fmt.Errorf("the code was exchanged for %v, %w", found.SessionID, err)
					}
				}
				return err
			}), tokens.ErrCodeUsed)
			for i, s := range tries {
				for _, db := range r {
					if i == winner {
						lives(t, db, s)
					} else {
						sessionGone(t, db, s)
					}
				}
			}
			c.SessionID = tries[winner].ID
			isCode(t, r[1], c)
			recorded(t, r[1], before, 1)
		}
	}},
	{"RedeemCode/many codes of one login at once", func(t *testing.T, r replicas) {
		b := browse(t, r[0], "alice")
		allSucceed(t, r.race(t.Context(), racers, b.redeem))
		for _, s := range b.sessions {
			lives(t, r[1], s)
		}
	}},
	{"RedeemCode/no session outlives what ends it", func(t *testing.T, r replicas) {
		for _, end := range endings {
			t.Run(end.name, func(t *testing.T) {
				refused := 0
				for round := range rounds {
					b := browse(t, r[0], fmt.Sprint(end.name, round))
					for _, won := range r.raceEnding(t, b, round, func(ctx context.Context, db *store.DB) error { return end.do(ctx, db, b) }) {
						if !won {
							refused++
						}
					}
					for _, s := range append(b.sessions, b.first) {
						sessionGone(t, r[0], s)
						sessionGone(t, r[1], s)
					}
				}
				t.Logf("%d of %d exchanges came after", refused-rounds, rounds*(racers-1))
			})
		}
	}},
	{"RedeemCode/what was acknowledged beside the end of one sign-in lives", func(t *testing.T, r replicas) {
		for name, end := range map[string]func(ctx context.Context, db *store.DB, b *browsing) error{
			"ForgetLogin": func(ctx context.Context, db *store.DB, b *browsing) error { return db.ForgetLogin(ctx, b.login.ID) },
			"EndSignIn": func(ctx context.Context, db *store.DB, b *browsing) error {
				return db.EndSignIn(ctx, b.first.ID, event(audit.SessionRevoked))
			},
			"EndLogin": func(ctx context.Context, db *store.DB, b *browsing) error { // ends no session, because all have offline_access
				return db.EndLogin(ctx, b.login.ID, event(audit.LoginEnded))
			},
		} {
			t.Run(name, func(t *testing.T) {
				for round := range rounds {
					b := browse(t, r[0], fmt.Sprint(name, round), "offline_access")
					got := r.raceEnding(t, b, round, func(ctx context.Context, db *store.DB) error { return end(ctx, db, b) })
					isOver(t, r[1], b.login)
					for i, s := range b.sessions {
						if got[i] {
							lives(t, r[1], s)
						} else {
							sessionGone(t, r[1], s)
						}
					}
				}
			})
		}
	}},
	{"RedeemCode/a password that is changed by a session keeps no other", func(t *testing.T, r replicas) {
		for round := range rounds {
			b := browse(t, r[0], fmt.Sprint("alice", round))
			r.raceEnding(t, b, round, func(ctx context.Context, db *store.DB) error {
				return db.SetPasswordHash(ctx, b.user.ID, "new", accounts.By{Place: ids.Place{Session: b.first.ID}, Epoch: b.user.Epoch}, at, event(audit.UserPasswordChanged))
			})
			lives(t, r[0], b.first)
			for _, s := range b.sessions {
				sessionGone(t, r[0], s)
				sessionGone(t, r[1], s)
			}
			isOver(t, r[1], b.login)
		}
	}},

	{"CreateLogin, ReplaceLogin/no login outlives its user's right to it", func(t *testing.T, r replicas) {
		for _, end := range endings[2:5] { // those that end or lock out the user
			t.Run(end.name, func(t *testing.T) {
				for round := range rounds {
					b := browse(t, r[0], fmt.Sprint(end.name, round))
					tries := make([]tokens.Login, racers)
					for i := range tries {
						tries[i] = login(b.user)
					}
					allSucceed(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
						if i == round {
							return end.do(ctx, db, b)
						}
						var err error
						if i%3 == 0 {
							err = db.ReplaceLogin(ctx, b.login.ID, tries[i], at, event(audit.LoginCreated))
						} else {
							err = db.CreateLogin(ctx, tries[i], event(audit.LoginCreated))
						}
						if errors.Is(err, tokens.ErrUserGone) || errors.Is(err, tokens.ErrUnknown) {
							return nil
						}
						return err
					}))
					for _, l := range append(tries, b.login) {
						isOver(t, r[0], l)
						isOver(t, r[1], l)
					}
				}
			})
		}
	}},
	{"ReplaceLogin/one winner, which takes over all sessions and codes", func(t *testing.T, r replicas) {
		for round := range rounds {
			b := browse(t, r[0], fmt.Sprint("alice", round))
			tries := make([]tokens.Login, racers)
			for i := range tries {
				tries[i] = login(b.user)
			}
			redeemers := r.race(t.Context(), 2*racers, func(ctx context.Context, db *store.DB, i int) error {
				if i < racers {
					return db.ReplaceLogin(ctx, b.login.ID, tries[i], at, event(audit.LoginCreated))
				}
				return b.redeem(ctx, db, i-racers)
			})
			allSucceed(t, redeemers[racers:]) // whether the code moved before or after the exchange
			winner := tries[oneWins(t, redeemers[:racers], tokens.ErrUnknown)]
			for i, s := range append(b.sessions, b.first) {
				s.LoginID = winner.ID
				lives(t, r[i%2], s)
			}
			succeeds(t, r[1].EndLogin(t.Context(), winner.ID, event(audit.LoginEnded)))
			for _, s := range append(b.sessions, b.first) {
				sessionGone(t, r[0], s)
			}
		}
	}},
	{"ReplaceLogin/none is left of a sign-in that ends meanwhile", func(t *testing.T, r replicas) {
		for _, end := range []ending{endings[1], {"EndSignIn", func(ctx context.Context, db *store.DB, b *browsing) error {
			return db.EndSignIn(ctx, b.first.ID, event(audit.SessionRevoked))
		}}} {
			t.Run(end.name, func(t *testing.T) {
				for round := range 4 * rounds {
					b := browse(t, r[0], fmt.Sprint(end.name, round))
					next := login(b.user)
					allSucceed(t, r.race(t.Context(), 2, func(ctx context.Context, db *store.DB, i int) error {
						if i == round%2 {
							return end.do(ctx, db, b)
						}
						err := db.ReplaceLogin(ctx, b.login.ID, next, at, event(audit.LoginCreated))
						if errors.Is(err, tokens.ErrUnknown) {
							return nil
						}
						return err
					}))
					sessionGone(t, r[1], b.first)
					isOver(t, r[1], b.login)
					isOver(t, r[1], next)
				}
			})
		}
	}},
	{"CreateCode/none by a consent that is taken back meanwhile", func(t *testing.T, r replicas) {
		for round := range rounds {
			b := browse(t, r[0], fmt.Sprint("alice", round))
			allSucceed(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
				if i == round {
					return endings[5].do(ctx, db, b)
				}
				c := code(b.login, b.client.ID)
				c.WithoutConsent = false
				b.codes[i], b.sessions[i] = c, sessionFor(c)
				err := db.CreateCode(ctx, c, b.login.ExpiresAt, at)
				if errors.Is(err, tokens.ErrUnknown) {
					return nil
				}
				return err
			}))
			for _, c := range b.codes {
				isNoCode(t, r[1], c)
			}
		}
	}},
	{"CreateCode/no code outlives its login", func(t *testing.T, r replicas) {
		for _, end := range endings[:5] { // those that end the login
			t.Run(end.name, func(t *testing.T) {
				for round := range rounds {
					b := browse(t, r[0], fmt.Sprint(end.name, round))
					tries := make([]tokens.Code, racers)
					for i := range tries {
						tries[i] = code(b.login, b.client.ID)
					}
					allSucceed(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
						if i == round {
							return end.do(ctx, db, b)
						}
						err := db.CreateCode(ctx, tries[i], b.login.ExpiresAt, at)
						if errors.Is(err, tokens.ErrUnknown) {
							return nil
						}
						return err
					}))
					for i, c := range append(tries, b.codes...) {
						s := sessionFor(c)
						err := r[i%2].RedeemCode(t.Context(), c, s, at, event(audit.SessionCreated))
						if !errors.Is(err, tokens.ErrUserGone) && !errors.Is(err, tokens.ErrUnknown) {
							t.Errorf("redeem: got error %v", err)
						}
						sessionGone(t, r[1], s)
					}
				}
			})
		}
	}},

	{"GiveConsent/no scope is lost", func(t *testing.T, r replicas) {
		for round := range rounds {
			u, c := addUser(t, r[0], fmt.Sprint("alice", round)), addClient(t, r[0], fmt.Sprint("app", round))
			if round%2 == 1 { // the racers add to an existing consent
				addConsent(t, r[0], u, c, "scope000", "openid")
			}
			scopes := numbered("scope", racers)
			allSucceed(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
				return db.GiveConsent(ctx, consent(u, c, "openid", scopes[i]), event(audit.ConsentGiven))
			}))
			all, err := r[1].Consents(t.Context(), u.ID)
			succeeds(t, err)
			if len(all) != 1 {
				t.Fatalf("there are %d consents, want 1", len(all))
			}
			slices.Sort(all[0].Scopes)
			same(t, "scopes", all[0].Scopes, append([]string{"openid"}, scopes...))
		}
	}},
	{"GiveConsent/none outlives its user or client", func(t *testing.T, r replicas) {
		for _, end := range []ending{endings[4], endings[6]} {
			for round := range rounds {
				b := browse(t, r[0], fmt.Sprint(end.name, round))
				allSucceed(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
					if i == round {
						return end.do(ctx, db, b)
					}
					err := db.GiveConsent(ctx, consent(b.user, b.client, "openid"), event(audit.ConsentGiven))
					if errors.Is(err, consents.ErrGone) {
						return nil
					}
					return err
				}))
				wantConsents(t, r[1], b.user.ID)
			}
		}
	}},

	{"PurgeLogins/spares a login that is used meanwhile", func(t *testing.T, r replicas) {
		// A replica may read its clock just before the login expires, and reach the
		// database just after.
		u, client := addUser(t, r[0], "alice"), addClient(t, r[0], "app")
		for range rounds {
			all := make([]tokens.Login, 50)
			won := make([]bool, len(all))
			for i := range all {
				all[i] = addLogin(t, r[0], u)
			}
			expiry := all[0].ExpiresAt
			allSucceed(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
				if i < 2 {
					_, err := db.PurgeLogins(ctx, expiry, len(all))
					return err
				}
				for k := i - 2; k < len(all); k += racers - 2 {
					all[k].ExpiresAt = expiry.Add(time.Hour)
					err := db.CreateCode(ctx, code(all[k], client.ID), all[k].ExpiresAt, expiry.Add(-time.Millisecond))
					won[k] = err == nil
					if err != nil && !errors.Is(err, tokens.ErrUnknown) {
						return err
					}
				}
				return nil
			}))
			for i, l := range all {
				if won[i] {
					loginLives(t, r[1], l)
				} else {
					isOver(t, r[1], l)
				}
			}
		}
	}},
	{"PurgeCodes/each is counted once", func(t *testing.T, r replicas) {
		l, client := addLogin(t, r[0], addUser(t, r[0], "alice")), addClient(t, r[0], "app")
		for range 60 {
			addCode(t, r[0], l, client.ID)
		}
		var total atomic.Int64
		allSucceed(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
			n, err := db.PurgeCodes(ctx, at.Add(time.Minute), 10+i)
			total.Add(n)
			return err
		}))
		n, err := r[1].PurgeCodes(t.Context(), at.Add(time.Minute), 100)
		succeeds(t, err)
		same(t, "codes purged", total.Load()+n, 60)
	}},
}
