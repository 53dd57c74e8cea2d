package storetest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/ids"
	"countersign/store"
	"countersign/tokens"
)

var userPromises = []promise{
	{"CreateUser/every field comes back", func(t *testing.T, db *store.DB) {
		want := accounts.User{
			ID: ids.New[ids.User](), Username: "zoë한글", Email: "Zoë+tag@Example.COM", EmailVerified: true, Roles: []string{"admin", odd, "<&>"},
			PasswordHash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA", Epoch: 41, DisabledAt: at.Add(3 * time.Millisecond),
			CreatedAt: at.Add(time.Millisecond), UpdatedAt: at.Add(2 * time.Millisecond),
		}
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.CreateUser(ctx, want, event(audit.UserCreated)))
		}, event(audit.UserCreated))
		isUser(t, db, want)
	}},
	{"CreateUser/what is absent stays absent", func(t *testing.T, db *store.DB) {
		isUser(t, db, addUser(t, db, "alice"))
	}},
	{"CreateUser/the longest fields fit", func(t *testing.T, db *store.DB) {
		want := user(strings.Repeat("𐐨", 64)) // four bytes per character
		want.Email = strings.Repeat("e", 64) + "@" + strings.Repeat("d", 185) + ".com"
		want.Roles = numbered(strings.Repeat("𐐨", 60), 50)
		want.PasswordHash = "$" + strings.Repeat("h", 254)
		succeeds(t, db.CreateUser(t.Context(), want, event(audit.UserCreated)))
		isUser(t, db, want)
	}},
	{"CreateUser/a username is taken once", func(t *testing.T, db *store.DB) {
		first := addUser(t, db, "alice")
		second := user("alice")
		second.Email = "alice@example.com"
		leaves(t, db, func(ctx context.Context) {
			fails(t, "same username", db.CreateUser(ctx, second, event(audit.UserCreated)), accounts.ErrUsernameTaken)
		})
		isUser(t, db, first)
		_, err := db.User(t.Context(), second.ID)
		fails(t, "the refused user", err, accounts.ErrUnknownUser)
		third := user("bob")
		third.Email = second.Email // the refused user doesn't hold the address
		succeeds(t, db.CreateUser(t.Context(), third, event(audit.UserCreated)))
	}},
	{"CreateUser/an e-mail address is taken once, in whatever case", func(t *testing.T, db *store.DB) {
		first := user("alice")
		first.Email = "Jürgen@Straße.example"
		succeeds(t, db.CreateUser(t.Context(), first, event(audit.UserCreated)))
		for i, email := range []string{
			"Jürgen@Straße.example", "jürgen@straße.example", "JÜRGEN@STRASSE.EXAMPLE", "Ju\u0308rgen@straße.example", "ｊürgen@straße.example",
		} {
			other := user(numbered("bob", 9)[i])
			other.Email = email
			leaves(t, db, func(ctx context.Context) {
				fails(t, email, db.CreateUser(ctx, other, event(audit.UserCreated)), accounts.ErrEmailTaken)
			})
			_, err := db.UserByUsername(t.Context(), other.Username)
			fails(t, "the refused user", err, accounts.ErrUnknownUser)
		}
		isUser(t, db, first)
	}},
	{"CreateUser/addresses that differ by an accent are two", func(t *testing.T, db *store.DB) {
		for i, email := range []string{"jurgen@example.com", "jürgen@example.com", "jurgen@example.co"} {
			u := user(numbered("user", 3)[i])
			u.Email = email
			succeeds(t, db.CreateUser(t.Context(), u, event(audit.UserCreated)))
		}
	}},
	{"CreateUser/any number have no e-mail", func(t *testing.T, db *store.DB) {
		for _, name := range numbered("user", 3) {
			addUser(t, db, name)
		}
	}},
	{"CreateUser/names that only resemble one another are different people", func(t *testing.T, db *store.DB) {
		for _, name := range alike {
			addUser(t, db, name)
		}
		for _, name := range alike {
			u, err := db.UserByUsername(t.Context(), name)
			succeeds(t, err)
			same(t, "username found", u.Username, name)
		}
	}},
	{"CreateUser/a cancelled one leaves nothing", func(t *testing.T, db *store.DB) {
		u := user("alice")
		leaves(t, db, func(ctx context.Context) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			fails(t, "cancelled", db.CreateUser(ctx, u, event(audit.UserCreated)), context.Canceled)
		})
		_, err := db.User(t.Context(), u.ID)
		fails(t, "the user", err, accounts.ErrUnknownUser)
		succeeds(t, db.CreateUser(t.Context(), u, event(audit.UserCreated)))
	}},

	{"UserByUsername/only the exact name finds", func(t *testing.T, db *store.DB) {
		addUser(t, db, "alice")
		for _, name := range []string{"Alice", "ALICE", "alicé", "alice ", " alice", "alice\x00", "alic", "alic_", "%", ""} {
			_, err := db.UserByUsername(t.Context(), name)
			fails(t, name, err, accounts.ErrUnknownUser)
		}
	}},
	{"User/an unknown id is ErrUnknownUser", func(t *testing.T, db *store.DB) {
		addUser(t, db, "alice")
		for _, id := range []ids.User{{}, lastID[ids.User](), ids.New[ids.User]()} {
			_, err := db.User(t.Context(), id)
			fails(t, id.String(), err, accounts.ErrUnknownUser)
		}
	}},
	{"Users/pages through all by name", func(t *testing.T, db *store.DB) {
		want := append(numbered("user", 7), alike...)
		for _, name := range want {
			addUser(t, db, name)
		}
		slices.Sort(want) // in byte order
		var got []string
		for after := ""; len(got) <= len(want); {
			page, err := db.Users(t.Context(), accounts.User{Username: after}, 4)
			succeeds(t, err)
			if len(page) > 4 {
				t.Fatalf("got %d users, asked for at most 4", len(page))
			}
			if len(page) == 0 {
				break
			}
			for _, u := range page {
				got = append(got, u.Username)
			}
			after = got[len(got)-1]
		}
		same(t, "usernames", got, want)
	}},

	{"DisableUser/bars the user and ends all sessions", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		_, other := signIn(t, db, "bob")
		now := at.Add(time.Minute)
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.DisableUser(ctx, u.ID, now, event(audit.UserDisabled)))
		}, event(audit.UserDisabled))
		u.DisabledAt, u.UpdatedAt, u.Epoch = now, now, u.Epoch+1
		isUser(t, db, u)
		sessionGone(t, db, s)
		lives(t, db, other)
	}},
	{"DisableUser/a second time changes nothing", func(t *testing.T, db *store.DB) {
		u := addUser(t, db, "alice")
		succeeds(t, db.DisableUser(t.Context(), u.ID, at, event(audit.UserDisabled)))
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.DisableUser(ctx, u.ID, at.Add(time.Minute), event(audit.UserDisabled)))
		})
		u.DisabledAt, u.Epoch = at, u.Epoch+1
		isUser(t, db, u)
	}},
	{"DisableUser/an unknown user is ErrUnknownUser", func(t *testing.T, db *store.DB) {
		leaves(t, db, func(ctx context.Context) {
			fails(t, "disable", db.DisableUser(ctx, ids.New[ids.User](), at, event(audit.UserDisabled)), accounts.ErrUnknownUser)
		})
	}},

	{"EnableUser/lets the user in, without the former sessions", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		succeeds(t, db.DisableUser(t.Context(), u.ID, at, event(audit.UserDisabled)))
		now := at.Add(time.Minute)
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.EnableUser(ctx, u.ID, now, event(audit.UserEnabled)))
		}, event(audit.UserEnabled))
		u.UpdatedAt, u.Epoch = now, u.Epoch+1
		isUser(t, db, u)
		sessionGone(t, db, s)
		lives(t, db, addSession(t, db, u, s.ClientID))
	}},
	{"EnableUser/an enabled user stays as is", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.EnableUser(ctx, u.ID, at.Add(time.Minute), event(audit.UserEnabled)))
		})
		isUser(t, db, u)
		lives(t, db, s)
	}},
	{"EnableUser/an unknown user is ErrUnknownUser", func(t *testing.T, db *store.DB) {
		leaves(t, db, func(ctx context.Context) {
			fails(t, "enable", db.EnableUser(ctx, ids.New[ids.User](), at, event(audit.UserEnabled)), accounts.ErrUnknownUser)
		})
	}},

	{"ProveEmail/makes the address proven, once", func(t *testing.T, db *store.DB) {
		u := withEmail(t, db, "alice", "a@example.com")
		now := at.Add(time.Minute)
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.ProveEmail(ctx, u.ID, u.Email, now, event(audit.UserEmailVerified)))
			succeeds(t, db.ProveEmail(ctx, u.ID, u.Email, now.Add(time.Minute), event(audit.UserEmailVerified)))
		}, event(audit.UserEmailVerified))
		u.EmailVerified, u.UpdatedAt = true, now
		isUser(t, db, u)
	}},
	{"ProveEmail/the first to have it proven has it", func(t *testing.T, db *store.DB) {
		var users []accounts.User
		for _, name := range []string{"alice", "bob"} {
			u := user(name)
			u.Email, u.EmailUnclaimed = "a@example.com", true
			if name == "bob" {
				u.Email = "A@example.com"
			}
			succeeds(t, db.CreateUser(t.Context(), u, event(audit.UserCreated)))
			users = append(users, u)
		}
		succeeds(t, db.ProveEmail(t.Context(), users[1].ID, users[1].Email, at, event(audit.UserEmailVerified)))
		leaves(t, db, func(ctx context.Context) {
			fails(t, "second", db.ProveEmail(ctx, users[0].ID, users[0].Email, at, event(audit.UserEmailVerified)), accounts.ErrEmailTaken)
		})
		got, err := db.UserByEmail(t.Context(), accounts.EmailKey("a@example.com"))
		succeeds(t, err)
		same(t, "owner", got.ID, users[1].ID)
	}},
	{"ProveEmail/no other address than the user's", func(t *testing.T, db *store.DB) {
		u := withEmail(t, db, "alice", "a@example.com")
		leaves(t, db, func(ctx context.Context) {
			fails(t, "another", db.ProveEmail(ctx, u.ID, "b@example.com", at, event(audit.UserEmailVerified)), accounts.ErrNoEmail)
			fails(t, "unknown", db.ProveEmail(ctx, ids.New[ids.User](), u.Email, at, event(audit.UserEmailVerified)), accounts.ErrUnknownUser)
		})
		isUser(t, db, u)
		none := addUser(t, db, "bob")
		fails(t, "none", db.ProveEmail(t.Context(), none.ID, "b@example.com", at, event(audit.UserEmailVerified)), accounts.ErrNoEmail)
	}},

	{"SetPasswordHash/replaces the hash and ends all sessions", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		_, other := signIn(t, db, "bob")
		now := at.Add(time.Minute)
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.SetPasswordHash(ctx, u.ID, "new", accounts.By{Operator: true}, now, event(audit.UserPasswordChanged)))
		}, event(audit.UserPasswordChanged))
		u.PasswordHash, u.UpdatedAt, u.Epoch = "new", now, u.Epoch+1
		isUser(t, db, u)
		sessionGone(t, db, s)
		lives(t, db, other)
	}},
	{"SetPasswordHash/moves the epoch even if the hash is the same", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		succeeds(t, db.SetPasswordHash(t.Context(), u.ID, u.PasswordHash, accounts.By{Operator: true}, at, event(audit.UserPasswordChanged)))
		u.Epoch++
		isUser(t, db, u)
		sessionGone(t, db, s)
	}},
	{"SetPasswordHash/an unknown user is ErrUnknownUser", func(t *testing.T, db *store.DB) {
		leaves(t, db, func(ctx context.Context) {
			fails(t, "set", db.SetPasswordHash(ctx, ids.New[ids.User](), "new", accounts.By{Operator: true}, at, event(audit.UserPasswordChanged)), accounts.ErrUnknownUser)
		})
	}},

	{"RemovePassword/of a user who has another way in", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		by := func(epoch int64) accounts.By {
			return accounts.By{Place: ids.Place{Session: s.ID}, Epoch: epoch}
		}
		remove := func(by accounts.By) error {
			return db.RemovePassword(t.Context(), u.ID, nil, by, at, event(audit.UserPasswordRemoved))
		}
		other := func() bool {
			is, err := db.OtherWayIn(t.Context(), u.ID, nil)
			succeeds(t, err)
			return is
		}
		inForce(t, db, s, 1) // an app is none
		same(t, "with an app", other(), false)
		leaves(t, db, func(context.Context) { fails(t, "the last way in", remove(by(u.Epoch+1)), accounts.ErrLastWayIn) })

		passkey := totp(u.ID)
		passkey.Kind = "passkey"
		succeeds(t, db.AddTOTP(t.Context(), passkey, ids.Place{Session: s.ID}))
		same(t, "with a passkey that is not in force", other(), false)
		_, err := db.ConfirmTOTP(t.Context(), u.ID, passkey.ID, 1, codesOf(9), at, ids.Place{Session: s.ID}, event(audit.FactorAdded))
		succeeds(t, err)
		same(t, "with a passkey", other(), true)
		elsewhere := addSession(t, db, accounts.User{ID: u.ID, Epoch: u.Epoch + 1}, s.ClientID)
		leaves(t, db, func(context.Context) {
			fails(t, "of another epoch", remove(by(u.Epoch)), accounts.ErrBadCredentials)
			fails(t, "from nowhere", remove(accounts.By{Epoch: u.Epoch + 1}), accounts.ErrSignedOut)
			fails(t, "by the zero By", remove(accounts.By{}), accounts.ErrSignedOut)
		})
		leaves(t, db, func(context.Context) { succeeds(t, remove(by(u.Epoch+1))) }, event(audit.UserPasswordRemoved))
		got, err := db.User(t.Context(), u.ID)
		succeeds(t, err)
		same(t, "hash", got.PasswordHash, "")
		same(t, "epoch", got.Epoch, u.Epoch+2)
		sessionGone(t, db, elsewhere)
		s.Epoch, s.Methods = u.Epoch+2, withCode
		lives(t, db, s)
		is, err := db.OtherWayIn(t.Context(), ids.New[ids.User](), nil)
		succeeds(t, err)
		same(t, "an unknown user's", is, false)
	}},
	{"UpgradePasswordHash/replaces the hash alone", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.UpgradePasswordHash(ctx, u.ID, u.PasswordHash, "stronger"))
		})
		u.PasswordHash = "stronger"
		isUser(t, db, u)
		lives(t, db, s)
	}},
	{"UpgradePasswordHash/a changed password stays", func(t *testing.T, db *store.DB) {
		u := addUser(t, db, "alice")
		for _, old := range []string{"older", strings.ToUpper(u.PasswordHash), u.PasswordHash + " ", ""} {
			succeeds(t, db.UpgradePasswordHash(t.Context(), u.ID, old, "stronger"))
		}
		succeeds(t, db.UpgradePasswordHash(t.Context(), ids.New[ids.User](), u.PasswordHash, "stronger"))
		isUser(t, db, u)
	}},

	{"By/the zero By is not the operator", func(t *testing.T, db *store.DB) {
		u := addUser(t, db, "alice")
		signedIn(t, db, u)
		for name, by := range map[string]accounts.By{"zero": {}, "epoch alone": {Epoch: u.Epoch}} {
			leaves(t, db, func(ctx context.Context) {
				fails(t, name+": set password", db.SetPasswordHash(ctx, u.ID, "new", by, at, event(audit.UserPasswordChanged)), accounts.ErrSignedOut)
				fails(t, name+": put profile", db.PutProfile(ctx, u.ID, by, accounts.Profile{Name: "Alice"}, at, event(audit.UserProfileChanged)), accounts.ErrSignedOut)
				fails(t, name+": delete", db.DeleteUser(ctx, u.ID, by, at, event(audit.UserDeleted)), accounts.ErrSignedOut)
			})
		}
	}},
	{"DeleteUser/removes the user and all sessions", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		_, other := signIn(t, db, "bob")
		deleted := event(audit.UserDeleted)
		deleted.UserID = u.ID
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.DeleteUser(ctx, u.ID, accounts.By{Operator: true}, at, deleted))
		}, deleted)
		_, err := db.User(t.Context(), u.ID)
		fails(t, "user", err, accounts.ErrUnknownUser)
		_, err = db.UserByUsername(t.Context(), u.Username)
		fails(t, "username", err, accounts.ErrUnknownUser)
		sessionGone(t, db, s)
		fails(t, "advance", db.AdvanceSession(t.Context(), advanced(s, at), at), tokens.ErrStale)
		lives(t, db, other)
	}},
	{"DeleteUser/sets the name and the address free", func(t *testing.T, db *store.DB) {
		u := user("alice")
		u.Email = "alice@example.com"
		succeeds(t, db.CreateUser(t.Context(), u, event(audit.UserCreated)))
		succeeds(t, db.DeleteUser(t.Context(), u.ID, accounts.By{Operator: true}, at, event(audit.UserDeleted)))
		u.ID = ids.New[ids.User]()
		succeeds(t, db.CreateUser(t.Context(), u, event(audit.UserCreated)))
		isUser(t, db, u)
	}},
	{"DeleteUser/an unknown user is ErrUnknownUser", func(t *testing.T, db *store.DB) {
		leaves(t, db, func(ctx context.Context) {
			fails(t, "delete", db.DeleteUser(ctx, ids.New[ids.User](), accounts.By{Operator: true}, at, event(audit.UserDeleted)), accounts.ErrUnknownUser)
		})
	}},
}

// alike has names that language-aware collations confuse.
var alike = []string{"strasse", "straße", "resume", "résumé", "istanbul", "ıstanbul", "ａb", "ab", "ab-", "a-b", "한글", "𐐨𐐨"}

// isUser fails the test unless every lookup finds exactly this user.
func isUser(t testing.TB, db *store.DB, want accounts.User) {
	t.Helper()
	got, err := db.User(t.Context(), want.ID)
	succeeds(t, err)
	same(t, "user by id", got, want)
	got, err = db.UserByUsername(t.Context(), want.Username)
	succeeds(t, err)
	same(t, "user by name", got, want)
	all, err := db.Users(t.Context(), accounts.User{}, 1000)
	succeeds(t, err)
	i := slices.IndexFunc(all, func(u accounts.User) bool { return u.ID == want.ID })
	if i < 0 {
		t.Fatalf("user %s is not in the list of all users", want.Username)
	}
	same(t, "user in the list", all[i], want)
}

// addHolder adds an account without a username that holds an address, unclaimed.
func addHolder(t *testing.T, db *store.DB, email, hash string, created time.Time) accounts.User {
	t.Helper()
	u := user("")
	u.Email, u.EmailUnclaimed, u.PasswordHash, u.CreatedAt = email, true, hash, created
	succeeds(t, db.CreateUser(t.Context(), u, event(audit.UserCreated)))
	return u
}

var namePromises = []promise{
	{"CreateUser/any number have no username", func(t *testing.T, db *store.DB) {
		for _, email := range []string{"a@example.com", "b@example.com"} {
			u := user("")
			u.Email = email
			succeeds(t, db.CreateUser(t.Context(), u, event(audit.UserCreated)))
			got, err := db.User(t.Context(), u.ID)
			succeeds(t, err)
			same(t, "user", got, u)
			for _, name := range []string{"", " " + u.ID.String(), u.ID.String()} {
				_, err := db.UserByUsername(t.Context(), name)
				fails(t, name, err, accounts.ErrUnknownUser)
				c, err := db.Claimants(t.Context(), name, "nobody@example.com")
				succeeds(t, err)
				same(t, "claimants", c, accounts.Claimants{})
			}
			l := letter(accounts.VerifyEmail, u)
			succeeds(t, db.PostLetter(t.Context(), l, ids.Place{}))
			found, err := db.Letter(t.Context(), l.ID, at)
			succeeds(t, err)
			same(t, "name in a letter", found.Username, email)
			in, err := db.Login(t.Context(), addLogin(t, db, u).ID, at)
			succeeds(t, err)
			same(t, "name in a login", in.Username, email)
		}
	}},
	{"Users/without a name, by id", func(t *testing.T, db *store.DB) {
		addUser(t, db, "alice")
		var want []string
		for _, email := range []string{"a@example.com", "b@example.com", "c@example.com"} {
			want = append(want, addHolder(t, db, email, "hash", at).ID.String())
		}
		slices.Sort(want)
		var got []string
		for last := (accounts.User{}); ; {
			page, err := db.Users(t.Context(), last, 2)
			succeeds(t, err)
			if len(page) == 0 {
				break
			}
			for _, u := range page {
				got = append(got, u.ID.String())
			}
			last = page[len(page)-1]
		}
		same(t, "users without a name", got[:len(got)-1], want)
	}},
	{"Claimants/by name, by address, and unclaimed", func(t *testing.T, db *store.DB) {
		name := addUser(t, db, "a@example.com")
		claims := user("alice")
		claims.Email = "A@example.com"
		succeeds(t, db.CreateUser(t.Context(), claims, event(audit.UserCreated)))
		addHolder(t, db, "a@EXAMPLE.com", "hash 1", at)
		newest := addHolder(t, db, "a@example.com", "hash 2", at.Add(time.Second))
		addHolder(t, db, "b@example.com", "hash 1", at)
		got, err := db.Claimants(t.Context(), "a@example.com", "a@example.com")
		succeeds(t, err)
		same(t, "claimants", got, accounts.Claimants{ByUsername: name, ByEmail: claims, Unclaimed: newest})
		got, err = db.Claimants(t.Context(), "alice", "c@example.com")
		succeeds(t, err)
		same(t, "claimants", got, accounts.Claimants{ByUsername: claims})
	}},
	{"UnclaimedUser/by address and hash, until it is claimed", func(t *testing.T, db *store.DB) {
		u := addHolder(t, db, "A@example.com", "hash 1", at)
		addHolder(t, db, "a@example.com", "hash 1", at.Add(time.Second))
		got, err := db.UnclaimedUser(t.Context(), "a@example.com", "hash 1")
		succeeds(t, err)
		same(t, "user", got, u)
		for _, other := range [][2]string{{"a@example.com", "hash 2"}, {"b@example.com", "hash 1"}, {"A@example.com", "hash 1"}} {
			_, err := db.UnclaimedUser(t.Context(), other[0], other[1])
			fails(t, other[0], err, accounts.ErrUnknownUser)
		}
		succeeds(t, db.ProveEmail(t.Context(), u.ID, u.Email, at, event(audit.UserEmailVerified)))
		got, err = db.UnclaimedUser(t.Context(), "a@example.com", "hash 1")
		succeeds(t, err)
		if got.ID == u.ID {
			t.Error("the address is claimed, and the account is found by it as if it weren't")
		}
	}},
}
