package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"countersign/accounts"
	"countersign/audit"
	"countersign/clients"
	"countersign/consents"
	"countersign/ids"
	"countersign/store"
	"countersign/store/storetest"
	"countersign/tokens"
)

// browsing is a user with a login, a code from it, a session from another code, and a
// consent.
type browsing struct {
	user    ids.User
	login   ids.Login
	session ids.Session
	client  ids.Client
	code    tokens.Code
}

func browse(t *testing.T, db *store.DB, name string) *browsing {
	t.Helper()
	u, client := person(name), ids.Client("client of "+name)
	noError(t, db.CreateUser(t.Context(), u, created))
	noError(t, storetest.PutClient(t.Context(), db, clients.Client{ID: client, CreatedAt: now, UpdatedAt: now}, created))
	l := tokens.Login{ID: ids.New[ids.Login](), UserID: u.ID, ExpiresAt: now.Add(time.Hour)}
	noError(t, db.CreateLogin(t.Context(), l, created))
	noError(t, db.GiveConsent(t.Context(), consents.Consent{ID: ids.New[ids.Consent](), UserID: u.ID, ClientID: client, CreatedAt: now, UpdatedAt: now}, created))
	b := &browsing{user: u.ID, login: l.ID, client: client}
	for range 2 {
		b.code = tokens.Code{ClientID: client, UserID: u.ID, LoginID: l.ID, ExpiresAt: now.Add(time.Minute), WithoutConsent: true}
		id := uuid.New()
		copy(b.code.ID[:], id[:])
		noError(t, db.CreateCode(t.Context(), b.code, l.ExpiresAt, now))
		if b.session.IsZero() {
			b.session = ids.New[ids.Session]()
			noError(t, b.redeem(t.Context(), db, b.session))
		}
	}
	return b
}

// redeem exchanges the code.
func (b *browsing) redeem(ctx context.Context, db *store.DB, session ids.Session) error {
	s := tokens.Session{ID: session, UserID: b.user, ClientID: b.client, LoginID: b.login, ExpiresAt: now.Add(time.Hour)}
	return db.RedeemCode(ctx, b.code, s, now, created)
}

// verbs are the store's methods about logins, codes and consents.
var verbs = map[string]func(ctx context.Context, db *store.DB, b *browsing) error{
	"Login": func(ctx context.Context, db *store.DB, b *browsing) error {
		_, err := db.Login(ctx, b.login, now)
		return err
	},
	"ReplaceLogin": func(ctx context.Context, db *store.DB, b *browsing) error {
		return db.ReplaceLogin(ctx, b.login, tokens.Login{ID: ids.New[ids.Login](), UserID: b.user, ExpiresAt: now.Add(time.Hour)}, now, created)
	},
	"CreateCode": func(ctx context.Context, db *store.DB, b *browsing) error {
		another := b.code
		another.ID[31]++
		return db.CreateCode(ctx, another, now.Add(time.Hour), now)
	},
	"Code": func(ctx context.Context, db *store.DB, b *browsing) error {
		_, err := db.Code(ctx, b.code.ID)
		return err
	},
	"RedeemCode": func(ctx context.Context, db *store.DB, b *browsing) error {
		return b.redeem(ctx, db, ids.New[ids.Session]())
	},
	"Session": func(ctx context.Context, db *store.DB, b *browsing) error {
		_, err := db.Session(ctx, b.session, now)
		return err
	},
	"ForgetLogin": func(ctx context.Context, db *store.DB, b *browsing) error { return db.ForgetLogin(ctx, b.login) },
	"EndLogin":    func(ctx context.Context, db *store.DB, b *browsing) error { return db.EndLogin(ctx, b.login, created) },
	"EndSession": func(ctx context.Context, db *store.DB, b *browsing) error {
		return db.EndSession(ctx, b.session, created)
	},
	"EndSignIn": func(ctx context.Context, db *store.DB, b *browsing) error {
		return db.EndSignIn(ctx, b.session, created)
	},
	"EndUserSessions": func(ctx context.Context, db *store.DB, b *browsing) error {
		_, err := db.EndUserSessions(ctx, b.user, ids.Place{}, created)
		return err
	},
	"EndUserSessions but one": func(ctx context.Context, db *store.DB, b *browsing) error {
		_, err := db.EndUserSessions(ctx, b.user, ids.Place{Session: b.session}, created)
		return err
	},
	"EndUserSessions but a login": func(ctx context.Context, db *store.DB, b *browsing) error {
		_, err := db.EndUserSessions(ctx, b.user, ids.Place{Login: b.login}, created)
		return err
	},
	"UserLogins": func(ctx context.Context, db *store.DB, b *browsing) error {
		_, err := db.UserLogins(ctx, b.user, now)
		return err
	},
	"latest Events": func(ctx context.Context, db *store.DB, b *browsing) error {
		_, err := db.Events(ctx, audit.Filter{UserID: b.user, Latest: true, Kinds: []audit.Kind{audit.LoginCreated, audit.SessionCreated}, Limit: 20})
		return err
	},
	"UserSessions": func(ctx context.Context, db *store.DB, b *browsing) error {
		_, err := db.UserSessions(ctx, b.user, now, ids.Session{}, 1000)
		return err
	},
	"Consent": func(ctx context.Context, db *store.DB, b *browsing) error {
		_, err := db.Consent(ctx, b.user, b.client)
		return err
	},
	"Consents": func(ctx context.Context, db *store.DB, b *browsing) error {
		_, err := db.Consents(ctx, b.user)
		return err
	},
	"GiveConsent": func(ctx context.Context, db *store.DB, b *browsing) error {
		return db.GiveConsent(ctx, consents.Consent{ID: ids.New[ids.Consent](), UserID: b.user, ClientID: b.client, Scopes: []string{"email"}, CreatedAt: now, UpdatedAt: now}, created)
	},
	"DeleteConsent": func(ctx context.Context, db *store.DB, b *browsing) error {
		return db.DeleteConsent(ctx, b.user, b.client, created)
	},
	"DisableUser": func(ctx context.Context, db *store.DB, b *browsing) error {
		return db.DisableUser(ctx, b.user, now, created)
	},
	"SetPasswordHash": func(ctx context.Context, db *store.DB, b *browsing) error {
		return db.SetPasswordHash(ctx, b.user, "new", accounts.By{Place: ids.Place{Session: b.session}}, now, created)
	},
	"Users": func(ctx context.Context, db *store.DB, b *browsing) error {
		_, err := db.Users(ctx, accounts.User{Username: "user 1"}, 10)
		return err
	},
	"SearchUsers": func(ctx context.Context, db *store.DB, b *browsing) error {
		_, err := db.SearchUsers(ctx, accounts.Beginnings{Username: "user 1", EmailKey: "user 1", LastID: ids.User{15: 1}}, 10)
		return err
	},
	"UnlockUser": func(ctx context.Context, db *store.DB, b *browsing) error {
		if _, err := db.RecordFailure(ctx, [32]byte(bytes.Repeat(b.user[:], 2)), b.user, now, time.Hour); err != nil {
			return err
		}
		unlocked, err := db.UnlockUser(ctx, b.user, created)
		if err == nil && !unlocked {
			err = errors.New("there was nothing to unlock")
		}
		return err
	},
	"SetEmail": func(ctx context.Context, db *store.DB, b *browsing) error {
		return db.SetEmail(ctx, b.user, b.user.String()+"@example.com", true, now, created)
	},
	"ChangeRoles": func(ctx context.Context, db *store.DB, b *browsing) error {
		return db.ChangeRoles(ctx, b.user, func([]string) ([]string, error) { return []string{"admin"}, nil }, now, created)
	},
	"DeleteUser": func(ctx context.Context, db *store.DB, b *browsing) error {
		return db.DeleteUser(ctx, b.user, accounts.By{Operator: true}, now, created)
	},
	"DeleteClient": func(ctx context.Context, db *store.DB, b *browsing) error {
		return db.DeleteClient(ctx, b.client, created)
	},
	"PurgeLogins": func(ctx context.Context, db *store.DB, b *browsing) error {
		_, err := db.PurgeLogins(ctx, now, 10)
		return err
	},
	"PurgeCodes": func(ctx context.Context, db *store.DB, b *browsing) error {
		_, err := db.PurgeCodes(ctx, now, 10)
		return err
	},
}

// Each statement finds its rows by an index, and so does SQLite when it checks foreign
// keys. Only what is about a client as a whole looks at all rows of a client.
func TestSQLiteLooksAtNoTableAsAWhole(t *testing.T) {
	var mu sync.Mutex // guards said; a checkpoint is another goroutine's
	var said []string
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "countersign.db"), store.Options{Statement: func(text string) {
		if verb, _, _ := strings.Cut(strings.TrimSpace(text), " "); slices.Contains([]string{"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}, verb) {
			mu.Lock()
			defer mu.Unlock()
			said = append(said, text)
		}
	}})
	noError(t, err)
	t.Cleanup(func() { db.Close() })
	for name, verb := range verbs {
		b := browse(t, db, name)
		heard := func() []string {
			mu.Lock()
			defer mu.Unlock()
			all := said
			said = nil
			return all
		}
		heard()
		noError(t, verb(t.Context(), db, b))
		queries := heard()
		if len(queries) == 0 {
			t.Errorf("%s: nothing was said: this test shows nothing", name)
		}
		for _, query := range queries {
			for _, step := range texts(t, db, "EXPLAIN QUERY PLAN "+query, 3) {
				if strings.HasPrefix(step, "SCAN ") && !slices.Contains([]string{"SCAN some", "SCAN (subquery-1)", "SCAN CONSTANT ROW"}, step) {
					t.Errorf("%s: %s of\n%s", name, step, query)
				}
				if strings.HasSuffix(step, "_client (client_id=?)") && name != "DeleteClient" {
					t.Errorf("%s: %s, though most users may be that client's, of\n%s", name, step, query)
				}
			}
		}
	}
	for _, table := range texts(t, db, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'`, 0) {
		for _, column := range texts(t, db, `SELECT "from" FROM pragma_foreign_key_list('`+table+`')`, 0) {
			first := texts(t, db, `SELECT i.name FROM pragma_index_list('`+table+`') l, pragma_index_info(l.name) i WHERE i.seqno = 0`, 0)
			if !slices.Contains(first, column) {
				t.Errorf("no index of %s begins with %s", table, column)
			}
		}
	}
}

// texts returns one column of a query's rows.
func texts(t *testing.T, db *store.DB, query string, column int) (found []string) {
	t.Helper()
	rows, err := db.Pools()["read"].Query(query, make([]any, strings.Count(query, "?"))...)
	noError(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	noError(t, err)
	for rows.Next() {
		row := make([]any, len(columns))
		for i := range row {
			row[i] = new(any)
		}
		var text string
		row[column] = &text
		noError(t, rows.Scan(row...))
		found = append(found, text)
	}
	noError(t, rows.Err())
	return found
}

// The number of rows that the database server reads for one user doesn't depend on how many
// other users there are.
func TestMySQLLooksAtNoTableAsAWhole(t *testing.T) {
	db := open(t, onMariaDB(t))
	const others, few = 2000, 100
	write := db.Pools()["write"]
	noError(t, storetest.PutClient(t.Context(), db, clients.Client{ID: "app", CreatedAt: now, UpdatedAt: now}, created))
	later := now.Add(time.Hour).UnixMilli()
	for _, insert := range []string{
		`users (id, username, roles, password_hash, epoch, created_at, updated_at) SELECT ID, concat('user ', seq), '[]', '', 0, 0, 0`,
		`logins (id, user_id, epoch, auth_time, created_at, expires_at, absolute_expires_at) SELECT ID, ID, 0, 0, 0, LATER, LATER`,
		`consents (id, user_id, client_id, scopes, created_at, updated_at) SELECT ID, ID, 'app', '[]', 0, 0`,
		`codes (id, client_id, user_id, epoch, login_id, auth_time, scopes, details, expires_at) SELECT ID, 'app', ID, 0, ID, 0, '', '{}', LATER`,
		`sessions (id, user_id, client_id, scopes, counter, rotations, auth_time, created_at, last_used_at, expires_at, absolute_expires_at, epoch)
			SELECT ID, ID, 'app', '', 0, '', 0, 0, 0, LATER, LATER, 0`,
		`authorizations (session_id, login_id, details) SELECT ID, ID, '{}'`,
	} {
		insert = strings.NewReplacer("ID", "UNHEX(LPAD(HEX(seq), 32, '0'))", "LATER", strconv.FormatInt(later, 10)).Replace(insert)
		_, err := write.Exec("INSERT INTO " + insert + fmt.Sprintf(" FROM seq_1_to_%d", others))
		noError(t, err)
		_, err = write.Exec("ANALYZE TABLE " + regexp.MustCompile(`^\w+`).FindString(insert))
		noError(t, err)
	}
	total := func() (rows int64) {
		t.Helper()
		for _, value := range texts(t, db, "SHOW GLOBAL STATUS LIKE 'Handler\\_read\\_%'", 1) {
			n, err := strconv.ParseInt(value, 10, 64)
			noError(t, err)
			rows += n
		}
		return rows
	}
	read := func(do func()) int64 { // without the rows of the question itself
		t.Helper()
		first := total()
		second := total()
		do()
		return total() - second - (second - first)
	}
	for name, verb := range verbs {
		b := browse(t, db, name)
		if n := read(func() { noError(t, verb(t.Context(), db, b)) }); n > few {
			t.Errorf("%s: the server read %d rows", name, n)
		}
	}
	all := read(func() { texts(t, db, "SELECT COUNT(*) FROM logins WHERE device IS NULL", 0) })
	if all < others {
		t.Errorf("looking at all logins, the server read %d rows: this test shows nothing", all)
	}
}
