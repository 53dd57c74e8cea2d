package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"countersign/clients"
	"countersign/ids"
	"countersign/store"
	"countersign/store/storetest"
	"countersign/test/mariadb"
	"countersign/test/soak"
	"countersign/tokens"
)

// A session costs one row, a refresh no row, and a refresh takes as long with ten million
// sessions as with ten thousand. COUNTERSIGN_SOAK=1 grows the database that far, and
// prints the figures.
func TestGrowth(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		grow(t, func(n int) *growing {
			path := filepath.Join(t.TempDir(), "countersign.db")
			db := openFile(t, path)
			return &growing{
				db: db, series: `WITH RECURSIVE n(seq) AS (SELECT %d UNION ALL SELECT seq + 1 FROM n WHERE seq < %d) `,
				from: `n`, id: `unhex(printf('%%032x', %s))`, eight: `zeroblob(64)`,
				fill: func(add func()) {
					// First all data fits in memory, then as little as possible.
					_, err := db.Pools()["write"].Exec(`PRAGMA cache_size = -3000000`)
					noError(t, err)
					add()
					_, err = db.Pools()["write"].Exec(`PRAGMA cache_size = -2000`)
					noError(t, err)
				},
				size: func() int64 {
					_, err := db.Pools()["write"].Exec(`PRAGMA wal_checkpoint(TRUNCATE)`)
					noError(t, err)
					return fileSize(t, path)
				},
			}
		})
	})
	t.Run("MariaDB", func(t *testing.T) {
		storetest.Need(t, mariadb.Available())
		// The buffer pool holds the upper levels of the largest index, as an operator
		// would choose for a database of this size.
		server, err := mariadb.Start("--innodb-buffer-pool-size=3G", "--innodb-log-file-size=1G")
		noError(t, err)
		defer server.Close()
		grow(t, func(n int) *growing {
			name := fmt.Sprint("with", n)
			noError(t, server.CreateDatabase(name))
			return &growing{
				db: open(t, server.URL(name)+"?readTimeout=30m"), from: `seq_%d_to_%d`, id: `UNHEX(LPAD(HEX(%s), 32, '0'))`, eight: `REPEAT('x', 64)`,
				fill: func(add func()) { add() },
				size: func() (total int64) {
					files, err := server.Files()
					noError(t, err)
					for _, file := range files {
						if strings.HasSuffix(file, filepath.Join(name, "sessions.ibd")) {
							total += fileSize(t, file)
						}
					}
					return total
				},
			}
		})
	})
}

// growing is a database, and the statements of its dialect that fill it.
type growing struct {
	db     *store.DB
	series string // precedes a statement, and generates the numbers of rows
	from   string // the FROM clause that gives the numbers as seq
	id     string // an expression: a number as 16 bytes
	eight  string // an expression: the times of eight rotations
	size   func() int64
	fill   func(add func()) // calls add with the settings that make it quick

	perSession float64 // bytes on disk
}

// perStatement is how many rows a statement adds.
const perStatement = 500_000

// add runs a statement for each number from one to another.
func (g *growing) add(t *testing.T, from, to int, insert string) {
	t.Helper()
	for ; from <= to; from += perStatement {
		last := min(to, from+perStatement-1)
		statement := insert
		if strings.Contains(g.from, "%d") {
			statement += fmt.Sprintf(g.from, from, last)
		} else {
			statement = fmt.Sprintf(g.series, from, last) + statement + g.from
		}
		_, err := g.db.Pools()["write"].Exec(statement)
		noError(t, err)
	}
}

// grow makes a database of each size, and then refreshes in all of them in turn, so that
// other load on the machine affects all alike.
func grow(t *testing.T, make func(sessions int) *growing) {
	sizes, rounds, refreshes := []int{1_000, 4_000}, 2, 200
	if soak.On() {
		sizes, rounds, refreshes = []int{10_000, 1_000_000, 10_000_000}, 40, 1000
	}
	all := []*growing{}
	for _, n := range sizes {
		g := make(n)
		begun := time.Now()
		g.populate(t, n)
		t.Logf("%8d sessions: filled in %v, %.0f bytes each", n, time.Since(begun).Round(time.Millisecond), g.perSession)
		all = append(all, g)
	}
	times := map[int][]time.Duration{}
	rows, full := map[int]string{}, map[int]int64{}
	for round := range rounds + 1 {
		for i, g := range all {
			took := g.refresh(t, sizes[i], refreshes)
			if round > 0 { // the first round loads into memory what later rounds read often
				times[i] = append(times[i], took...)
				continue
			}
			rows[i], full[i] = g.rows(t), g.size()
		}
	}
	for i, g := range all {
		slices.Sort(times[i])
		half, most := times[i][len(times[i])/2], times[i][len(times[i])*99/100]
		least := times[0][len(times[0])*99/100]
		t.Logf("%8d sessions: a refresh takes %v, 99%% within %v (%.2f times that of the smallest)", sizes[i],
			half.Round(time.Microsecond), most.Round(time.Microsecond), float64(most)/float64(least))
		if after := g.rows(t); after != rows[i] {
			t.Errorf("%d refreshes changed the numbers of rows from %s to %s", rounds*refreshes, rows[i], after)
		}
		if size := g.size(); float64(size) > 1.1*float64(full[i])+1<<23 {
			t.Errorf("%d refreshes made the file grow from %d to %d", rounds*refreshes, full[i], size)
		}
	}
}

// populate adds sessions, two for each user, as for a telephone and a computer.
func (g *growing) populate(t *testing.T, n int) {
	t.Helper()
	noError(t, storetest.PutClient(t.Context(), g.db, clients.Client{ID: "app", CreatedAt: now, UpdatedAt: now}, created))
	id := func(n string) string { return fmt.Sprintf(g.id, n) }
	g.fill(func() {
		g.add(t, 1, n/2, `INSERT INTO users (id, username, roles, password_hash, epoch, created_at, updated_at)
			SELECT `+id("seq")+`, concat('user ', seq), '[]', '$argon2id$', 0, 0, 0 FROM `)
	})
	empty := g.size()
	sessions := fmt.Sprintf(`INSERT INTO sessions (id, user_id, client_id, scopes, counter, rotations, auth_time,
			created_at, last_used_at, expires_at, absolute_expires_at, epoch)
		SELECT %s, %s, 'app', 'openid profile email offline_access', 8, %s, 0, 0, 0, %d + seq * 7919 %% 1000003, %d, 0 FROM `,
		id("seq"), id(fmt.Sprintf("1 + seq * 7919 %% %d", n/2)), g.eight, now.Add(time.Hour).UnixMilli(), now.Add(24*time.Hour).UnixMilli())
	g.fill(func() { g.add(t, 1, n, sessions) })
	g.perSession = float64(g.size()-empty) / float64(n)
}

// refresh makes the store's calls for refreshes of random sessions, by a few callers at
// once, and returns the sorted times.
func (g *growing) refresh(t *testing.T, sessions, n int) []time.Duration {
	t.Helper()
	const callers = 4
	all := make([]time.Duration, 0, n)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range n / callers {
				var id ids.Session
				for i, k := 15, rand.IntN(sessions)+1; k > 0; i, k = i-1, k>>8 {
					id[i] = byte(k)
				}
				begun := time.Now()
				s, err := g.db.Session(t.Context(), id, now)
				if err == nil {
					s.Counter++
					s.Rotations = append(s.Rotations[1:], now)
					err = g.db.AdvanceSession(t.Context(), s, now)
				}
				took := time.Since(begun)
				if errors.Is(err, tokens.ErrStale) { // another caller refreshed the same session
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				all = append(all, took)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(all) == 0 {
		t.Fatal("no session was refreshed")
	}
	slices.Sort(all)
	return all
}

// rows returns how many rows each table has.
func (g *growing) rows(t *testing.T) string {
	t.Helper()
	var all []string
	for _, table := range tables {
		all = append(all, fmt.Sprint(table, "=", rowsOf(t, g.db, table)))
	}
	return strings.Join(all, " ")
}

// tables lists the tables that can grow.
var tables = []string{
	"users", "clients", "sessions", "signing_keys", "guesses", "letters", "audit_events", "settings",
	"profiles", "consents", "logins", "codes", "authorizations", "used_letters",
}

func rowsOf(t *testing.T, db *store.DB, table string) int64 {
	t.Helper()
	var n sql.NullInt64
	noError(t, db.Pools()["read"].QueryRow("SELECT COUNT(*) FROM "+table).Scan(&n))
	return n.Int64
}

// Some applications sign their user in again every few minutes in a hidden frame. This
// fills no table permanently: each time adds a code and a session, which expire, and an
// event, and once the user has as many sessions as may be, ends the one used least recently.
func TestGrowthBySilentSignIns(t *testing.T) {
	signIns := 300
	if soak.On() {
		signIns = 10_000
	}
	for name, fresh := range map[string]func(t *testing.T) *store.DB{
		"SQLite":  func(t *testing.T) *store.DB { return openFile(t, filepath.Join(t.TempDir(), "countersign.db")) },
		"MariaDB": func(t *testing.T) *store.DB { return open(t, onMariaDB(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			db := fresh(t)
			b := browse(t, db, "alice") // has one session, and a code that no client redeems
			before := map[string]int64{}
			for _, table := range tables {
				before[table] = rowsOf(t, db, table)
			}
			for range signIns {
				id := uuid.New()
				copy(b.code.ID[:], id[:])
				noError(t, db.CreateCode(t.Context(), b.code, now.Add(time.Hour), now))
				noError(t, b.redeem(t.Context(), db, ids.New[ids.Session]()))
			}
			kept := tokens.MaxSessions - 1 // and the first
			grown := map[string]int{"codes": signIns, "sessions": kept, "authorizations": kept, "audit_events": signIns + signIns - kept}
			for _, table := range tables {
				if n := rowsOf(t, db, table) - before[table]; n != int64(grown[table]) {
					t.Errorf("%s grew by %d in %d sign-ins", table, n, signIns)
				}
			}

			purge := func(do func(context.Context, time.Time, int) (int64, error)) {
				t.Helper()
				for {
					n, err := do(t.Context(), now.Add(2*time.Hour), 500)
					noError(t, err)
					if n == 0 {
						return
					}
				}
			}
			purge(db.PurgeCodes)
			purge(db.PurgeSessions)
			purge(db.PurgeLogins)
			for _, table := range []string{"codes", "sessions", "authorizations", "logins"} {
				if n := rowsOf(t, db, table); n != 0 {
					t.Errorf("%d rows of %s are left when all has expired", n, table)
				}
			}
		})
	}
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	noError(t, err)
	return info.Size()
}

func openFile(t *testing.T, path string) *store.DB {
	t.Helper()
	db := storetest.OpenFile(t, path)
	t.Cleanup(func() { db.Close() })
	return db
}
