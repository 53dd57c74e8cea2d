package browser_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// listener is a server that records its requests.
type listener struct {
	mu             sync.Mutex
	authorizations []string
	cookies        []string
	referrers      []string
}

func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	w.Header().Set("Access-Control-Allow-Headers", "Authorization")
	w.Header().Set("Access-Control-Allow-Credentials", "true")
	if r.Method == http.MethodOptions {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.authorizations = append(l.authorizations, r.Header.Get("Authorization"))
	l.cookies = append(l.cookies, r.Header.Get("Cookie"))
	l.referrers = append(l.referrers, r.Referer())
}

func TestModuleSendsTheTokenOnlyToTheAPI(t *testing.T) {
	for mode, env := range map[string]string{
		"in memory": "COUNTERSIGN_SESSION_COOKIE_ACCESS_COOKIE=false", "in a cookie": "COUNTERSIGN_SESSION_COOKIE_ACCESS_COOKIE=true",
	} {
		t.Run(mode, func(t *testing.T) {
			var trusted, stranger listener
			strangers := serveHTTP(t, &stranger)
			routes := http.NewServeMux()
			routes.Handle("/", &trusted)
			routes.HandleFunc("/elsewhere", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
				w.Header().Set("Access-Control-Allow-Headers", "Authorization")
				w.Header().Set("Access-Control-Allow-Credentials", "true")
				if r.Method != http.MethodOptions {
					http.Redirect(w, r, strangers, http.StatusTemporaryRedirect)
				}
			})
			api := serveHTTP(t, routes)

			s := newSite(t, env)
			b := newProfile(t).newTab()
			s.signUp(b, "alice")
			evaluate[any](b, `(async () => {
				const { countersign } = await import("/assets/countersign.js");
				const auth = countersign({ resourceServers: [$1] });
				await auth.fetch($1);
				await auth.fetch($2);
				await auth.fetch($1 + "/elsewhere").catch(() => {});
				await auth.fetch($2, { method: "POST", body: "text" });
			})()`, api, strangers)

			heard := trusted.authorizations
			if mode == "in a cookie" {
				heard = trusted.cookies
			}
			if len(heard) != 1 || !strings.Contains(heard[0], "eyJ") {
				t.Errorf("the API heard %q, want a token", heard)
			}
			if len(stranger.authorizations) < 2 {
				t.Errorf("the stranger was sent %d requests, so this test shows nothing", len(stranger.authorizations))
			}
			// Browsers send cookies to every port of a host, and by their own rules to
			// no other host.
			if slices.ContainsFunc(stranger.authorizations, func(heard string) bool { return heard != "" }) {
				t.Errorf("the stranger heard %q", stranger.authorizations)
			}
			if told := slices.Concat(trusted.referrers, stranger.referrers); slices.ContainsFunc(told, func(r string) bool { return r != "" }) {
				t.Errorf("the referrers were %q", told)
			}
		})
	}
}
