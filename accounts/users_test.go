package accounts_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/google/uuid"

	"countersign/accounts"
	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
	"countersign/input"
	"countersign/input/inputtest"
	"countersign/secrecy"
	"countersign/store/storetest"
)

// operatorAt returns the operator, calling from an address.
func operatorAt(address, request string) caller.Caller {
	operator := caller.Operator()
	operator.Address, operator.RequestID = address, request
	return operator
}

func TestCreatedUserIsStored(t *testing.T) {
	db := open(t)
	users := newUsers(t, db)
	now := time.Now().UTC().Truncate(time.Millisecond)
	want, err := users.Create(t.Context(), now, accounts.NewUser{
		Username: "Ａlice", Email: "Alice@Example.com", Password: goodPassword, Roles: []string{"admin", "관리자"},
	}, operatorAt(home, "r1"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := users.ByUsername(t.Context(), "ALICE")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stored user (-returned +stored):\n%s", diff)
	}
	if got.Username != "alice" || got.Email != "Alice@Example.com" || got.EmailVerified || got.Disabled() || uuid.UUID(got.ID).Version() != 7 {
		t.Errorf("user is %+v", got)
	}
	if strings.Contains(got.PasswordHash, goodPassword) || !strings.HasPrefix(got.PasswordHash, "$argon2id$v=19$m=8,t=1,p=1$") {
		t.Errorf("stored hash is %q", got.PasswordHash)
	}
	if diff := cmp.Diff([]string{"user.created from 192.0.2.1 in r1"}, storetest.Events(t, db)); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
}

func TestAllThatIsWrongIsSaidAtOnce(t *testing.T) {
	users := newUsers(t, open(t))
	work := users.Watch()
	for name, c := range map[string]struct {
		new  accounts.NewUser
		want []string
	}{
		"nothing given": {accounts.NewUser{}, []string{"username required", "password required"}},
		"everything wrong": {
			accounts.NewUser{Username: "a b", Email: "not an address", Password: "123456", Roles: []string{"a b"}},
			[]string{"username invalid_characters", "email invalid", "password too_common", "password too_short", "roles invalid"},
		},
		"all too long": {
			accounts.NewUser{Username: strings.Repeat("a", 65), Email: strings.Repeat("a", 250) + "@b.de", Password: secrecy.Text(strings.Repeat("ab", 513))},
			[]string{"username too_long", "email too_long", "password too_long"},
		},
		"name in password":    {accounts.NewUser{Username: "alice", Password: "I am ALICE, you see"}, []string{"password contains_personal"}},
		"control in password": {accounts.NewUser{Username: "alice", Password: "a quiet\tharbour"}, []string{"password invalid_characters"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := users.Create(t.Context(), time.Now(), c.new, caller.Operator())
			inputtest.Want(t, err, c.want...)
			if p := c.new.Password; p != "" && strings.Contains(err.Error(), string(p)) {
				t.Errorf("the error quotes the password: %v", err)
			}
		})
	}
	if got := work.Take(); got != nil {
		t.Errorf("refusing cost %d hashes", len(got))
	}
}

func TestLongestNamesAndPasswordsAreAccepted(t *testing.T) {
	users := newUsers(t, open(t))
	for _, n := range []accounts.NewUser{
		{Username: "a", Password: goodPassword},
		{Username: strings.Repeat("é", 64), Password: goodPassword},
		{Username: "longest", Password: secrecy.Text(strings.Repeat("ab", 512))},
		{Username: "mailed", Password: goodPassword, Email: strings.Repeat("a", 242) + "@example.com"},
	} {
		if _, err := users.Create(t.Context(), time.Now(), n, caller.Operator()); err != nil {
			t.Errorf("create %.10q: %v", n.Username, err)
		}
	}
}

// Operators name users by id, too. A username that equals another user's id would make
// them act on the wrong account.
func TestUsernameInTheFormOfAnIDIsRefused(t *testing.T) {
	users := newUsers(t, open(t))
	for _, name := range []string{
		"01a2071a-4dd7-7296-bcc1-a76735431200", "01A2071A-4DD7-7296-BCC1-A76735431200", "01a2071a4dd77296bcc1a76735431200",
		"x01a2071a-4dd7-7296-bcc1-a76735431200x",
	} {
		_, err := users.Create(t.Context(), time.Now(), accounts.NewUser{Username: name, Password: goodPassword}, caller.Operator())
		if bad, ok := errors.AsType[*input.Error](err); !ok || len(bad.Problems) != 1 || bad.Problems[0].Code != input.NotAllowed {
			t.Errorf("Create(%q): %v, want not_allowed", name, err)
		}
	}
}

// A command takes a name with a hyphen for a flag, and a user takes one with an @ for an
// address. The users who have one from before sign in as ever.
func TestNewUsernamesLookLikeNoFlagAndNoAddress(t *testing.T) {
	db := open(t)
	users := newUsers(t, db)
	for _, name := range []string{"-", "-alice", "--help", " -alice", "alice@example.com", "@alice", "alice@", "alice＠example.com"} {
		for _, by := range []caller.Caller{caller.Operator(), {Address: "192.0.2.1"}} {
			_, err := users.Create(t.Context(), time.Now(), accounts.NewUser{Username: name, Password: goodPassword}, by)
			if bad, ok := errors.AsType[*input.Error](err); !ok || len(bad.Problems) != 1 || bad.Problems[0].Code != input.NotAllowed {
				t.Errorf("Create(%q): %v, want not_allowed", name, err)
			}
		}
	}
	for i, name := range []string{"-alice", "alice@example.com"} {
		old := create(t, users, fmt.Sprint("old", i), goodPassword)
		old.ID, old.Username = ids.New[ids.User](), name
		if err := db.CreateUser(t.Context(), old, audit.Event{Kind: audit.UserCreated, Time: time.Now(), UserID: old.ID}); err != nil {
			t.Fatal(err)
		}
		if got, err := users.Authenticate(t.Context(), time.Now(), name, goodPassword, caller.Caller{}); err != nil || got.ID != old.ID {
			t.Errorf("Authenticate(%q) = %v, %v", name, got.ID, err)
		}
	}
}

// Normalising a longer text costs more, so a text that is far too long isn't
// normalised.
func TestEndlessNamesAreNotNormalised(t *testing.T) {
	users := newUsers(t, open(t))
	endless := strings.Repeat("\u0390", 30_000)
	_, err := users.Create(t.Context(), time.Now(), accounts.NewUser{Username: endless, Email: endless, Password: goodPassword}, caller.Operator())
	bad, ok := errors.AsType[*input.Error](err)
	if !ok || len(bad.Problems) != 2 || bad.Problems[0].Code != input.TooLong || bad.Problems[1].Code != input.TooLong {
		t.Errorf("Create: %v, want two too_long", err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	users.Create(t.Context(), time.Now(), accounts.NewUser{Username: endless, Email: endless, Password: goodPassword}, caller.Operator())
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > uint64(len(endless))/2 {
		t.Errorf("refusing it allocated %d bytes, as if it was copied", got)
	}
}

func TestTakenNameIsRefusedBeforeHashing(t *testing.T) {
	users := newUsers(t, open(t))
	create(t, users, "alice", goodPassword)
	work := users.Watch()
	for _, name := range []string{"alice", "ALICE", "ａｌｉｃｅ"} {
		_, err := users.Create(t.Context(), time.Now(), accounts.NewUser{Username: name, Password: goodPassword}, caller.Operator())
		inputtest.Want(t, err, "username taken")
		if !errors.Is(err, accounts.ErrUsernameTaken) {
			t.Errorf("%v is not ErrUsernameTaken", err)
		}
	}
	if got := work.Take(); got != nil {
		t.Errorf("refusing cost %d hashes", len(got))
	}
}

func TestTakenEmailIsRefusedWhateverItsCase(t *testing.T) {
	users := newUsers(t, open(t))
	for _, n := range []accounts.NewUser{
		{Username: "alice", Email: "straße@Example.com", Password: goodPassword},
		{Username: "bob", Password: goodPassword},
		{Username: "carol", Password: goodPassword}, // none collides with none
	} {
		if _, err := users.Create(t.Context(), time.Now(), n, caller.Operator()); err != nil {
			t.Fatal(err)
		}
	}
	_, err := users.Create(t.Context(), time.Now(), accounts.NewUser{Username: "dave", Email: "STRASSE@example.COM", Password: goodPassword}, caller.Operator())
	inputtest.Want(t, err, "email taken")
	if !errors.Is(err, accounts.ErrEmailTaken) {
		t.Errorf("%v is not ErrEmailTaken", err)
	}
}

func TestOneOfManySimultaneousSignupsGetsTheName(t *testing.T) {
	users := newUsers(t, open(t))
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = users.Create(t.Context(), time.Now(), accounts.NewUser{Username: "alice", Password: goodPassword}, caller.Operator())
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, accounts.ErrUsernameTaken) {
			t.Errorf("loser got %v, want ErrUsernameTaken", err)
		}
	}
	if won != 1 {
		t.Errorf("%d got the name, want 1", won)
	}
}

func TestSetPassword(t *testing.T) {
	db := open(t)
	users := newUsers(t, db)
	user, err := users.Create(t.Context(), time.Now(), accounts.NewUser{Username: "alice", Email: "wonderland@example.com", Password: goodPassword}, caller.Operator())
	if err != nil {
		t.Fatal(err)
	}
	from := caller.Operator()
	from.Address, from.RequestID = home, "r2"
	set := func(password string) error {
		return users.SetPassword(t.Context(), time.Now(), user.ID, secrecy.Text(password), from)
	}
	inputtest.Want(t, set("short"), "password too_short")
	inputtest.Want(t, set("password1"), "password too_common")
	inputtest.Want(t, set("down in Wonderland again"), "password contains_personal")
	if _, err := users.Authenticate(t.Context(), time.Now(), "alice", goodPassword, caller.Caller{Address: home}); err != nil {
		t.Errorf("a refused change must leave the old password: %v", err)
	}
	if err := set("another harbour at dawn"); err != nil {
		t.Fatal(err)
	}
	if _, err := users.Authenticate(t.Context(), time.Now(), "alice", goodPassword, caller.Caller{Address: home}); !errors.Is(err, accounts.ErrBadCredentials) {
		t.Errorf("old password: %v, want ErrBadCredentials", err)
	}
	after, err := users.Authenticate(t.Context(), time.Now(), "alice", "another harbour at dawn", caller.Caller{Address: home})
	if err != nil || after.Epoch <= user.Epoch {
		t.Errorf("new password: epoch %d, %v, want one after %d", after.Epoch, err, user.Epoch)
	}
	if diff := cmp.Diff([]string{"user.created from  in ", "user.password_changed from 192.0.2.1 in r2"}, storetest.Events(t, db)); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
	if err := users.SetPassword(t.Context(), time.Now(), ids.New[ids.User](), goodPassword, caller.Operator()); !errors.Is(err, accounts.ErrUnknownUser) {
		t.Errorf("unknown user: %v", err)
	}
}

func TestDisableEnableDelete(t *testing.T) {
	db := open(t)
	users := newUsers(t, db)
	user := create(t, users, "alice", goodPassword)
	origin := caller.Operator()
	origin.Address, origin.RequestID = home, "r3"
	signIn := func() error {
		_, err := users.Authenticate(t.Context(), time.Now(), "alice", goodPassword, caller.Caller{Address: home})
		return err
	}
	if err := users.Disable(t.Context(), time.Now(), user.ID, origin); err != nil {
		t.Fatal(err)
	}
	if err := signIn(); !errors.Is(err, accounts.ErrDisabled) {
		t.Errorf("disabled: %v, want ErrDisabled", err)
	}
	if err := users.Enable(t.Context(), time.Now(), user.ID, origin); err != nil {
		t.Fatal(err)
	}
	if err := signIn(); err != nil {
		t.Errorf("enabled: %v", err)
	}
	if err := users.Delete(t.Context(), time.Now(), user.ID, origin); err != nil {
		t.Fatal(err)
	}
	if err := signIn(); !errors.Is(err, accounts.ErrBadCredentials) {
		t.Errorf("deleted: %v, want ErrBadCredentials", err)
	}
	if _, err := users.ByID(t.Context(), user.ID); !errors.Is(err, accounts.ErrUnknownUser) {
		t.Errorf("ByID of a deleted user: %v", err)
	}
	for name, do := range map[string]func() error{
		"Disable": func() error { return users.Disable(t.Context(), time.Now(), user.ID, origin) },
		"Enable":  func() error { return users.Enable(t.Context(), time.Now(), user.ID, origin) },
		"Delete":  func() error { return users.Delete(t.Context(), time.Now(), user.ID, origin) },
	} {
		if err := do(); !errors.Is(err, accounts.ErrUnknownUser) {
			t.Errorf("%s an unknown user: %v, want ErrUnknownUser", name, err)
		}
	}
	want := []string{"user.created from  in ", "user.disabled from 192.0.2.1 in r3", "user.enabled from 192.0.2.1 in r3", "user.deleted from 192.0.2.1 in r3"}
	if diff := cmp.Diff(want, storetest.Events(t, db)); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
}

func TestListGoesOnAfterAName(t *testing.T) {
	users := newUsers(t, open(t))
	for _, name := range []string{"carol", "alice", "bob"} {
		create(t, users, name, goodPassword)
	}
	var names []string
	for after := ""; ; {
		page, err := users.List(t.Context(), accounts.User{Username: after}, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, u := range page {
			names = append(names, u.Username)
		}
		after = names[len(names)-1]
	}
	if diff := cmp.Diff([]string{"alice", "bob", "carol"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestMalformedNameIsAnUnknownUser(t *testing.T) {
	if _, err := newUsers(t, open(t)).ByUsername(t.Context(), "a b"); !errors.Is(err, accounts.ErrUnknownUser) {
		t.Errorf("ByUsername: %v, want ErrUnknownUser", err)
	}
}
