package storetest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/clients"
	"countersign/ids"
	"countersign/store"
)

// fullClient is a client with every field set.
func fullClient(id ids.Client) clients.Client {
	return clients.Client{
		ID: id, SecretHash: "sha256:c2VjcmV0", Declared: true, CreatedAt: at.Add(time.Millisecond), UpdatedAt: at.Add(2 * time.Millisecond),
		Settings: clients.Settings{
			Name: odd, Public: true, FirstParty: true,
			Grants:                 []string{"authorization_code", "refresh_token"},
			RedirectURIs:           []string{"https://app.example.com/cb?x=1&y=%2F", "http://127.0.0.1/cb", `com.example:/"cb"`},
			PostLogoutRedirectURIs: []string{"https://app.example.com/bye"},
			Origins:                []string{"https://app.example.com", "http://localhost:3000"},
			Scopes:                 []string{"openid", "read", "a:b/c"},
			Audiences:              []string{"https://api.example.com", "urn:<other>"},
			MayIntrospect:          true, RequirePKCE: true, RequireACR: "mfa", IDTokenAlg: "ES256",
			ClaimsInIDToken: true, AccessTokenType: "JWT", AccessTokenAlg: "RS256",
		},
	}
}

var clientPromises = []promise{
	{"CreateClient/every field comes back", func(t *testing.T, db *store.DB) {
		want := fullClient("App.1:x% +~")
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.CreateClient(ctx, want, event(audit.ClientCreated)))
		}, event(audit.ClientCreated))
		isClient(t, db, want)
	}},
	{"CreateClient/what is absent stays absent", func(t *testing.T, db *store.DB) {
		want := client("app")
		want.Name, want.Public = "", false
		succeeds(t, db.CreateClient(t.Context(), want, event(audit.ClientCreated)))
		isClient(t, db, want)
	}},
	{"CreateClient/each flag is its own", func(t *testing.T, db *store.DB) {
		for i, set := range []func(*clients.Client) *bool{
			func(c *clients.Client) *bool { return &c.Public },
			func(c *clients.Client) *bool { return &c.FirstParty },
			func(c *clients.Client) *bool { return &c.MayIntrospect },
			func(c *clients.Client) *bool { return &c.RequirePKCE },
			func(c *clients.Client) *bool { return &c.ClaimsInIDToken },
			func(c *clients.Client) *bool { return &c.Declared },
		} {
			want := client(numbered("app", 9)[i])
			want.Public = false
			*set(&want) = true
			succeeds(t, db.CreateClient(t.Context(), want, event(audit.ClientCreated)))
			isClient(t, db, want)
		}
	}},
	{"CreateClient/the longest fields fit", func(t *testing.T, db *store.DB) {
		want := client(strings.Repeat("i", 64))
		want.Name = strings.Repeat("𐐨", 128)
		want.RedirectURIs = numbered("https://app.example.com/"+strings.Repeat("p", 470), 100)
		want.Audiences = numbered(strings.Repeat("a", 509), 20)
		succeeds(t, db.CreateClient(t.Context(), want, event(audit.ClientCreated)))
		isClient(t, db, want)
	}},
	{"CreateClient/an id is taken once", func(t *testing.T, db *store.DB) {
		first := addClient(t, db, "app")
		leaves(t, db, func(ctx context.Context) {
			fails(t, "same id", db.CreateClient(ctx, fullClient("app"), event(audit.ClientCreated)), clients.ErrExists)
		})
		isClient(t, db, first)
	}},
	{"CreateClient/ids that differ by case are two clients", func(t *testing.T, db *store.DB) {
		isClient(t, db, addClient(t, db, "app"))
		isClient(t, db, addClient(t, db, "App"))
		isClient(t, db, addClient(t, db, "APP"))
	}},

	{"PutClient/adds a client", func(t *testing.T, db *store.DB) {
		want := fullClient("app")
		leaves(t, db, func(ctx context.Context) {
			puts(ctx, t, db, want, "", clients.Created)
		}, event(audit.ClientCreated))
		isClient(t, db, want)
	}},
	{"PutClient/replaces all but the time of creation", func(t *testing.T, db *store.DB) {
		old := fullClient("app")
		succeeds(t, db.CreateClient(t.Context(), old, event(audit.ClientCreated)))
		bystander := fullClient("App")
		succeeds(t, db.CreateClient(t.Context(), bystander, event(audit.ClientCreated)))
		want := clients.Client{ID: "app", CreatedAt: at.Add(time.Hour), UpdatedAt: at.Add(2 * time.Hour)}
		leaves(t, db, func(ctx context.Context) {
			puts(ctx, t, db, want, old.SecretHash, clients.Updated)
		}, event(audit.ClientUpdated))
		want.CreatedAt = old.CreatedAt
		isClient(t, db, want)

		full := fullClient("app")
		puts(t.Context(), t, db, full, "", clients.Updated)
		isClient(t, db, full)
		isClient(t, db, bystander)
	}},
	{"PutClient/leaves alone what is the same, and its times", func(t *testing.T, db *store.DB) {
		for _, want := range []clients.Client{fullClient("full"), {ID: "empty", CreatedAt: at, UpdatedAt: at}} {
			succeeds(t, db.CreateClient(t.Context(), want, event(audit.ClientCreated)))
			again := want
			again.CreatedAt, again.UpdatedAt, again.Scopes = at.Add(time.Hour), at.Add(time.Hour), slices.Clone(want.Scopes)
			if again.Audiences == nil {
				again.Audiences = []string{} // an empty list equals a nil one
			}
			leaves(t, db, func(ctx context.Context) { puts(ctx, t, db, again, want.SecretHash, clients.Unchanged) })
			isClient(t, db, want)
		}
	}},
	{"PutClient/each field makes a difference", func(t *testing.T, db *store.DB) {
		empty := clients.Client{ID: "app", CreatedAt: at, UpdatedAt: at}
		succeeds(t, db.CreateClient(t.Context(), empty, event(audit.ClientCreated)))
		full := reflect.ValueOf(fullClient("app").Settings)
		for i := range full.NumField() {
			c := empty
			reflect.ValueOf(&c.Settings).Elem().Field(i).Set(full.Field(i))
			puts(t.Context(), t, db, c, "", clients.Updated)
			isClient(t, db, c)
			puts(t.Context(), t, db, empty, "", clients.Updated)
		}
		declared, secret := empty, empty
		declared.Declared, secret.SecretHash = true, "hash"
		puts(t.Context(), t, db, declared, "", clients.Updated)
		puts(t.Context(), t, db, secret, "", clients.Updated)
		isClient(t, db, secret)
	}},
	{"PutClient/decided by a secret that is no longer stored is ErrStale", func(t *testing.T, db *store.DB) {
		want := fullClient("app")
		succeeds(t, db.CreateClient(t.Context(), want, event(audit.ClientCreated)))
		other := fullClient("app")
		other.Name, other.SecretHash = "other", "other"
		leaves(t, db, func(ctx context.Context) {
			for _, seen := range []string{"", "another", want.SecretHash + "x", strings.ToUpper(want.SecretHash)} {
				_, err := db.PutClient(ctx, other, seen, event(audit.ClientUpdated))
				fails(t, "seen "+seen, err, clients.ErrStale)
				_, err = db.PutClient(ctx, want, seen, event(audit.ClientUpdated))
				fails(t, "the same, seen "+seen, err, clients.ErrStale)
			}
			_, err := db.PutClient(ctx, fullClient("gone"), want.SecretHash, event(audit.ClientUpdated))
			fails(t, "deleted meanwhile", err, clients.ErrStale)
		})
		isClient(t, db, want)
	}},
	{"PutClient/its sessions live on", func(t *testing.T, db *store.DB) {
		_, s := signIn(t, db, "alice")
		succeeds(t, PutClient(t.Context(), db, fullClient(s.ClientID), event(audit.ClientUpdated)))
		lives(t, db, s)
	}},

	{"Client/only the exact id finds", func(t *testing.T, db *store.DB) {
		addClient(t, db, "app")
		for _, id := range []ids.Client{"App", "APP", "app ", " app", "ap", "ap_", "%", "", "àpp", odd} {
			_, err := db.Client(t.Context(), id)
			fails(t, string(id), err, clients.ErrUnknown)
		}
	}},
	{"Clients/lists all by id", func(t *testing.T, db *store.DB) {
		want := []string{"b", "A", "a", "B", "a b", "a-b", "a:b"}
		for _, id := range want {
			addClient(t, db, id)
		}
		all, err := db.Clients(t.Context())
		succeeds(t, err)
		var got []string
		for _, c := range all {
			got = append(got, string(c.ID))
		}
		slices.Sort(want) // in byte order
		same(t, "client ids", got, want)
	}},
	{"Clients/there may be none", func(t *testing.T, db *store.DB) {
		all, err := db.Clients(t.Context())
		succeeds(t, err)
		same(t, "clients", all, nil)
	}},

	{"Origins/lists those of all clients with their ids, and which clients are first-party", func(t *testing.T, db *store.DB) {
		none, err := db.Origins(t.Context())
		succeeds(t, err)
		same(t, "origins without clients", none, nil)
		addClient(t, db, "without")
		for _, id := range []string{"b", "a"} {
			c := client(id)
			c.Origins, c.FirstParty = []string{"https://" + id + ".example.com", "http://localhost:*"}, id == "a"
			succeeds(t, db.CreateClient(t.Context(), c, event(audit.ClientCreated)))
		}
		got, err := db.Origins(t.Context())
		succeeds(t, err)
		same(t, "origins", got, []clients.Origin{
			{Pattern: "https://a.example.com", ClientID: "a", FirstParty: true}, {Pattern: "http://localhost:*", ClientID: "a", FirstParty: true},
			{Pattern: "https://b.example.com", ClientID: "b"}, {Pattern: "http://localhost:*", ClientID: "b"},
		})
	}},

	{"SetSecretHash/replaces the secret alone", func(t *testing.T, db *store.DB) {
		want := fullClient("app")
		succeeds(t, db.CreateClient(t.Context(), want, event(audit.ClientCreated)))
		s := addSession(t, db, addUser(t, db, "alice"), "app")
		want.SecretHash, want.UpdatedAt = "sha256:other", at.Add(time.Minute)
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.SetSecretHash(ctx, "app", want.SecretHash, want.UpdatedAt, event(audit.ClientSecretRotated)))
		}, event(audit.ClientSecretRotated))
		isClient(t, db, want)
		lives(t, db, s)
	}},
	{"SetSecretHash/an unknown client is ErrUnknownClient", func(t *testing.T, db *store.DB) {
		want := addClient(t, db, "app")
		leaves(t, db, func(ctx context.Context) {
			fails(t, "set", db.SetSecretHash(ctx, "App", "hash", at, event(audit.ClientSecretRotated)), clients.ErrUnknown)
		})
		isClient(t, db, want)
	}},

	{"DeleteClient/removes the client and its sessions", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		other := addSession(t, db, u, addClient(t, db, "other").ID)
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.DeleteClient(ctx, s.ClientID, event(audit.ClientDeleted)))
		}, event(audit.ClientDeleted))
		_, err := db.Client(t.Context(), s.ClientID)
		fails(t, "client", err, clients.ErrUnknown)
		sessionGone(t, db, s)
		lives(t, db, other)
	}},
	{"Client/what is no text, or would be SQL, is unknown and does no harm", func(t *testing.T, db *store.DB) {
		addClient(t, db, "app")
		for _, id := range []string{
			"\xff", "\xc3", "\xf0\x9f", "app\x00", "app\\", "app' OR 1=1 -- ", `app" OR 1=1 -- `, "\xe5\x5c' OR 1=1 -- ", "\xbf\x27 OR 1=1 -- ",
			"app'; DROP TABLE users; -- ", "%", "app\xff",
		} {
			_, err := db.Client(t.Context(), ids.Client(id))
			fails(t, fmt.Sprintf("client %q", id), err, clients.ErrUnknown)
			_, err = db.UserByUsername(t.Context(), id)
			fails(t, fmt.Sprintf("user %q", id), err, accounts.ErrUnknownUser)
		}
	}},
	{"DeleteClient/removes all sessions, however many", func(t *testing.T, db *store.DB) {
		u, c, other := addUser(t, db, "alice"), addClient(t, db, "app"), addClient(t, db, "other")
		kept := addSession(t, db, u, other.ID)
		for range 1200 {
			addSession(t, db, u, c.ID)
		}
		succeeds(t, db.DeleteClient(t.Context(), c.ID, event(audit.ClientDeleted)))
		left, err := db.UserSessions(t.Context(), u.ID, at, ids.Session{}, 1000)
		succeeds(t, err)
		same(t, "sessions left", len(left), 1)
		lives(t, db, kept)
	}},
	{"DeleteClient/an unknown client is ErrUnknownClient", func(t *testing.T, db *store.DB) {
		want := addClient(t, db, "app")
		leaves(t, db, func(ctx context.Context) {
			fails(t, "delete", db.DeleteClient(ctx, "App", event(audit.ClientDeleted)), clients.ErrUnknown)
		})
		isClient(t, db, want)
	}},
}

// puts stores c, and fails the test unless the change is the wanted one.
func puts(ctx context.Context, t testing.TB, db *store.DB, c clients.Client, seen string, want clients.Change) {
	t.Helper()
	got, err := db.PutClient(ctx, c, seen, event("whatever"))
	succeeds(t, err)
	same(t, "change", got, want)
}

// isClient fails the test unless every lookup finds exactly this client.
func isClient(t testing.TB, db *store.DB, want clients.Client) {
	t.Helper()
	got, err := db.Client(t.Context(), want.ID)
	succeeds(t, err)
	same(t, "client", got, want)
	all, err := db.Clients(t.Context())
	succeeds(t, err)
	i := slices.IndexFunc(all, func(c clients.Client) bool { return c.ID == want.ID })
	if i < 0 {
		t.Fatalf("client %s is not in the list of all clients", want.ID)
	}
	same(t, "client in the list", all[i], want)
}
