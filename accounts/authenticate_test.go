package accounts_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"countersign/accounts"
	"countersign/audit"
	"countersign/caller"
	"countersign/clients"
	"countersign/hashing"
	"countersign/ids"
	"countersign/limits"
	"countersign/oauth"
	"countersign/secrecy"
	"countersign/store"
	"countersign/store/storetest"
)

func TestRightPasswordAuthenticates(t *testing.T) {
	users := newUsers(t, open(t))
	want := create(t, users, "alice", goodPassword)
	got, err := users.Authenticate(t.Context(), time.Now(), "Alice", goodPassword, caller.Caller{Address: home})
	if err != nil || got.ID != want.ID || got.Username != "alice" {
		t.Errorf("Authenticate = %+v, %v, want user %v", got, err, want.ID)
	}
}

// The hash that stands in for a missing or unusable one opens no account, even if the
// password should be right for it.
func TestTheDummyHashOpensNothing(t *testing.T) {
	db := open(t)
	users := newUsers(t, db)
	keyless, err := users.Create(t.Context(), time.Now(), accounts.NewUser{Username: "keyless", Email: "k@example.net", NoPassword: true}, caller.Operator())
	if err != nil {
		t.Fatal(err)
	}
	garbled := create(t, users, "garbled", goodPassword)
	if err := db.SetPasswordHash(t.Context(), garbled.ID, "$2b$12$notours", accounts.By{Operator: true}, time.Now(), audit.Event{Kind: audit.UserPasswordChanged}); err != nil {
		t.Fatal(err)
	}
	create(t, users, "alice", goodPassword)
	users.OpenDummy()
	for name, password := range map[string]secrecy.Text{
		keyless.Username: goodPassword, keyless.Email: goodPassword, "garbled": goodPassword,
		"nobody": goodPassword, "nobody@example.net": goodPassword, "alice": "\xff", "\x00": goodPassword,
	} {
		if u, err := users.Authenticate(t.Context(), time.Now(), name, password, caller.Caller{Address: home}); !errors.Is(err, accounts.ErrBadCredentials) {
			t.Errorf("%q: got %v, %v, want ErrBadCredentials", name, u.ID, err)
		}
	}
	if u, err := users.Prove(t.Context(), time.Now(), keyless.ID, ids.Place{Session: ids.New[ids.Session]()}, goodPassword, caller.Caller{Address: home}); !errors.Is(err, accounts.ErrBadCredentials) {
		t.Errorf("proof: got %v, %v, want ErrBadCredentials", u.ID, err)
	}
}

func TestFailedSignInsLookAlikeAndCostTheSame(t *testing.T) {
	db := open(t)
	users := newUsers(t, db)
	create(t, users, "alice", goodPassword)
	disabled := create(t, users, "mallory", goodPassword)
	if err := users.Disable(t.Context(), time.Now(), disabled.ID, caller.Operator()); err != nil {
		t.Fatal(err)
	}
	garbled := create(t, users, "garbled", goodPassword)
	if err := db.SetPasswordHash(t.Context(), garbled.ID, "$2b$12$notours", accounts.By{Operator: true}, time.Now(), audit.Event{Kind: audit.UserPasswordChanged}); err != nil {
		t.Fatal(err)
	}
	absurd := create(t, users, "absurd", goodPassword)
	if err := db.SetPasswordHash(t.Context(), absurd.ID, "$argon2id$v=19$m=4294967295,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA", accounts.By{Operator: true}, time.Now(), audit.Event{Kind: audit.UserPasswordChanged}); err != nil {
		t.Fatal(err)
	}
	if _, err := users.Create(t.Context(), time.Now(), accounts.NewUser{Username: "keyless", NoPassword: true}, caller.Operator()); err != nil {
		t.Fatal(err)
	}
	work := users.Watch()

	for name, try := range map[string]struct{ username, password string }{
		"account without one":  {"keyless", goodPassword},
		"none for none":        {"keyless", ""},
		"unknown user":         {"nobody", goodPassword},
		"disabled user":        {"mallory", goodPassword + "!"},
		"unknown address":      {"nobody@example.net", goodPassword},
		"malformed address":    {"al ice@\x00@example.net", goodPassword},
		"wrong password":       {"alice", goodPassword + "!"},
		"no password":          {"alice", ""},
		"malformed username":   {"al ice", goodPassword},
		"no username":          {"", goodPassword},
		"username not UTF-8":   {"\xff", goodPassword},
		"endless username":     {strings.Repeat("a", 50_000), goodPassword},
		"over-long password":   {"alice", strings.Repeat("a", 50_000)},
		"password not UTF-8":   {"alice", goodPassword + "\xff"},
		"password of controls": {"alice", "\x00\x01\x02"},
		"hash of another kind": {"garbled", goodPassword},
		"hash of absurd price": {"absurd", goodPassword},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second in the same state as the first
				user, err := users.Authenticate(t.Context(), time.Now(), try.username, secrecy.Text(try.password), caller.Caller{Address: home})
				if !errors.Is(err, accounts.ErrBadCredentials) {
					t.Errorf("error %v, want ErrBadCredentials itself", err)
				}
				if diff := cmp.Diff(accounts.User{}, user); diff != "" {
					t.Errorf("a failed sign-in returned a user:\n%s", diff)
				}
				if diff := cmp.Diff([]hashing.Argon2{cheap}, work.Take()); diff != "" {
					t.Errorf("hashes (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// An account without a sign-in since the cost of hashing rose would stand out by a
// faster answer.
func TestWrongPasswordForAnOlderHashCostsAsMuchAsForAnUnknownUser(t *testing.T) {
	db := open(t)
	create(t, newUsers(t, db), "alice", goodPassword)
	for _, dearer := range []hashing.Argon2{
		{MemoryKiB: cheap.MemoryKiB, Iterations: 6, Parallelism: 1},
		{MemoryKiB: 8 * cheap.MemoryKiB, Iterations: 3, Parallelism: 1},
		{MemoryKiB: 64, Iterations: 1, Parallelism: 2},
	} {
		users := newUsers(t, db, func(o *accounts.Options) { o.Argon2 = dearer })
		work := users.Watch()
		cost := func(username string) (total uint32) {
			t.Helper()
			if _, err := users.Authenticate(t.Context(), time.Now(), username, "wrong", caller.Caller{Address: home}); !errors.Is(err, accounts.ErrBadCredentials) {
				t.Fatal(err)
			}
			for _, p := range work.Take() {
				total += p.MemoryKiB * p.Iterations
			}
			return total
		}
		if known, unknown := cost("alice"), cost("nobody"); known > unknown || unknown-known >= dearer.Iterations { // but for rounding
			t.Errorf("price %+v: work for a known name %d, for an unknown one %d", dearer, known, unknown)
		}
	}
}

func TestEveryFailureIsCountedAlike(t *testing.T) {
	for name, try := range map[string]struct{ username, password string }{
		"known user":         {"alice", "wrong"},
		"unknown user":       {"nobody", goodPassword},
		"disabled user":      {"mallory", "wrong"},
		"unknown address":    {"nobody@example.net", goodPassword},
		"malformed username": {"al ice", goodPassword},
		"malformed password": {"alice", "\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "countersign.db")
			synctest.Test(t, func(t *testing.T) {
				db := storetest.OpenFile(t, path)
				defer db.Close()
				users := newUsers(t, db)
				create(t, users, "alice", goodPassword)
				users.Disable(t.Context(), time.Now(), create(t, users, "mallory", goodPassword).ID, caller.Operator())
				work := users.Watch()

				for n := range 11 {
					if _, err := users.Authenticate(t.Context(), time.Now(), try.username, secrecy.Text(try.password), caller.Caller{Address: home}); !errors.Is(err, accounts.ErrBadCredentials) {
						t.Fatalf("guess %d: %v, want ErrBadCredentials", n+1, err)
					}
				}
				work.Take()
				_, err := users.Authenticate(t.Context(), time.Now(), try.username, secrecy.Text(try.password), caller.Caller{Address: home})
				// SQLite may wait for a lock by the bubble's clock.
				if wait, ok := errors.AsType[*limits.WaitError](err); !ok || wait.RetryAfter.Round(100*time.Millisecond) != time.Second {
					t.Errorf("guess 12: %v, want to wait a second", err)
				}
				if got := work.Take(); got != nil {
					t.Errorf("a throttled guess cost %d hashes", len(got))
				}
				time.Sleep(time.Second)
				if _, err := users.Authenticate(t.Context(), time.Now(), try.username, secrecy.Text(try.password), caller.Caller{Address: home}); !errors.Is(err, accounts.ErrBadCredentials) {
					t.Errorf("having waited: %v, want ErrBadCredentials", err)
				}
			})
		})
	}
}

func TestBudgetIsPerNameAndNetwork(t *testing.T) {
	users := newUsers(t, open(t))
	create(t, users, "alice", goodPassword)
	create(t, users, "bob", goodPassword)
	now := time.Now()
	for n := range 11 {
		// One name in several forms, from several addresses of one network.
		name := []string{"alice", "ALICE", "ａｌｉｃｅ"}[n%3]
		address := []string{"2001:db8:1:2::3", "2001:db8:1:2:ffff::4"}[n%2]
		users.Authenticate(t.Context(), now, name, "wrong", caller.Caller{Address: address})
	}
	for name, c := range map[string]struct {
		username, address string
		throttled         bool
	}{
		"the name in that network":     {"alice", "2001:db8:1:2::5", true},
		"the name from elsewhere":      {"alice", "2001:db8:1:3::3", false},
		"another name in that network": {"bob", "2001:db8:1:2::3", false},
	} {
		_, err := users.Authenticate(t.Context(), now, c.username, goodPassword, caller.Caller{Address: c.address})
		if got := errors.Is(err, limits.ErrThrottled); got != c.throttled {
			t.Errorf("%s: %v, want throttled %v", name, err, c.throttled)
		}
	}
}

func TestSuccessRefillsTheGuessBudget(t *testing.T) {
	users := newUsers(t, open(t))
	create(t, users, "alice", goodPassword)
	now := time.Now()
	for range 3 {
		for range 10 {
			users.Authenticate(t.Context(), now, "alice", "wrong", caller.Caller{Address: home})
		}
		if _, err := users.Authenticate(t.Context(), now, "alice", goodPassword, caller.Caller{Address: home}); err != nil {
			t.Fatalf("after ten mistakes: %v", err)
		}
	}
}

func TestBurstOverdrawsTheBudgetByTheSlotsOnly(t *testing.T) {
	users := newUsers(t, open(t)) // two slots
	create(t, users, "alice", goodPassword)
	work := users.Watch()
	now := time.Now()
	var wg sync.WaitGroup
	for range 60 {
		wg.Go(func() { users.Authenticate(t.Context(), now, "alice", "wrong", caller.Caller{Address: home}) })
	}
	wg.Wait()
	if got := len(work.Take()); got < 11 || got > 12 {
		t.Errorf("%d of 60 simultaneous guesses were tried, want 11 or 12", got)
	}
}

// A user whose account is deleted while a proof waits for its slot is signed out: the password
// was not wrong.
func TestProofOfAnAccountThatIsDeletedMeanwhile(t *testing.T) {
	slots := limits.NewSlots(1, 9)
	users := newUsers(t, open(t), func(o *accounts.Options) { o.Slots = slots })
	alice := create(t, users, "alice", goodPassword)
	taken, release := make(chan struct{}), make(chan struct{})
	var both sync.WaitGroup
	both.Go(func() {
		if err := slots.Do(t.Context(), limits.Party{}, func() { close(taken); <-release }); err != nil {
			t.Error(err)
		}
	})
	<-taken
	var err error
	both.Go(func() {
		place := ids.Place{Session: ids.New[ids.Session]()}
		_, err = users.Prove(t.Context(), time.Now(), alice.ID, place, goodPassword, caller.Caller{Address: home})
	})
	for slots.Waiting() == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := users.Delete(t.Context(), time.Now(), alice.ID, caller.Operator()); err != nil {
		t.Error(err)
	}
	close(release)
	both.Wait()
	if !errors.Is(err, accounts.ErrSignedOut) {
		t.Errorf("%v, want ErrSignedOut", err)
	}
}

func TestFloodIsBusyAndReleasesEverySlot(t *testing.T) {
	users := newUsers(t, open(t), func(o *accounts.Options) { o.Slots = limits.NewSlots(1, 1) })
	create(t, users, "alice", goodPassword)
	work, hashing, release := users.Watch(), make(chan struct{}, 9), make(chan struct{})
	work.Before = func() { hashing <- struct{}{}; <-release }

	results := make(chan error, 2)
	signIn := func() {
		_, err := users.Authenticate(t.Context(), time.Now(), "alice", goodPassword, caller.Caller{Address: home})
		results <- err
	}
	go signIn()
	<-hashing // the slot is taken
	ctx, hangUp := context.WithCancel(t.Context())
	queued := make(chan error)
	go func() {
		err := limits.ErrBusy
		for errors.Is(err, limits.ErrBusy) { // while bob is before us
			_, err = users.Authenticate(ctx, time.Now(), "alice", goodPassword, caller.Caller{Address: home})
		}
		queued <- err
	}()
	// Once bob is turned away, the place in the queue is taken.
	turnedAway := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err := users.Authenticate(ctx, time.Now(), "bob", goodPassword, caller.Caller{Address: home})
		return err
	}
	for !errors.Is(turnedAway(), limits.ErrBusy) {
	}
	if _, err := users.Create(t.Context(), time.Now(), accounts.NewUser{Username: "carol", Password: goodPassword}, caller.Operator()); !errors.Is(err, limits.ErrBusy) {
		t.Errorf("signing up in a flood: %v, want ErrBusy", err)
	}
	hangUp()
	if err := <-queued; !errors.Is(err, context.Canceled) {
		t.Errorf("hanging up in the queue: %v, want context.Canceled", err)
	}
	close(release)
	if err := <-results; err != nil {
		t.Errorf("the one in the slot: %v", err)
	}
	signIn()
	if err := <-results; err != nil {
		t.Errorf("after the flood: %v", err)
	}
}

func TestSignInUpgradesAnOutdatedHash(t *testing.T) {
	db := open(t)
	old := newUsers(t, db)
	before := create(t, old, "alice", goodPassword)
	dear := hashing.Argon2{MemoryKiB: 32, Iterations: 2, Parallelism: 1}
	users := newUsers(t, db, func(o *accounts.Options) { o.Argon2 = dear })
	work := users.Watch()

	if _, err := users.Authenticate(t.Context(), time.Now(), "alice", "wrong", caller.Caller{Address: home}); !errors.Is(err, accounts.ErrBadCredentials) {
		t.Fatal(err)
	}
	if now, _ := db.User(t.Context(), before.ID); now.PasswordHash != before.PasswordHash {
		t.Error("a wrong password changed the hash")
	}
	user, err := users.Authenticate(t.Context(), time.Now(), "alice", goodPassword, caller.Caller{Address: home})
	if err != nil {
		t.Fatal(err)
	}
	after, err := db.User(t.Context(), before.ID)
	if err != nil || !strings.HasPrefix(after.PasswordHash, "$argon2id$v=19$m=32,t=2,p=1$") || user.PasswordHash != after.PasswordHash {
		t.Errorf("stored hash is %q (returned %q), %v", after.PasswordHash, user.PasswordHash, err)
	}
	if after.Epoch != before.Epoch {
		t.Error("an upgrade must not end sessions, but moved the epoch")
	}
	work.Take()
	if _, err := users.Authenticate(t.Context(), time.Now(), "alice", goodPassword, caller.Caller{Address: home}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]hashing.Argon2{dear}, work.Take()); diff != "" {
		t.Errorf("an upgraded hash is verified once and not made again:\n%s", diff)
	}
}

// failing is a database with one method that fails before its write.
type failing struct {
	*store.DB
	upgrade, record, find bool
}

var errAway = errors.New("database is away")

func (f *failing) UpgradePasswordHash(ctx context.Context, id ids.User, old, hash string) error {
	if f.upgrade {
		return errAway
	}
	return f.DB.UpgradePasswordHash(ctx, id, old, hash)
}

func (f *failing) RecordFailure(ctx context.Context, key [32]byte, at ids.User, now time.Time, window time.Duration) (limits.Failures, error) {
	if f.record {
		return limits.Failures{}, errAway
	}
	return f.DB.RecordFailure(ctx, key, at, now, window)
}

func (f *failing) UserByUsername(ctx context.Context, username string) (accounts.User, error) {
	if f.find {
		return accounts.User{}, errAway
	}
	return f.DB.UserByUsername(ctx, username)
}

func TestSignInWhileTheDatabaseFails(t *testing.T) {
	db := &failing{DB: open(t)}
	create(t, newUsers(t, db.DB), "alice", goodPassword)
	users := newUsers(t, db.DB, func(o *accounts.Options) {
		o.Store, o.Throttle = db, storetest.Throttle(t, db)
		o.Argon2.Iterations = 2
	})
	db.upgrade = true
	if _, err := users.Authenticate(t.Context(), time.Now(), "alice", goodPassword, caller.Caller{Address: home}); err != nil {
		t.Errorf("an upgrade that fails must not cost the sign-in: %v", err)
	}
	db.record = true
	if _, err := users.Authenticate(t.Context(), time.Now(), "alice", "wrong", caller.Caller{Address: home}); !errors.Is(err, errAway) {
		t.Errorf("a guess that can't be counted must not be answered: %v", err)
	}
	db.find = true
	if _, err := users.Authenticate(t.Context(), time.Now(), "alice", goodPassword, caller.Caller{Address: home}); !errors.Is(err, errAway) {
		t.Errorf("the database's failure is not the user's: %v", err)
	}
	if _, err := users.Create(t.Context(), time.Now(), accounts.NewUser{Username: "bob", Password: goodPassword}, caller.Operator()); !errors.Is(err, errAway) {
		t.Errorf("signing up without a database: %v", err)
	}
}

func TestPasswordsDifferInAnyCharacter(t *testing.T) {
	users := newUsers(t, open(t))
	long := secrecy.Text(strings.Repeat("correct horse ", 7) + "x")
	create(t, users, "alice", long+"1")
	if len(long)+1 != 100 {
		t.Fatalf("password has %d characters, want 100", len(long)+1)
	}
	if _, err := users.Authenticate(t.Context(), time.Now(), "alice", long+"2", caller.Caller{Address: home}); !errors.Is(err, accounts.ErrBadCredentials) {
		t.Errorf("differing in the last character: %v, want ErrBadCredentials", err)
	}
	if _, err := users.Authenticate(t.Context(), time.Now(), "alice", secrecy.Text(strings.ToUpper(string(long)+"1")), caller.Caller{Address: home}); !errors.Is(err, accounts.ErrBadCredentials) {
		t.Errorf("differing in case: %v, want ErrBadCredentials", err)
	}
	if _, err := users.Authenticate(t.Context(), time.Now(), "alice", long+"1", caller.Caller{Address: home}); err != nil {
		t.Errorf("the same: %v", err)
	}
}

func TestPasswordTypedAnotherWayIsTheSame(t *testing.T) {
	users := newUsers(t, open(t))
	for name, c := range map[string]struct{ chosen, typed string }{
		"composition":       {"Caf\u00e9 au lait s'il vous pla\u00eet", "Cafe\u0301 au lait s'il vous plai\u0302t"},
		"Hangul":            {"\ud55c\uad6d\uc5b4\ube44\ubc00\ubc88\ud638 1234", "\u1112\u1161\u11ab\u1100\u116e\u11a8\u110b\u1165\u1107\u1175\u1106\u1175\u11af\u1107\u1165\u11ab\u1112\u1169 1234"},
		"no-break space":    {"a quiet harbour", "a\u00a0quiet\u3000harbour"},
		"emoji":             {"🐙🦑🐠🐟🐬🐳🦈🐚", "🐙🦑🐠🐟🐬🐳🦈🐚"},
		"emoji with joiner": {"❤️ my 👩‍👩‍👧‍👦 always", "❤️ my 👩‍👩‍👧‍👦 always"},
		"spaces at ends":    {"  in the middle  ", "  in the middle  "},
	} {
		t.Run(name, func(t *testing.T) {
			username := "user" + uuid.NewString()
			create(t, users, username, secrecy.Text(c.chosen))
			if _, err := users.Authenticate(t.Context(), time.Now(), username, secrecy.Text(c.typed), caller.Caller{Address: home}); err != nil {
				t.Errorf("Authenticate: %v", err)
			}
		})
	}
}

func TestSpacesAtTheEndsOfAPasswordCount(t *testing.T) {
	users := newUsers(t, open(t))
	create(t, users, "alice", goodPassword)
	if _, err := users.Authenticate(t.Context(), time.Now(), "alice", goodPassword+" ", caller.Caller{Address: home}); !errors.Is(err, accounts.ErrBadCredentials) {
		t.Errorf("with a space added: %v, want ErrBadCredentials", err)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	users := newUsers(b, open(b), func(o *accounts.Options) {
		o.Argon2 = hashing.Argon2{MemoryKiB: 19 << 10, Iterations: 2, Parallelism: 1}
	})
	create(b, users, "alice", goodPassword)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := users.Authenticate(b.Context(), time.Now(), "alice", goodPassword, caller.Caller{Address: home}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestBudgetsOfSecretsAndPasswordsAreApart(t *testing.T) {
	db := open(t)
	users := newUsers(t, db)
	create(t, users, "api", goodPassword)
	registry, err := clients.New(clients.Options{
		Store: db, Argon2: cheap, Slots: limits.NewSlots(1, 0), Throttle: storetest.Throttle(t, db),
	})
	if err != nil {
		t.Fatal(err)
	}
	const chosen = "correct horse:battery/staple="
	api := clients.Client{ID: "api", Settings: clients.Settings{Grants: []string{oauth.GrantClientCredentials}, Scopes: []string{"read"}}}
	if _, err := registry.Create(t.Context(), time.Now(), api, chosen, caller.Operator()); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for range 11 {
		registry.Authenticate(t.Context(), now, clients.Credentials{ID: "api", Secret: "wrong"}, caller.Caller{Address: home})
	}
	if _, err := users.Authenticate(t.Context(), now, "api", goodPassword, caller.Caller{Address: home}); err != nil {
		t.Errorf("a user who is called like a client: %v", err)
	}
}
