package storetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/factors"
	"countersign/ids"
	"countersign/oauth"
	"countersign/store"
	"countersign/tokens"
)

// totp makes a TOTP of a user that is not in force.
func totp(user ids.User) factors.Secret {
	return factors.Secret{
		Factor: factors.Factor{ID: ids.New[ids.Factor](), UserID: user, Kind: factors.TOTP, Name: "phone \U0001F4F1", CreatedAt: at},
		Sealed: []byte("sealed \x00\xff"),
	}
}

// withCode is what a user has proven who has given a password and a code.
var withCode = oauth.Methods{oauth.MethodPassword, oauth.MethodOTP, oauth.MethodMultiple}

// passkey makes a passkey of a user.
func passkey(user ids.User, n byte) factors.Passkey {
	return factors.Passkey{
		Factor:       factors.Factor{ID: ids.New[ids.Factor](), UserID: user, Kind: factors.KindPasskey, Name: "laptop", CreatedAt: at, InForce: true},
		CredentialID: []byte{n, 0, 0xff, '\''}, PublicKey: []byte("COSE \x00\xff"), SignCount: 1<<32 - 1, BackupEligible: true, BackedUp: true,
		Transports: []string{"internal", "hybrid"},
	}
}

// never says that no user must have a second factor, whatever the roles.
func never([]string) bool { return false }

// codesOf makes recovery codes.
func codesOf(digests ...byte) factors.Codes {
	c := factors.Codes{ID: ids.New[ids.Factor]()}
	for _, d := range digests {
		c.Digests = append(c.Digests, [32]byte{d, 31: 0xff})
	}
	return c
}

// inForce gives the user of a session a TOTP, confirmed at step 100, with recovery codes if it
// is the first.
func inForce(t testing.TB, db *store.DB, s tokens.Session, codes ...byte) factors.Secret {
	t.Helper()
	f := totp(s.UserID)
	succeeds(t, db.AddTOTP(t.Context(), f, ids.Place{Session: s.ID}))
	_, err := db.ConfirmTOTP(t.Context(), s.UserID, f.ID, 100, codesOf(codes...), at, ids.Place{Session: s.ID}, event(audit.FactorAdded))
	succeeds(t, err)
	return f
}

var factorPromises = []promise{
	{"Factors/every field comes back", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		f := totp(u.ID)
		here := ids.Place{Session: s.ID}
		leaves(t, db, func(ctx context.Context) { succeeds(t, db.AddTOTP(ctx, f, here)) })
		all, err := db.Factors(t.Context(), u.ID)
		succeeds(t, err)
		same(t, "pending", all, []factors.Factor{f.Factor})
		got, err := db.Pending(t.Context(), u.ID, f.ID)
		succeeds(t, err)
		same(t, "secret", got, f)
		in, err := db.InForce(t.Context(), u.ID)
		succeeds(t, err)
		same(t, "none in force", in, factors.InForce{})

		later, codes := at.Add(time.Minute), codesOf(1, 2, 3)
		leaves(t, db, func(ctx context.Context) {
			first, err := db.ConfirmTOTP(ctx, u.ID, f.ID, 100, codes, later, here, event(audit.FactorAdded))
			succeeds(t, err)
			same(t, "first", first, true)
		}, event(audit.FactorAdded))
		f.InForce, f.LastUsedAt = true, later
		all, err = db.Factors(t.Context(), u.ID)
		succeeds(t, err)
		same(t, "factors", all, []factors.Factor{f.Factor, {ID: codes.ID, UserID: u.ID, Kind: factors.RecoveryCodes, CreatedAt: later, InForce: true, Remaining: 3}})
		in, err = db.InForce(t.Context(), u.ID)
		succeeds(t, err)
		same(t, "in force", in, factors.InForce{TOTPs: []factors.Secret{f}, Codes: 3})
		_, err = db.Pending(t.Context(), u.ID, f.ID)
		fails(t, "pending no more", err, factors.ErrUnknown)
		_, err = db.ConfirmTOTP(t.Context(), u.ID, f.ID, 101, codes, later, here, event(audit.FactorAdded))
		fails(t, "confirm twice", err, factors.ErrUnknown)

		f.Name = "tablet"
		for range 2 {
			succeeds(t, db.RenameFactor(t.Context(), u.ID, f.ID, f.Name, later, here))
		}
		all, err = db.Factors(t.Context(), u.ID)
		succeeds(t, err)
		same(t, "renamed", all[0], f.Factor)
	}},
	{"ConfirmTOTP/the first signs the user out everywhere else, and no other does", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		there, login := addSession(t, db, u, s.ClientID), addLogin(t, db, u)
		first := inForce(t, db, s, 1)
		u.Epoch++
		s.Epoch++
		s.Methods = withCode
		lives(t, db, s)
		sessionGone(t, db, there)
		isOver(t, db, login)
		other, browser := addSession(t, db, u, s.ClientID), addLogin(t, db, u)
		second := totp(u.ID)
		succeeds(t, db.AddTOTP(t.Context(), second, ids.Place{Login: browser.ID}))
		added, err := db.ConfirmTOTP(t.Context(), u.ID, second.ID, 7, codesOf(9), at, ids.Place{Login: browser.ID}, event(audit.FactorAdded))
		succeeds(t, err)
		same(t, "first", added, false)
		lives(t, db, s)
		lives(t, db, other)
		browser.Methods = withCode
		loginLives(t, db, browser)
		fails(t, "the codes of the second", db.SpendCode(t.Context(), u.ID, [32]byte{9, 31: 0xff}, at, event(audit.RecoveryCodeUsed)), factors.ErrBadCode)
		fails(t, "the step of the first", db.SpendStep(t.Context(), u.ID, first.ID, 100, at), factors.ErrBadCode)
		succeeds(t, db.SpendStep(t.Context(), u.ID, second.ID, 8, at))
	}},
	{"AddTOTP/replaces what was begun, and not without end", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		here := ids.Place{Session: s.ID}
		begun, again := totp(u.ID), totp(u.ID)
		succeeds(t, db.AddTOTP(t.Context(), begun, here))
		succeeds(t, db.AddTOTP(t.Context(), again, here))
		_, err := db.Pending(t.Context(), u.ID, begun.ID)
		fails(t, "the former", err, factors.ErrUnknown)
		for range factors.MaxFactors - 1 { // and the recovery codes
			inForce(t, db, s, 1)
		}
		fails(t, "one more", db.AddTOTP(t.Context(), totp(u.ID), here), factors.ErrTooMany)
	}},
	{"SpendStep, SpendCode/once each, and the user's own", func(t *testing.T, db *store.DB) {
		_, s := signIn(t, db, "alice")
		f := inForce(t, db, s, 1, 2)
		_, his := signIn(t, db, "bob")
		inForce(t, db, his)
		pending := totp(s.UserID)
		succeeds(t, db.AddTOTP(t.Context(), pending, ids.Place{Session: s.ID}))
		spend := func(user ids.User, id ids.Factor, step int64) error {
			return db.SpendStep(t.Context(), user, id, step, at.Add(time.Hour))
		}
		fails(t, "the step that confirmed it", spend(s.UserID, f.ID, 100), factors.ErrBadCode)
		fails(t, "another user's", spend(his.UserID, f.ID, 101), factors.ErrBadCode)
		fails(t, "not in force", spend(s.UserID, pending.ID, 101), factors.ErrBadCode)
		succeeds(t, spend(s.UserID, f.ID, 102))
		fails(t, "again", spend(s.UserID, f.ID, 102), factors.ErrBadCode)
		fails(t, "an earlier one", spend(s.UserID, f.ID, 101), factors.ErrBadCode)
		code := func(user ids.User, d byte) error {
			return db.SpendCode(t.Context(), user, [32]byte{d, 31: 0xff}, at.Add(time.Hour), event(audit.RecoveryCodeUsed))
		}
		leaves(t, db, func(context.Context) {
			fails(t, "an unknown code", code(s.UserID, 3), factors.ErrBadCode)
			fails(t, "another user's code", code(his.UserID, 1), factors.ErrBadCode)
		})
		leaves(t, db, func(context.Context) { succeeds(t, code(s.UserID, 1)) }, event(audit.RecoveryCodeUsed))
		fails(t, "again", code(s.UserID, 1), factors.ErrBadCode)
		all, err := db.Factors(t.Context(), s.UserID)
		succeeds(t, err)
		for _, f := range all {
			if f.InForce && !f.LastUsedAt.Equal(at.Add(time.Hour)) {
				t.Errorf("%s was used at %v", f.Kind, f.LastUsedAt)
			}
			if f.Kind == factors.RecoveryCodes && f.Remaining != 1 {
				t.Errorf("%d codes are left", f.Remaining)
			}
		}
	}},
	{"ReplaceCodes/the former are good no more", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		here := ids.Place{Session: s.ID}
		replace := func() error {
			return db.ReplaceCodes(t.Context(), u.ID, codesOf(7, 8), at, here, event(audit.RecoveryCodesRenewed))
		}
		fails(t, "without another factor", replace(), factors.ErrUnknown)
		f := inForce(t, db, s, 1, 2)
		leaves(t, db, func(context.Context) { succeeds(t, replace()) }, event(audit.RecoveryCodesRenewed))
		fails(t, "a former one", db.SpendCode(t.Context(), u.ID, [32]byte{1, 31: 0xff}, at, event(audit.RecoveryCodeUsed)), factors.ErrBadCode)
		succeeds(t, db.SpendCode(t.Context(), u.ID, [32]byte{7, 31: 0xff}, at, event(audit.RecoveryCodeUsed)))

		// They go with the last other factor.
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.RemoveFactor(ctx, u.ID, f.ID, never, nil, at, here, event(audit.FactorRemoved)))
		}, event(audit.FactorRemoved))
		all, err := db.Factors(t.Context(), u.ID)
		succeeds(t, err)
		same(t, "factors", len(all), 0)
		fails(t, "remove twice", db.RemoveFactor(t.Context(), u.ID, f.ID, never, nil, at, here, event(audit.FactorRemoved)), factors.ErrUnknown)
		fails(t, "rename it", db.RenameFactor(t.Context(), u.ID, f.ID, "x", at, here), factors.ErrUnknown)
	}},
	{"RemoveFactor/the last stays with whom must have one", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		succeeds(t, db.ChangeRoles(t.Context(), u.ID, func([]string) ([]string, error) { return []string{"staff"}, nil }, at, event(audit.UserRolesChanged)))
		here := ids.Place{Session: s.ID}
		staff := func(roles []string) bool { return len(roles) == 1 && roles[0] == "staff" }
		begun := totp(u.ID)
		succeeds(t, db.AddTOTP(t.Context(), begun, here))
		succeeds(t, db.RemoveFactor(t.Context(), u.ID, begun.ID, staff, nil, at, here, event(audit.FactorRemoved)))
		first, second := inForce(t, db, s, 1), inForce(t, db, s)
		succeeds(t, db.RemoveFactor(t.Context(), u.ID, first.ID, staff, nil, at, here, event(audit.FactorRemoved)))
		leaves(t, db, func(ctx context.Context) {
			fails(t, "the last", db.RemoveFactor(ctx, u.ID, second.ID, staff, nil, at, here, event(audit.FactorRemoved)), factors.ErrRequired)
		})
		all, err := db.Factors(t.Context(), u.ID)
		succeeds(t, err)
		same(t, "factors", len(all), 2)
		succeeds(t, db.RemoveFactor(t.Context(), u.ID, second.ID, never, nil, at, here, event(audit.FactorRemoved)))
	}},
	{"EstablishTOTP/a first factor, once, in the epoch of the password", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		login := addLogin(t, db, u)
		f := totp(u.ID)
		f.Name = ""
		establish := func(f factors.Secret, epoch int64) error {
			return db.EstablishTOTP(t.Context(), f, 100, codesOf(1, 2), epoch, at, event(audit.FactorAdded))
		}
		leaves(t, db, func(context.Context) { fails(t, "another epoch", establish(f, u.Epoch+1), factors.ErrUnknown) })
		leaves(t, db, func(context.Context) { succeeds(t, establish(f, u.Epoch)) }, event(audit.FactorAdded))
		in, err := db.InForce(t.Context(), u.ID)
		succeeds(t, err)
		f.InForce, f.LastUsedAt = true, at
		same(t, "in force", in, factors.InForce{TOTPs: []factors.Secret{f}, Codes: 2})
		sessionGone(t, db, s)
		isOver(t, db, login)
		got, err := db.User(t.Context(), u.ID)
		succeeds(t, err)
		same(t, "epoch", got.Epoch, u.Epoch+1)
		fails(t, "the step that confirmed it", db.SpendStep(t.Context(), u.ID, f.ID, 100, at), factors.ErrBadCode)
		leaves(t, db, func(context.Context) {
			fails(t, "a second sign-in", establish(totp(u.ID), u.Epoch), factors.ErrUnknown)
			fails(t, "beside another factor", establish(totp(u.ID), u.Epoch+1), factors.ErrUnknown)
		})
		succeeds(t, db.DisableUser(t.Context(), u.ID, at, event(audit.UserDisabled)))
		bob, _ := signIn(t, db, "bob")
		succeeds(t, db.DisableUser(t.Context(), bob.ID, at, event(audit.UserDisabled)))
		fails(t, "disabled", establish(totp(bob.ID), bob.Epoch+1), factors.ErrUnknown)
	}},
	{"Factors/letters go with the change that they are about", func(t *testing.T, db *store.DB) {
		u := withEmail(t, db, "alice", "alice@example.com")
		s := signedIn(t, db, u)
		here, l := ids.Place{Session: s.ID}, letter(accounts.FactorAdded, u)
		f := totp(u.ID)
		fails(t, "confirm nothing", func() error {
			_, err := db.ConfirmTOTP(t.Context(), u.ID, f.ID, 100, codesOf(1), at, here, event(audit.FactorAdded), l)
			return err
		}(), factors.ErrUnknown)
		fails(t, "establish in another epoch", db.EstablishTOTP(t.Context(), f, 100, codesOf(1), 7, at, event(audit.FactorAdded), l), factors.ErrUnknown)
		fails(t, "spend no code", db.SpendCode(t.Context(), u.ID, [32]byte{}, at, event(audit.RecoveryCodeUsed), l), factors.ErrBadCode)
		fails(t, "remove nothing", db.RemoveFactor(t.Context(), u.ID, f.ID, never, nil, at, here, event(audit.FactorRemoved), l), factors.ErrUnknown)
		_, err := db.ResetFactors(t.Context(), u.ID, event(audit.FactorsReset), l)
		succeeds(t, err)
		same(t, "letters without a change", len(due(t, db, at)), 0)
		succeeds(t, db.EstablishTOTP(t.Context(), f, 100, codesOf(1), u.Epoch, at, event(audit.FactorAdded), l))
		same(t, "letters", due(t, db, at), []accounts.Letter{l})
	}},
	{"EstablishTOTP/one winner", func(t *testing.T, db *store.DB) {
		u, _ := signIn(t, db, "alice")
		var won atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				err := db.EstablishTOTP(context.WithoutCancel(t.Context()), totp(u.ID), 100, codesOf(1), u.Epoch, at, event(audit.FactorAdded))
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, factors.ErrUnknown) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		same(t, "winners", won.Load(), 1)
	}},
	{"Reseal/what another key has sealed", func(t *testing.T, db *store.DB) {
		_, s := signIn(t, db, "alice")
		f := inForce(t, db, s, 1)
		former := func(prefix string) []factors.Secret {
			all, err := db.FormerlySealed(t.Context(), []byte(prefix), 10)
			succeeds(t, err)
			return all
		}
		same(t, "of the first key", len(former("seale")), 0)
		got := former("other")
		same(t, "of another", len(got), 1)
		same(t, "secret", got[0].Sealed, f.Sealed)
		succeeds(t, db.Reseal(t.Context(), f.ID, []byte("changed meanwhile"), []byte("other")))
		same(t, "changed meanwhile", len(former("other")), 1)
		succeeds(t, db.Reseal(t.Context(), f.ID, f.Sealed, []byte("other, again")))
		same(t, "afterwards", len(former("other")), 0)
	}},
	{"ResetFactors/removes all", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		reset := func() (n int) {
			n, err := db.ResetFactors(t.Context(), u.ID, event(audit.FactorsReset))
			succeeds(t, err)
			return n
		}
		leaves(t, db, func(context.Context) { same(t, "none", reset(), 0) })
		inForce(t, db, s, 1)
		inForce(t, db, s)
		leaves(t, db, func(context.Context) { same(t, "reset", reset(), 2) }, event(audit.FactorsReset))
		all, err := db.Factors(t.Context(), u.ID)
		succeeds(t, err)
		same(t, "factors", len(all), 0)
	}},
	{"Factors/no place changes them that has ended, or is another user's", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		f := inForce(t, db, s, 1)
		s.Epoch, s.Methods = s.Epoch+1, withCode
		_, his := signIn(t, db, "bob")
		l := addLogin(t, db, accounts.User{ID: u.ID, Username: "alice", Epoch: s.Epoch})
		succeeds(t, db.EndLogin(t.Context(), l.ID, event(audit.LoginEnded)))
		for name, place := range map[string]ids.Place{"none": {}, "another's": {Session: his.ID}, "ended": {Login: l.ID}} {
			leaves(t, db, func(ctx context.Context) {
				_, confirm := db.ConfirmTOTP(ctx, u.ID, f.ID, 1, codesOf(5), at, place, event(audit.FactorAdded))
				for what, err := range map[string]error{
					"add": db.AddTOTP(ctx, totp(u.ID), place), "confirm": confirm,
					"replace": db.ReplaceCodes(ctx, u.ID, codesOf(5), at, place, event(audit.RecoveryCodesRenewed)),
					"rename":  db.RenameFactor(ctx, u.ID, f.ID, "x", at, place),
					"remove":  db.RemoveFactor(ctx, u.ID, f.ID, never, nil, at, place, event(audit.FactorRemoved)),
				} {
					fails(t, name+": "+what, err, factors.ErrSignedOut)
				}
			})
		}
		fails(t, "expired", db.RemoveFactor(t.Context(), u.ID, f.ID, never, nil, s.ExpiresAt, ids.Place{Session: s.ID}, event(audit.FactorRemoved)), factors.ErrSignedOut)
		lives(t, db, s)
	}},
	{"AddPasskey/every field comes back, and the first signs the user out elsewhere", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		there := addSession(t, db, u, s.ClientID)
		p := passkey(u.ID, 1)
		leaves(t, db, func(ctx context.Context) {
			first, err := db.AddPasskey(ctx, p, codesOf(1, 2), ids.Place{Session: s.ID}, event(audit.FactorAdded))
			succeeds(t, err)
			same(t, "first", first, true)
		}, event(audit.FactorAdded))
		sessionGone(t, db, there)
		s.Epoch++
		s.Methods = oauth.Methods{oauth.MethodPassword, oauth.MethodSoftwareKey, oauth.MethodPresence, oauth.MethodMultiple}
		lives(t, db, s)
		got, err := db.PasskeyOf(t.Context(), p.CredentialID)
		succeeds(t, err)
		same(t, "passkey", got, p)
		in, err := db.InForce(t.Context(), u.ID)
		succeeds(t, err)
		same(t, "in force", in, factors.InForce{Passkeys: []factors.Passkey{p}, Codes: 2})
		_, err = db.PasskeyOf(t.Context(), []byte("another"))
		fails(t, "another", err, factors.ErrUnknown)
		_, his := signIn(t, db, "bob")
		again := passkey(his.UserID, 1)
		_, err = db.AddPasskey(t.Context(), again, codesOf(3), ids.Place{Session: his.ID}, event(audit.FactorAdded))
		fails(t, "the same credential of another user", err, factors.ErrTaken)
		lives(t, db, his)
		succeeds(t, db.RemoveFactor(t.Context(), u.ID, p.ID, never, nil, at, ids.Place{Session: s.ID}, event(audit.FactorRemoved)))
		_, err = db.PasskeyOf(t.Context(), p.CredentialID)
		fails(t, "removed", err, factors.ErrUnknown)
		_, err = db.UsePasskey(t.Context(), p, at, event(audit.FactorCounterRegressed))
		fails(t, "use it", err, factors.ErrUnknown)
	}},
	{"EstablishPasskey/the first factor of a user who isn't signed in yet", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		p := passkey(u.ID, 1)
		establish := func(p factors.Passkey, epoch int64) error {
			return db.EstablishPasskey(t.Context(), p, codesOf(1), epoch, event(audit.FactorAdded))
		}
		leaves(t, db, func(context.Context) { fails(t, "another epoch", establish(p, u.Epoch+1), factors.ErrUnknown) })
		leaves(t, db, func(context.Context) { succeeds(t, establish(p, u.Epoch)) }, event(audit.FactorAdded))
		sessionGone(t, db, s)
		got, err := db.PasskeyOf(t.Context(), p.CredentialID)
		succeeds(t, err)
		same(t, "passkey", got, p)
		fails(t, "a second", establish(passkey(u.ID, 2), u.Epoch+1), factors.ErrUnknown)
		other := addUser(t, db, "bob")
		fails(t, "the same credential", establish(passkey(other.ID, 1), other.Epoch), factors.ErrTaken)
	}},
	{"UsePasskey/a counter that goes back is an event, and counts only if the key may be on several devices", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		use := func(p factors.Passkey, count uint32, regresses bool, want uint32, events ...audit.Event) {
			t.Helper()
			p.SignCount, p.BackedUp = count, count == 7
			later := at.Add(time.Duration(count) * time.Minute)
			leaves(t, db, func(ctx context.Context) {
				regressed, err := db.UsePasskey(ctx, p, later, event(audit.FactorCounterRegressed))
				succeeds(t, err)
				same(t, "regressed", regressed, regresses)
			}, events...)
			got, err := db.PasskeyOf(t.Context(), p.CredentialID)
			succeeds(t, err)
			same(t, "counter", got.SignCount, want)
			if !regresses || p.BackupEligible {
				same(t, "used", got.LastUsedAt, later)
				same(t, "backed up", got.BackedUp, p.BackedUp)
			}
		}
		for i, eligible := range []bool{true, false} {
			p := passkey(u.ID, byte(i))
			p.SignCount, p.BackupEligible, p.BackedUp = 0, eligible, false
			_, err := db.AddPasskey(t.Context(), p, codesOf(1), ids.Place{Session: s.ID}, event(audit.FactorAdded))
			succeeds(t, err)
			use(p, 0, false, 0) // a device that doesn't count
			use(p, 7, false, 7)
			use(p, 7, true, 7, event(audit.FactorCounterRegressed))
			use(p, 3, true, 7, event(audit.FactorCounterRegressed))
			use(p, 0, true, 7, event(audit.FactorCounterRegressed))
			use(p, 8, false, 8)
		}
	}},
	{"DeleteUser/the factors go, too", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		inForce(t, db, s, 1)
		succeeds(t, db.DeleteUser(t.Context(), u.ID, accounts.By{Operator: true}, at, event(audit.UserDeleted)))
		all, err := db.Factors(t.Context(), u.ID)
		succeeds(t, err)
		same(t, "factors", len(all), 0)
	}},
}

var factorRaces = []racePromise{
	{"SpendStep, SpendCode/one of several at once", func(t *testing.T, r replicas) {
		for round := range rounds {
			_, s := signIn(t, r[0], "alice"+string(rune('a'+round)))
			f := inForce(t, r[0], s, byte(round))
			for what, spend := range map[string]func(ctx context.Context, db *store.DB) error{
				"step": func(ctx context.Context, db *store.DB) error { return db.SpendStep(ctx, s.UserID, f.ID, 101, at) },
				"code": func(ctx context.Context, db *store.DB) error {
					return db.SpendCode(ctx, s.UserID, [32]byte{byte(round), 31: 0xff}, at, event(audit.RecoveryCodeUsed))
				},
			} {
				won := 0
				for _, err := range r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, _ int) error { return spend(ctx, db) }) {
					switch {
					case err == nil:
						won++
					case !errors.Is(err, factors.ErrBadCode):
						t.Error(err)
					}
				}
				same(t, what+"s spent", won, 1)
			}
		}
	}},
	{"UsePasskey/of several at once with one counter, one is not a regress", func(t *testing.T, r replicas) {
		for round := range rounds {
			u, s := signIn(t, r[0], "alice"+string(rune('a'+round)))
			p := passkey(u.ID, byte(round))
			p.SignCount, p.BackupEligible = 0, false
			_, err := r[0].AddPasskey(t.Context(), p, codesOf(byte(round)), ids.Place{Session: s.ID}, event(audit.FactorAdded))
			succeeds(t, err)
			p.SignCount = 1
			regresses := make([]bool, racers)
			for _, err := range r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) (err error) {
				regresses[i], err = db.UsePasskey(ctx, p, at, event(audit.FactorCounterRegressed))
				return err
			}) {
				succeeds(t, err)
			}
			won := 0
			for _, regressed := range regresses {
				if !regressed {
					won++
				}
			}
			same(t, "right ones", won, 1)
		}
	}},
}
