package browser_test

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/test/soak"
)

// lose has the ways in which the answer to a refresh doesn't reach the page, although
// the server has done the refresh.
var lose = []func(w http.ResponseWriter, said *httptest.ResponseRecorder){
	func(http.ResponseWriter, *httptest.ResponseRecorder) { panic(http.ErrAbortHandler) }, // hangs up without an answer
	func(w http.ResponseWriter, said *httptest.ResponseRecorder) { // hangs up after half of the body: the browser has the cookie
		pass(w, said, said.Body.Len()/2)
		panic(http.ErrAbortHandler)
	},
	func(w http.ResponseWriter, _ *httptest.ResponseRecorder) { w.WriteHeader(http.StatusBadGateway) },
	func(w http.ResponseWriter, _ *httptest.ResponseRecorder) { w.WriteHeader(http.StatusGatewayTimeout) },
	func(w http.ResponseWriter, _ *httptest.ResponseRecorder) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
	},
}

// pass forwards the server's header, and n bytes of its body.
func pass(w http.ResponseWriter, said *httptest.ResponseRecorder, n int) {
	for name, values := range said.Header() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(said.Body.Len()))
	w.WriteHeader(said.Code)
	w.Write(said.Body.Bytes()[:n])
	w.(http.Flusher).Flush()
}

// Six tabs of one browser call an API all the time with tokens that live for five
// seconds, while a tenth of the refreshes' answers get lost. No tab is signed out, and
// no call fails.
func TestTabsStaySignedIn(t *testing.T) {
	t.Parallel()
	const tabs = 6
	last, lost := 20*time.Second, 0.25 // so that some answers are lost in this short time
	if soak.On() {
		last, lost = 2*time.Minute, 0.1
	}
	s := newSite(t, "COUNTERSIGN_TOKENS_ACCESS_TTL=5s")
	var losses, signedOut atomic.Int64
	answer := func(w http.ResponseWriter, said *httptest.ResponseRecorder) {
		if said.Code == http.StatusUnauthorized {
			signedOut.Add(1)
		}
		if rand.Float64() < lost {
			n := losses.Add(1)
			lose[int(n)%len(lose)](w, said)
			return
		}
		pass(w, said, said.Body.Len())
	}

	p := newProfile(t)
	s.signUp(p.newTab(), "alice")
	s.refreshed.Store(&answer)
	var all []*tab
	for range tabs {
		b := p.newTab()
		b.open(s.url + "/demo")
		all = append(all, b)
	}
	for _, b := range all {
		b.isAt("Profile")
	}
	opened := s.refreshes.Load()

	type result struct {
		Calls    int      `json:"calls"`
		Failures []string `json:"failures"`
		Changes  []string `json:"changes"`
	}
	results := make([]result, tabs)
	began := time.Now()
	var wg sync.WaitGroup
	for i, b := range all {
		wg.Go(func() {
			results[i], _ = try[result](b, `(async () => {
				const { auth } = await import("/demo/auth.js");
				const result = { calls: 0, failures: [], changes: [] };
				auth.onChange(({ reason }) => result.changes.push(reason));
				for (const end = Date.now() + Number($1); Date.now() < end; result.calls++) {
					try {
						const response = await auth.fetch($2);
						if (!response.ok) result.failures.push(String(response.status));
					} catch (err) {
						result.failures.push(String(err));
					}
					await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 200));
				}
				return result;
			})()`, strconv.FormatInt(last.Milliseconds(), 10), s.api+"/hello")
		})
	}
	// A seventh tab is reloaded again and again, so it starts without tokens each time.
	reloaded := p.newTab()
	for time.Since(began) < last {
		reloaded.open(s.url + "/demo")
		reloaded.isAt("Profile")
		time.Sleep(time.Second)
	}
	wg.Wait()
	refreshes := s.refreshes.Load() - opened
	t.Logf("%d refreshes to open the tabs, %d in %v, %d of their answers lost", opened, refreshes, last, losses.Load())

	for i, r := range results {
		t.Logf("tab %d: %d calls", i, r.Calls)
		if r.Calls < int(last/time.Second) || len(r.Failures) > 0 || len(r.Changes) > 0 {
			t.Errorf("tab %d: %d calls, of which failed %q; changes %q", i, r.Calls, r.Failures, r.Changes)
		}
		all[i].isAt("Profile")
	}
	if n := signedOut.Load(); n > 0 {
		t.Errorf("the server signed out %d times", n)
	}
	if losses.Load() == 0 {
		t.Error("no answer was lost, so this test shows nothing")
	}
}

// Tabs that need a token at the same moment get it by one refresh.
func TestTabsRefreshOnce(t *testing.T) {
	const tabs, rounds = 6, 4
	s := newSite(t, "COUNTERSIGN_TOKENS_ACCESS_TTL=2s")
	p := newProfile(t)
	s.signUp(p.newTab(), "alice")
	var all []*tab
	for range tabs {
		b := p.newTab()
		b.open(s.url + "/demo")
		b.isAt("Profile")
		all = append(all, b)
	}
	before := s.refreshes.Load()
	start := time.Now().Add(2 * time.Second).UnixMilli()
	var wg sync.WaitGroup
	for _, b := range all {
		wg.Go(func() {
			_, err := try[int](b, `(async () => {
				const { auth } = await import("/demo/auth.js");
				for (let round = 0; round < Number($2); round++) {
					await new Promise((resolve) => setTimeout(resolve, Number($1) + round * 2500 - Date.now()));
					const response = await auth.fetch("/userinfo");
					if (!response.ok) throw new Error(response.status);
				}
				return 0;
			})()`, strconv.FormatInt(start, 10), strconv.Itoa(rounds))
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	// A tab that the machine delays may come too late for the others' token.
	if n := s.refreshes.Load() - before; n < rounds || n >= 2*rounds {
		t.Errorf("%d tabs refreshed %d times in %d rounds", tabs, n, rounds)
	}
}
