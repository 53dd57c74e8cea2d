package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/ids"
	"countersign/store"
	"countersign/tokens"
)

// letter returns a due letter to a user.
func letter(kind accounts.LetterKind, to accounts.User) accounts.Letter {
	return accounts.Letter{
		ID: ids.New[ids.Letter](), Kind: kind, UserID: to.ID, Address: to.Email, Language: "ko-KR, en;q=0.5", Epoch: to.Epoch,
		CreatedAt: at, ExpiresAt: at.Add(time.Hour), DueAt: at, Username: to.Username,
	}
}

// withEmail creates a user with an unproven address.
func withEmail(t testing.TB, db *store.DB, name, email string) accounts.User {
	t.Helper()
	u := user(name)
	u.Email = email
	succeeds(t, db.CreateUser(t.Context(), u, event(audit.UserCreated)))
	return u
}

// posted stores a letter.
func posted(t testing.TB, db *store.DB, l accounts.Letter) accounts.Letter {
	t.Helper()
	succeeds(t, db.PostLetter(t.Context(), l, ids.Place{}))
	return l
}

// signedIn creates a session of a user.
func signedIn(t testing.TB, db *store.DB, u accounts.User) tokens.Session {
	t.Helper()
	succeeds(t, PutClient(t.Context(), db, client("spa"), event(audit.ClientCreated)))
	s := session(u, "spa")
	succeeds(t, db.CreateSession(t.Context(), s, u.Epoch, event(audit.SessionCreated)))
	return s
}

// due lists the letters that are due at a time.
func due(t testing.TB, db *store.DB, now time.Time) []accounts.Letter {
	t.Helper()
	letters, err := db.DueLetters(t.Context(), now, 100)
	succeeds(t, err)
	return letters
}

var letterPromises = []promise{
	{"PostLetter/comes back as it was", func(t *testing.T, db *store.DB) {
		u := withEmail(t, db, odd, "Zoë@example.com")
		l := posted(t, db, letter(accounts.ResetPassword, u))
		got, err := db.Letter(t.Context(), l.ID, at)
		succeeds(t, err)
		same(t, "letter", got, l)
		same(t, "due", due(t, db, at), []accounts.Letter{l})

		told := letter(accounts.NewBrowser, u)
		told.Device, told.CallerAddress, told.DueAt = "Firefox on Linux", "2001:db8::1", at.Add(time.Second)
		posted(t, db, told)
		same(t, "due", due(t, db, told.DueAt), []accounts.Letter{l, told})
		succeeds(t, db.LetterDone(t.Context(), told.ID, ""))

		userless := letter(accounts.ResetPassword, accounts.User{})
		userless.DueAt = time.Time{}
		posted(t, db, userless)
		got, err = db.Letter(t.Context(), userless.ID, at)
		succeeds(t, err)
		same(t, "letter without a user", got, userless)
		same(t, "due", due(t, db, at.Add(time.Minute)), []accounts.Letter{l})
	}},
	{"PostLetter/for a session that is alive", func(t *testing.T, db *store.DB) {
		u, other := withEmail(t, db, "alice", "a@example.com"), withEmail(t, db, "bob", "b@example.com")
		s := signedIn(t, db, u)
		mine, about := letter(accounts.ChangeEmail, u), letter(accounts.AlreadyRegistered, other)
		mine.Epoch = 99 // the store uses the session's epoch instead
		succeeds(t, db.PostLetter(t.Context(), mine, ids.Place{Session: s.ID}))
		succeeds(t, db.PostLetter(t.Context(), about, ids.Place{Session: s.ID}))
		mine.Epoch = u.Epoch
		for _, want := range []accounts.Letter{mine, about} {
			got, err := db.Letter(t.Context(), want.ID, at)
			succeeds(t, err)
			want.Epoch = u.Epoch
			same(t, "letter", got, want)
		}
		late := letter(accounts.ChangeEmail, u)
		late.CreatedAt = s.ExpiresAt
		fails(t, "of a session that has expired", db.PostLetter(t.Context(), late, ids.Place{Session: s.ID}), accounts.ErrSignedOut)
		fails(t, "of no session", db.PostLetter(t.Context(), letter(accounts.ChangeEmail, u), ids.Place{Session: ids.New[ids.Session]()}), accounts.ErrSignedOut)
		succeeds(t, db.EndSession(t.Context(), s.ID, event(audit.SessionRevoked)))
		fails(t, "of a session that has ended", db.PostLetter(t.Context(), letter(accounts.ChangeEmail, u), ids.Place{Session: s.ID}), accounts.ErrSignedOut)
		_, err := db.Letter(t.Context(), mine.ID, at)
		fails(t, "the letter with a token ends with its session", err, accounts.ErrBadToken)
		about.Epoch = u.Epoch
		same(t, "due", due(t, db, at), []accounts.Letter{about})
	}},
	{"Letter/expires", func(t *testing.T, db *store.DB) {
		l := posted(t, db, letter(accounts.ResetPassword, withEmail(t, db, "alice", "a@example.com")))
		_, err := db.Letter(t.Context(), l.ID, l.ExpiresAt)
		fails(t, "expired", err, accounts.ErrBadToken)
		_, err = db.Letter(t.Context(), ids.New[ids.Letter](), at)
		fails(t, "unknown", err, accounts.ErrBadToken)
		fails(t, "use it", db.ResetPassword(t.Context(), l.ID, "new", l.ExpiresAt, event(audit.UserPasswordChanged)), accounts.ErrBadToken)
		same(t, "due when it has expired", due(t, db, l.ExpiresAt), nil)
	}},
	{"DueLetters/of some kinds, or of all", func(t *testing.T, db *store.DB) {
		u := withEmail(t, db, "alice", "a@example.com")
		first, urgent := letter(accounts.VerifyEmail, u), letter(accounts.ResetPassword, u)
		first.DueAt = at.Add(-time.Minute)
		posted(t, db, urgent)
		posted(t, db, first)
		kinds := func(limit int, kinds ...accounts.LetterKind) (got []accounts.LetterKind) {
			letters, err := db.DueLetters(t.Context(), at, limit, kinds...)
			succeeds(t, err)
			for _, l := range letters {
				got = append(got, l.Kind)
			}
			return got
		}
		same(t, "all, the longest due first", kinds(2), []accounts.LetterKind{accounts.VerifyEmail, accounts.ResetPassword})
		same(t, "the first", kinds(1), []accounts.LetterKind{accounts.VerifyEmail})
		same(t, "one kind", kinds(1, accounts.ResetPassword), []accounts.LetterKind{accounts.ResetPassword})
		same(t, "a kind that is not due", kinds(1, accounts.EmailChanged), nil)
		same(t, "several kinds", kinds(2, accounts.EmailChanged, accounts.ResetPassword), []accounts.LetterKind{accounts.ResetPassword})
	}},
	{"DueLetters/one caller has a letter at a time", func(t *testing.T, db *store.DB) {
		u := withEmail(t, db, "alice", "a@example.com")
		l := posted(t, db, letter(accounts.VerifyEmail, u))
		same(t, "before it is due", due(t, db, at.Add(-time.Millisecond)), nil)
		var won atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				mine, err := db.ClaimLetter(t.Context(), l, at.Add(time.Minute))
				succeeds(t, err)
				if mine {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d callers claimed it", won.Load())
		}
		same(t, "due while it is claimed", due(t, db, at), nil)
		later := due(t, db, at.Add(time.Minute))
		if len(later) != 1 || later[0].Attempts != 1 {
			t.Fatalf("due later = %v", later)
		}
		succeeds(t, db.LetterDone(t.Context(), l.ID, ""))
		same(t, "due when it is done", due(t, db, at.Add(2*time.Minute)), nil)
		mine, err := db.ClaimLetter(t.Context(), later[0], at.Add(time.Hour))
		if mine || err != nil {
			t.Errorf("claimed when done: %v, %v", mine, err)
		}
		_, err = db.Letter(t.Context(), l.ID, at) // its token works until it is used
		succeeds(t, err)
	}},
	{"Backlog/letters that wait or were given up, with the reason", func(t *testing.T, db *store.DB) {
		u := withEmail(t, db, "alice", "a@example.com")
		fresh, tried, refused, sent := letter(accounts.VerifyEmail, u), letter(accounts.ResetPassword, u), letter(accounts.VerifyEmail, u), letter(accounts.VerifyEmail, u)
		for i, l := range []*accounts.Letter{&fresh, &tried, &refused, &sent} {
			l.ExpiresAt = at.Add(time.Hour + time.Duration(i)*time.Second)
			posted(t, db, *l)
		}
		until, again := at.Add(2*time.Minute), at.Add(10*time.Second)
		claim := func(l *accounts.Letter) {
			t.Helper()
			mine, err := db.ClaimLetter(t.Context(), *l, until)
			if succeeds(t, err); !mine {
				t.Error("not claimed")
			}
			l.Attempts++
		}
		claim(&tried)
		succeeds(t, db.LetterFailed(t.Context(), tried.ID, until, again, "451 busy"))
		succeeds(t, db.LetterFailed(t.Context(), tried.ID, until, at, "too late: another replica has it"))
		tried.DueAt, tried.LastError = again, "451 busy"
		claim(&refused)
		succeeds(t, db.LetterDone(t.Context(), refused.ID, "550 no such user"))
		refused.DueAt, refused.LastError = time.Time{}, "550 no such user"
		claim(&sent)
		succeeds(t, db.LetterFailed(t.Context(), sent.ID, until, again, "451 busy"))
		sent.DueAt = again
		claim(&sent)
		succeeds(t, db.LetterDone(t.Context(), sent.ID, ""))
		backlog := func(now time.Time, limit int, want ...accounts.Letter) {
			t.Helper()
			got, err := db.Backlog(t.Context(), now, limit)
			succeeds(t, err)
			same(t, "backlog", got, want)
		}
		backlog(at, 10, fresh, tried, refused)
		backlog(at, 1, fresh)
		backlog(fresh.ExpiresAt, 10, tried, refused)
	}},
	{"CountLetters/those that wait, and since when", func(t *testing.T, db *store.DB) {
		counted := func(now time.Time, want int64, wantSince time.Time) {
			t.Helper()
			n, since, err := db.CountLetters(t.Context(), now)
			succeeds(t, err)
			same(t, "letters", n, want)
			same(t, "since", since, wantSince)
		}
		counted(at, 0, time.Time{})
		u := withEmail(t, db, "alice", "a@example.com")
		older, newer := letter(accounts.VerifyEmail, u), letter(accounts.ResetPassword, u)
		older.CreatedAt, older.ExpiresAt = at.Add(-time.Minute), at.Add(time.Minute)
		newer.CreatedAt, newer.ExpiresAt = at, at.Add(2*time.Minute)
		posted(t, db, older)
		posted(t, db, newer)
		counted(at, 2, older.CreatedAt)
		counted(older.ExpiresAt, 1, newer.CreatedAt)
		succeeds(t, db.LetterDone(t.Context(), newer.ID, ""))
		counted(at, 1, older.CreatedAt)
	}},
	{"ConfirmEmail/proves the address once", func(t *testing.T, db *store.DB) {
		u := withEmail(t, db, "alice", "Alice@example.com")
		l := posted(t, db, letter(accounts.VerifyEmail, u))
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.ConfirmEmail(ctx, l.ID, at.Add(time.Second), event(audit.UserEmailVerified)))
			fails(t, "twice", db.ConfirmEmail(ctx, l.ID, at, event(audit.UserEmailVerified)), accounts.ErrBadToken)
		}, event(audit.UserEmailVerified))
		got, err := db.UserByEmail(t.Context(), "alice@example.com")
		succeeds(t, err)
		u.EmailVerified, u.UpdatedAt = true, at.Add(time.Second)
		same(t, "user", got, u)
	}},
	{"UsedLetter/what a token did, while it is so", func(t *testing.T, db *store.DB) {
		u := withEmail(t, db, "alice", "a@example.com")
		used := func(of accounts.Letter, yes bool) {
			t.Helper()
			got, err := db.UsedLetter(t.Context(), of.ID, at)
			if !yes {
				fails(t, string(of.Kind), err, accounts.ErrBadToken)
				return
			}
			succeeds(t, err)
			same(t, "used letter", got, accounts.Letter{ID: of.ID, Kind: of.Kind, UserID: u.ID, Address: of.Address, ExpiresAt: of.ExpiresAt})
		}
		verify, reset, unused := letter(accounts.VerifyEmail, u), letter(accounts.ResetPassword, u), letter(accounts.ResetPassword, u)
		for _, l := range []accounts.Letter{verify, reset, unused} {
			posted(t, db, l)
			used(l, false)
		}
		succeeds(t, db.ConfirmEmail(t.Context(), verify.ID, at, event(audit.UserEmailVerified)))
		used(verify, true)
		succeeds(t, db.ResetPassword(t.Context(), reset.ID, "new", at, event(audit.UserPasswordChanged)))
		used(reset, true)
		used(unused, false)
		_, err := db.UsedLetter(t.Context(), reset.ID, reset.ExpiresAt)
		fails(t, "expired", err, accounts.ErrBadToken)

		u.Epoch++
		change, twice, other := letter(accounts.ChangeEmail, u), letter(accounts.ChangeEmail, u), letter(accounts.ChangeEmail, u)
		change.Address, twice.Address, other.Address = "b@example.com", "b@example.com", "c@example.com"
		for _, l := range []accounts.Letter{change, twice, other} {
			posted(t, db, l)
		}
		succeeds(t, db.ConfirmEmail(t.Context(), change.ID, at, event(audit.UserEmailChanged)))
		used(change, true)
		used(twice, true) // the user has asked for the same twice
		used(other, false)
		fails(t, "the same once more", db.ConfirmEmail(t.Context(), twice.ID, at, event(audit.UserEmailChanged)), accounts.ErrBadToken)
		used(reset, false)
		used(verify, true) // whether the account still has the address, accounts looks
		succeeds(t, db.SetPasswordHash(t.Context(), u.ID, "newer", accounts.By{Operator: true}, at, event(audit.UserPasswordChanged)))
		used(change, false)

		n, err := db.PurgeLetters(t.Context(), verify.ExpiresAt, 10)
		if n != 1 || err != nil {
			t.Errorf("purged %d, %v", n, err)
		}
		succeeds(t, db.DeleteUser(t.Context(), u.ID, accounts.By{Operator: true}, at, event(audit.UserDeleted)))
	}},
	{"ConfirmEmail/not of an address that has changed", func(t *testing.T, db *store.DB) {
		u := withEmail(t, db, "alice", "old@example.com")
		verify := posted(t, db, letter(accounts.VerifyEmail, u))
		reset := posted(t, db, letter(accounts.ResetPassword, u))
		change := letter(accounts.ChangeEmail, u)
		change.Address = "new@example.com"
		posted(t, db, change)
		notice := letter(accounts.EmailChanged, u)
		succeeds(t, db.ConfirmEmail(t.Context(), change.ID, at, event(audit.UserEmailChanged), notice))
		fails(t, "verify", db.ConfirmEmail(t.Context(), verify.ID, at, event(audit.UserEmailVerified)), accounts.ErrBadToken)
		fails(t, "reset", db.ResetPassword(t.Context(), reset.ID, "x", at, event(audit.UserPasswordChanged)), accounts.ErrBadToken)
		got, err := db.User(t.Context(), u.ID)
		succeeds(t, err)
		if got.Email != "new@example.com" || !got.EmailVerified || got.PasswordHash != u.PasswordHash {
			t.Errorf("user = %+v", got)
		}
		if letters := due(t, db, at); len(letters) == 0 || letters[len(letters)-1].Kind != accounts.EmailChanged && letters[0].Kind != accounts.EmailChanged {
			t.Errorf("due = %v, want the notice to the old address", letters)
		}
	}},
	{"ConfirmEmail/changes no address that was asked for in another epoch", func(t *testing.T, db *store.DB) {
		u := withEmail(t, db, "alice", "old@example.com")
		u.Epoch++
		change, verify := letter(accounts.ChangeEmail, u), letter(accounts.VerifyEmail, u)
		change.Address = "new@example.com"
		posted(t, db, change)
		posted(t, db, verify)
		fails(t, "change", db.ConfirmEmail(t.Context(), change.ID, at, event(audit.UserEmailChanged)), accounts.ErrBadToken)
		succeeds(t, db.ConfirmEmail(t.Context(), verify.ID, at, event(audit.UserEmailVerified))) // the token proves the user's present address
	}},
	{"ConfirmEmail/a first address", func(t *testing.T, db *store.DB) {
		u := addUser(t, db, "alice")
		l := letter(accounts.ChangeEmail, u)
		l.Address = "a@example.com"
		posted(t, db, l)
		succeeds(t, db.ConfirmEmail(t.Context(), l.ID, at, event(audit.UserEmailChanged)))
		got, err := db.UserByEmail(t.Context(), "a@example.com")
		succeeds(t, err)
		same(t, "id", got.ID, u.ID)
	}},
	{"ConfirmEmail/the first to prove an address has it", func(t *testing.T, db *store.DB) {
		for _, name := range []string{"alice", "bob"} {
			u := user(name)
			u.Email, u.EmailUnclaimed = "same@example.com", true
			succeeds(t, db.CreateUser(t.Context(), u, event(audit.UserCreated), letter(accounts.VerifyEmail, u)))
		}
		_, err := db.UserByEmail(t.Context(), "same@example.com")
		fails(t, "unclaimed address", err, accounts.ErrUnknownUser)
		letters := due(t, db, at)
		if len(letters) != 2 {
			t.Fatalf("due = %v", letters)
		}
		succeeds(t, db.ConfirmEmail(t.Context(), letters[1].ID, at, event(audit.UserEmailVerified)))
		fails(t, "second", db.ConfirmEmail(t.Context(), letters[0].ID, at, event(audit.UserEmailVerified)), accounts.ErrEmailTaken)
		_, err = db.Letter(t.Context(), letters[0].ID, at)
		succeeds(t, err) // the refusal has changed nothing
		got, err := db.UserByEmail(t.Context(), "same@example.com")
		succeeds(t, err)
		same(t, "owner", got.ID, letters[1].UserID)
	}},
	{"ConfirmEmail/not by another kind of letter", func(t *testing.T, db *store.DB) {
		u := withEmail(t, db, "alice", "a@example.com")
		for _, kind := range []accounts.LetterKind{accounts.ResetPassword, accounts.EmailChanged, accounts.AlreadyRegistered} {
			l := posted(t, db, letter(kind, u))
			fails(t, string(kind), db.ConfirmEmail(t.Context(), l.ID, at, event(audit.UserEmailVerified)), accounts.ErrBadToken)
		}
		l := posted(t, db, letter(accounts.VerifyEmail, u))
		fails(t, "reset", db.ResetPassword(t.Context(), l.ID, "x", at, event(audit.UserPasswordChanged)), accounts.ErrBadToken)
		succeeds(t, db.ConfirmEmail(t.Context(), l.ID, at, event(audit.UserEmailVerified)))
	}},
	{"ResetPassword/once, and ends what was before", func(t *testing.T, db *store.DB) {
		u := withEmail(t, db, "alice", "a@example.com")
		succeeds(t, db.CreateClient(t.Context(), client("spa"), event(audit.ClientCreated)))
		s := session(u, "spa")
		succeeds(t, db.CreateSession(t.Context(), s, u.Epoch, event(audit.SessionCreated)))
		first, second := posted(t, db, letter(accounts.ResetPassword, u)), posted(t, db, letter(accounts.ResetPassword, u))
		notice := letter(accounts.PasswordChanged, u)
		var won atomic.Int64
		var wg sync.WaitGroup
		leaves(t, db, func(ctx context.Context) {
			for i := range 8 {
				wg.Go(func() {
					l := []accounts.Letter{first, second}[i%2]
					own := notice
					own.ID = ids.New[ids.Letter]()
					switch err := db.ResetPassword(ctx, l.ID, fmt.Sprint("new", i), at.Add(time.Second), event(audit.UserPasswordChanged), own); {
					case err == nil:
						won.Add(1)
					case !errors.Is(err, accounts.ErrBadToken):
						t.Errorf("reset: %v", err)
					}
				})
			}
			wg.Wait()
		}, event(audit.UserPasswordChanged))
		if won.Load() != 1 {
			t.Errorf("%d callers used the letters, want 1", won.Load())
		}
		sessionGone(t, db, s)
		got, err := db.User(t.Context(), u.ID)
		succeeds(t, err)
		if got.Epoch != u.Epoch+1 || got.PasswordHash == u.PasswordHash || !got.EmailVerified {
			t.Errorf("user = %+v", got)
		}
		if letters := due(t, db, at); len(letters) != 1 || letters[0].Kind != accounts.PasswordChanged {
			t.Errorf("due = %v, want the notice", letters)
		}
	}},
	{"ResetPassword/not of another epoch or address", func(t *testing.T, db *store.DB) {
		u := withEmail(t, db, "alice", "a@example.com")
		former, elsewhere := letter(accounts.ResetPassword, u), letter(accounts.ResetPassword, u)
		former.Epoch--
		elsewhere.Address = "b@example.com"
		for name, l := range map[string]accounts.Letter{"epoch": former, "address": elsewhere} {
			posted(t, db, l)
			fails(t, name, db.ResetPassword(t.Context(), l.ID, "x", at, event(audit.UserPasswordChanged)), accounts.ErrBadToken)
		}
		got, err := db.User(t.Context(), u.ID)
		succeeds(t, err)
		same(t, "user", got, u)
	}},
	{"ResetPassword/proves the address, unless it is another's", func(t *testing.T, db *store.DB) {
		for i, name := range []string{"alice", "bob"} {
			u := user(name)
			u.Email, u.EmailUnclaimed = "same@example.com", true
			succeeds(t, db.CreateUser(t.Context(), u, event(audit.UserCreated)))
			l := posted(t, db, letter(accounts.ResetPassword, u))
			succeeds(t, db.ResetPassword(t.Context(), l.ID, "new", at, event(audit.UserPasswordChanged)))
			got, err := db.User(t.Context(), u.ID)
			succeeds(t, err)
			if got.PasswordHash != "new" || got.EmailVerified != (i == 0) {
				t.Errorf("user = %+v", got)
			}
			owner, err := db.UserByEmail(t.Context(), "same@example.com")
			succeeds(t, err)
			same(t, "owner", owner.Username, "alice")
		}
	}},
	{"ResetPassword/not of a disabled user", func(t *testing.T, db *store.DB) {
		u := withEmail(t, db, "alice", "a@example.com")
		l := posted(t, db, letter(accounts.ResetPassword, u))
		succeeds(t, db.DisableUser(t.Context(), u.ID, at, event(audit.UserDisabled)))
		fails(t, "reset", db.ResetPassword(t.Context(), l.ID, "x", at, event(audit.UserPasswordChanged)), accounts.ErrBadToken)
	}},
	{"SetPasswordHash/kills mailed tokens and keeps one session", func(t *testing.T, db *store.DB) {
		u := withEmail(t, db, "alice", "a@example.com")
		succeeds(t, db.CreateClient(t.Context(), client("spa"), event(audit.ClientCreated)))
		mine, other := session(u, "spa"), session(u, "spa")
		succeeds(t, db.CreateSession(t.Context(), mine, u.Epoch, event(audit.SessionCreated)))
		succeeds(t, db.CreateSession(t.Context(), other, u.Epoch, event(audit.SessionCreated)))
		reset, verify := posted(t, db, letter(accounts.ResetPassword, u)), posted(t, db, letter(accounts.VerifyEmail, u))
		succeeds(t, db.SetPasswordHash(t.Context(), u.ID, "new", accounts.By{Place: ids.Place{Session: mine.ID}, Epoch: u.Epoch}, at, event(audit.UserPasswordChanged), letter(accounts.PasswordChanged, u)))
		lives(t, db, mine)
		sessionGone(t, db, other)
		_, err := db.Letter(t.Context(), reset.ID, at)
		fails(t, "reset", err, accounts.ErrBadToken)
		_, err = db.Letter(t.Context(), verify.ID, at)
		succeeds(t, err)
		if n := len(due(t, db, at)); n != 2 {
			t.Errorf("%d letters are due, want the notice and the other", n)
		}
	}},
	{"SetPasswordHash/by a session that is alive", func(t *testing.T, db *store.DB) {
		u, other := addUser(t, db, "alice"), addUser(t, db, "bob")
		s, foreign := signedIn(t, db, u), signedIn(t, db, other)
		set := func(by accounts.By, now time.Time) error {
			return db.SetPasswordHash(t.Context(), u.ID, "new", by, now, event(audit.UserPasswordChanged))
		}
		fails(t, "former epoch", set(accounts.By{Place: ids.Place{Session: s.ID}, Epoch: u.Epoch - 1}, at), accounts.ErrBadCredentials)
		fails(t, "another's session", set(accounts.By{Place: ids.Place{Session: foreign.ID}, Epoch: u.Epoch}, at), accounts.ErrBadCredentials)
		fails(t, "expired session", set(accounts.By{Place: ids.Place{Session: s.ID}, Epoch: u.Epoch}, s.ExpiresAt), accounts.ErrSignedOut)
		fails(t, "no session", set(accounts.By{Place: ids.Place{Session: ids.New[ids.Session]()}, Epoch: u.Epoch}, at), accounts.ErrSignedOut)
		got, err := db.User(t.Context(), u.ID)
		succeeds(t, err)
		same(t, "user", got, u)

		var won atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				switch err := set(accounts.By{Place: ids.Place{Session: s.ID}, Epoch: u.Epoch}, at); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, accounts.ErrBadCredentials):
					t.Errorf("set: %v", err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d changes rest on one password, want 1", won.Load())
		}
		lives(t, db, s)
		succeeds(t, db.SetPasswordHash(t.Context(), u.ID, "newer", accounts.By{Operator: true}, at, event(audit.UserPasswordChanged)))
		fails(t, "ended", set(accounts.By{Place: ids.Place{Session: s.ID}, Epoch: u.Epoch + 2}, at), accounts.ErrSignedOut)
	}},
	{"DeleteUser/for a session that is alive", func(t *testing.T, db *store.DB) {
		u, other := addUser(t, db, "alice"), addUser(t, db, "bob")
		s, ended, foreign := signedIn(t, db, u), signedIn(t, db, u), signedIn(t, db, other)
		succeeds(t, db.EndSession(t.Context(), ended.ID, event(audit.SessionRevoked)))
		remove := func(session ids.Session, now time.Time) error {
			return db.DeleteUser(t.Context(), u.ID, accounts.By{Place: ids.Place{Session: session}}, now, event(audit.UserDeleted))
		}
		fails(t, "ended", remove(ended.ID, at), accounts.ErrSignedOut)
		fails(t, "another's", remove(foreign.ID, at), accounts.ErrSignedOut)
		fails(t, "expired", remove(s.ID, s.ExpiresAt), accounts.ErrSignedOut)
		succeeds(t, remove(s.ID, at))
		fails(t, "twice", remove(s.ID, at), accounts.ErrSignedOut)
	}},
	{"DeleteUser/takes the letters along", func(t *testing.T, db *store.DB) {
		u := withEmail(t, db, "alice", "a@example.com")
		posted(t, db, letter(accounts.VerifyEmail, u))
		succeeds(t, db.DeleteUser(t.Context(), u.ID, accounts.By{Operator: true}, at, event(audit.UserDeleted)))
		same(t, "due", due(t, db, at), nil)
	}},
	{"PurgeLetters/removes what has expired", func(t *testing.T, db *store.DB) {
		u := withEmail(t, db, "alice", "a@example.com")
		old, fresh := letter(accounts.VerifyEmail, u), letter(accounts.VerifyEmail, u)
		old.ExpiresAt = at.Add(time.Minute)
		posted(t, db, old)
		posted(t, db, fresh)
		n, err := db.PurgeLetters(t.Context(), at.Add(time.Minute), 10)
		if n != 1 || err != nil {
			t.Errorf("purged %d, %v", n, err)
		}
		_, err = db.Letter(t.Context(), fresh.ID, at)
		succeeds(t, err)
	}},
}
