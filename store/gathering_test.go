package store_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"countersign/accounts"
	"countersign/ids"
	"countersign/store"
	"countersign/tokens"
)

// Callers that come while a statement is on its way share the next one, and each gets its
// own answer. Those that have given up before it begins are no part of it.
func TestCallersShareAStatement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var statements [][]int
		ask, _ := store.Gather(func(all []int) (answers []int) {
			statements = append(statements, slices.Clone(all))
			time.Sleep(store.Patience / 2)
			for _, n := range all {
				answers = append(answers, -n)
			}
			return answers
		})
		var callers sync.WaitGroup
		for n := range 5 {
			callers.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if n == 3 {
					time.AfterFunc(store.Patience/4, cancel)
				}
				began := time.Now()
				got, err := ask(ctx, n)
				switch took := time.Since(began); {
				case n == 3 && !errors.Is(err, context.Canceled):
					t.Errorf("a caller that gave up got %d, %v", got, err)
				case n != 3 && (err != nil || got != -n):
					t.Errorf("the answer to %d is %d, %v", n, got, err)
				case n == 0 && took != store.Patience/2:
					t.Errorf("the first caller waited %v", took)
				}
			})
			synctest.Wait()
		}
		callers.Wait()
		if got := fmt.Sprint(statements); got != "[[0] [1 2 4]]" {
			t.Errorf("the statements were about %v", got)
		}
	})
}

// A statement that takes long, here for the number 0, holds up no other caller. When it has
// ended, callers share statements as before.
func TestAStatementThatTakesLongHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := time.Minute
		ask, running := store.Gather(func(all []int) []int {
			if all[0] == 0 {
				time.Sleep(long)
			} else {
				time.Sleep(store.Patience / 2)
			}
			return all
		})
		var slow sync.WaitGroup
		defer slow.Wait()
		for range 3 {
			slow.Go(func() {
				if _, err := ask(t.Context(), 0); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(2 * store.Patience)
		}
		began := time.Now()
		if _, err := ask(t.Context(), 1); err != nil || time.Since(began) != store.Patience/2 {
			t.Errorf("another caller waited %v (%v)", time.Since(began), err)
		}

		// The callers of one that will take long are waiting: they wait no longer than for
		// our patience.
		slow.Go(func() { ask(t.Context(), 0) })
		synctest.Wait()
		began = time.Now()
		if _, err := ask(t.Context(), 1); err != nil || time.Since(began) != store.Patience*3/2 {
			t.Errorf("a caller behind one that takes long waited %v (%v)", time.Since(began), err)
		}

		// Callers that never cease, more than one statement takes, find one statement on its
		// way when those that took long have ended.
		time.Sleep(long - time.Second)
		until := time.Now().Add(2 * time.Second)
		var busy sync.WaitGroup
		for n := range 200 {
			busy.Go(func() {
				for time.Now().Before(until) {
					if _, err := ask(t.Context(), n+1); err != nil {
						t.Error(err)
					}
				}
			})
		}
		time.Sleep(time.Second + 10*store.Patience)
		most := 0
		for range 100 {
			time.Sleep(time.Millisecond)
			most = max(most, running())
		}
		if most != 1 {
			t.Errorf("%d statements are on their way at once", most)
		}
		busy.Wait()
	})
}

// A panic is the callers', whose requests end with it, and not the process's end.
func TestPanicInASharedStatementIsItsCallers(t *testing.T) {
	ask, _ := store.Gather(func(all []int) []int {
		if all[0] == 1 {
			panic("a bug")
		}
		return all
	})
	func() {
		defer func() {
			if p := recover(); p != "a bug" {
				t.Errorf("the panic was %v", p)
			}
		}()
		ask(t.Context(), 1)
	}()
	if got, err := ask(t.Context(), 2); got != 2 || err != nil {
		t.Errorf("the next caller got %d, %v", got, err)
	}
}

// inOneStatement advances sessions in one statement, and returns the error of each.
func inOneStatement(t *testing.T, db *store.DB, all ...tokens.Session) []error {
	t.Helper()
	waiting, release := db.Hold()
	errs := make([]error, len(all))
	var callers sync.WaitGroup
	for i, s := range all {
		callers.Go(func() { errs[i] = db.AdvanceSession(t.Context(), s, now) })
		for waiting() <= i {
			runtime.Gosched()
		}
	}
	release()
	callers.Wait()
	return errs
}

// many adds n sessions of as many users, advanced once and ready to be advanced again.
func many(t *testing.T, db *store.DB, n int) []tokens.Session {
	t.Helper()
	s, err := db.Session(t.Context(), shared.ID, now)
	if errors.Is(err, tokens.ErrUnknown) {
		s, err = signIn(t, db, shared), nil
	}
	noError(t, err)
	s.Counter = 1
	all := make([]tokens.Session, n)
	for i := range all {
		s.ID = ids.New[ids.Session]()
		u := person("user of " + s.ID.String())
		noError(t, db.CreateUser(t.Context(), u, created))
		s.UserID = u.ID
		all[i] = s
		s.Counter = 0
		noError(t, db.CreateSession(t.Context(), s, 0, created))
		s.Counter = 1
		all[i].Rotations = []time.Time{now.Add(time.Duration(i) * time.Second)}
		all[i].LastUsedAt, all[i].ExpiresAt = now.Add(time.Duration(i)*time.Minute), s.ExpiresAt.Add(time.Duration(i)*time.Hour)
	}
	return all
}

// wantAdvanced fails unless a session is as advancing it leaves it.
func wantAdvanced(t *testing.T, db *store.DB, name string, want tokens.Session) {
	t.Helper()
	got, err := db.Session(t.Context(), want.ID, now)
	noError(t, err)
	if got.Counter != want.Counter || !slices.EqualFunc(got.Rotations, want.Rotations, time.Time.Equal) ||
		!got.LastUsedAt.Equal(want.LastUsedAt) || !got.ExpiresAt.Equal(want.ExpiresAt) {
		t.Errorf("%s is %+v, want %+v", name, got, want)
	}
}

// Refreshes that share a statement succeed together.
func TestSharedAdvancesSucceed(t *testing.T) {
	db := open(t, onMariaDB(t))
	all := many(t, db, 5)
	for i, err := range inOneStatement(t, db, all...) {
		if err != nil {
			t.Errorf("session %d: %v", i, err)
		}
		wantAdvanced(t, db, fmt.Sprint("session ", i), all[i])
	}
}

// Those that fail among them fail alone, whatever the reason.
func TestSharedAdvancesFailAlone(t *testing.T) {
	db := open(t, onMariaDB(t))
	for name, spoil := range map[string]func(db *store.DB, s *tokens.Session) error{
		"another counter": func(_ *store.DB, s *tokens.Session) error { s.Counter += 4; return nil },
		"the former counter": func(db *store.DB, s *tokens.Session) error {
			return db.AdvanceSession(t.Context(), *s, now)
		},
		"another client's": func(_ *store.DB, s *tokens.Session) error { s.ClientID = "App"; return nil },
		"expired": func(db *store.DB, s *tokens.Session) error {
			_, err := db.Pools()["write"].Exec(`UPDATE sessions SET expires_at = ? WHERE id = ?`, now.UnixMilli(), s.ID[:])
			return err
		},
		"of another epoch": func(db *store.DB, s *tokens.Session) error {
			_, err := db.Pools()["write"].Exec(`UPDATE users SET epoch = epoch + 1 WHERE id = ?`, s.UserID[:])
			return err
		},
		"ended": func(db *store.DB, s *tokens.Session) error { return db.EndSession(t.Context(), s.ID, created) },
		"of a deleted user": func(db *store.DB, s *tokens.Session) error {
			return db.DeleteUser(t.Context(), s.UserID, accounts.By{Operator: true}, now, created)
		},
		"never there": func(_ *store.DB, s *tokens.Session) error { s.ID = ids.New[ids.Session](); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			all := many(t, db, 3)
			noError(t, spoil(db, &all[1]))
			errs := inOneStatement(t, db, all...)
			if errs[0] != nil || !errors.Is(errs[1], tokens.ErrStale) || errs[2] != nil {
				t.Errorf("got errors %v, want the second's alone", errs)
			}
			wantAdvanced(t, db, "the first", all[0])
			wantAdvanced(t, db, "the third", all[2])
		})
	}
}

// Of callers with the same token one wins, and no other session's caller notices.
func TestSharedAdvancesOfOneSessionHaveOneWinner(t *testing.T) {
	db := open(t, onMariaDB(t))
	all := many(t, db, 2)
	rival := all[0]
	rival.Rotations = []time.Time{now.Add(time.Hour)}
	errs := inOneStatement(t, db, all[0], rival, all[1], rival)
	if errs[0] != nil || !errors.Is(errs[1], tokens.ErrStale) || errs[2] != nil || !errors.Is(errs[3], tokens.ErrStale) {
		t.Errorf("got errors %v", errs)
	}
	wantAdvanced(t, db, "the session", all[0])
}

// A statement that the database rolls back in favour of another transaction is repeated for
// each of its callers.
func TestSharedAdvancesSurviveADeadlock(t *testing.T) {
	db := open(t, onMariaDB(t))
	all := many(t, db, 2)
	slices.SortFunc(all, func(a, b tokens.Session) int { return slices.Compare(a.ID[:], b.ID[:]) })
	tx, err := db.Pools()["write"].Begin()
	noError(t, err)
	defer tx.Rollback()
	lock := func(query string, args ...any) {
		t.Helper()
		if _, err := tx.Exec(query, args...); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 200 { // the database rolls back the transaction that has changed less
		lock(`INSERT INTO settings (name, value) VALUES (?, '')`, fmt.Sprint(i))
	}
	lock(`UPDATE sessions SET scopes = 'x' WHERE id = ?`, all[1].ID[:])
	done := make(chan []error)
	go func() { done <- inOneStatement(t, db, all...) }()
	for waits := 0; waits == 0; { // for the second row, with the first one's lock
		time.Sleep(110 * time.Millisecond) // the table is as old as the last time that it was read, up to 100 ms
		noError(t, db.Pools()["read"].QueryRow(`SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'`).Scan(&waits))
	}
	lock(`UPDATE sessions SET scopes = 'x' WHERE id = ?`, all[0].ID[:])
	time.Sleep(10 * time.Millisecond)
	noError(t, tx.Commit())
	for i, err := range <-done {
		if err != nil {
			t.Errorf("session %d: %v", i, err)
		}
		wantAdvanced(t, db, fmt.Sprint("session ", i), all[i])
	}
}

// Callers that read one session at once share nothing that one of them may change.
func TestSharedReadsGiveEachCallerItsOwn(t *testing.T) {
	db := open(t, onMariaDB(t))
	s := many(t, db, 1)[0]
	noError(t, db.AdvanceSession(t.Context(), s, now))
	var callers sync.WaitGroup
	for i := range 32 {
		callers.Go(func() {
			switch got, err := db.Session(t.Context(), s.ID, now); {
			case err != nil:
				t.Error(err)
			case got.Counter != s.Counter || len(got.Rotations) != 1 || !got.Rotations[0].Equal(s.Rotations[0]):
				t.Errorf("got %+v, want %+v", got, s)
			default:
				got.Rotations[0] = now.Add(time.Duration(i) * time.Hour)
			}
			if _, err := db.Session(t.Context(), ids.New[ids.Session](), now); !errors.Is(err, tokens.ErrUnknown) {
				t.Errorf("an unknown session: %v", err)
			}
			if _, err := db.Session(t.Context(), s.ID, s.ExpiresAt); !errors.Is(err, tokens.ErrUnknown) {
				t.Errorf("a session at its end: %v", err)
			}
		})
	}
	callers.Wait()
}
