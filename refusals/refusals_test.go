package refusals

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/consents"
	"countersign/input"
	"countersign/limits"
	"countersign/oauth"
	"countersign/pages"
	"countersign/tokens"
)

// silent has the domain errors without a row in the table, each with the reason.
var silent = map[string]string{
	"factors.ErrTaken":        "it comes to callers as factors.ErrBadPasskey",
	"accounts.ErrAlreadyDone": "is no refusal: the handlers say that it is done",
	"accounts.ErrNoEmail":     "comes of marking an address as proven, which is for the command line",
	"clients.ErrUnknown":      "each endpoint that looks a client up decides: a page, invalid_client by way of ErrBadCredentials, or an inactive token",
	"clients.ErrExists":       "comes of registering, which is for the command line",
	"clients.ErrStale":        "Put tries again",
	"clients.ErrPublic":       "comes of a new secret, which is for the command line",
	"keys.ErrUnknownKey":      "comes of revoking a key, which is for the command line; tokens makes ErrUnknown of it",
	"keys.ErrTaken":           "the ring reads the key that the other replica made",
	"keys.ErrInvalidToken":    "tokens makes ErrUnknown of it",
	"keys.ErrNoSigningKey":    "a fault of ours, for which the service is unavailable",
	"seal.ErrUnknownKey":      "a fault of ours: a master key is missing",
	"seal.ErrCorrupt":         "a fault of ours, or a forged token, of which tokens and authorize make their own errors",
	"signin.ErrIncomplete":    "a fault of ours: a caller took an Outcome for a sign-in without looking at its State",
	"tokens.ErrStale":         "Refresh tries again",
	"upstreams.ErrUnknown":    "the page of an unknown address",
}

// domain are the packages whose errors reach an endpoint.
var domain = []string{"accounts", "clients", "consents", "factors", "keys", "limits", "seal", "signin", "tokens", "upstreams"}

func TestEveryErrorOfTheDomainHasWordsOrAReason(t *testing.T) {
	said := map[string]bool{}
	for _, name := range inTable(t) {
		if said[name] {
			t.Errorf("%s has two rows", name)
		}
		said[name] = true
	}
	for _, pkg := range domain {
		names := sentinels(t, pkg)
		if len(names) == 0 {
			t.Errorf("package %s has no errors: is it still there?", pkg)
		}
		for _, name := range names {
			reason, exempt := silent[name]
			switch {
			case said[name] && exempt:
				t.Errorf("%s has words, and a reason for none", name)
			case !said[name] && reason == "":
				t.Errorf("%s has neither a row in the table nor a reason here", name)
			}
			delete(silent, name)
			delete(said, name)
		}
	}
	for name := range silent {
		t.Errorf("%s has a reason here, and isn't an error of the domain", name)
	}
	for name := range said {
		t.Errorf("%s has a row, and isn't an error of the domain", name)
	}
}

// inTable reads which errors have rows in the table.
func inTable(t *testing.T) (names []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "refusals.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if field, ok := n.(*ast.KeyValueExpr); ok {
			key, isName := field.Key.(*ast.Ident)
			if of, isError := field.Value.(*ast.SelectorExpr); isName && isError && key.Name == "when" {
				names = append(names, of.X.(*ast.Ident).Name+"."+of.Sel.Name)
			}
		}
		return true
	})
	if len(names) != len(table) {
		t.Fatalf("read %d rows of the table, want all %d", len(names), len(table))
	}
	return names
}

// sentinels reads which errors a package exports.
func sentinels(t *testing.T, pkg string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", pkg, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					if strings.HasPrefix(name.Name, "Err") {
						names = append(names, pkg+"."+name.Name)
					}
				}
			}
		}
	}
	return names
}

func TestEveryRowSaysSomethingThatCanBeSaid(t *testing.T) {
	for i := range table {
		r := &table[i]
		if r.client == nil && r.redirect == nil && r.bearer == nil && r.page == nil && r.problem == nil {
			t.Errorf("%v: no words in any column", r.when)
		}
		for _, say := range []*oauth.Error{r.client, r.challenge, r.redirect, r.bearer} {
			if say == nil {
				continue
			}
			bad := func(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }
			if say.Code == "" || say.Description == "" || strings.ContainsFunc(say.Description, bad) { // RFC 6749 section 5.2
				t.Errorf("%v: %q is no error_description", r.when, say.Description)
			}
			if say.Status < 400 || say.Status == 500 {
				t.Errorf("%v: status %d", r.when, say.Status)
			}
		}
		if p := r.problem; p != nil && (!strings.HasPrefix(p.Type, ProblemTypes) || p.Title == "" || p.Detail == "" || p.Status < 400 || p.Status == 500) {
			t.Errorf("%v: %+v is no problem", r.when, p)
		}
		if p := r.page; p != nil {
			if onPage(t, p.Word) == onPage(t, "no such word") || p.Status < 400 || p.Status == 500 {
				t.Errorf("%v: pages have no words for %q, or the status %d is none", r.when, p.Word, p.Status)
			}
		}
	}
}

func onPage(t *testing.T, word string) string {
	t.Helper()
	var page strings.Builder
	if err := pages.Render(&page, "en", pages.Login, &pages.Data{Errors: []string{word}, Retry: time.Minute}); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

// errAway is the error of an unreachable database.
var errAway = errors.New("connection refused")

func unavailable(err error) bool { return errors.Is(err, errAway) }

func TestAnErrorIsToldAsTheEndpointTells(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("while we worked: %w", err) }
	for _, c := range []struct {
		err                     error
		client, bearer          string // codes
		redirect, page, problem string // code, word, kind; empty for none
	}{
		{wrap(tokens.ErrReused), "invalid_grant", "server_error", "", "", "internal"},
		{wrap(tokens.ErrUnknown), "invalid_grant", "invalid_token", "login_required", "", "internal"},
		{wrap(tokens.ErrScope), "invalid_scope", "server_error", "invalid_scope", "", "internal"},
		{wrap(accounts.ErrBadCredentials), "invalid_grant", "server_error", "", "invalid_credentials", "invalid_credentials"},
		{wrap(consents.ErrUnknown), "server_error", "server_error", "", "", "no_consent"},
		{wrap(limits.ErrBusy), "temporarily_unavailable", "server_error", "", "busy", "overloaded"},
		{wrap(&limits.WaitError{RetryAfter: time.Minute}), "temporarily_unavailable", "server_error", "", "throttled", "throttled"},
		{wrap(errAway), "temporarily_unavailable", "temporarily_unavailable", "", "", "unavailable"},
		{errors.New("a bug"), "server_error", "server_error", "", "", "internal"},
		{wrap(oauth.Refuse(oauth.AccessDenied, "no")), "access_denied", "access_denied", "access_denied", "", "internal"},
		{wrap(InvalidInput()), "server_error", "server_error", "", "", "invalid_input"},
		{input.Conflict("username", "taken", accounts.ErrUsernameTaken), "server_error", "server_error", "", "", "taken"},
		{input.Conflict("id", "taken", fs.ErrExist), "server_error", "server_error", "", "", "invalid_input"},
	} {
		ours := func(said string) bool {
			return said == "server_error" || said == "internal" || unavailable(c.err)
		}
		if say, known := ForClient(c.err, unavailable); say.Code != c.client || known == ours(c.client) {
			t.Errorf("%v: a client is told %v, known %v; want %s", c.err, say, known, c.client)
		}
		if say, known := ForBearer(c.err, unavailable); say.Code != c.bearer || known == ours(c.bearer) {
			t.Errorf("%v: a bearer is told %v, known %v; want %s", c.err, say, known, c.bearer)
		}
		if say, ok := InRedirect(c.err); ok != (c.redirect != "") || ok && say.Code != c.redirect {
			t.Errorf("%v: the redirect says %v, %v; want %q", c.err, say, ok, c.redirect)
		}
		if say, ok := OnPage(c.err); ok != (c.page != "") || say.Word != c.page {
			t.Errorf("%v: the page says %v, %v; want %q", c.err, say, ok, c.page)
		}
		if say, known := AsProblem(c.err, unavailable); say.Type != ProblemTypes+c.problem || known == ours(c.problem) {
			t.Errorf("%v: the problem is %v, known %v; want %s", c.err, say, known, c.problem)
		}
	}
}

func TestWhatACallerHasToDoIsSaidWithTheError(t *testing.T) {
	err := fmt.Errorf("check: %w", &limits.WaitError{RetryAfter: 42 * time.Second})
	client, _ := ForClient(err, unavailable)
	problem, _ := AsProblem(err, unavailable)
	page, _ := OnPage(err)
	if client.RetryAfter != 42*time.Second || problem.RetryAfter != 42*time.Second || page.RetryAfter != 42*time.Second {
		t.Errorf("wait %v, %v, %v, want that of the error", client.RetryAfter, problem.RetryAfter, page.RetryAfter)
	}
	taken, _ := AsProblem(input.Conflict("email", "taken", accounts.ErrEmailTaken), unavailable)
	if len(taken.Errors) != 1 || taken.Errors[0].Field != "email" || taken.Errors[0].Code != input.Taken {
		t.Errorf("errors = %v, want the one of email", taken.Errors)
	}
	// The answer to one caller must not change the table for the next.
	if throttled.RetryAfter != 0 || throttledProblem.RetryAfter != 0 || takenProblem.Errors != nil {
		t.Error("the table has changed")
	}
}
