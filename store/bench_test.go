package store_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/ids"
	"countersign/store/storetest"
	"countersign/tokens"
)

// Most of a write's time is the disk's flush, so each benchmark also reports its time in
// flushes of a small file ("flushes"), measured right before it on the same disk.
func BenchmarkSQLite(b *testing.B) {
	b.Run("flush of a small file", func(b *testing.B) {
		flush := newFlush(b)
		for b.Loop() {
			flush()
		}
	})

	measure(b, "Session", 1000, func(b *testing.B, s *sessions) func() {
		return func() {
			if _, err := s.db.Session(b.Context(), s.next().ID, now); err != nil {
				b.Fatal(err)
			}
		}
	})
	measure(b, "AdvanceSession", 1000, func(b *testing.B, s *sessions) func() {
		return func() {
			one := s.next()
			one.Counter++
			one.Rotations = append(one.Rotations[max(0, len(one.Rotations)-7):], now)
			if err := s.db.AdvanceSession(b.Context(), *one, now); err != nil {
				b.Fatal(err)
			}
		}
	})
	measure(b, "AdvanceSession stale", 1, func(b *testing.B, s *sessions) func() {
		stale := *s.next()
		stale.Counter = 100
		return func() {
			if err := s.db.AdvanceSession(b.Context(), stale, now); err == nil {
				b.Fatal("a stale one won")
			}
		}
	})
	measure(b, "CreateSession", 1000, func(b *testing.B, s *sessions) func() {
		return func() {
			one := *s.next()
			one.ID = ids.New[ids.Session]()
			if err := s.db.CreateSession(b.Context(), one, 0, created); err != nil {
				b.Fatal(err)
			}
		}
	})

	b.Run("AdvanceSession by many at once", func(b *testing.B) {
		base := baseline(b)
		s := newSessions(b, 1000)
		b.ResetTimer()
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			one := tokens.Session{ID: ids.New[ids.Session](), UserID: s.all[0].UserID, ClientID: "app", ExpiresAt: now.Add(time.Hour)}
			if err := s.db.CreateSession(b.Context(), one, 0, created); err != nil {
				b.Error(err)
				return
			}
			for pb.Next() {
				one.Counter++
				if err := s.db.AdvanceSession(b.Context(), one, now); err != nil {
					b.Error(err)
					return
				}
			}
		})
		b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(base), "flushes/op")
	})
}

// A page of the list and a search, among 100,000 users who all have addresses.
func BenchmarkUsers(b *testing.B) {
	db := storetest.Open(b)
	_, err := db.Pools()["write"].Exec(`
		WITH RECURSIVE seq(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM seq WHERE n < 100000)
		INSERT INTO users (id, username, email, email_key, email_verified, roles, password_hash, epoch, created_at, updated_at)
		SELECT randomblob(16), 'user' || n, 'user' || n || '@example.com', 'user' || n || '@example.com', 1, '[]', '', 0, 0, 0 FROM seq`)
	noError(b, err)
	for name, do := range map[string]func() (int, error){
		"page of 100": func() (int, error) {
			u, err := db.Users(b.Context(), accounts.User{Username: "user50000"}, 100)
			return len(u), err
		},
		"last page of 100": func() (int, error) {
			u, err := db.Users(b.Context(), accounts.User{Username: "user9989"}, 100)
			return len(u), err
		},
		"search of what all names and addresses begin with": func() (int, error) {
			u, err := db.SearchUsers(b.Context(), accounts.Beginnings{Username: "user", EmailKey: "user"}, 101)
			return len(u), err
		},
		"search of an address": func() (int, error) {
			u, err := db.SearchUsers(b.Context(), accounts.Beginnings{Username: "user77777@", EmailKey: "user77777@"}, 101)
			return len(u), err
		},
		"search of every id": func() (int, error) {
			u, err := db.SearchUsers(b.Context(), accounts.Beginnings{LastID: ids.User(bytes.Repeat([]byte{0xff}, 16))}, 101)
			return len(u), err
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if n, err := do(); n == 0 || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}

// A refresh by sixteen callers at once on MariaDB, and beside it what bounds it: sixteen
// callers' bare conditional updates of rows of their own. The server uses the same
// processors, so compare them by a run of both.
func BenchmarkMariaDB(b *testing.B) {
	db := open(b, onMariaDB(b))
	const callers = 16
	first := signIn(b, db, shared)
	all := make([]tokens.Session, callers)
	for i := range all {
		all[i] = first
		all[i].ID = ids.New[ids.Session]()
		noError(b, db.CreateSession(b.Context(), all[i], 0, created))
	}
	at := func(b *testing.B, op func(s *tokens.Session) error) {
		var done atomic.Int64
		var running sync.WaitGroup
		for i := range all {
			running.Go(func() {
				for done.Add(1) <= int64(b.N) {
					if err := op(&all[i]); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		running.Wait()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "a_second")
	}
	b.Run("bare conditional update", func(b *testing.B) {
		at(b, func(s *tokens.Session) error {
			res, err := db.Pools()["write"].ExecContext(b.Context(), `UPDATE sessions SET counter = counter + 1 WHERE id = ? AND counter = ?`, s.ID[:], int64(s.Counter))
			if err != nil {
				return err
			}
			s.Counter++
			if n, err := res.RowsAffected(); n != 1 || err != nil {
				return fmt.Errorf("%d rows: %w", n, err)
			}
			return nil
		})
	})
	b.Run("Session and AdvanceSession", func(b *testing.B) {
		at(b, func(s *tokens.Session) error {
			next, err := db.Session(b.Context(), s.ID, now)
			if err != nil {
				return err
			}
			next.Counter++
			next.Rotations = append(next.Rotations[max(0, len(next.Rotations)-7):], now)
			next.ExpiresAt = next.ExpiresAt.Add(time.Second)
			s.Counter = next.Counter
			return db.AdvanceSession(b.Context(), next, now)
		})
	})
}

// measure runs a benchmark over n sessions.
func measure(b *testing.B, name string, n int, build func(b *testing.B, s *sessions) func()) {
	b.Run(name, func(b *testing.B) {
		op := build(b, newSessions(b, n))
		base := baseline(b)
		for b.Loop() {
			op()
		}
		b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(base), "flushes/op")
	})
}

// sessions holds sessions of many users, which callers take in turn.
type sessions struct {
	db   tokens.Store
	all  []*tokens.Session
	turn atomic.Uint64
}

func newSessions(b *testing.B, n int) *sessions {
	b.Helper()
	db := storetest.Open(b)
	first := signIn(b, db, shared)
	s := &sessions{db: db, all: []*tokens.Session{&first}}
	for len(s.all) < n {
		one := first
		one.ID = ids.New[ids.Session]()
		if len(s.all)%tokens.MaxSessions == 0 { // a user has no more
			u := person("user of " + one.ID.String())
			noError(b, db.CreateUser(b.Context(), u, created))
			first.UserID, one.UserID = u.ID, u.ID
		}
		noError(b, db.CreateSession(b.Context(), one, 0, created))
		s.all = append(s.all, &one)
	}
	return s
}

func (s *sessions) next() *tokens.Session {
	return s.all[s.turn.Add(1)%uint64(len(s.all))]
}

// baseline returns the median time of a flush.
func baseline(b *testing.B) time.Duration {
	b.Helper()
	flush := newFlush(b)
	times := make([]time.Duration, 101)
	for i := range times {
		begun := time.Now()
		flush()
		times[i] = time.Since(begun)
	}
	slices.Sort(times)
	return times[len(times)/2]
}

// newFlush returns a function that appends as much to a file as a small commit does, and
// waits until the data is on disk.
func newFlush(b *testing.B) func() {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "flushed"))
	noError(b, err)
	b.Cleanup(func() { f.Close() })
	page := make([]byte, 4096)
	return func() {
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}
