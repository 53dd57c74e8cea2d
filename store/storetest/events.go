package storetest

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/ids"
	"countersign/store"
)

var eventPromises = []promise{
	{"Events/every field comes back", func(t *testing.T, db *store.DB) {
		addClient(t, db, "app")
		want := audit.Event{
			Time: at.Add(time.Millisecond), Kind: audit.ClientSecretRotated, UserID: ids.New[ids.User](), ClientID: "App x", SessionID: ids.New[ids.Session](),
			KeyID: strings.Repeat("K", 43), Address: "2001:db8:ffff:ffff:ffff:ffff:255.255.255.255%eth0", RequestID: strings.Repeat("r", 64),
		}
		before := number(t, db)
		succeeds(t, db.SetSecretHash(t.Context(), "app", "hash", at, want))
		same(t, "events", recordedAfter(t, db, before), []audit.Record{{Number: number(t, db), Event: want}})
	}},
	{"Events/what is absent stays absent", func(t *testing.T, db *store.DB) {
		addClient(t, db, "app")
		got, err := db.Events(t.Context(), audit.Filter{})
		succeeds(t, err)
		same(t, "events", got, []audit.Record{{Number: number(t, db), Event: event(audit.ClientCreated)}})
	}},
	{"Events/the latest of an account of some kinds, newest first", func(t *testing.T, db *store.DB) {
		u, other := addUser(t, db, "alice"), addUser(t, db, "bob")
		first := audit.Event{Time: at, Kind: audit.UserPasswordChanged, UserID: u.ID}
		succeeds(t, db.SetPasswordHash(t.Context(), u.ID, "new", accounts.By{Operator: true}, at, first))
		for i := range 4 {
			id := []ids.User{u.ID, u.ID, u.ID, other.ID}[i]
			ev := audit.Event{Time: at, Kind: audit.UserProfileChanged, UserID: id}
			succeeds(t, db.PutProfile(t.Context(), id, accounts.By{Operator: true}, accounts.Profile{Name: strings.Repeat("x", i+1)}, at, ev))
		}
		all, err := db.Events(t.Context(), audit.Filter{UserID: u.ID, ByNumber: true})
		succeeds(t, err)
		latest := func(limit int, kinds ...audit.Kind) []audit.Record {
			got, err := db.Events(t.Context(), audit.Filter{UserID: u.ID, Latest: true, Kinds: kinds, Limit: limit})
			succeeds(t, err)
			return got
		}
		n := len(all)
		same(t, "events", latest(2, audit.UserProfileChanged), []audit.Record{all[n-1], all[n-2]})
		same(t, "events of two kinds", latest(0, audit.UserProfileChanged, audit.UserPasswordChanged), []audit.Record{all[n-1], all[n-2], all[n-3], all[0]})
		same(t, "events before others of another kind", latest(1, audit.UserPasswordChanged), []audit.Record{all[0]})
	}},
	{"Events/of one kind and user ten a minute, but for the operator's", func(t *testing.T, db *store.DB) {
		u, other := addUser(t, db, "alice"), addUser(t, db, "bob")
		change := func(id ids.User, i int, now time.Time, address string) {
			ev := audit.Event{Time: now, Kind: audit.UserProfileChanged, UserID: id, Address: address}
			succeeds(t, db.PutProfile(t.Context(), id, accounts.By{Operator: true}, accounts.Profile{Name: strings.Repeat("x", i+1)}, now, ev))
		}
		changed := func(id ids.User) (n int) {
			all, err := db.Events(t.Context(), audit.Filter{UserID: id})
			succeeds(t, err)
			for _, r := range all {
				if r.Kind == audit.UserProfileChanged {
					n++
				}
			}
			return n
		}
		for i := range 30 {
			change(u.ID, i, at, []string{"192.0.2.1", "2001:db8::1"}[i%2])
		}
		same(t, "events in a minute", changed(u.ID), 10)
		change(other.ID, 0, at, "192.0.2.1")
		same(t, "events of another user", changed(other.ID), 1)
		change(u.ID, 30, at, "")
		same(t, "events with the operator's", changed(u.ID), 11)
		for i := range 30 {
			change(u.ID, i, at.Add(time.Minute), "192.0.2.1")
		}
		same(t, "events in two minutes", changed(u.ID), 21)
	}},
	{"Events/there may be none", func(t *testing.T, db *store.DB) {
		got, err := db.Events(t.Context(), audit.Filter{})
		succeeds(t, err)
		same(t, "events", got, nil)
	}},
	{"Events/an event outlives what it is about", func(t *testing.T, db *store.DB) {
		u := user("alice")
		created, deleted := event(audit.UserCreated), event(audit.UserDeleted)
		created.UserID, deleted.UserID = u.ID, u.ID
		succeeds(t, db.CreateUser(t.Context(), u, created))
		succeeds(t, db.DeleteUser(t.Context(), u.ID, accounts.By{Operator: true}, at, deleted))
		got, err := db.Events(t.Context(), audit.Filter{UserID: u.ID})
		succeeds(t, err)
		same(t, "kinds", kinds(got), []audit.Kind{audit.UserCreated, audit.UserDeleted})
	}},
	{"Events/the filter selects", func(t *testing.T, db *store.DB) {
		addClient(t, db, "app")
		alice, bob := ids.New[ids.User](), ids.New[ids.User]()
		all := record(t, db,
			audit.Event{Kind: "1", Time: at, UserID: alice},
			audit.Event{Kind: "2", Time: at.Add(2 * time.Minute), UserID: bob},
			audit.Event{Kind: "3", Time: at.Add(time.Minute), UserID: alice}, // recorded after later events
			audit.Event{Kind: "4", Time: at.Add(3 * time.Minute)},
			audit.Event{Kind: "5", Time: at.Add(3 * time.Minute), UserID: alice},
		)
		first := audit.Place{Time: at, Number: all[0].Number - 1} // the place of the event about the client's creation
		for _, c := range []struct {
			name string
			f    audit.Filter
			want string
		}{
			{"all, by their times", audit.Filter{After: first}, "13245"},
			{"one account's", audit.Filter{UserID: alice}, "135"},
			{"one account's, by their numbers", audit.Filter{UserID: alice, ByNumber: true, After: all[0].Place(), Limit: 1}, "3"},
			{"another's", audit.Filter{UserID: bob}, "2"},
			{"an unknown user's", audit.Filter{UserID: ids.New[ids.User]()}, ""},
			{"at an instant or after it", audit.Filter{Since: at.Add(2 * time.Minute)}, "245"},
			{"a millisecond later", audit.Filter{Since: at.Add(2*time.Minute + time.Millisecond)}, "45"},
			{"after one", audit.Filter{After: all[1].Place()}, "45"},
			{"after one of the same time", audit.Filter{After: all[3].Place()}, "5"},
			{"after the last", audit.Filter{After: all[4].Place()}, ""},
			{"the oldest first", audit.Filter{After: first, Limit: 2}, "13"},
			{"all at once", audit.Filter{UserID: alice, Since: at.Add(time.Minute), After: all[0].Place(), Limit: 1}, "3"},
			{"page after page", audit.Filter{UserID: alice, Since: at.Add(time.Minute), After: all[2].Place(), Limit: 1}, "5"},
		} {
			records, err := db.Events(t.Context(), c.f)
			succeeds(t, err)
			var got string
			for _, k := range kinds(records) {
				got += string(k)
			}
			if got != c.want {
				t.Errorf("%s: got events %q, want %q", c.name, got, c.want)
			}
		}
	}},
	{"PurgeEvents/removes what is old, a batch at a time", func(t *testing.T, db *store.DB) {
		addClient(t, db, "app")
		record(t, db,
			audit.Event{Kind: "1", Time: at.Add(-3)}, audit.Event{Kind: "2", Time: at.Add(-2 * time.Millisecond)},
			audit.Event{Kind: "3", Time: at.Add(time.Millisecond)}, audit.Event{Kind: "4", Time: at.Add(-time.Millisecond)},
		)
		for _, want := range []int64{2, 1, 0} {
			n, err := db.PurgeEvents(t.Context(), at, 2)
			succeeds(t, err)
			same(t, "events purged", n, want)
		}
		got, err := db.Events(t.Context(), audit.Filter{})
		succeeds(t, err)
		same(t, "kinds left", kinds(got), []audit.Kind{audit.ClientCreated, "3"})
	}},
	{"PurgeEvents/a number is never used again", func(t *testing.T, db *store.DB) {
		addClient(t, db, "app")
		last := number(t, db)
		n, err := db.PurgeEvents(t.Context(), at.Add(time.Hour), 10)
		succeeds(t, err)
		same(t, "events purged", n, 1)
		// A reader that follows the events tells them apart by their numbers.
		if got := record(t, db, event("next"))[0].Number; got <= last {
			t.Errorf("the next event has number %d, want more than %d", got, last)
		}
	}},
}

// record records events, each through a change of a client called app.
func record(t testing.TB, db *store.DB, events ...audit.Event) []audit.Record {
	t.Helper()
	before := number(t, db)
	for _, ev := range events {
		succeeds(t, db.SetSecretHash(t.Context(), "app", rand.Text(), at, ev))
	}
	got := recordedAfter(t, db, before)
	if len(got) != len(events) {
		t.Fatalf("recorded %d events, want %d", len(got), len(events))
	}
	return got
}

func kinds(records []audit.Record) []audit.Kind {
	var all []audit.Kind
	for _, r := range records {
		all = append(all, r.Kind)
	}
	return all
}
