package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"countersign/audit"
)

// A script that signs in all the time has a hundred sessions, one of which it uses, and
// the list of them comes in pages.
func TestSessionsOfAUserAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		first := a.login("alice")
		unused := a.login("alice")
		for range 98 {
			time.Sleep(time.Second)
			a.login("alice")
		}
		first = a.refresh(first.text("refresh_token")).want(http.StatusOK)
		latest := a.login("alice")
		a.refresh(unused.text("refresh_token")).wantError(http.StatusBadRequest, "invalid_grant")
		first = a.refresh(first.text("refresh_token"), "scope", "account").want(http.StatusOK)
		a.refresh(latest.text("refresh_token")).want(http.StatusOK)
		if n := a.sessionsOf("alice"); n != 100 {
			t.Errorf("%d sessions, want 100", n)
		}

		list := func(query string) *response {
			return a.do("GET", "/account/sessions"+query, "", "Authorization", "Bearer "+first.text("access_token"))
		}
		seen, pages := map[string]bool{}, 0
		for query := "?limit=30"; ; pages++ {
			r := list(query).want(http.StatusOK).json()
			for _, s := range r["sessions"].([]any) {
				seen[s.(map[string]any)["id"].(string)] = true
			}
			next, more := r["next"].(string)
			if !more {
				break
			}
			query = "?limit=30&after=" + url.QueryEscape(next)
		}
		if len(seen) != 100 || pages != 3 {
			t.Errorf("%d sessions in %d pages and a last one", len(seen), pages)
		}
		for _, bad := range []string{"?limit=0", "?limit=201", "?limit=-1", "?limit=x", "?limit=", "?after=x", "?after=", "?after=1.x", "?after=x.018f0000-0000-7000-8000-000000000000"} {
			list(bad).wantProblem(http.StatusBadRequest, "invalid_input")
		}
		if r := list("").want(http.StatusOK).json(); len(r["sessions"].([]any)) != 100 {
			t.Error("a list without a limit has not all hundred")
		}
	})
}

// What changes nothing leaves no event, and of what a user changes at will each minute has
// ten.
func TestEventsOfAUserAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		in := a.login("alice")
		put := func(name string) {
			a.do("PUT", "/account/profile", `{"name":"`+name+`"}`, "Content-Type", "application/json", "Authorization", "Bearer "+in.text("access_token")).want(http.StatusOK)
		}
		changes := func() (n int) {
			all, err := a.db.Events(t.Context(), audit.Filter{})
			if err != nil {
				t.Fatal(err)
			}
			for _, ev := range all {
				if ev.Kind == audit.UserProfileChanged {
					n++
				}
			}
			return n
		}
		for range 20 {
			put("Alice")
		}
		if n := changes(); n != 1 {
			t.Errorf("%d events for one change", n)
		}
		for i := range 200 {
			put(fmt.Sprint("Alice ", i))
			time.Sleep(300 * time.Millisecond) // a minute in all
		}
		if n := changes(); n < 10 || n > 11 {
			t.Errorf("%d events in a minute, want 10", n)
		}
		time.Sleep(time.Minute)
		put("Bob")
		before := changes()
		put("Alice")
		if n := changes(); n != before+1 {
			t.Error("a later change leaves no event")
		}
	})
}
