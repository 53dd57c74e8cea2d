package main

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"countersign/store"
)

// Replicas are upgraded one by one: a build of the schema before and one of this
// schema share a database, whichever of them came first, and whether the schema
// has been migrated or not.
func TestTwoBuildsShareADatabase(t *testing.T) {
	path := buildOfTheSchemaBefore(t)
	data := t.TempDir()
	old := launchBuild(t, path, data)
	old.await("serving")
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
	status("older")
	waiting := serve(t, data, "COUNTERSIGN_DATABASE_AUTO_MIGRATE=false")
	tour("not migrated", old, waiting)
	status("older")
	migrating := serve(t, data)
	status("current")
	tour("migrated beneath the others", old, waiting, migrating)
	waiting.kill()
	old.kill()
	back := launchBuild(t, path, data) // rolled back
	back.await("serving")
	tour("rolled back", back, migrating)
}

// buildOfTheSchemaBefore builds this program without its latest migration, as the
// release before it was.
func buildOfTheSchemaBefore(t *testing.T) string {
	t.Helper()
	tree := t.TempDir()
	latest := fmt.Sprintf("%05d_", store.Schema)
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
		case !entry.Type().IsRegular() || strings.HasSuffix(name, "_test.go"),
			strings.HasPrefix(name, latest) && filepath.Base(filepath.Dir(path)) == "sqlite":
			return nil
		}
		b, err := os.ReadFile(path)
		if rel == filepath.Join("store", "migrate.go") {
			schema := regexp.MustCompile(`(?m)^\tSchema int64 = (\d+)$`)
			if !schema.Match(b) {
				t.Fatal("the schema's version isn't where this test looks for it")
			}
			b = schema.ReplaceAll(b, fmt.Appendf(nil, "\tSchema int64 = %d", store.Schema-1))
		}
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(tree, rel), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(tree, "before")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./cmd/countersign")
	build.Dir, build.Env = tree, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}
