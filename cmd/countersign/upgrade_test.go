package main

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"countersign/store"
)

// Replicas are upgraded one by one: this build and one of the next schema share a
// database, before and after the newer one has migrated it, and back.
func TestTwoBuildsShareADatabase(t *testing.T) {
	path := buildOfTheNextSchema(t)
	data := t.TempDir()
	old := serve(t, data)
	newer := func(env ...string) *process {
		t.Helper()
		p := launchBuild(t, path, data, env...)
		p.await("serving")
		return p
	}
	token := ""
	tour := func(when string, servers ...*process) {
		t.Helper()
		for i, p := range servers {
			other := servers[(i+1)%len(servers)]
			name := fmt.Sprint("user ", when, i)
			name = strings.ReplaceAll(name, " ", "-")
			want(t, http.StatusCreated)(p.signup(name, "correct horse battery staple"))
			mine := want(t, http.StatusOK)(other.login(name, "correct horse battery staple")).member("refresh_token")
			mine = want(t, http.StatusOK)(p.refresh(mine)).member("refresh_token")
			want(t, http.StatusOK)(other.refresh(mine))
			if token != "" { // that of a session from before
				token = want(t, http.StatusOK)(p.refresh(token)).member("refresh_token")
			} else {
				token = mine
			}
			want(t, http.StatusOK)(other.get("/userinfo", want(t, http.StatusOK)(p.login(name, "correct horse battery staple", "scope", "openid")).member("access_token")))
		}
	}
	status := func(want string) {
		t.Helper()
		if got := command(t, data, "", "migrate", "--status", "--json"); !strings.Contains(got, `"state":"`+want+`"`) {
			t.Errorf("migrate --status: %s, want the state %s", got, want)
		}
	}

	tour("old alone", old)
	status("current")
	waiting := newer("COUNTERSIGN_DATABASE_AUTO_MIGRATE=false")
	tour("not migrated", old, waiting)
	status("current")
	if !slices.ContainsFunc(waiting.remarks(), func(line string) bool { return strings.Contains(line, "countersign migrate") }) {
		t.Error("the newer build, on the older schema, doesn't log that the schema is to be migrated")
	}
	migrating := newer()
	status("newer")
	tour("migrated beneath the others", old, waiting, migrating)
	waiting.kill()
	old.kill()
	back := serve(t, data) // rolled back
	status("newer")
	tour("rolled back", back, migrating)
}

// buildOfTheNextSchema builds this program with one more migration, as the release
// after it may be.
func buildOfTheNextSchema(t *testing.T) string {
	t.Helper()
	tree := t.TempDir()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		rel, _ := filepath.Rel(root, path)
		switch {
		case entry.IsDir() && (name == ".git" || name == "node_modules" || name == "testdata" || rel == "bin"):
			return fs.SkipDir
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(tree, rel), 0o700)
		case !entry.Type().IsRegular() || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		b, err := os.ReadFile(path)
		if rel == filepath.Join("store", "migrate.go") {
			schema := regexp.MustCompile(`(?m)^\tSchema int64 = (\d+)$`)
			if !schema.Match(b) {
				t.Fatal("the schema's version isn't where this test looks for it")
			}
			b = schema.ReplaceAll(b, fmt.Appendf(nil, "\tSchema int64 = %d", store.Schema+1))
		}
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(tree, rel), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	const migration = "-- +goose Up\nALTER TABLE sessions ADD COLUMN later TEXT;\nCREATE TABLE later (id INTEGER NOT NULL PRIMARY KEY);\n"
	for _, dialect := range []string{"sqlite", "mysql"} {
		name := filepath.Join(tree, "store", dialect, fmt.Sprintf("%05d_later.sql", store.Schema+1))
		if err := os.WriteFile(name, []byte(migration), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(tree, "newer")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./cmd/countersign")
	build.Dir = tree
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}
