package store_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"countersign/accounts"
	"countersign/clients"
	"countersign/ids"
	"countersign/keys"
	"countersign/store"
	"countersign/store/storetest"
	"countersign/test/soak"
	"countersign/tokens"
)

// tellsWhy fails the test unless the error is one line with the hint.
func tellsWhy(t *testing.T, err error, hint string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error, want one with %q", hint)
	}
	oneLine(t, err, err, hint)
}

// onSQLite returns the URL of a SQLite file that doesn't exist yet.
func onSQLite(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "countersign.db") }

// eachMove runs a test for the moves from each dialect to each. It skips those with MariaDB
// where there is none.
func eachMove(t *testing.T, test func(t *testing.T, from, to string)) {
	on := map[string]func(testing.TB) string{"SQLite": onSQLite, "MariaDB": onMariaDB}
	for _, from := range []string{"SQLite", "MariaDB"} {
		for _, to := range []string{"SQLite", "MariaDB"} {
			t.Run(from+" to "+to, func(t *testing.T) { test(t, on[from](t), on[to](t)) })
		}
	}
}

// eachDialect runs a test on a fresh database of each dialect.
func eachDialect(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("SQLite", func(t *testing.T) { test(t, onSQLite(t)) })
	t.Run("MariaDB", func(t *testing.T) { test(t, onMariaDB(t)) })
}

// move moves a database, and fails the test on an error.
func move(t testing.TB, from, to string) []store.MovedTable {
	t.Helper()
	moved, err := store.Move(t.Context(), from, to, store.MoveOptions{Batch: 3})
	noError(t, err)
	return moved
}

// raw opens a database in any state, with foreign keys off.
func raw(t testing.TB, url string) *sql.DB {
	t.Helper()
	db, err := store.Dial(t.Context(), url, store.Options{})
	noError(t, err)
	t.Cleanup(func() { db.Close() })
	conns := db.Pools()["write"]
	off := "PRAGMA foreign_keys = 0"
	if strings.HasPrefix(url, "mysql:") {
		off = "SET SESSION foreign_key_checks = 0"
		conns.SetMaxOpenConns(1)
	}
	_, err = conns.Exec(off)
	noError(t, err)
	return conns
}

// odd holds texts that some databases change, cut or confuse.
var odd = []string{
	"plain", "Plain", "plain ", "plain\x00", "PLAIN\t\r\n", `Zoë 👩‍👩‍👧 한글 ŞİŞı ß "q" 'q' \ % _ e` + "\u0301", "%", "'; --", `\`, "\x00", " ", "ſ", "\u00a0\u202e\ufeff",
}

// fill puts rows with every kind of odd value into a database, by SQL.
func fill(t testing.TB, url string) {
	t.Helper()
	db := open(t, url).Pools()["write"]
	exec := func(query string, args ...any) {
		t.Helper()
		_, err := db.Exec(query, args...)
		noError(t, err)
	}
	// null returns NULL for even i, and else v.
	null := func(i int, v any) any {
		if i%2 == 0 {
			return nil
		}
		return v
	}
	id := func(i, kind byte) []byte { // its first and last bytes are such as a CHAR column loses
		b := make([]byte, 16)
		b[0], b[7], b[8], b[15] = i*19, kind, i, i%3*127
		return b
	}
	times := []int64{0, -1, 1, math.MaxInt64, math.MinInt64, 1_790_000_000_123}
	at := func(i int) int64 { return times[i%len(times)] }
	blobs := [][]byte{{}, {0}, []byte("\x00'\\\"\xff\x80"), bytes.Repeat([]byte{0xff}, 64), []byte("text"), bytes.Repeat([]byte{0}, 64)}
	bin := func(i int) []byte { return blobs[i%len(blobs)] }
	long := strings.Repeat("𐐨", 1024)

	for i, text := range odd {
		exec("INSERT INTO users (id, username, email, email_key, email_verified, roles, password_hash, epoch, disabled_at, created_at, updated_at) "+
			"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", id(byte(i), 1), text, null(i, text), null(i, text), i%2, text, text, at(i), null(i, at(i+1)), at(i+2), at(i+3))
		exec("INSERT INTO clients (id, name, secret_hash, declared, origins, details, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			text, long, null(i, text), i%2, text, strings.Repeat(text, 1+200_000*(i%2)/len(text)), at(i), at(i+1))
		exec("INSERT INTO signing_keys (kid, alg, generation, published_from, signs_from, signs_until, published_until, `lead`, revoked_at, public_key, sealed) "+
			"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", text, "ES256", i, at(i), at(i+1), at(i+2), at(i+3), at(i+4), null(i, at(i+5)), bin(i), bytes.Repeat(bin(i), 1000))
		exec("INSERT INTO guesses (id, failures, last_failed_at) VALUES (?, ?, ?)", append(id(byte(i), 2), id(byte(i), 3)...), at(i), at(i+1))
	}
	for i := range 5 {
		exec("INSERT INTO used_letters (id, kind, user_id, address, expires_at) VALUES (?, ?, ?, ?, ?)",
			id(byte(i), 10), "verify_email", id(byte(i%len(odd)), 1), odd[i%len(odd)], at(i))
	}
	for i := range 40 {
		exec("INSERT INTO sessions (id, user_id, client_id, scopes, counter, rotations, auth_time, created_at, last_used_at, expires_at, "+
			"absolute_expires_at, device, epoch, methods) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", id(byte(i), 4), id(byte(i%len(odd)), 1), odd[i/3%len(odd)],
			odd[i%len(odd)], at(i), bin(i), at(i+1), at(i+2), at(i+3), at(i+4), at(i+5), null(i, long), null(i+1, at(i)), null(i/2, "pwd"))
		exec("INSERT INTO audit_events (at, kind, user_id, client_id, session_id, key_id, address, request_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			at(i), odd[i%len(odd)], null(i, id(byte(i), 1)), null(i/2, odd[i%len(odd)]), null(i/3, id(byte(i), 4)), null(i+1, "kid"), null(i, odd[i%len(odd)]), null(i/2, "r"))
	}
	for i := range odd {
		exec("INSERT INTO profiles (user_id, claims) VALUES (?, ?)", id(byte(i), 1), strings.Repeat(odd[i], 1+i%2*1000))
		exec("INSERT INTO consents (id, user_id, client_id, scopes, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)",
			id(byte(i), 6), id(byte(i), 1), odd[i], odd[len(odd)-1-i], at(i), at(i+1))
		exec("INSERT INTO logins (id, user_id, epoch, auth_time, created_at, expires_at, absolute_expires_at, device, methods) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			id(byte(i), 7), id(byte(i), 1), i, at(i), at(i+1), at(i+2), at(i+3), null(i, long), null(i+1, "pwd"))
		exec("INSERT INTO codes (id, client_id, user_id, epoch, login_id, auth_time, scopes, details, device, expires_at, session_id) "+
			"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", append(id(byte(i), 8), id(byte(i), 9)...), odd[i], id(byte(i), 1), i, null(i, id(byte(i), 7)),
			at(i), odd[i], long, null(i+1, odd[i]), at(i+1), null(i+1, id(byte(i), 4)))
		exec("INSERT INTO authorizations (session_id, login_id, details) VALUES (?, ?, ?)", id(byte(i), 4), null(i, id(byte(i), 7)), odd[i])
	}
	for i := range 12 {
		exec("INSERT INTO letters (id, kind, user_id, address, language, epoch, created_at, expires_at, due_at, attempts, session_id, last_error, "+
			"device, caller_address, login_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			id(byte(i), 5), "verify_email", null(i, id(byte(i%len(odd)), 1)), odd[i%len(odd)], "ko", i, at(i), at(i+1), null(i+1, at(i+2)), i,
			null(i, id(byte(i), 4)), null(i/2, odd[i%len(odd)]), null(i/3, long), null(i/3+1, "2001:db8::1"), null(i+1, id(byte(i%len(odd)), 7)))
	}
	for i := range odd {
		exec("INSERT INTO factors (id, user_id, kind, name, created_at, last_used_at, confirmed_at, sealed, last_step) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			id(byte(i), 11), id(byte(i), 1), "totp", odd[i], at(i), null(i, at(i+1)), null(i+1, at(i+2)), null(i, bin(i)), at(i+3))
		exec("INSERT INTO identities (id, user_id, provider, subject_key, email, linked_at) VALUES (?, ?, ?, ?, ?, ?)",
			id(byte(i), 14), id(byte(i), 1), odd[i][:min(len(odd[i]), 64)], append(id(byte(i), 15), id(byte(i), 16)...), null(i, odd[i]), at(i))
		exec("INSERT INTO recovery_codes (id, factor_id) VALUES (?, ?)", append(id(byte(i), 12), id(byte(i), 13)...), id(byte(i), 11))
		exec("INSERT INTO passkeys (id, factor_id, credential_id, public_key, sign_count, backup_eligible, backed_up, transports) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			append(id(byte(i), 14), id(byte(i), 15)...), id(byte(i), 11), append([]byte{1}, bin(i)...), append(bin(i+1), 0), int64(math.MaxUint32)-int64(i), i%2, (i+1)%2, "internal hybrid")
	}
	exec("DELETE FROM audit_events WHERE id IN (7, 39, 40)") // 40 has been given out, so the next number is 41
	for _, s := range [][2]string{{"purpose", "production"}, {"turn.cleaning", "0001"}, {"oldest_schema", "1"}, {"later", odd[5]}} {
		exec("INSERT INTO settings (name, value) VALUES (?, ?)", s[0], s[1])
	}
}

// kept returns, in hexadecimal, all rows of a database that a move copies.
func kept(t testing.TB, url string) map[string][]string {
	t.Helper()
	db := raw(t, url)
	dump := map[string][]string{}
	for _, table := range store.MovedTables() {
		var names []string
		for _, c := range table.Columns {
			names = append(names, "`"+c.Name+"`")
		}
		rows, err := db.Query("SELECT " + strings.Join(names, ", ") + " FROM " + table.Name + " ORDER BY 1")
		noError(t, err)
		defer rows.Close()
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		for rows.Next() {
			noError(t, rows.Scan(into...))
			var line []string
			for _, v := range values {
				switch v := v.(type) {
				case string:
					line = append(line, fmt.Sprintf("%x", v))
				case []byte:
					line = append(line, fmt.Sprintf("%x", v))
				default:
					line = append(line, fmt.Sprint(v))
				}
			}
			dump[table.Name] = append(dump[table.Name], strings.Join(line, " "))
		}
		noError(t, rows.Err())
	}
	dump["settings"] = slices.DeleteFunc(dump["settings"], func(line string) bool {
		for _, name := range []string{"move", "turn.cleaning", "oldest_schema"} {
			if strings.HasPrefix(line, fmt.Sprintf("%x ", name)) {
				return true
			}
		}
		return false
	})
	return dump
}

// nextNumber records an event and returns its number.
func nextNumber(t testing.TB, url string) int64 {
	t.Helper()
	db := open(t, url)
	noError(t, db.CreateUser(t.Context(), person("one more "+uuid.NewString()), created))
	var n int64
	noError(t, db.Pools()["write"].QueryRow("SELECT MAX(id) FROM audit_events").Scan(&n))
	return n
}

func TestMoveKeepsEverything(t *testing.T) {
	eachMove(t, func(t *testing.T, from, to string) {
		fill(t, from)
		want := kept(t, from)
		moved := move(t, from, to)
		if diff := cmp.Diff(want, kept(t, to)); diff != "" {
			t.Errorf("rows (-original +copy):\n%s", diff)
		}
		for _, m := range moved {
			if m.Rows != int64(len(want[m.Name])) || m.Rows == 0 {
				t.Errorf("%s: %d rows are said to be moved, there were %d", m.Name, m.Rows, len(want[m.Name]))
			}
		}
		if n := nextNumber(t, to); n != 41 {
			t.Errorf("the next event has number %d, want 41: 40 was used", n)
		}
	})
}

// The digests depend on the rows, not on the dialect.
func TestMoveDigestsAreTheSameEverywhere(t *testing.T) {
	first, second, third := onSQLite(t), onMariaDB(t), onSQLite(t)
	fill(t, first)
	there := move(t, first, second)
	back := move(t, second, third)
	if diff := cmp.Diff(there, back); diff != "" {
		t.Errorf("digests (-there +back):\n%s", diff)
	}
	seen := map[[32]byte]string{}
	for _, m := range there {
		if other, again := seen[m.SHA256]; again {
			t.Errorf("%s and %s have the same digest", m.Name, other)
		}
		seen[m.SHA256] = m.Name
	}
}

// An empty database can be moved, too.
func TestMoveOfNothing(t *testing.T) {
	eachMove(t, func(t *testing.T, from, to string) {
		open(t, from)
		for _, m := range move(t, from, to) {
			if m.Rows != 0 {
				t.Errorf("%s has %d rows", m.Name, m.Rows)
			}
		}
		if n := nextNumber(t, to); n != 1 {
			t.Errorf("the first event has number %d", n)
		}
	})
}

// A move knows every column of the schemas: it would lose a forgotten one.
func TestMoveKnowsAllColumns(t *testing.T) {
	want := map[string][]store.MovedColumn{}
	for _, table := range store.MovedTables() {
		want[table.Name] = table.Columns
	}
	sameColumns := func(t *testing.T, rows *sql.Rows, err error, kindOf func(declared, known string) string) {
		t.Helper()
		noError(t, err)
		defer rows.Close()
		got := map[string][]store.MovedColumn{}
		for rows.Next() {
			var table, declared string
			var c store.MovedColumn
			var place int
			noError(t, rows.Scan(&table, &c.Name, &declared, &c.Null, &place))
			known := ""
			if i := slices.IndexFunc(want[table], func(w store.MovedColumn) bool { return w.Name == c.Name }); i >= 0 {
				known = want[table][i].Kind
			}
			c.Kind = kindOf(declared, known)
			got[table] = append(got[table], c)
		}
		noError(t, rows.Err())
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("columns (-known +there):\n%s", diff)
		}
	}
	t.Run("SQLite", func(t *testing.T) {
		rows, err := open(t, onSQLite(t)).Pools()["write"].Query(`
			SELECT m.name, c.name, c.type, c."notnull" = 0 AND c.pk = 0, c.cid FROM sqlite_master m, pragma_table_info(m.name) c
			WHERE m.type = 'table' AND m.name NOT LIKE 'goose%' AND m.name NOT LIKE 'sqlite%' ORDER BY 1, 5`)
		sameColumns(t, rows, err, func(declared, _ string) string {
			return map[string]string{"INTEGER": "int", "TEXT": "text", "BLOB": "blob"}[declared]
		})
	})
	t.Run("MariaDB", func(t *testing.T) {
		rows, err := open(t, onMariaDB(t)).Pools()["write"].Query(`
			SELECT table_name, column_name, data_type, is_nullable = 'YES', ordinal_position FROM information_schema.columns
			WHERE table_schema = DATABASE() AND table_name NOT LIKE 'goose%' ORDER BY 1, 5`)
		sameColumns(t, rows, err, func(declared, known string) string {
			switch declared {
			case "bigint", "tinyint":
				return "int"
			case "varchar", "text", "mediumtext":
				return "text"
			case "varbinary": // the schema also uses it for texts that are compared byte by byte
				return known
			case "binary", "blob":
				return "blob"
			}
			return declared
		})
	})
}

// Sessions and keys live on: a server can do all its work on the copy.
func TestMovedDatabaseIsWorkedOn(t *testing.T) {
	eachMove(t, func(t *testing.T, from, to string) {
		ctx := t.Context()
		db := open(t, from)
		s := signIn(t, db, shared)
		s.Counter++
		noError(t, db.AdvanceSession(ctx, s, now))
		noError(t, storetest.PutClient(ctx, db, clients.Client{ID: "second", CreatedAt: now, UpdatedAt: now}, created))
		move(t, from, to)

		copied := open(t, to)
		got, err := copied.Session(ctx, s.ID, now)
		noError(t, err)
		if got.Counter != s.Counter || got.UserID != s.UserID {
			t.Errorf("session is %v, want %v", got, s)
		}
		stale := s
		if err := copied.AdvanceSession(ctx, stale, now); !errors.Is(err, tokens.ErrStale) {
			t.Errorf("rotation that was done before: %v", err)
		}
		s.Counter++
		noError(t, copied.AdvanceSession(ctx, s, now))
		noError(t, copied.DeleteUser(ctx, s.UserID, accounts.By{Operator: true}, now, created)) // deletes the user's session, too
		if _, err := copied.Session(ctx, s.ID, now); !errors.Is(err, tokens.ErrUnknown) {
			t.Errorf("session of a deleted user: %v", err)
		}
	})
}

// cannotOpen opens a database with different options, and fails the test unless each call
// returns the error.
func cannotOpen(t *testing.T, url string, want error, hint string) {
	t.Helper()
	for _, opts := range []store.Options{{}, {NoMigrate: true, MustExist: true}, {Purpose: store.Production}} {
		db, err := store.Open(t.Context(), url, opts)
		if err == nil {
			db.Close()
		}
		oneLine(t, err, want, hint)
	}
}

// An operator can continue a move wherever and however often it was interrupted. Until it
// is done no server can use either database; afterwards only the copy can be used.
func TestMoveGoesOnAfterItWasCut(t *testing.T) {
	eachMove(t, func(t *testing.T, from, to string) {
		fill(t, from)
		want := kept(t, from)
		cuts, further := 0, soak.Size(1, 4)
		for ; ; cuts++ {
			ctx, cancel := context.WithCancel(t.Context())
			reports := 0 // each try gets further: a move also reports what earlier tries copied
			moved, err := store.Move(ctx, from, to, store.MoveOptions{Batch: 4, Progress: func(store.MoveProgress) {
				if reports++; reports > 2+cuts*further {
					cancel()
				}
			}})
			cancel()
			if err == nil {
				if len(moved) != len(want) {
					t.Errorf("%d tables were moved, want %d", len(moved), len(want))
				}
				break
			}
			if cuts > 200 {
				t.Fatalf("it doesn't get on: %v", err)
			}
			cannotOpen(t, from, store.ErrBeingMoved, "--abandon")
			cannotOpen(t, to, store.ErrUnfinishedCopy, "countersign move")
		}
		if cuts < 5 {
			t.Errorf("it was cut %d times: this test shows nothing", cuts)
		}
		if diff := cmp.Diff(want, kept(t, to)); diff != "" {
			t.Errorf("rows (-original +copy):\n%s", diff)
		}
		cannotOpen(t, from, store.ErrMovedAway, "--go-back")
		open(t, to)
	})
}

// The first report about a table gives the rows that an earlier try copied.
func TestMoveTellsWhatIsThereAlready(t *testing.T) {
	from, to := onSQLite(t), onSQLite(t)
	fill(t, from)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := store.Move(ctx, from, to, store.MoveOptions{Batch: 1, Progress: func(p store.MoveProgress) {
		if p.Table == "sessions" && p.Done == 7 {
			cancel()
		}
	}})
	if err == nil {
		t.Fatal("it wasn't cut")
	}
	first := map[string]store.MoveProgress{}
	_, err = store.Move(t.Context(), from, to, store.MoveOptions{Progress: func(p store.MoveProgress) {
		if _, seen := first[p.Table]; !seen {
			first[p.Table] = p
		}
	}})
	noError(t, err)
	for _, want := range []store.MoveProgress{
		{Table: "users", Done: int64(len(odd)), Total: int64(len(odd))}, {Table: "sessions", Done: 7, Total: 40}, {Table: "guesses", Total: int64(len(odd))},
	} {
		if first[want.Table] != want {
			t.Errorf("first report is %+v, want %+v", first[want.Table], want)
		}
	}
}

// From the beginning of the move, a server that still runs can't acknowledge a change that
// the copy lacks: its store returns an error that means unavailable.
func TestMovedDatabaseTakesNoChanges(t *testing.T) {
	eachMove(t, func(t *testing.T, from, to string) {
		ctx := t.Context()
		running := open(t, from)
		s := signIn(t, running, shared)
		writes := func() map[string]error {
			next := s
			next.Counter++
			_, failure := running.RecordFailure(ctx, [32]byte{1}, ids.User{}, now, time.Hour)
			_, purged := running.PurgeSessions(ctx, now.Add(48*time.Hour), 10)
			return map[string]error{
				"AdvanceSession": running.AdvanceSession(ctx, next, now), "CreateUser": running.CreateUser(ctx, person("late"), created),
				"PutClient":     storetest.PutClient(ctx, running, clients.Client{ID: "app", CreatedAt: now, UpdatedAt: now, Settings: clients.Settings{Name: "late"}}, created),
				"DeleteUser":    running.DeleteUser(ctx, s.UserID, accounts.By{Operator: true}, now, created),
				"RecordFailure": failure, "PurgeSessions": purged, "InsertKey": running.InsertKey(ctx, newKey(t), created), "Ping": running.Ping(ctx),
			}
		}
		_, err := store.Move(ctx, from, to, store.MoveOptions{Progress: func(p store.MoveProgress) {
			for what, err := range writes() {
				if !running.IsUnavailable(err) && !errors.Is(err, store.ErrBeingMoved) {
					t.Errorf("%s while %s is moved (verifying %v): %v, want one of a database that is away", what, p.Table, p.Verifying, err)
				}
			}
		}})
		noError(t, err)
		for what, err := range writes() {
			if err == nil {
				t.Errorf("%s after the move was done", what)
			}
		}
		want := kept(t, to)

		// After going back the original has its former rows, and accepts changes.
		noError(t, store.AbandonMove(ctx, from, store.Options{}, true))
		if diff := cmp.Diff(kept(t, from), want); diff != "" {
			t.Errorf("rows (-original +copy):\n%s", diff)
		}
		if _, err := running.Session(ctx, s.ID, now); err != nil {
			t.Errorf("session: %v", err)
		}
		for what, err := range writes() {
			if err != nil && what != "AdvanceSession" && what != "PurgeSessions" { // another write may have deleted the user
				t.Errorf("%s after going back: %v", what, err)
			}
		}
	})
}

// The copy has every change that a server acknowledged before or during the move, although
// no server should have run then.
func TestMoveLosesNothingThatWasAcknowledged(t *testing.T) {
	eachMove(t, func(t *testing.T, from, to string) {
		running := open(t, from)
		var mu sync.Mutex
		var acknowledged []accounts.User
		enough := make(chan struct{})
		var wg sync.WaitGroup
		defer wg.Wait()
		for range 4 {
			wg.Go(func() {
				for {
					u := person(uuid.NewString())
					if err := running.CreateUser(context.Background(), u, created); err != nil {
						return
					}
					mu.Lock()
					if acknowledged = append(acknowledged, u); len(acknowledged) == 50 {
						close(enough)
					}
					mu.Unlock()
				}
			})
		}
		<-enough
		moved, err := store.Move(t.Context(), from, to, store.MoveOptions{Batch: 20})
		noError(t, err)
		wg.Wait()
		if moved[0].Rows < int64(len(acknowledged)) {
			t.Errorf("%d users were moved, %d were acknowledged", moved[0].Rows, len(acknowledged))
		}
		copied := open(t, to)
		for _, u := range acknowledged {
			if _, err := copied.User(t.Context(), u.ID); err != nil {
				t.Fatalf("an acknowledged user: %v", err)
			}
		}
	})
}

// A transaction that doesn't end prevents the move, whose error says so. The transaction
// can still commit, and loses nothing.
func TestMoveWaitsForNoTransactionForLong(t *testing.T) {
	from, to := onMariaDB(t), onSQLite(t)
	running := open(t, from)
	signIn(t, running, shared)
	tx, err := running.Pools()["write"].Begin()
	noError(t, err)
	defer tx.Rollback()
	_, err = tx.Exec(`UPDATE sessions SET counter = 5`)
	noError(t, err)
	_, err = store.Move(t.Context(), from, to, store.MoveOptions{})
	tellsWhy(t, err, "stop the servers")
	noError(t, tx.Commit())
	move(t, from, to)
	if s, err := open(t, to).Session(t.Context(), shared.ID, now); err != nil || s.Counter != 5 {
		t.Errorf("session is at %d (%v), want 5", s.Counter, err)
	}
}

// newKey returns a new signing key.
func newKey(t *testing.T) keys.Key {
	t.Helper()
	public, _, err := ed25519.GenerateKey(nil)
	noError(t, err)
	return keys.Key{
		KID: uuid.NewString(), Alg: "EdDSA", Generation: rand.Int64(), PublishedFrom: now, SignsFrom: now, SignsUntil: now,
		PublishedUntil: now, Public: public, Sealed: []byte{1},
	}
}

func TestMoveIsGivenUp(t *testing.T) {
	eachDialect(t, func(t *testing.T, from string) {
		ctx := t.Context()
		fill(t, from)
		want := kept(t, from)
		abandon := func(goBack bool) error { return store.AbandonMove(ctx, from, store.Options{}, goBack) }
		if err := abandon(false); !errors.Is(err, store.ErrNotMoving) {
			t.Errorf("nothing to give up: %v", err)
		}
		cut, to := cutMove(t, from, onSQLite(t), "sessions"), ""
		oneLine(t, store.AbandonMove(ctx, cut, store.Options{}, true), store.ErrUnfinishedCopy, "empty")
		noError(t, abandon(false))
		if diff := cmp.Diff(want, kept(t, from)); diff != "" {
			t.Errorf("rows (-before +after):\n%s", diff)
		}
		if n := nextNumber(t, from); n != 41 {
			t.Errorf("the next event has number %d, want 41", n)
		}
		cannotOpen(t, cut, store.ErrUnfinishedCopy, "")

		// The operator can't continue an abandoned move, can't abandon a finished one by
		// mistake, and can move the database again.
		_, err := store.Move(ctx, from, cut, store.MoveOptions{})
		oneLine(t, err, store.ErrOtherMove, "--restart")
		to = onSQLite(t)
		move(t, from, to)
		oneLine(t, abandon(false), store.ErrMovedAway, "--go-back")
		noError(t, abandon(true))
		open(t, from)

		// The database server may run a statement of a killed move after the operator has
		// abandoned the move. Abandoning it once more repairs the database.
		cutMove(t, from, onSQLite(t), "users")
		_, err = raw(t, from).Exec(`DELETE FROM settings WHERE name = 'move'`)
		noError(t, err)
		if err := abandon(false); !errors.Is(err, store.ErrNotMoving) {
			t.Errorf("nothing to give up: %v", err)
		}
		nextNumber(t, from)
	})
}

// cutMove starts a move and cancels it while it copies a table. It returns the copy's URL.
func cutMove(t *testing.T, from, to, table string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := store.Move(ctx, from, to, store.MoveOptions{Batch: 2, Progress: func(p store.MoveProgress) {
		if p.Table == table && p.Done > 0 {
			cancel()
		}
	}})
	if err == nil {
		t.Fatal("the move wasn't cut")
	}
	return to
}

// A move that is cut right after its first step leaves only its mark in the copy, so another
// move can use that database.
func TestMoveTakesOverACopyWithoutRows(t *testing.T) {
	eachDialect(t, func(t *testing.T, to string) {
		from := onSQLite(t)
		fill(t, from)
		ctx, cancel := context.WithCancel(t.Context())
		_, err := store.Move(ctx, from, to, store.MoveOptions{Progress: func(store.MoveProgress) { cancel() }})
		if err == nil {
			t.Fatal("the move wasn't cut")
		}
		noError(t, store.AbandonMove(t.Context(), from, store.Options{}, false))
		move(t, from, to)
	})
}

// The last step of a move releases the copy. After an interruption right before it, the next
// run copies no rows.
func TestMoveIsFinishedWhereOnlyThatIsMissing(t *testing.T) {
	eachMove(t, func(t *testing.T, from, to string) {
		fill(t, from)
		move(t, from, to)
		var mark string
		noError(t, raw(t, from).QueryRow(`SELECT value FROM settings WHERE name = 'move'`).Scan(&mark))
		id := strings.Fields(mark)[1]
		_, err := raw(t, to).Exec(`INSERT INTO settings (name, value) VALUES ('move', ?)`, "arriving "+id+" somewhere")
		noError(t, err)
		cannotOpen(t, from, store.ErrMovedAway, "")
		cannotOpen(t, to, store.ErrUnfinishedCopy, "")
		_, err = store.Move(t.Context(), from, to, store.MoveOptions{Progress: func(p store.MoveProgress) {
			if !p.Verifying && p.Done != p.Total {
				t.Errorf("%s: %d of %d rows are there", p.Table, p.Done, p.Total)
			}
		}})
		noError(t, err)
		open(t, to)
		cannotOpen(t, from, store.ErrMovedAway, "")
	})
}

func TestMoveRefusals(t *testing.T) {
	eachDialect(t, func(t *testing.T, to string) {
		ctx := t.Context()
		from := onSQLite(t)
		fill(t, from)
		try := func(from, to string, restart bool) error {
			_, err := store.Move(ctx, from, to, store.MoveOptions{Restart: restart})
			return err
		}

		oneLine(t, try("sqlite:"+filepath.Join(t.TempDir(), "missing.db"), to, false), store.ErrNoDatabase, "missing.db")
		oneLine(t, try(from, from, false), store.ErrNotEmpty, "users")
		open(t, from) // the refusal has changed nothing

		// A move never overwrites a database in use, not even with Restart.
		for _, restart := range []bool{false, true} {
			used := open(t, to)
			noError(t, storetest.PutClient(ctx, used, clients.Client{ID: "app", CreatedAt: now, UpdatedAt: now}, created))
			oneLine(t, try(from, to, restart), store.ErrNotEmpty, "clients")
			if _, err := used.Client(ctx, "app"); err != nil {
				t.Errorf("client after the refusal: %v", err)
			}
			noError(t, used.DeleteClient(ctx, "app", created))
		}
		oneLine(t, try(from, to, false), store.ErrNotEmpty, "audit_events")
		_, err := raw(t, to).Exec(`DELETE FROM audit_events`)
		noError(t, err)

		// A copy belongs to one move until that move ends.
		cutMove(t, from, to, "sessions")
		other := onSQLite(t)
		signIn(t, open(t, other), shared)
		oneLine(t, try(other, to, false), store.ErrOtherMove, "--restart")
		open(t, other)
		oneLine(t, try(to, other, false), store.ErrUnfinishedCopy, "countersign move")
		oneLine(t, try(other, from, true), store.ErrOtherMove, "being moved")
		noError(t, try(other, to, true))
		if diff := cmp.Diff(kept(t, other), kept(t, to), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("rows, after it was begun anew (-original +copy):\n%s", diff)
		}

		// The first move's original has lost its copy, so the operator names another.
		oneLine(t, try(from, to, false), store.ErrNotEmpty, "users")
		third := onSQLite(t)
		noError(t, try(from, third, false))
		oneLine(t, try(from, onSQLite(t), false), store.ErrMovedAway, store.PlaceOf(third))
		oneLine(t, try(third, from, true), store.ErrOtherMove, "moved away")
	})
}

func TestMoveToItselfIsRefused(t *testing.T) {
	eachDialect(t, func(t *testing.T, url string) {
		open(t, url) // creates an empty database
		_, err := store.Move(t.Context(), url, url, store.MoveOptions{})
		oneLine(t, err, store.ErrSameDatabase, "")
		open(t, url)
		signIn(t, open(t, url), shared)
		cutMove(t, url, onSQLite(t), "users")
		_, err = store.Move(t.Context(), url, url, store.MoveOptions{})
		oneLine(t, err, store.ErrSameDatabase, "")
	})
}

func TestMoveWantsTheSchemaThatItKnows(t *testing.T) {
	eachDialect(t, func(t *testing.T, from string) {
		open(t, from)
		to := onSQLite(t)
		later := store.OfLaterBuild(store.Options{}, adds)
		_, err := store.Move(t.Context(), from, to, store.MoveOptions{From: later, To: later})
		tellsWhy(t, err, "countersign migrate")
		if _, err := os.Stat(strings.TrimPrefix(to, "sqlite:")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the other database was made: %v", err)
		}
		newer, err := store.Open(t.Context(), from, later) // migrates
		noError(t, err)
		noError(t, newer.Close())
		version := fmt.Sprint("version ", store.Schema+1)
		_, err = store.Move(t.Context(), from, to, store.MoveOptions{})
		tellsWhy(t, err, version)
		_, err = store.Move(t.Context(), to, from, store.MoveOptions{})
		oneLine(t, err, store.ErrNoDatabase, "")
		open(t, to)
		_, err = store.Move(t.Context(), to, from, store.MoveOptions{})
		tellsWhy(t, err, version)
		open(t, to) // the refusal has changed nothing
	})
}

// A move compares every column of every table. If one value differs, the copy stays
// unusable until Restart makes a new one.
func TestMoveFindsWhatDiffers(t *testing.T) {
	eachDialect(t, func(t *testing.T, to string) {
		ctx := t.Context()
		from := onSQLite(t)
		fill(t, from)
		cutMove(t, from, to, "settings")
		copied := raw(t, to)
		verify := func() error {
			_, err := store.Move(ctx, from, to, store.MoveOptions{})
			return err
		}
		tampered := 0
		for _, table := range store.MovedTables() {
			if table.Name == "settings" {
				continue
			}
			key := table.Columns[0].Name
			for _, c := range table.Columns {
				// The test changes the last row, because the move continues to copy after it.
				var id, was any
				noError(t, copied.QueryRow("SELECT "+key+", `"+c.Name+"` FROM "+table.Name+" ORDER BY "+key+" DESC LIMIT 1").Scan(&id, &was))
				is := map[string]any{"int": int64(100), "text": "other", "blob": []byte("\xff another one of 16"[:17])}[c.Kind]
				if c.Kind == "blob" && (c.Name == key || strings.HasSuffix(c.Name, "_id")) {
					is = bytes.Repeat([]byte{0xff}, map[bool]int{true: 32, false: 16}[c.Name == key && (table.Name == "guesses" || table.Name == "codes" || table.Name == "recovery_codes" || table.Name == "passkeys")])
				}
				if c.Kind == "text" && c.Name == key {
					is = "\U0010ffff"
				}
				if text, ok := was.([]byte); ok && c.Kind == "text" {
					was = string(text)
				}
				set := func(value, id any) {
					t.Helper()
					res, err := copied.Exec("UPDATE "+table.Name+" SET `"+c.Name+"` = ? WHERE "+key+" = ?", value, id)
					if err != nil {
						t.Fatalf("%s.%s = %x: %v", table.Name, c.Name, value, err)
					}
					if n, err := res.RowsAffected(); err != nil || n != 1 {
						t.Fatalf("%s.%s: %d rows (%v)", table.Name, c.Name, n, err)
					}
				}
				now := id
				if c.Name == key {
					now = is
				}
				others := []any{is}
				if c.Null { // NULL differs from an empty value
					others = append(others, map[string]any{"int": int64(0), "text": "", "blob": []byte{}}[c.Kind])
					if was != nil {
						others = append(others, nil)
					}
				}
				if !soak.On() {
					others = others[tampered%len(others):][:1]
				}
				for _, is := range others {
					set(is, id)
					oneLine(t, verify(), store.ErrNotTheSame, table.Name+": ")
					set(was, now)
				}
				tampered++
			}
		}
		cannotOpen(t, to, store.ErrUnfinishedCopy, "")
		if tampered < 60 {
			t.Errorf("%d columns were changed, there are more", tampered)
		}

		// The copy lacks a row in the middle, and then has one too many.
		_, err := copied.Exec(`DELETE FROM sessions WHERE counter = 1`)
		noError(t, err)
		oneLine(t, verify(), store.ErrNotTheSame, "rows became")
		_, err = copied.Exec(`INSERT INTO clients SELECT 'more', name, secret_hash, declared, origins, details, created_at, updated_at FROM clients WHERE id = 'plain'`)
		noError(t, err)
		oneLine(t, verify(), store.ErrNotTheSame, "clients: ")
		_, err = store.Move(ctx, from, to, store.MoveOptions{Restart: true, Batch: 4})
		noError(t, err)
		if diff := cmp.Diff(kept(t, from), kept(t, to)); diff != "" {
			t.Errorf("rows (-original +copy):\n%s", diff)
		}
	})
}

// A move also detects a change of the original despite the freeze.
func TestMoveFindsAChangedOriginal(t *testing.T) {
	eachDialect(t, func(t *testing.T, from string) {
		to := onSQLite(t)
		fill(t, from)
		original := raw(t, from)
		changed := sync.OnceFunc(func() {
			table := "moved_sessions"
			if strings.HasPrefix(from, "sqlite:") {
				table = "sessions"
				_, err := original.Exec(`DROP TRIGGER moved_sessions_update`)
				noError(t, err)
			}
			_, err := original.Exec("UPDATE " + table + " SET counter = 99 WHERE counter = 1")
			noError(t, err)
		})
		_, err := store.Move(t.Context(), from, to, store.MoveOptions{Progress: func(p store.MoveProgress) {
			if p.Verifying {
				changed()
			}
		}})
		oneLine(t, err, store.ErrNotTheSame, "sessions")
		cannotOpen(t, from, store.ErrBeingMoved, "")
		cannotOpen(t, to, store.ErrUnfinishedCopy, "")
		_, err = store.Move(t.Context(), from, to, store.MoveOptions{Restart: true})
		noError(t, err)
	})
}

// The error names the row that doesn't fit the other dialect's schema.
func TestMoveNamesTheRowThatIsRefused(t *testing.T) {
	from, to := onSQLite(t), onMariaDB(t)
	fill(t, from)
	res, err := raw(t, from).Exec(`UPDATE sessions SET device = ? WHERE id IN (SELECT id FROM sessions ORDER BY id LIMIT 1 OFFSET 10)`, strings.Repeat("x", 3000))
	noError(t, err)
	if n, _ := res.RowsAffected(); n != 1 {
		t.Fatal("there is no such session")
	}
	var id []byte
	noError(t, raw(t, from).QueryRow(`SELECT id FROM sessions WHERE length(device) = 3000`).Scan(&id))
	_, err = store.Move(t.Context(), from, to, store.MoveOptions{})
	tellsWhy(t, err, fmt.Sprintf("sessions: the row %x", id))
}

// If two processes run the same move at once, one finishes and the other returns an error.
func TestMoveTwiceAtOnce(t *testing.T) {
	eachMove(t, func(t *testing.T, from, to string) {
		fill(t, from)
		want := kept(t, from)
		second := sync.OnceFunc(func() {
			_, err := store.Move(t.Context(), from, to, store.MoveOptions{})
			noError(t, err)
			_, err = raw(t, to).Exec(`DELETE FROM guesses`) // as a server on the copy does after a while
			noError(t, err)
		})
		_, err := store.Move(t.Context(), from, to, store.MoveOptions{Batch: 2, Progress: func(p store.MoveProgress) {
			if p.Table == "guesses" {
				second()
			}
		}})
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("the first move ended with %v, want an error of one line", err)
		}
		delete(want, "guesses")
		if diff := cmp.Diff(want, kept(t, to)); diff != "" {
			t.Errorf("rows (-original +copy):\n%s", diff)
		}
		open(t, to)
	})
}
