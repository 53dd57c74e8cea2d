package server_test

import (
	"context"
	"database/sql"
	"encoding/binary"
	"math/rand/v2"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"countersign/audit"
	"countersign/ids"
	"countersign/server"
	"countersign/store/storetest"
	"countersign/tokens"
)

// TestLinearCheckFindsBugs plants bugs of the kind that TestLinearSessions must find,
// and checks that it finds each.
func TestLinearCheckFindsBugs(t *testing.T) {
	window := linearWindow(t)
	for _, bug := range []struct {
		name  string
		plant func(l *linear, o *server.Options)
	}{
		{"the swap is a look and a write", func(l *linear, o *server.Options) {
			o.Store = tornSwap{o.Store, openPast(l.t, l.path), l.window / 4}
		}},
		{"a rotation that was acknowledged is lost", func(_ *linear, o *server.Options) {
			o.Store = buggy{Store: o.Store, advance: func(do func() error) error {
				if rand.IntN(20) == 0 {
					return nil
				}
				return do()
			}}
		}},
		{"a replica reads what was", func(l *linear, o *server.Options) {
			if len(l.replicas) == 0 {
				o.Store = &staleReads{Store: o.Store, age: l.window / 4, read: map[ids.Session]staleRead{}}
			}
		}},
		{"a session that was ended lives", func(_ *linear, o *server.Options) {
			o.Store = buggy{Store: o.Store, end: func(do func() error) error {
				if rand.IntN(2) == 0 {
					return nil
				}
				return do()
			}}
		}},
		{"a session of a disabled user lives", func(_ *linear, o *server.Options) {
			o.Store = forgivingStore{o.Store}
		}},
		{"the window is too long at one replica", func(l *linear, o *server.Options) {
			if len(l.replicas) == 0 {
				o.Tokens.RefreshReplayWindow *= 2
			}
		}},
		{"the window is too short at one replica", func(l *linear, o *server.Options) {
			if len(l.replicas) == 0 {
				o.Tokens.RefreshReplayWindow /= 2
			}
		}},
		{"too few rotations are remembered", func(_ *linear, o *server.Options) {
			o.Store = buggy{Store: o.Store, found: func(s *tokens.Session) {
				s.Rotations = s.Rotations[len(s.Rotations)/2:]
			}}
		}},
		{"what can't be told from theft ends the session", func(l *linear, o *server.Options) {
			o.Store = buggy{Store: o.Store, found: func(s *tokens.Session) {
				if len(s.Rotations) == remembered {
					s.Rotations[0] = s.Rotations[0].Add(-2 * l.window)
				}
			}}
		}},
	} {
		t.Run(bug.name, func(t *testing.T) {
			l := newLinear(t, window, bug.plant)
			for calls := 0; calls < 10_000 && !t.Failed(); {
				for _, u := range l.live(linearAtOnce) {
					calls += len(u.history)
					switch result := u.check(); result {
					case porcupine.Ok:
					case porcupine.Illegal:
						t.Logf("found within %d calls:\n%s", calls, u.explain())
						return
					default:
						t.Fatalf("history of %s is %s", u.name, result)
					}
				}
			}
			t.Error("the checker found nothing wrong")
		})
	}
}

// buggy is a store with a planted bug.
type buggy struct {
	server.Store
	advance, end func(do func() error) error
	found        func(s *tokens.Session)
}

func (b buggy) Session(ctx context.Context, id ids.Session, now time.Time) (tokens.Session, error) {
	s, err := b.Store.Session(ctx, id, now)
	if b.found != nil && err == nil {
		b.found(&s)
	}
	return s, err
}

func (b buggy) AdvanceSession(ctx context.Context, next tokens.Session, now time.Time) error {
	do := func() error { return b.Store.AdvanceSession(ctx, next, now) }
	if b.advance == nil {
		return do()
	}
	return b.advance(do)
}

func (b buggy) EndSession(ctx context.Context, id ids.Session, ev audit.Event) error {
	do := func() error { return b.Store.EndSession(ctx, id, ev) }
	if b.end == nil {
		return do()
	}
	return b.end(do)
}

// tornSwap is a store that checks a session's counter and writes the next one a while
// later, not atomically.
type tornSwap struct {
	server.Store
	past  *sql.DB
	while time.Duration
}

func (s tornSwap) AdvanceSession(ctx context.Context, next tokens.Session, now time.Time) error {
	found, err := s.Store.Session(ctx, next.ID, now)
	if err != nil || found.Counter != next.Counter-1 {
		return tokens.ErrStale
	}
	if rand.IntN(10) == 0 {
		time.Sleep(rand.N(s.while))
	}
	var rotations []byte
	for _, at := range next.Rotations {
		rotations = binary.BigEndian.AppendUint64(rotations, uint64(at.UnixMilli()))
	}
	_, err = s.past.ExecContext(ctx, `UPDATE sessions SET counter = ?, rotations = ? WHERE id = ?`, next.Counter, rotations, next.ID[:])
	return err
}

// openPast opens the database of a path directly, without the store.
func openPast(t testing.TB, path string) *sql.DB {
	t.Helper()
	driver, source := "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
	if storetest.OnMariaDB() {
		u, err := url.Parse(storetest.URL(t, path))
		if err != nil {
			t.Fatal(err)
		}
		address := "tcp(" + u.Host + ")"
		if socket := u.Query().Get("socket"); socket != "" {
			address = "unix(" + socket + ")"
		}
		// The server's defaults are hostile.
		driver, source = "mysql", "root@"+address+u.Path+
			"?autocommit=1&completion_type=0&tx_read_only=0&tx_isolation=%27READ-COMMITTED%27&sql_safe_updates=0&max_statement_time=0&innodb_lock_wait_timeout=5"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// staleReads is a store that for a while returns old reads of a session again.
type staleReads struct {
	server.Store
	age time.Duration

	mu   sync.Mutex
	read map[ids.Session]staleRead
}

type staleRead struct {
	session tokens.Session
	err     error
	at      time.Time
}

func (s *staleReads) Session(ctx context.Context, id ids.Session, now time.Time) (tokens.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.read[id]; ok && time.Since(r.at) < s.age {
		return r.session, r.err
	}
	r := staleRead{at: time.Now()}
	r.session, r.err = s.Store.Session(ctx, id, now)
	s.read[id] = r
	return r.session, r.err
}

// forgivingStore acknowledges that a user is disabled, and changes nothing.
type forgivingStore struct{ server.Store }

func (s forgivingStore) DisableUser(ctx context.Context, id ids.User, now time.Time, ev audit.Event) error {
	return nil
}
