package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/clients"
	"countersign/ids"
	"countersign/keys"
	"countersign/limits"
	"countersign/store"
	"countersign/test/soak"
	"countersign/tokens"
)

// RunReplicas checks a store's promises to concurrent callers, on one replica or several.
// open returns two handles on one fresh, migrated database. They share nothing else, and
// the test's end closes them.
func RunReplicas(t *testing.T, open func(t testing.TB) (a, b *store.DB)) {
	for _, p := range slices.Concat(racePromises, codeRacePromises, operatingRaces, factorRaces) {
		t.Run(p.name, func(t *testing.T) {
			a, b := open(t)
			p.check(t, replicas{a, b})
		})
	}
}

// replicas are handles on one database.
type replicas []*store.DB

// racers is the number of callers in a race.
const racers = 12

// rounds is the number of races.
var rounds = soak.Size(8, 4)

// race calls fn from n goroutines at once, spread over the replicas, and returns their
// errors.
func (r replicas) race(ctx context.Context, n int, fn func(ctx context.Context, db *store.DB, i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = fn(ctx, r[i%len(r)], i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// oneWins fails the test unless exactly one racer succeeds and all others get the error
// loses. It returns the winner's index.
func oneWins(t *testing.T, errs []error, loses error) int {
	t.Helper()
	winner, winners := -1, 0
	for i, err := range errs {
		switch {
		case err == nil:
			winner = i
			winners++
		case !errors.Is(err, loses):
			t.Errorf("racer %d: got error %v, want %v or none", i, err, loses)
		}
	}
	if winners != 1 {
		t.Fatalf("%d racers won, want 1", winners)
	}
	return winner
}

// allSucceed fails the test if there is an error.
func allSucceed(t *testing.T, errs []error) {
	t.Helper()
	for i, err := range errs {
		if err != nil {
			t.Errorf("racer %d: unexpected error %v", i, err)
		}
	}
}

// racePromise is a promise to concurrent callers.
type racePromise struct {
	name  string
	check func(t *testing.T, r replicas)
}

var racePromises = []racePromise{
	{"AdvanceSession/one winner per counter", func(t *testing.T, r replicas) {
		_, s := signIn(t, r[0], "alice")
		for round := range rounds {
			now := at.Add(time.Duration(round) * time.Second)
			tries := make([]tokens.Session, racers)
			for i := range tries {
				tries[i] = advanced(s, now.Add(time.Duration(i)*time.Millisecond))
			}
			s = tries[oneWins(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
				return db.AdvanceSession(ctx, tries[i], now)
			}), tokens.ErrStale)]
			lives(t, r[0], s)
			lives(t, r[1], s) // a replica sees what another replica has acknowledged
		}
	}},
	{"AdvanceSession/the counter is the number of winners", func(t *testing.T, r replicas) {
		_, s := signIn(t, r[0], "alice")
		var won atomic.Uint64
		allSucceed(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, _ int) error {
			for range 3 * rounds {
				read, err := db.Session(ctx, s.ID, at)
				if err != nil {
					return err
				}
				switch err := db.AdvanceSession(ctx, advanced(read, at), at); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, tokens.ErrStale):
					return err
				}
			}
			return nil
		}))
		got, err := r[0].Session(t.Context(), s.ID, at)
		succeeds(t, err)
		if got.Counter != won.Load() || got.Counter == 0 {
			t.Errorf("counter is %d after %d wins", got.Counter, won.Load())
		}
	}},
	{"AdvanceSession/many sessions at once", func(t *testing.T, r replicas) {
		u, c := addUser(t, r[0], "alice"), addClient(t, r[0], "app")
		allSucceed(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, _ int) error {
			s := session(u, c.ID)
			if err := db.CreateSession(ctx, s, u.Epoch, event(audit.SessionCreated)); err != nil {
				return err
			}
			for range rounds {
				s = advanced(s, at)
				if err := db.AdvanceSession(ctx, s, at); err != nil {
					return err
				}
			}
			lives(t, db, s)
			return nil
		}))
	}},
	{"AdvanceSession/never brings back what was ended", func(t *testing.T, r replicas) {
		u, c := addUser(t, r[0], "alice"), addClient(t, r[0], "app")
		for range rounds {
			s := addSession(t, r[0], u, c.ID)
			errs := r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
				if i == racers/2 {
					return db.EndSession(ctx, s.ID, event(audit.SessionRevoked))
				}
				next := s
				next.Counter += uint64(i % 3)
				if err := db.AdvanceSession(ctx, advanced(next, at), at); !errors.Is(err, tokens.ErrStale) {
					return err
				}
				return nil
			})
			allSucceed(t, errs)
			sessionGone(t, r[0], s)
			sessionGone(t, r[1], s)
		}
	}},

	{"CreateSession/no session outlives its user's right to it", func(t *testing.T, r replicas) {
		for name, end := range map[string]func(ctx context.Context, db *store.DB, s tokens.Session) error{
			"DisableUser": func(ctx context.Context, db *store.DB, s tokens.Session) error {
				return db.DisableUser(ctx, s.UserID, at, event(audit.UserDisabled))
			},
			"SetPasswordHash": func(ctx context.Context, db *store.DB, s tokens.Session) error {
				return db.SetPasswordHash(ctx, s.UserID, "new", accounts.By{Operator: true}, at, event(audit.UserPasswordChanged))
			},
			"DeleteUser": func(ctx context.Context, db *store.DB, s tokens.Session) error {
				return db.DeleteUser(ctx, s.UserID, accounts.By{Operator: true}, at, event(audit.UserDeleted))
			},
			"DeleteClient": func(ctx context.Context, db *store.DB, s tokens.Session) error {
				return db.DeleteClient(ctx, s.ClientID, event(audit.ClientDeleted))
			},
		} {
			t.Run(name, func(t *testing.T) {
				for round := range rounds {
					u, first := signIn(t, r[0], fmt.Sprint(name, round))
					tries := make([]tokens.Session, racers)
					for i := range tries {
						tries[i] = session(u, first.ClientID)
					}
					allSucceed(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
						if i == round {
							return end(ctx, db, first)
						}
						err := db.CreateSession(ctx, tries[i], u.Epoch, event(audit.SessionCreated))
						if errors.Is(err, tokens.ErrUserGone) {
							return nil
						}
						return err
					}))
					for _, s := range tries {
						sessionGone(t, r[0], s)
						sessionGone(t, r[1], s)
					}
				}
			})
		}
	}},

	{"CreateUser/one gets the name", func(t *testing.T, r replicas) {
		for _, name := range numbered("alice", rounds) {
			tries := make([]accounts.User, racers)
			for i := range tries {
				tries[i] = user(name)
			}
			before := number(t, r[0])
			winner := oneWins(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
				return db.CreateUser(ctx, tries[i], event(audit.UserCreated))
			}), accounts.ErrUsernameTaken)
			isUser(t, r[1], tries[winner])
			recorded(t, r[1], before, 1)
		}
	}},
	{"CreateUser/one gets the e-mail address", func(t *testing.T, r replicas) {
		for _, name := range numbered("alice", rounds) {
			tries := make([]accounts.User, racers)
			for i := range tries {
				tries[i] = user(fmt.Sprint(name, "-", i))
				tries[i].Email = name + "@example.com"
			}
			winner := oneWins(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
				return db.CreateUser(ctx, tries[i], event(audit.UserCreated))
			}), accounts.ErrEmailTaken)
			isUser(t, r[1], tries[winner])
		}
	}},
	{"DisableUser/counts once", func(t *testing.T, r replicas) {
		for _, name := range numbered("alice", rounds) {
			u := addUser(t, r[0], name)
			before := number(t, r[0])
			allSucceed(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, _ int) error {
				return db.DisableUser(ctx, u.ID, at, event(audit.UserDisabled))
			}))
			u.DisabledAt, u.Epoch = at, u.Epoch+1
			isUser(t, r[1], u)
			recorded(t, r[1], before, 1)
		}
	}},
	{"UpgradePasswordHash/never undoes a change of the password", func(t *testing.T, r replicas) {
		for round, name := range numbered("alice", rounds) {
			u := addUser(t, r[0], name)
			allSucceed(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
				if i == round {
					return db.SetPasswordHash(ctx, u.ID, "changed", accounts.By{Operator: true}, at, event(audit.UserPasswordChanged))
				}
				return db.UpgradePasswordHash(ctx, u.ID, u.PasswordHash, "the old password's")
			}))
			u.PasswordHash, u.Epoch = "changed", u.Epoch+1
			isUser(t, r[1], u)
		}
	}},

	{"CreateClient/one gets the id", func(t *testing.T, r replicas) {
		for _, id := range numbered("app", rounds) {
			oneWins(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
				return db.CreateClient(ctx, client(id), event(audit.ClientCreated))
			}), clients.ErrExists)
		}
	}},
	{"PutClient/of replicas that start at once one creates it, and one changes it", func(t *testing.T, r replicas) {
		for _, id := range numbered("app", rounds) {
			want := client(id)
			for _, change := range []clients.Change{clients.Created, clients.Updated} {
				before := number(t, r[0])
				changes := make([]clients.Change, racers)
				allSucceed(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) (err error) {
					changes[i], err = db.PutClient(ctx, want, "", event("whatever"))
					return err
				}))
				slices.Sort(changes)
				same(t, "changes", changes, append([]clients.Change{change}, slices.Repeat([]clients.Change{clients.Unchanged}, racers-1)...))
				isClient(t, r[1], want)
				recorded(t, r[1], before, 1)
				want.Name = "renamed"
			}
		}
	}},
	{"PutClient/of replicas that chose different hashes one wins", func(t *testing.T, r replicas) {
		for _, id := range numbered("app", rounds) {
			tries := make([]clients.Client, racers)
			for i := range tries {
				tries[i] = client(id)
				tries[i].SecretHash = fmt.Sprint("hash ", i)
			}
			before := number(t, r[0])
			winner := oneWins(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
				_, err := db.PutClient(ctx, tries[i], "", event("whatever"))
				return err
			}), clients.ErrStale)
			isClient(t, r[1], tries[winner])
			recorded(t, r[1], before, 1)
		}
	}},

	{"InsertKey/one replica makes a generation", func(t *testing.T, r replicas) {
		var want []keys.Key
		for round := range rounds {
			tries := make([]keys.Key, racers)
			for i := range tries {
				tries[i] = key(fmt.Sprintf("%d-%d", round, i), "ES256", int64(round+1))
			}
			winner := oneWins(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
				return db.InsertKey(ctx, tries[i], event(audit.KeyCreated))
			}), keys.ErrTaken)
			want = append(want, tries[winner])
			areKeys(t, r[0], want...)
			areKeys(t, r[1], want...)
		}
	}},
	{"RevokeKey/counts once", func(t *testing.T, r replicas) {
		for i, kid := range numbered("kid", rounds) {
			addKey(t, r[0], kid, "ES256", int64(i))
			before := number(t, r[0])
			allSucceed(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
				return db.RevokeKey(ctx, kid, at.Add(time.Duration(i)*time.Second), event(audit.KeyRevoked))
			}))
			recorded(t, r[1], before, 1)
		}
	}},
	{"ResealKey/one replica replaces it", func(t *testing.T, r replicas) {
		k := addKey(t, r[0], "kid", "ES256", 1)
		allSucceed(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
			return db.ResealKey(ctx, "kid", k.Sealed, fmt.Appendf(nil, "by %d", i))
		}))
		first, err := r[0].Keys(t.Context())
		succeeds(t, err)
		succeeds(t, r[1].ResealKey(t.Context(), "kid", k.Sealed, []byte("late")))
		areKeys(t, r[1], first...)
		if string(first[0].Sealed[:3]) != "by " {
			t.Errorf("sealed is %q", first[0].Sealed)
		}
	}},

	{"RecordFailure/every one counts", func(t *testing.T, r replicas) {
		for round := range rounds {
			key := [32]byte{0: byte(round)}
			var mu sync.Mutex
			seen := map[int]bool{} // the counts of a new budget, which all racers try to add
			allSucceed(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, _ int) error {
				f, err := db.RecordFailure(ctx, key, ids.User{}, at, time.Hour)
				mu.Lock()
				defer mu.Unlock()
				seen[f.Count] = true
				return err
			}))
			haveFailed(t, r[1], key, limits.Failures{Count: racers, LastAt: at})
			for i := range racers {
				if !seen[i+1] {
					t.Errorf("no caller got the count of failure %d", i+1)
				}
			}
		}
	}},

	{"TakeTurn/one replica at a time", func(t *testing.T, r replicas) {
		for round := range rounds {
			now := at.Add(time.Duration(round) * time.Minute)
			take := func(name string, now time.Time) int64 {
				var got atomic.Int64
				allSucceed(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, _ int) error {
					mine, err := db.TakeTurn(ctx, name, now, now.Add(time.Minute))
					if mine {
						got.Add(1)
					}
					return err
				}))
				return got.Load()
			}
			same(t, "turns given when it is free", take("work", now), 1)
			same(t, "turns given at other work", take(fmt.Sprint("other", round), now), 1)
			same(t, "turns given before it ends", take("work", now.Add(time.Minute-time.Millisecond)), 0)
		}
	}},

	{"PurgeFailures/spares a budget that is tapped meanwhile", func(t *testing.T, r replicas) {
		const budgets = 50
		for round := range rounds {
			for i := range budgets {
				_, err := r[0].RecordFailure(t.Context(), [32]byte{byte(round), byte(i)}, ids.User{}, at, time.Hour)
				succeeds(t, err)
			}
			now := at.Add(2 * time.Hour)
			allSucceed(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
				if i < 2 { // one on each replica
					_, err := db.PurgeFailures(ctx, now, budgets)
					return err
				}
				for k := i - 2; k < budgets; k += racers - 2 {
					if _, err := db.RecordFailure(ctx, [32]byte{byte(round), byte(k)}, ids.User{}, now, time.Hour); err != nil {
						return err
					}
				}
				return nil
			}))
			for i := range budgets {
				haveFailed(t, r[1], [32]byte{byte(round), byte(i)}, limits.Failures{Count: 1, LastAt: now})
			}
		}
	}},
	{"PurgeSessions/spares a session that is advanced meanwhile", func(t *testing.T, r replicas) {
		// A replica may read its clock just before the session expires, and reach the
		// database just after.
		u, c := addUser(t, r[0], "alice"), addClient(t, r[0], "app")
		for range rounds {
			all := make([]tokens.Session, 50)
			won := make([]bool, len(all))
			for i := range all {
				all[i] = addSession(t, r[0], u, c.ID)
			}
			expiry := all[0].ExpiresAt
			allSucceed(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
				if i < 2 {
					_, err := db.PurgeSessions(ctx, expiry, len(all))
					return err
				}
				now := expiry.Add(-time.Millisecond)
				for k := i - 2; k < len(all); k += racers - 2 {
					all[k] = advanced(all[k], now)
					err := db.AdvanceSession(ctx, all[k], now)
					won[k] = err == nil
					if err != nil && !errors.Is(err, tokens.ErrStale) {
						return err
					}
				}
				return nil
			}))
			for i, s := range all {
				if won[i] {
					lives(t, r[1], s)
				} else {
					sessionGone(t, r[1], s)
				}
			}
		}
	}},
	{"PurgeSessions/each is counted once", func(t *testing.T, r replicas) {
		u, c := addUser(t, r[0], "alice"), addClient(t, r[0], "app")
		for range 60 {
			addSession(t, r[0], u, c.ID)
		}
		var total atomic.Int64
		allSucceed(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
			n, err := db.PurgeSessions(ctx, at.Add(time.Hour), 10+i)
			total.Add(n)
			return err
		}))
		n, err := r[1].PurgeSessions(t.Context(), at.Add(time.Hour), 100)
		succeeds(t, err)
		same(t, "sessions purged", total.Load()+n, 60)
	}},
}

// recorded fails the test unless there are want events after the given number.
func recorded(t *testing.T, db *store.DB, after int64, want int) {
	t.Helper()
	if got := recordedAfter(t, db, after); len(got) != want {
		t.Errorf("got %d events, want %d", len(got), want)
	}
}
