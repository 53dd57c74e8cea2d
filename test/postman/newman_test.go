// Package postman_test runs our Postman collection with newman, both unmodified, against
// a running countersign, and asks for tokens as Postman itself does.
package postman_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"countersign/test/programs"
)

func TestMain(m *testing.M) { programs.Main(m) }

const (
	collectionFile  = "../../postman/countersign.postman_collection.json"
	environmentFile = "../../postman/countersign.postman_environment.json"
)

var newman = sync.OnceValues(func() (string, error) { return programs.NodePackage("node") })

// A report is newman's report of a run.
type report struct {
	Collection struct{ Item []item }
	Run        struct {
		Stats      struct{ Requests, Assertions struct{ Total, Failed int } }
		Failures   []failure
		Executions []execution
	}
}

// An item is a request, or a folder of requests.
type item struct{ Item []item }

type failure struct {
	Error  struct{ Test, Message string }
	Source struct{ Name string }
}

// An execution is a request that newman sent.
type execution struct {
	Item    struct{ Name string }
	Request struct {
		Method string
		URL    struct{ Path []string }
	}
	Response   struct{ Code int }
	Assertions []struct{ Assertion string }
}

// requests counts the requests in items and their folders.
func requests(items []item) (n int) {
	for _, one := range items {
		if one.Item == nil {
			n++
		}
		n += requests(one.Item)
	}
	return n
}

// run runs a collection with newman against a server.
func run(t *testing.T, issuer, collection string) report {
	t.Helper()
	dir, err := newman()
	if err != nil {
		t.Fatal(err)
	}
	environment, err := filepath.Abs(environmentFile)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "report.json")
	cmd := programs.Command(t, "node", "node_modules/newman/bin/newman.js", "run", collection, "--environment", environment,
		"--env-var", "baseUrl="+issuer, "--reporters", "json", "--reporter-json-export", file)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	failed, ended := errors.AsType[*exec.ExitError](err)
	if err != nil && !ended {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("newman: %v\n%s", err, out)
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if (failed != nil) != (len(r.Run.Failures) > 0) {
		t.Fatalf("newman ended with %v and %d failures\n%s", failed, len(r.Run.Failures), out)
	}
	return r
}

// faults returns what went wrong in a run. newman must send every request, and every
// request needs a test of its own beside those that all share.
func (r *report) faults() (all []string) {
	for _, f := range r.Run.Failures {
		all = append(all, fmt.Sprintf("%s: %s: %s", f.Source.Name, f.Error.Test, f.Error.Message))
	}
	if sent, there := len(r.Run.Executions), requests(r.Collection.Item); sent != there || sent == 0 {
		all = append(all, fmt.Sprintf("%d of %d requests were sent", sent, there))
	}
	for _, e := range r.Run.Executions {
		if len(e.Assertions) < 2 {
			all = append(all, e.Item.Name+": it has no test of its own")
		}
		if e.Response.Code == 0 || e.Response.Code == http.StatusTooManyRequests || e.Response.Code >= 500 {
			all = append(all, fmt.Sprintf("%s: the answer is %d", e.Item.Name, e.Response.Code))
		}
	}
	return all
}

// A user imports the collection and runs all of it, twice, on a new server.
func TestCollectionPassesAndCallsEveryRoute(t *testing.T) {
	issuer, _ := programs.Serve(t)
	collection, err := filepath.Abs(collectionFile)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	for range 2 {
		r = run(t, issuer, collection)
		for _, fault := range r.faults() {
			t.Error(fault)
		}
	}

	routes := http.NewServeMux()
	missing := operations(t, issuer)
	for operation := range missing {
		routes.Handle(operation, http.NotFoundHandler())
	}
	for _, e := range r.Run.Executions {
		_, operation := routes.Handler(&http.Request{Method: e.Request.Method, URL: &url.URL{Path: "/" + strings.Join(e.Request.URL.Path, "/")}})
		delete(missing, operation)
	}
	for operation := range missing {
		t.Errorf("the collection has no request for %s", operation)
	}
}

// operations returns all methods and paths in the server's OpenAPI document. The server's
// own tests ensure that the document is complete.
func operations(t *testing.T, issuer string) map[string]bool {
	t.Helper()
	resp, err := http.Get(issuer + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.NewDecoder(resp.Body).Decode(&document); err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for path, item := range document.Paths {
		for method := range item {
			if method != "servers" {
				all[strings.ToUpper(method)+" "+path] = true
			}
		}
	}
	if len(all) == 0 {
		t.Fatal("the document has no operations")
	}
	return all
}

// faults finds a wrong expectation, a request that newman can't send and one without a test.
func TestCollectionFailsWhereSomethingIsWrong(t *testing.T) {
	issuer, _ := programs.Serve(t)
	text, err := os.ReadFile(collectionFile)
	if err != nil {
		t.Fatal(err)
	}
	changes := []struct{ old, new, fault string }{
		{`{ status: \"ok\" }`, `{ status: \"down\" }`, "Is it alive?: ok: expected"},
		{`"{{baseUrl}}"`, `"http://127.0.0.1:1"`, "Metadata (OpenID Connect Discovery): the answer is 0"},
		{`pm.test(\"400: that isn't the token of a letter\"`, `Object(\"\"`, "Confirm an address: it has no test of its own"},
	}
	changed := string(text)
	for _, c := range changes {
		before := changed
		if changed = strings.Replace(changed, c.old, c.new, 1); changed == before {
			t.Fatalf("the collection has no %s", c.old)
		}
	}
	file := filepath.Join(t.TempDir(), "collection.json")
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(t, issuer, file)
	faults := strings.Join(r.faults(), "\n")
	for _, c := range changes {
		if !strings.Contains(faults, c.fault) {
			t.Errorf("with %s for %s, %q is not among the faults:\n%s", c.new, c.old, c.fault, faults)
		}
	}
}
