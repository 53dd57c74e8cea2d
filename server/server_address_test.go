package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"countersign/keys"
	"countersign/server"
	"countersign/store/storetest"
)

// A peer whose address has a zone, or can't be read, is a stranger like any other: it has the
// budgets of its network, and its events say where it was.
func TestAPeerWithAZoneIsAStranger(t *testing.T) {
	for _, c := range []struct {
		peers []string // of one network
		want  string
	}{
		{[]string{"[fe80::1%eth0]:1234", "[fe80::1%eth1]:1234", "[fe80::2%25en0]:5"}, "fe80::1"},
		{[]string{"[::ffff:198.51.100.7]:1234", "198.51.100.7:5", "[::ffff:198.51.100.7%eth0]:6"}, "198.51.100.7"},
		{[]string{"@", "", "/run/proxy.sock"}, "unknown"}, // Unix sockets
	} {
		a := newApp(t, func(o *server.Options, _ *keys.Options) { o.Throttle.FreeFailures = 3 })
		a.signup("alice")
		from := func(peer, password string) int {
			f := passwordForm("alice")
			f.Set("password", password)
			r := httptest.NewRequest(http.MethodPost, "/oauth/token", strings.NewReader(f.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.RemoteAddr = peer
			w := httptest.NewRecorder()
			a.ServeHTTP(w, r)
			return w.Code
		}
		if got := from(c.peers[0], passwordForm("alice").Get("password")); got != http.StatusOK {
			t.Fatalf("from %q: status %d", c.peers[0], got)
		}
		events := strings.Join(storetest.Events(t, a.db), "\n")
		if !strings.Contains(events, "session.created from "+c.want+" in ") {
			t.Errorf("from %q: events\n%s\nwant one from %s", c.peers[0], events, c.want)
		}
		throttled := false
		for i := range 6 {
			throttled = from(c.peers[i%len(c.peers)], "wrong") == http.StatusTooManyRequests
		}
		if !throttled {
			t.Errorf("from %q: six guesses were all free", c.peers)
		}
	}
}
