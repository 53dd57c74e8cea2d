package server_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"countersign/examples/spa"
	"countersign/keys"
	"countersign/server"
	"countersign/web"
)

func withDemo(demo fs.FS) func(*server.Options, *keys.Options) {
	return func(o *server.Options, _ *keys.Options) { o.Demo = demo }
}

func TestBrowserModuleIsForAnyOrigin(t *testing.T) {
	a := newApp(t)
	for path, want := range map[string]struct {
		kind string
		body []byte
	}{
		"/assets/countersign.js":   {"text/javascript; charset=utf-8", web.Module},
		"/assets/countersign.d.ts": {"application/typescript; charset=utf-8", web.Types},
	} {
		got := a.do(http.MethodGet, path, "", "Origin", "https://stranger.example").want(http.StatusOK)
		for name, value := range map[string]string{
			"Content-Type": want.kind, "Cache-Control": "public, max-age=600",
			"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "", "Vary": "Accept-Encoding", "Content-Encoding": "",
		} {
			if h := got.Header().Get(name); h != value {
				t.Errorf("%s: %s = %q, want %q", path, name, h, value)
			}
		}
		if !bytes.Equal(got.Body.Bytes(), want.body) {
			t.Errorf("%s: not the file", path)
		}
		etag := got.Header().Get("ETag")
		if again := a.do(http.MethodGet, path, "", "If-None-Match", etag).want(http.StatusNotModified); again.Body.Len() > 0 {
			t.Errorf("%s: 304 with a body", path)
		}
		a.do(http.MethodHead, path, "").want(http.StatusOK)

		small := a.do(http.MethodGet, path, "", "Accept-Encoding", "br, gzip").want(http.StatusOK)
		packed := small.Header().Get("ETag")
		if small.Header().Get("Content-Encoding") != "gzip" || packed == etag || small.Body.Len() > len(want.body)/2 {
			t.Errorf("%s: %d of %d bytes, %v", path, small.Body.Len(), len(want.body), small.Header())
		}
		if r, err := gzip.NewReader(small.Body); err != nil {
			t.Error(err)
		} else if body, err := io.ReadAll(r); err != nil || !bytes.Equal(body, want.body) {
			t.Errorf("%s: compressed, it is another file (%v)", path, err)
		}
		a.do(http.MethodGet, path, "", "Accept-Encoding", "gzip", "If-None-Match", packed).want(http.StatusNotModified)
		// A cache that holds one form has no answer for a caller that takes the other.
		a.do(http.MethodGet, path, "", "If-None-Match", packed).want(http.StatusOK)
		a.do(http.MethodGet, path, "", "Accept-Encoding", "gzip", "If-None-Match", etag).want(http.StatusOK)
	}
}

// Caches keep the worker with its dictionaries for good under the address that pages have for
// it, and at no other.
func TestStrengthWorkerIsKept(t *testing.T) {
	a := newApp(t)
	page := a.do(http.MethodGet, "/signup", "").want(http.StatusOK).Body.String()
	_, rest, _ := strings.Cut(page, `data-worker="`)
	address, _, _ := strings.Cut(rest, `"`)
	for at, want := range map[string]string{
		address: "public, max-age=31536000, immutable", "/assets/strength-worker.js": "public, max-age=600", "/assets/strength-worker.js?v=former": "public, max-age=600",
	} {
		r := a.do(http.MethodGet, at, "", "Accept-Encoding", "gzip").want(http.StatusOK)
		if got := r.Header().Get("Cache-Control"); got != want {
			t.Errorf("%s: Cache-Control %q, want %q", at, got, want)
		}
		if size := r.Body.Len(); r.Header().Get("Content-Encoding") != "gzip" || size > 400<<10 {
			t.Errorf("%s: %d bytes in %q", at, size, r.Header().Get("Content-Encoding"))
		}
	}
}

func TestTokensAreNeverCompressed(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	got := a.token(passwordForm("alice"), "Accept-Encoding", "gzip").want(http.StatusOK)
	if encoding := got.Header().Get("Content-Encoding"); encoding != "" {
		t.Errorf("a token answer in %s", encoding) // its length would tell what is in it
	}
}

func TestBrowserModuleIsBelowTheIssuer(t *testing.T) {
	a := newApp(t, func(o *server.Options, _ *keys.Options) { o.Issuer = issuer + "/auth" })
	a.do(http.MethodGet, "/auth/assets/countersign.js", "", "Origin", "https://stranger.example").want(http.StatusOK)
	a.do(http.MethodGet, "/assets/countersign.js", "").want(http.StatusNotFound)
}

func TestDemoRunsNothingInline(t *testing.T) {
	a := newApp(t, withDemo(spa.Files))
	if to := a.do(http.MethodGet, "/demo", "").want(http.StatusFound).Header().Get("Location"); to != "/demo/index.html" {
		t.Errorf("/demo leads to %q", to)
	}
	names, err := fs.Glob(spa.Files, "*")
	if err != nil || len(names) < 4 {
		t.Fatalf("files of the demo: %v, %v", names, err)
	}
	for _, name := range names {
		got := a.do(http.MethodGet, "/demo/"+name, "").want(http.StatusOK)
		a.do(http.MethodHead, "/demo/"+name, "").want(http.StatusOK)
		policy := got.Header().Get("Content-Security-Policy")
		for _, has := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'", "form-action 'none'"} {
			if !strings.Contains(policy, has) {
				t.Errorf("%s: Content-Security-Policy %q lacks %s", name, policy, has)
			}
		}
		for _, not := range []string{"unsafe", "*;", "data:", "'strict-dynamic'"} {
			if strings.Contains(strings.ReplaceAll(policy, "http://127.0.0.1:*;", ""), not) {
				t.Errorf("%s: Content-Security-Policy %q has %s", name, policy, not)
			}
		}
		if got.Header().Get("Content-Type") == "" {
			t.Errorf("%s has no content type", name)
		}
	}
}

func TestNoDemoUnlessAskedFor(t *testing.T) {
	a := newApp(t)
	a.do(http.MethodGet, "/demo", "").want(http.StatusNotFound)
	a.do(http.MethodGet, "/demo/index.html", "").want(http.StatusNotFound)
	if policy := a.do(http.MethodGet, "/demo", "").Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; frame") {
		t.Errorf("Content-Security-Policy = %q", policy)
	}
	b := newApp(t, withDemo(fstest.MapFS{"a.html": {Data: []byte("a")}}))
	b.do(http.MethodGet, "/demo/a.html", "").want(http.StatusOK)
	b.do(http.MethodGet, "/demo/b.html", "").want(http.StatusNotFound)
}
