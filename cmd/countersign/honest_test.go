package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/store/storetest"
	"countersign/test/mariadb"
)

// storm_test.go, outage_test.go and galera_test.go share this: replicas of one database,
// and clients that obey the rules while machines die.

// startMariaDB starts a server that may be killed and whose settings are hostile, and
// returns the URL of a database on it.
func startMariaDB(t *testing.T) (*mariadb.Server, string) {
	t.Helper()
	storetest.OnOwnDatabase(t)
	storetest.Need(t, mariadb.Available())
	s, err := mariadb.StartHostile()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.CreateDatabase("countersign"); err != nil {
		t.Fatal(err)
	}
	return s, s.URL("countersign")
}

// replica is a server that restarts at the same address.
type replica struct {
	*process
	data string
	env  []string
}

// startReplica starts a server on a database. Replicas of one data folder share the master
// key.
func startReplica(t *testing.T, data, database string, env ...string) *replica {
	t.Helper()
	env = append(env, "COUNTERSIGN_DATABASE_URL="+database, "COUNTERSIGN_LISTEN="+steadyAddress(t))
	return &replica{serve(t, data, env...), data, env}
}

// restart restarts a server that was killed, and waits until it serves.
func (r *replica) restart() { r.process = serve(r.t, r.data, r.env...) }

// steadyAddress returns an address that stays free while a server is down: the system gives
// its port to no connection.
func steadyAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000)))
		if err == nil {
			defer ln.Close()
			return ln.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// errAway is a correct 503.
var errAway = errors.New("503: come back later")

// polite checks 5xx answers: the only one allowed is a 503 that says when to come back and
// reveals nothing internal. It counts as no answer.
type polite struct {
	http.RoundTripper
	t    *testing.T
	away *atomic.Int64 // how many there were
}

func (p polite) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := p.RoundTripper.RoundTrip(r)
	if err != nil || res.StatusCode < 500 {
		return res, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if why := impolite(&answer{res.StatusCode, res.Header, body}); why != "" {
		p.t.Errorf("%s %s: %s: %d %s", r.Method, r.URL.Path, why, res.StatusCode, body)
	}
	p.away.Add(1)
	return nil, errAway
}

// impolitePage is impolite for a page.
func impolitePage(a *answer) string {
	switch {
	case a.status != http.StatusServiceUnavailable:
		return "not a 503"
	case a.header.Get("Retry-After") != "1":
		return fmt.Sprintf("Retry-After is %q", a.header.Get("Retry-After"))
	case !bytes.Contains(a.body, []byte("ry again shortly.")) || bytes.Contains(a.body, []byte("<code>")):
		return "another text than usual"
	}
	return ""
}

// impolite says what is wrong with a 5xx, or nothing.
func impolite(a *answer) string {
	if strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		return impolitePage(a)
	}
	var text map[string]any
	if err := json.Unmarshal(a.body, &text); err != nil {
		return err.Error()
	}
	code, detail := a.member("error"), a.member("error_description")
	names := []string{"error", "error_description"}
	if code == "" {
		code, detail = a.member("type"), a.member("detail")
		names = []string{"detail", "status", "title", "type"}
	}
	switch {
	case a.status != http.StatusServiceUnavailable:
		return "not a 503"
	case a.header.Get("Retry-After") != "1":
		return fmt.Sprintf("Retry-After is %q", a.header.Get("Retry-After"))
	case !slices.Equal(slices.Sorted(maps.Keys(text)), names):
		return "other members than usual"
	case code != "temporarily_unavailable" && code != "urn:countersign:problem:unavailable" && code != "urn:countersign:problem:overloaded":
		return "another code than usual"
	case detail != "the service is not able to answer now, try again shortly" &&
		!strings.HasSuffix(detail, "at once, try again shortly"):
		return "another text than usual"
	}
	return ""
}

// site is a set of replicas that clients call, any of which may be down.
type site struct {
	t       *testing.T
	fronts  []*process // only to ask them
	window  time.Duration
	slots   chan struct{} // requests under way
	stop    chan struct{}
	browser sync.WaitGroup

	away                       atomic.Int64 // answers 503
	refreshes, retries, thefts atomic.Int64
	mu                         sync.Mutex
	longest                    time.Duration // that a refresh took, with all repetitions
}

// newSite is the replicas at some URLs.
func newSite(t *testing.T, window time.Duration, urls ...string) *site {
	s := &site{t: t, window: window, slots: make(chan struct{}, 32), stop: make(chan struct{})}
	for _, url := range urls {
		s.fronts = append(s.fronts, s.front(url))
	}
	return s
}

// front is a server of which only the URL is known.
func (s *site) front(url string) *process {
	transport := &http.Transport{MaxIdleConnsPerHost: cap(s.slots)}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &process{t: s.t, base: url, client: &http.Client{
		Transport: polite{transport, s.t, &s.away}, Timeout: 10 * time.Second,
	}}
}

// any returns a random replica, as a load balancer picks it.
func (s *site) any() *process { return s.fronts[rand.IntN(len(s.fronts))] }

// insist repeats a request until it gets an answer, which must come within a minute.
func (s *site) insist(ask func(p *process) (*answer, error)) *answer {
	began := time.Now()
	for {
		a, err := ask(s.any())
		if err == nil {
			return a
		}
		if s.t.Failed() {
			return &answer{}
		}
		if time.Since(began) > time.Minute {
			s.t.Errorf("no answer within a minute: %v", err)
			return &answer{}
		}
		time.Sleep(rand.N(200 * time.Millisecond))
	}
}

// browser is a session in several tabs, which share the newest refresh token as tabs share
// a browser's storage: each replaces the token that it presented with the one that it got,
// unless another tab was faster.
type browser struct {
	name string

	mu        sync.Mutex
	newest    string               // what the tabs share
	known     uint64               // the highest counter that any tab got
	presented map[string]time.Time // when a token was first presented; it is not superseded before that
	spent     []spentToken         // in order
	stolen    bool                 // a thief is at work: the session may end
}

// spentToken is a superseded token, and the latest time when that happened.
type spentToken struct {
	token string
	since time.Time
}

// open opens sessions.
func (s *site) open(n int) []*browser {
	const perUser = 20
	s.each((n+perUser-1)/perUser, func(i int) {
		s.insist(func(p *process) (*answer, error) { return p.signup(fmt.Sprintf("user-%d", i), processPassword) })
	})
	all := make([]*browser, n)
	s.each(n, func(i int) {
		a := s.insist(func(p *process) (*answer, error) {
			// Without openid: ID tokens cost more than all the rest.
			return p.login(fmt.Sprintf("user-%d", i/perUser), processPassword, "scope", "profile")
		})
		token := a.member("refresh_token")
		if token == "" {
			s.t.Errorf("sign-in: %v", a)
			return
		}
		_, known := position(s.t, token)
		all[i] = &browser{name: fmt.Sprintf("session %d", i), newest: token, known: known, presented: map[string]time.Time{}}
	})
	if s.t.Failed() {
		s.t.FailNow()
	}
	return all
}

// each does something for 0 to n-1, some at a time.
func (s *site) each(n int, do func(i int)) {
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := worker; i < n; i += 8 {
				do(i)
			}
		})
	}
	wg.Wait()
}

// position returns a refresh token's session and counter, which no client reads.
func position(t *testing.T, token string) (session string, counter uint64) {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "cs_rt_"))
	if err != nil || len(b) < 29 {
		t.Errorf("%q is no refresh token", token)
		return "", 0
	}
	return string(b[5:21]), binary.BigEndian.Uint64(b[21:29])
}

// browse uses a session until the site is closed: about every pace all tabs need an access
// token at about the same time.
func (s *site) browse(b *browser, tabs int, pace time.Duration) {
	s.browser.Go(func() {
		for {
			select {
			case <-s.stop:
				return
			case <-after(pace/2, pace*3/2):
			}
			var wg sync.WaitGroup
			for tab := range tabs {
				dawdle := rand.N(20 * time.Millisecond)
				if tab == 0 { // in the background, where browsers slow everything down
					dawdle = rand.N(400 * time.Millisecond)
				}
				wg.Go(func() { s.refresh(b, dawdle) })
			}
			wg.Wait()
			b.mu.Lock()
			stolen := b.stolen
			b.mu.Unlock()
			if stolen || s.t.Failed() {
				return
			}
		}
	})
}

// hammer has the tabs of a session refresh all the time, until the site is closed.
func (s *site) hammer(b *browser, tabs int) {
	for range tabs {
		s.browser.Go(func() {
			for !s.t.Failed() {
				select {
				case <-s.stop:
					return
				case <-after(0, 10*time.Millisecond):
					s.refresh(b, 0)
				}
			}
		})
	}
}

// close ends the use of the site, after all clients have got their last answer.
func (s *site) close() {
	close(s.stop)
	s.browser.Wait()
}

// refresh acts as a tab: it takes the shared token, and after a while presents it, again
// and again until it gets an answer.
func (s *site) refresh(b *browser, dawdle time.Duration) {
	s.slots <- struct{}{}
	defer func() { <-s.slots }()
	b.mu.Lock()
	token := b.newest
	b.mu.Unlock()
	time.Sleep(dawdle)
	for began := time.Now(); ; {
		b.mu.Lock()
		first, again := b.presented[token]
		if !again {
			first = time.Now()
			b.presented[token] = first
		}
		known := b.known
		b.mu.Unlock()
		a, err := s.any().refresh(token)
		switch {
		case err == nil && a.status == http.StatusOK:
			s.refreshes.Add(1)
			b.take(s.t, token, a.member("refresh_token"), known)
			s.mu.Lock()
			s.longest = max(s.longest, time.Since(began))
			s.mu.Unlock()
			return
		case err == nil && !b.outrun(s.t, token):
			b.mu.Lock()
			defer b.mu.Unlock()
			if !b.stolen {
				s.t.Errorf("%s is lost: a token first presented %v ago got %v", b.name, time.Since(first), a)
			}
			return
		case time.Since(first) > s.window:
			s.t.Errorf("%s: a token first presented %v ago got no answer: %v", b.name, time.Since(first), err)
			return
		}
		s.retries.Add(1)
		time.Sleep(20*time.Millisecond + rand.N(200*time.Millisecond))
		if err == nil || rand.IntN(2) == 0 { // a token that another tab has got meanwhile is as good
			b.mu.Lock()
			token = b.newest
			b.mu.Unlock()
		}
	}
}

// remembered is the number of rotations whose times a session keeps.
const remembered = 8

// outrun reports whether other tabs may have moved the session so far that the server
// doesn't remember a token.
func (b *browser) outrun(t *testing.T, token string) bool {
	_, counter := position(t, token)
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.known+1-counter > remembered // one more than known, whose answer is on its way
}

// take records a tab's answer. known is the highest counter before its request.
func (b *browser) take(t *testing.T, presented, got string, known uint64) {
	session, before := position(t, presented)
	same, counter := position(t, got)
	b.mu.Lock()
	defer b.mu.Unlock()
	if same != session || counter <= before || counter < known {
		t.Errorf("%s has forked: token %d got token %d after token %d was given out", b.name, before, counter, known)
	}
	b.known = max(b.known, counter)
	if b.newest == presented {
		b.newest = got
		b.spent = append(b.spent, spentToken{presented, time.Now()})
	}
}

// stale returns a random token that is certain to be reuse: it was superseded before the
// window, and the server can tell.
func (b *browser) stale(t *testing.T, window time.Duration) (string, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	late := slices.DeleteFunc(slices.Clone(b.spent), func(s spentToken) bool { return time.Since(s.since) < window })
	if len(late) == 0 {
		return "", false
	}
	// All tabs together may well move on by four before it sees the token.
	if _, last := position(t, late[len(late)-1].token); b.known-last > remembered-4 {
		return "", false
	}
	return late[rand.IntN(len(late))].token, true
}

// rob has a thief present an old token of a session as soon as it is certain to be reuse,
// which must end the session.
func (s *site) rob(b *browser) {
	s.browser.Go(func() {
		token, ok := "", false
		for !ok {
			select {
			case <-s.stop:
				return
			case <-after(100*time.Millisecond, time.Second):
				token, ok = b.stale(s.t, s.window+200*time.Millisecond)
			}
		}
		s.accuse(b, token)
	})
}

// accuse presents a token that is reuse, and checks that its session is over.
func (s *site) accuse(b *browser, token string) {
	b.mu.Lock()
	b.stolen = true
	b.mu.Unlock()
	a := s.insist(func(p *process) (*answer, error) { return p.refresh(token) })
	if a.status != http.StatusBadRequest || a.member("error") != "invalid_grant" {
		s.t.Errorf("%s: a late replay got %v, want invalid_grant", b.name, a)
	}
	b.mu.Lock()
	newest := b.newest
	b.mu.Unlock()
	if a := s.insist(func(p *process) (*answer, error) { return p.refresh(newest) }); a.status != http.StatusBadRequest {
		s.t.Errorf("%s goes on after a late replay: %v", b.name, a)
	}
	s.thefts.Add(1)
}

// settle checks all sessions after the clients have stopped: those that no thief robbed
// are live, each with one current token, at every replica. It returns them.
func (s *site) settle(all []*browser) (live []*browser) {
	for _, b := range all {
		if !b.stolen {
			live = append(live, b)
		}
	}
	s.each(len(live), func(i int) {
		b := live[i]
		for range 2 {
			var got []string
			for _, i := range rand.Perm(len(s.fronts)) {
				a, err := s.fronts[i].refresh(b.newest)
				if err != nil || a.status != http.StatusOK {
					s.t.Errorf("%s is lost: %v (%v)", b.name, a, err)
					return
				}
				got = append(got, a.member("refresh_token"))
			}
			if len(slices.Compact(got)) > 1 {
				s.t.Errorf("%s has forked: replicas answer %v", b.name, got)
			}
			b.take(s.t, b.newest, got[0], b.known)
		}
	})
	return live
}

// condemn ends half of the sessions with old tokens, after those are reuse, and checks
// that the other half goes on: only the newest token was current.
func (s *site) condemn(live []*browser) {
	time.Sleep(s.window + 100*time.Millisecond)
	s.each(len(live), func(i int) {
		b := live[i]
		if i%2 == 0 {
			s.accuse(b, b.spent[rand.IntN(len(b.spent))].token)
		} else if a, err := s.any().refresh(b.newest); err != nil || a.status != http.StatusOK {
			s.t.Errorf("%s is lost: %v (%v)", b.name, a, err)
		}
	})
}
