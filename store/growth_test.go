package store_test

import (
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

	"countersign/accounts"
	"countersign/store"
	"countersign/store/storetest"
	"countersign/test/mariadb"
	"countersign/tokens"
)

// What a database costs as it grows: a row for each session, as quick with ten
// million of them as with ten thousand, and nothing for a refresh.
// COUNTERSIGN_SOAK=1 makes it grow that far, and prints the figures.
func TestGrowth(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "countersign.db")
		db := openFile(t, path)
		grow(t, growing{
			db: db, series: `WITH RECURSIVE n(seq) AS (SELECT %d UNION ALL SELECT seq + 1 FROM n WHERE seq < %d) `,
			from: `n`, id: `unhex(printf('%%032x', %s))`, eight: `zeroblob(64)`,
			size: func() int64 {
				_, err := db.Pools()["write"].Exec(`PRAGMA wal_checkpoint(TRUNCATE)`)
				noError(t, err)
				return fileSize(t, path)
			},
		})
	})
	t.Run("MariaDB", func(t *testing.T) {
		storetest.Need(t, mariadb.Available())
		// The buffer pool holds the upper levels of the largest index, as on a
		// machine that was bought for it.
		server, err := mariadb.Start("--innodb-buffer-pool-size=3G", "--innodb-log-file-size=1G")
		noError(t, err)
		defer server.Close()
		noError(t, server.CreateDatabase("countersign"))
		grow(t, growing{
			db: open(t, server.URL("countersign")), from: `seq_%d_to_%d`, id: `UNHEX(LPAD(HEX(%s), 32, '0'))`, eight: `REPEAT('x', 64)`,
			size: func() (total int64) {
				files, err := server.Files()
				noError(t, err)
				for _, file := range files {
					if filepath.Base(file) == "sessions.ibd" {
						total += fileSize(t, file)
					}
				}
				return total
			},
		})
	})
}

// growing is a database that is filled by statements of its own dialect.
type growing struct {
	db     *store.DB
	series string // comes before a statement: numbers of rows
	from   string // gives the numbers as seq
	id     string // a number as 16 bytes
	eight  string // the times of eight rotations
	size   func() int64
}

// perStatement is how many rows a statement adds.
const perStatement = 50_000

// add runs a statement for each number from one to another.
func (g growing) add(t *testing.T, from, to int, insert string) {
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

func grow(t *testing.T, g growing) {
	sizes, refreshes := []int{1_000, 4_000}, 300
	soak := os.Getenv("COUNTERSIGN_SOAK") != ""
	if soak {
		sizes, refreshes = []int{10_000, 1_000_000, 10_000_000}, 20_000
	}
	noError(t, g.db.PutClient(t.Context(), accounts.Client{ID: "app", CreatedAt: now, UpdatedAt: now}, created))
	id := func(n string) string { return fmt.Sprintf(g.id, n) }
	had, first := 0, time.Duration(0)
	for _, n := range sizes {
		begun := time.Now()
		// Two sessions for each user, as people have a telephone and a computer.
		g.add(t, had/2+1, n/2, `INSERT INTO users (id, username, roles, password_hash, epoch, created_at, updated_at)
			SELECT `+id("seq")+`, concat('user ', seq), '[]', '$argon2id$', 0, 0, 0 FROM `)
		empty := g.size()
		g.add(t, had+1, n, fmt.Sprintf(`INSERT INTO sessions (id, user_id, client_id, scopes, counter, rotations, auth_time,
				created_at, last_used_at, expires_at, absolute_expires_at, epoch)
			SELECT %s, %s, 'app', 'openid profile email offline_access', 8, %s, 0, 0, 0, %d + seq * 7919 %% 1000003, %d, 0 FROM `,
			id("seq"), id(fmt.Sprintf("1 + seq * 7919 %% %d", n/2)), g.eight, now.Add(time.Hour).UnixMilli(), now.Add(24*time.Hour).UnixMilli()))
		filled := time.Since(begun)
		full := g.size()
		perSession := float64(full-empty) / float64(n-had)
		had = n

		rows := g.rows(t)
		g.refresh(t, n, refreshes/4) // what is asked for often is in memory
		times := g.refresh(t, n, refreshes)
		half, most := times[len(times)/2], times[len(times)*99/100]
		if first == 0 {
			first = most
		}
		t.Logf("%8d sessions: filled in %v, %.0f bytes each, refresh %v, 99%% within %v (%.2f times the first)",
			n, filled.Round(time.Millisecond), perSession, half.Round(time.Microsecond), most.Round(time.Microsecond), float64(most)/float64(first))
		if after := g.rows(t); after != rows {
			t.Errorf("%d refreshes changed the numbers of rows from %s to %s", refreshes, rows, after)
		}
		if size := g.size(); float64(size) > 1.1*float64(full)+1<<23 {
			t.Errorf("%d refreshes made the file grow from %d to %d", refreshes, full, size)
		}
	}
}

// refresh does what the store does for refreshes of random sessions, by a few
// callers at once, and returns how long each took, sorted.
func (g growing) refresh(t *testing.T, sessions, n int) []time.Duration {
	t.Helper()
	const callers = 4
	all := make([]time.Duration, 0, n)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range n / callers {
				var id uuid.UUID
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
				if errors.Is(err, tokens.ErrStale) { // another caller had the same one
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

// rows is how many rows each table has.
func (g growing) rows(t *testing.T) string {
	t.Helper()
	var all []string
	for _, table := range []string{"users", "clients", "sessions", "signing_keys", "guesses", "audit_events", "settings"} {
		var n sql.NullInt64
		noError(t, g.db.Pools()["read"].QueryRow("SELECT COUNT(*) FROM "+table).Scan(&n))
		all = append(all, fmt.Sprint(table, "=", n.Int64))
	}
	return strings.Join(all, " ")
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
