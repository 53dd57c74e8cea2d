package main

import (
	"bufio"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/api"
	"countersign/audit"
	"countersign/clients"
	"countersign/ids"
	"countersign/store"
)

// Another replica's event may have an earlier time than a printed one, because its request
// took longer or its clock is behind.
func TestFollowPrintsEventsThatTurnUpLate(t *testing.T) {
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "countersign.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	now := time.Now()
	add := func(id ids.Client, at time.Time) {
		t.Helper()
		err := db.CreateClient(t.Context(), clients.Client{ID: id, CreatedAt: at, UpdatedAt: at},
			audit.Event{Time: at, Kind: audit.ClientCreated, ClientID: id})
		if err != nil {
			t.Fatal(err)
		}
	}
	add("first", now.Add(-time.Hour))
	add("second", now)

	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- interrupted(ctx, (&auditCmd{}).follow(ctx, db, audit.Filter{}, w)) }()
	lines := bufio.NewScanner(r)
	for _, want := range []string{"first", "second", "late", "third"} {
		if want == "late" {
			add("late", now.Add(-time.Minute))
		}
		if want == "third" {
			add("third", now.Add(time.Second))
		}
		if !lines.Scan() || !strings.Contains(lines.Text(), "client_id="+want) {
			t.Fatalf("got line %q, want the event of client %s", lines.Text(), want)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// The same search finds an event in the list and while following.
func TestAnEventIsTheSameTextListedAndFollowed(t *testing.T) {
	event := api.Event{Time: "2026-03-01T00:00:00Z", Kind: "client.created", ClientID: "a&b<c>"}
	var listed, followed strings.Builder
	if err := printList(printing{JSON: true}, &listed, []api.Event{event}, eventColumns); err != nil {
		t.Fatal(err)
	}
	if err := (&auditCmd{printing: printing{JSON: true}}).printLine(&followed, event); err != nil {
		t.Fatal(err)
	}
	for how, text := range map[string]string{"listed": listed.String(), "followed": followed.String()} {
		if !strings.Contains(text, `"a&b<c>"`) {
			t.Errorf("%s: %s, want the client id as it is", how, text)
		}
	}
}
