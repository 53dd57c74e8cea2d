package server_test

import (
	"slices"
	"strings"
	"testing"
)

// list splits a header that is a list.
func list(values []string) []string {
	var all []string
	for _, one := range strings.Split(strings.Join(values, ","), ",") {
		all = append(all, strings.ToLower(strings.TrimSpace(one)))
	}
	return all
}

// wantReadable fails the test unless a page of the origin may read the answer
// and the headers it needs.
func wantReadable(t testing.TB, got *response, from string) {
	t.Helper()
	h := got.Header()
	if allowed := h.Values("Access-Control-Allow-Origin"); !slices.Equal(allowed, []string{from}) {
		t.Errorf("%d: Access-Control-Allow-Origin = %q, want %q", got.Code, allowed, from)
	}
	if h.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("%d: Access-Control-Allow-Credentials = %q, want true", got.Code, h.Get("Access-Control-Allow-Credentials"))
	}
	if !slices.Contains(list(h.Values("Vary")), "origin") {
		t.Errorf("%d: Vary = %q, want Origin in it", got.Code, h.Values("Vary"))
	}
	exposed := list(h.Values("Access-Control-Expose-Headers"))
	for _, name := range []string{"retry-after", "www-authenticate", "x-request-id", "dpop-nonce"} {
		if !slices.Contains(exposed, name) {
			t.Errorf("%d: Access-Control-Expose-Headers = %q, want %s in it", got.Code, exposed, name)
		}
	}
}
