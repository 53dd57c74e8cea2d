package server_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"countersign/store"
	"countersign/store/storetest"
)

// cost counts what a request sends to the database.
type cost struct {
	mu   sync.Mutex
	said []string
}

func (c *cost) hear(statement string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// A server remembers clients for a tenth of a second: the document counts them apart.
	if !strings.Contains(statement, "FROM clients") {
		c.said = append(c.said, strings.Join(strings.Fields(statement), " "))
	}
}

// of returns the cost of a request in the document's words: statements but for those that
// begin and end a transaction, then round trips, then commits.
func (c *cost) of(request func()) (row [3]int, said []string) {
	c.mu.Lock()
	c.said = nil
	c.mu.Unlock()
	request()
	c.mu.Lock()
	defer c.mu.Unlock()
	inside := false
	for _, statement := range c.said {
		row[1]++
		switch verb, _, _ := strings.Cut(statement, " "); verb {
		case "BEGIN":
			inside = true
			continue
		case "COMMIT", "ROLLBACK":
			inside = false
			if verb == "COMMIT" {
				row[2]++
			}
			continue
		case "SELECT":
		default:
			if !inside {
				row[2]++
			}
		}
		row[0]++
	}
	return row, slices.Clone(c.said)
}

// docs/scaling.md says what each request costs the database. On SQLite a round trip is a
// call in the same process, so only a database server's count.
func TestRequestsCostWhatTheDocumentSays(t *testing.T) {
	a := newApp(t)
	heard := &cost{}
	db, err := store.Open(t.Context(), storetest.URL(t, a.path), store.Options{Statement: heard.hear})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	a.options.Store = db
	a.restart()

	a.signup("alice")
	in := a.login("alice")
	p := a.page()
	p.signIn("alice", password).want(http.StatusOK)
	access, refresh := in.text("access_token"), in.text("refresh_token")
	introspect := func() { a.introspectAs("reader", secret, access).want(http.StatusOK) }
	credentials := func() {
		a.token(form("grant_type", "client_credentials", "client_id", "api", "client_secret", "dev-secret")).want(http.StatusOK)
	}
	introspect() // the secrets are proven once: their hash is remembered
	credentials()
	costs := map[string]func(){
		"refresh":                 func() { a.refresh(refresh).want(http.StatusOK) },
		"sign-in with a password": func() { a.login("alice") },
		"`/session/refresh`":      func() { p.refresh().want(http.StatusOK) },
		"sign-up":                 func() { a.signup("bob") },
		"userinfo":                func() { a.userinfo(access).want(http.StatusOK) },
		"introspection":           introspect,
		"client credentials":      credentials,
		"JWKS, discovery": func() {
			a.do("GET", "/.well-known/jwks.json", "").want(http.StatusOK)
			a.do("GET", "/.well-known/openid-configuration", "").want(http.StatusOK)
		},
	}
	documented := tableOfCosts(t)
	for name := range documented {
		if costs[name] == nil && name != "the client of any of these" && name != "an idle server" {
			t.Errorf("docs/scaling.md says what %s costs, which no test counts", name)
		}
	}
	for name, request := range costs {
		got, said := heard.of(request)
		cells := documented[name]
		if len(cells) != 3 {
			t.Errorf("docs/scaling.md doesn't say what %s costs: %v", name, got)
			continue
		}
		statements, _, _ := strings.Cut(cells[0], ":")
		lite, my, differ := strings.Cut(statements, ", on MySQL ")
		if storetest.OnMariaDB() && differ {
			lite = my
		}
		want := []string{lite, cells[1], cells[2]}
		is := []string{fmt.Sprint(got[0]), fmt.Sprint(got[1]), fmt.Sprint(got[2])}
		if !storetest.OnMariaDB() {
			is[1] = want[1]
		}
		if !slices.Equal(is, want) {
			t.Errorf("%s costs %d statements, %d round trips, %d commits; docs/scaling.md says %q:\n\t%s", name, got[0], got[1], got[2], cells, strings.Join(said, "\n\t"))
		}
	}
}

// tableOfCosts returns the cells of the document's table, by request.
func tableOfCosts(t *testing.T) map[string][]string {
	t.Helper()
	file, err := os.ReadFile("../docs/scaling.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(file), "| Request | Statements | Round trips | Commits |\n| --- | --- | --- | --- |\n")
	if !ok {
		t.Fatal("docs/scaling.md has no table of costs")
	}
	rows := map[string][]string{}
	for line := range strings.Lines(after) {
		if line == "\n" {
			break
		}
		cells := strings.Split(strings.Trim(line, "|\n "), " | ")
		rows[cells[0]] = cells[1:]
	}
	return rows
}
