package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/caller"
	"countersign/ids"
	"countersign/limits"
	"countersign/seal"
	"countersign/secrecy"
)

// A caller that a handler forgot to fill in is a stranger without an address: the zero
// Caller has a limited budget for everything that strangers have one for.
func TestZeroCallerIsAStrangerToEveryMethod(t *testing.T) {
	master, err := seal.Parse(seal.Generate())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	type call func(ctx context.Context, users *accounts.Users, alice accounts.User, i int, from caller.Caller) error
	budgeted := map[string]call{
		"Authenticate": func(ctx context.Context, users *accounts.Users, _ accounts.User, i int, from caller.Caller) error {
			_, err := users.Authenticate(ctx, now, "alice", secrecy.Text(fmt.Sprint("wrong ", i)), from)
			return err
		},
		"Prove": func(ctx context.Context, users *accounts.Users, alice accounts.User, i int, from caller.Caller) error {
			_, err := users.Prove(ctx, now, alice.ID, ids.Place{Session: ids.Session{1}}, secrecy.Text(fmt.Sprint("wrong ", i)), from)
			return err
		},
		"Create": func(ctx context.Context, users *accounts.Users, _ accounts.User, _ int, from caller.Caller) error {
			_, err := users.Create(ctx, now, accounts.NewUser{Username: "alice", Password: goodPassword}, from)
			return err
		},
		"RequestReset": func(ctx context.Context, users *accounts.Users, _ accounts.User, i int, from caller.Caller) error {
			return users.RequestReset(ctx, now, accounts.Correspondent{Username: fmt.Sprint("u", i)}, from)
		},
		"ResendVerification": func(ctx context.Context, users *accounts.Users, _ accounts.User, i int, from caller.Caller) error {
			return users.ResendVerification(ctx, now, accounts.Correspondent{Username: fmt.Sprint("u", i)}, from)
		},
		"RequestEmailChange": func(ctx context.Context, users *accounts.Users, alice accounts.User, i int, from caller.Caller) error {
			return users.RequestEmailChange(ctx, now, alice.ID, ids.Place{Session: ids.New[ids.Session]()}, fmt.Sprintf("a%d@example.com", i), from)
		},
	}
	budgeted["CreatedJustNow"] = func(ctx context.Context, users *accounts.Users, _ accounts.User, _ int, from caller.Caller) error {
		_, err := users.CreatedJustNow(ctx, now, accounts.NewUser{Username: "alice", Password: "wrong"}, from)
		return err
	}
	// These have no budget: a token, a live session or a proof stands for the caller, or
	// the caller has to be the operator.
	unlimited := map[string]bool{
		"ResetPassword": true, "ConfirmEmail": true, "Renew": true, // a mailed token
		"ChangePassword": true, "RemovePassword": true, "DeleteOwn": true, "SetProfile": true, // a session
		"SetPassword": true, "Disable": true, "Enable": true, "VerifyEmail": true, "Delete": true, // the operator alone
		"Unlock": true, "SetEmail": true, "AddRole": true, "RemoveRole": true,
		"SignedIn": true, "FactorNotice": true, // a sign-in, and a change of a factor
		"Link": true, "Unlink": true, // a session
	}
	for method := range reflect.TypeFor[*accounts.Users]().Methods() {
		takes := false
		for in := range method.Type.Ins() {
			takes = takes || in == reflect.TypeFor[caller.Caller]()
		}
		if !takes || unlimited[method.Name] {
			continue
		}
		do, known := budgeted[method.Name]
		if !known {
			t.Errorf("%s takes a Caller: say here whether strangers have a budget for it", method.Name)
			continue
		}
		t.Run(method.Name, func(t *testing.T) {
			db := open(t)
			users := newUsers(t, db, func(o *accounts.Options) { o.Mail, o.Seal = true, master })
			alice := create(t, users, "alice", goodPassword)
			var err error
			for i := 0; i < 31 && !errors.Is(err, limits.ErrThrottled); i++ {
				err = do(t.Context(), users, alice, i, caller.Caller{})
			}
			if !errors.Is(err, limits.ErrThrottled) {
				t.Fatalf("the zero Caller may go on and on: %v", err)
			}
			// The budget is that of strangers without an address, and not one of the request.
			if err := do(t.Context(), users, alice, 100, caller.Caller{RequestID: "another", UserAgent: "Firefox"}); !errors.Is(err, limits.ErrThrottled) {
				t.Errorf("another stranger without an address: %v", err)
			}
		})
	}
}

func TestOperatorSignsUpWithoutABudget(t *testing.T) {
	users := newUsers(t, open(t))
	create(t, users, "alice", goodPassword)
	for range 30 {
		_, err := users.Create(t.Context(), time.Now(), accounts.NewUser{Username: "alice", Password: goodPassword}, caller.Operator())
		if !errors.Is(err, accounts.ErrUsernameTaken) {
			t.Fatal(err)
		}
	}
}

func TestOnlyTheOperatorSetsAProfileWithoutASession(t *testing.T) {
	users := newUsers(t, open(t))
	alice := create(t, users, "alice", goodPassword)
	p := accounts.Profile{Name: "Alice"}
	if _, err := users.SetProfile(t.Context(), time.Now(), alice.ID, ids.Place{}, p, caller.Caller{}); !errors.Is(err, accounts.ErrSignedOut) {
		t.Errorf("the zero Caller: %v, want ErrSignedOut", err)
	}
	if _, err := users.SetProfile(t.Context(), time.Now(), alice.ID, ids.Place{}, p, caller.Operator()); err != nil {
		t.Errorf("the operator: %v", err)
	}
}

func TestOnlyTheOperatorGivesRoles(t *testing.T) {
	users := newUsers(t, open(t))
	user := accounts.NewUser{Username: "mallory", Password: goodPassword, Roles: []string{"admin"}}
	if _, err := users.Create(t.Context(), time.Now(), user, caller.Caller{Address: home}); !errors.Is(err, caller.ErrNotOperator) {
		t.Errorf("a stranger takes a role: %v, want ErrNotOperator", err)
	}
	if _, err := users.ByUsername(t.Context(), "mallory"); !errors.Is(err, accounts.ErrUnknownUser) {
		t.Errorf("the account: %v, want none", err)
	}
}

func TestOnlyTheOperatorSaysThatANewAddressIsProven(t *testing.T) {
	users := newUsers(t, open(t))
	user := accounts.NewUser{Username: "mallory", Email: "m@example.com", EmailVerified: true, Password: goodPassword}
	if _, err := users.Create(t.Context(), time.Now(), user, caller.Caller{Address: home}); !errors.Is(err, caller.ErrNotOperator) {
		t.Errorf("a stranger: %v, want ErrNotOperator", err)
	}
	if u, err := users.Create(t.Context(), time.Now(), user, caller.Operator()); err != nil || !u.EmailVerified {
		t.Errorf("the operator: %+v, %v", u, err)
	}
}

// Where users must prove their address, one that the operator knows opens the account at
// once, without a letter, and belongs to no other.
func TestAnAddressThatTheOperatorKnowsNeedsNoLetter(t *testing.T) {
	master, err := seal.Parse(seal.Generate())
	if err != nil {
		t.Fatal(err)
	}
	db := open(t)
	users := newUsers(t, db, func(o *accounts.Options) { o.Mail, o.Seal, o.RequireVerifiedEmail = true, master, true })
	now := time.Now()
	alice := accounts.NewUser{Username: "alice", Email: "a@example.com", EmailVerified: true, Password: goodPassword}
	if _, err := users.Create(t.Context(), now, alice, caller.Operator()); err != nil {
		t.Fatal(err)
	}
	if letters, err := db.DueLetters(t.Context(), now, 10); err != nil || len(letters) > 0 {
		t.Errorf("letters: %v, %v, want none", letters, err)
	}
	if _, err := users.Authenticate(t.Context(), now, "alice", goodPassword, caller.Caller{Address: home}); err != nil {
		t.Errorf("sign in: %v", err)
	}
	bob := accounts.NewUser{Username: "bob", Email: "A@example.com", EmailVerified: true, Password: goodPassword}
	if _, err := users.Create(t.Context(), now, bob, caller.Operator()); !errors.Is(err, accounts.ErrEmailTaken) {
		t.Errorf("the same address again: %v, want ErrEmailTaken", err)
	}
}

// Such an account waits for a password.
func TestOnlyTheOperatorMakesAnAccountWithoutAPassword(t *testing.T) {
	users := newUsers(t, open(t))
	user := accounts.NewUser{Username: "alice", NoPassword: true}
	if _, err := users.Create(t.Context(), time.Now(), user, caller.Caller{Address: home}); !errors.Is(err, caller.ErrNotOperator) {
		t.Errorf("a stranger: %v, want ErrNotOperator", err)
	}
	if _, err := users.Create(t.Context(), time.Now(), accounts.NewUser{Username: "alice", NoPassword: true, Password: goodPassword}, caller.Operator()); err == nil {
		t.Error("an account without a password, and with one, was made")
	}
	alice, err := users.Create(t.Context(), time.Now(), user, caller.Operator())
	if err != nil {
		t.Fatal(err)
	}
	for _, guess := range []secrecy.Text{"", goodPassword} {
		if _, err := users.Authenticate(t.Context(), time.Now(), "alice", guess, caller.Caller{Address: home}); !errors.Is(err, accounts.ErrBadCredentials) {
			t.Errorf("sign in with %q: %v, want ErrBadCredentials", string(guess), err)
		}
	}
	if err := users.SetPassword(t.Context(), time.Now(), alice.ID, goodPassword, caller.Operator()); err != nil {
		t.Fatal(err)
	}
	if _, err := users.Authenticate(t.Context(), time.Now(), "alice", goodPassword, caller.Caller{Address: home}); err != nil {
		t.Errorf("sign in with the password set: %v", err)
	}
}

func TestOnlyTheOperatorDisablesEnablesDeletesVerifiesAndSetsPasswords(t *testing.T) {
	users := newUsers(t, open(t))
	now := time.Now()
	alice, err := users.Create(t.Context(), now, accounts.NewUser{Username: "alice", Email: "a@example.com", Password: goodPassword}, caller.Operator())
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []struct {
		name string
		do   func(from caller.Caller) error
	}{
		{"SetPassword", func(from caller.Caller) error {
			return users.SetPassword(t.Context(), now, alice.ID, "another quiet harbour", from)
		}},
		{"Disable", func(from caller.Caller) error { return users.Disable(t.Context(), now, alice.ID, from) }},
		{"Enable", func(from caller.Caller) error { return users.Enable(t.Context(), now, alice.ID, from) }},
		{"VerifyEmail", func(from caller.Caller) error {
			_, err := users.VerifyEmail(t.Context(), now, alice, from)
			return err
		}},
		{"SetEmail", func(from caller.Caller) error {
			_, err := users.SetEmail(t.Context(), now, alice, "b@example.com", true, from)
			return err
		}},
		{"Unlock", func(from caller.Caller) error {
			_, err := users.Unlock(t.Context(), now, alice.ID, from)
			return err
		}},
		{"AddRole", func(from caller.Caller) error {
			_, err := users.AddRole(t.Context(), now, alice.ID, "admin", from)
			return err
		}},
		{"RemoveRole", func(from caller.Caller) error {
			_, err := users.RemoveRole(t.Context(), now, alice.ID, "admin", from)
			return err
		}},
		{"Delete", func(from caller.Caller) error { return users.Delete(t.Context(), now, alice.ID, from) }},
	} {
		before, err := users.ByID(t.Context(), alice.ID)
		if err != nil {
			t.Fatal(err)
		}
		for name, stranger := range map[string]caller.Caller{"the zero Caller": {}, "a stranger": {Address: home, RequestID: "r1"}} {
			if err := verb.do(stranger); !errors.Is(err, caller.ErrNotOperator) {
				t.Errorf("%s by %s: %v, want ErrNotOperator", verb.name, name, err)
			}
		}
		if after, err := users.ByID(t.Context(), alice.ID); err != nil || !reflect.DeepEqual(after, before) {
			t.Fatalf("%s by a stranger: the account is %+v, %v, and was %+v", verb.name, after, err, before)
		}
		if err := verb.do(caller.Operator()); err != nil {
			t.Errorf("%s by the operator: %v", verb.name, err)
		}
	}
}

func TestUsersChangeNothingOfTheirOwnWithoutASession(t *testing.T) {
	users := newUsers(t, open(t))
	alice := create(t, users, "alice", goodPassword)
	from := caller.Caller{Address: home}
	if _, err := users.ChangePassword(t.Context(), time.Now(), alice, ids.Place{}, "another quiet harbour", from); !errors.Is(err, accounts.ErrSignedOut) {
		t.Errorf("change the password: %v, want ErrSignedOut", err)
	}
	if _, err := users.RemovePassword(t.Context(), time.Now(), alice, ids.Place{}, from); !errors.Is(err, accounts.ErrSignedOut) {
		t.Errorf("remove the password: %v, want ErrSignedOut", err)
	}
	if err := users.RequestEmailChange(t.Context(), time.Now(), alice.ID, ids.Place{}, "a@example.com", from); !errors.Is(err, accounts.ErrSignedOut) {
		t.Errorf("change the address: %v, want ErrSignedOut", err)
	}
	if err := users.DeleteOwn(t.Context(), time.Now(), alice.ID, ids.Place{}, from); !errors.Is(err, accounts.ErrSignedOut) {
		t.Errorf("delete the account: %v, want ErrSignedOut", err)
	}
	if _, err := users.Authenticate(t.Context(), time.Now(), "alice", goodPassword, from); err != nil {
		t.Errorf("sign in afterwards: %v", err)
	}
}
