package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/test/soak"
)

const (
	// killTime is when a machine that shows little in a round has had rounds enough.
	killTime = 8 * time.Minute
	// busySessions is the number of accounts whose sessions are refreshed all the time.
	busySessions = 30
	// wideWindow is a replay window that outlasts a restart: a caller whose answer was
	// lost in the crash gets the current token for its last one.
	wideWindow = "COUNTERSIGN_TOKENS_REFRESH_REPLAY_WINDOW=10m"
	noWindow   = "COUNTERSIGN_TOKENS_REFRESH_REPLAY_WINDOW=0s"
)

// crowd records what servers acknowledged to callers, through any number of crashes.
type crowd struct {
	t *testing.T

	mu       sync.Mutex
	accounts []*account
	doubtful []string // names whose sign-up got no answer

	signups, browsers, exchanges, refreshes, revocations, commands atomic.Int64
}

// account is an acknowledged account. Its lock is held during any change of it.
type account struct {
	name string

	mu       sync.Mutex
	password string
	disabled bool
	sessions []*signedIn
	browser  string   // the cookies of the signed-in browser, empty for none
	former   []string // cookies of browsers whose sign-out was acknowledged
}

// signedIn is an acknowledged session.
type signedIn struct {
	current string   // the last acknowledged token
	spent   []string // those before it
	ended   bool     // its end was acknowledged
	unclear bool     // a request to end it got no answer
}

// any returns a random account out of the last n, or nil.
func (c *crowd) any(n int) *account {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.accounts) == 0 {
		return nil
	}
	n = min(n, len(c.accounts))
	return c.accounts[len(c.accounts)-n+rand.IntN(n)]
}

// busy returns a random one of the accounts whose sessions are refreshed.
func (c *crowd) busy() *account {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.accounts) == 0 {
		return nil
	}
	return c.accounts[rand.IntN(min(busySessions, len(c.accounts)))]
}

// join signs up one more user, and signs them in.
func (c *crowd) join(p *process, name string) {
	a, err := p.signup(name, processPassword)
	if err != nil {
		c.mu.Lock()
		c.doubtful = append(c.doubtful, name)
		c.mu.Unlock()
		return
	}
	if a.status != http.StatusCreated {
		c.t.Errorf("sign-up: %v", a)
		return
	}
	c.signups.Add(1)
	who := &account{name: name, password: processPassword}
	c.mu.Lock()
	c.accounts = append(c.accounts, who)
	c.mu.Unlock()
	who.mu.Lock()
	defer who.mu.Unlock()
	if who.disabled || who.password != processPassword {
		return // another goroutine was faster
	}
	c.signIn(p, who)
}

// signIn opens a session. The account is locked.
func (c *crowd) signIn(p *process, who *account) {
	enter := func() (*answer, error) { return p.login(who.name, who.password) }
	if rand.IntN(2) == 0 {
		enter = func() (*answer, error) { return c.enterByBrowser(p, who) }
	}
	switch a, err := enter(); {
	case err != nil:
	case a.status != http.StatusOK:
		c.t.Errorf("sign-in: %v", a)
	default:
		who.sessions = append(who.sessions, &signedIn{current: a.member("refresh_token")})
	}
}

// enterByBrowser opens a session by a code of the account's browser, and signs the user in
// to a browser first if need be. The account is locked.
func (c *crowd) enterByBrowser(p *process, who *account) (a *answer, err error) {
	code := ""
	if who.browser == "" {
		if who.browser, code, err = p.signInToBrowser(who.name, who.password); err != nil {
			return nil, err
		}
		c.browsers.Add(1)
	} else {
		led, err := p.authorize(who.browser, "prompt", "none")
		if err != nil {
			return nil, err
		}
		code = led.Get("code")
	}
	if a, err = p.exchange(code); err == nil {
		c.exchanges.Add(1)
	}
	return a, err
}

// refresh refreshes the sessions of a random account, or opens one if none is left.
func (c *crowd) refresh(p *process) {
	who := c.busy()
	if who == nil {
		return
	}
	who.mu.Lock()
	defer who.mu.Unlock()
	over := func(s *signedIn) bool { return s.ended || s.unclear }
	if !who.disabled && !slices.ContainsFunc(who.sessions, func(s *signedIn) bool { return !over(s) }) {
		c.signIn(p, who)
	}
	for _, s := range who.sessions {
		if over(s) {
			continue
		}
		a, err := p.refresh(s.current)
		if err != nil {
			return
		}
		if a.status != http.StatusOK {
			c.t.Errorf("refresh: %v", a)
			return
		}
		s.spent = append(s.spent, s.current)
		s.current = a.member("refresh_token")
		c.refreshes.Add(1)
	}
}

// steal presents a spent token to a server without a replay window, which ends
// the session.
func (c *crowd) steal(p *process) {
	who := c.busy()
	if who == nil {
		return
	}
	who.mu.Lock()
	defer who.mu.Unlock()
	for _, s := range who.sessions {
		if s.ended || s.unclear || len(s.spent) == 0 {
			continue
		}
		a, err := p.refresh(s.spent[len(s.spent)-1])
		switch {
		case err != nil:
			s.unclear = true
		case a.status != http.StatusBadRequest:
			c.t.Errorf("a spent token, without a replay window: %v", a)
		default:
			s.ended = true
			c.revocations.Add(1)
		}
		return
	}
}

// operate has an operator change a random account from another process.
func (c *crowd) operate(data string, n int) {
	who := c.any(busySessions)
	if who == nil {
		return
	}
	who.mu.Lock()
	defer who.mu.Unlock()
	switch n % 3 {
	case 0:
		command(c.t, data, "", "users", "disable", who.name)
		who.disabled = true
	case 1:
		who.password = fmt.Sprintf("another staple number %d", n)
		command(c.t, data, who.password, "users", "set-password", who.name, "--password-stdin")
	case 2:
		command(c.t, data, "", "sessions", "revoke", "--user", who.name)
	}
	for _, s := range who.sessions {
		s.ended = true
	}
	if who.browser != "" {
		who.former, who.browser = append(who.former, who.browser), ""
	}
	c.commands.Add(1)
}

// checkAccount signs in to an account.
func (c *crowd) checkAccount(p *process, who *account) {
	who.mu.Lock()
	defer who.mu.Unlock()
	status := http.StatusOK
	if who.disabled {
		status = http.StatusBadRequest
	}
	a, err := p.login(who.name, who.password)
	if err != nil || a.status != status {
		c.t.Errorf("%s signs in: %v (%v), want %d", who.name, a, err, status)
	}
	if who.password != processPassword {
		if a, err := p.login(who.name, processPassword); err != nil || a.status != http.StatusBadRequest {
			c.t.Errorf("%s signs in with the password before: %v (%v), want 400", who.name, a, err)
		}
	}
}

// checkSessions refreshes the sessions of an account: the last acknowledged token is good,
// a spent one gets only the current token.
func (c *crowd) checkSessions(p *process, who *account) {
	who.mu.Lock()
	defer who.mu.Unlock()
	for _, s := range who.sessions {
		if s.unclear {
			continue
		}
		a, err := p.refresh(s.current)
		if s.ended {
			if err != nil || a.status != http.StatusBadRequest {
				c.t.Errorf("session of %s that was ended: %v (%v), want 400", who.name, a, err)
			}
			continue
		}
		if err != nil || a.status != http.StatusOK {
			c.t.Errorf("session of %s, after %d rotations: %v (%v), want 200", who.name, len(s.spent), a, err)
			continue
		}
		s.spent = append(s.spent, s.current)
		s.current = a.member("refresh_token")
		back := s.spent[max(0, len(s.spent)-1-rand.IntN(4))]
		a, err = p.refresh(back)
		if err != nil || a.status != http.StatusOK || a.member("refresh_token") != s.current {
			c.t.Errorf("a spent token of %s: %v (%v), want 200 with the current one, %s", who.name, a, err, s.current)
		}
	}
}

// checkBrowser checks that an account's browsers are signed in or out as acknowledged.
func (c *crowd) checkBrowser(p *process, who *account) {
	who.mu.Lock()
	defer who.mu.Unlock()
	for _, cookies := range append([]string{who.browser}, who.former...) {
		led, err := p.authorize(cookies, "prompt", "none")
		if err != nil || led.Has("code") != (cookies != "" && cookies == who.browser) {
			c.t.Errorf("the browser of %s (signed in to: %v) gets %v (%v)", who.name, cookies == who.browser, led, err)
		}
	}
}

// checkDoubtful checks that a sign-up without an answer happened fully or not at all.
func (c *crowd) checkDoubtful(p *process, name string) {
	a, err := p.login(name, processPassword)
	if err != nil {
		c.t.Errorf("sign in: %v", err)
		return
	}
	again, err := p.signup(name, processPassword)
	if err != nil || (a.status == http.StatusOK) != (again.status == http.StatusConflict) {
		c.t.Errorf("half an account: sign-in %v, sign-up %v (%v)", a, again, err)
		return
	}
	if a, err := p.login(name, processPassword); err != nil || a.status != http.StatusOK {
		c.t.Errorf("sign-in after the second sign-up: %v (%v)", a, err)
	}
}

// check checks what a server that has just started knows: all busy sessions, a few of the
// latest accounts and a few of all.
func (c *crowd) check(p *process) {
	c.t.Helper()
	for _, who := range c.accounts[:min(busySessions, len(c.accounts))] {
		c.checkSessions(p, who)
		c.checkBrowser(p, who)
	}
	for _, among := range []int{5, 5, len(c.accounts), len(c.accounts)} {
		if who := c.any(among); who != nil {
			c.checkAccount(p, who)
		}
	}
	if n := len(c.doubtful); n > 0 {
		c.checkDoubtful(p, c.doubtful[n-1])
		c.doubtful = c.doubtful[:n-1]
	}
	if c.t.Failed() {
		c.t.FailNow()
	}
}

// load runs callers against a server, and thieves against another if there is one, until
// stop is closed. They have ended when wait returns.
func (c *crowd) load(p, strict *process, round int, stop <-chan struct{}) (wait func()) {
	var wg sync.WaitGroup
	worker := func(do func(n int)) {
		wg.Go(func() {
			for n := 0; !c.t.Failed(); n++ {
				select {
				case <-stop:
					return
				default:
					do(n)
				}
			}
		})
	}
	worker(func(n int) { c.join(p, fmt.Sprintf("user-%d-%d", round, n)) })
	for range 3 {
		worker(func(int) { c.refresh(p) })
	}
	if strict != nil {
		wg.Go(func() {
			for range 3 {
				c.steal(strict)
			}
		})
	}
	return wg.Wait
}

// after returns a channel that fires at a random time from least to most from now.
func after(least, most time.Duration) <-chan time.Time {
	return time.After(least + rand.N(most-least))
}

func TestWhatWasAcknowledgedSurvivesKill(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	c := &crowd{t: t}
	kills, enough := soak.Size(50, 15), soak.Size[int64](10, 5)
	began, round := time.Now(), 0
	for ; round < kills || (c.shownLeast() < enough || c.spentSessions() < 4) && time.Since(began) < killTime; round++ {
		if round%10 == 9 { // one that is hit while it starts
			p := launch(t, data)
			<-after(0, 200*time.Millisecond)
			p.kill()
			continue
		}
		p := serve(t, data, wideWindow)
		c.check(p)
		var strict *process
		if round%5 == 3 {
			strict = serve(t, data, noWindow) // a replica, killed with it
		}
		stop := make(chan struct{})
		wait := c.load(p, strict, round, stop)
		if round%3 == 2 {
			c.operate(data, round/3)
		}
		<-after(20*time.Millisecond, 500*time.Millisecond)
		if strict != nil {
			strict.cmd.Process.Kill()
		}
		p.kill() // under load: the callers learn of it from their connections
		close(stop)
		wait()
		if strict != nil {
			strict.kill()
		}
	}

	p := serve(t, data, wideWindow)
	var all []struct{ Username string }
	if err := json.Unmarshal([]byte(command(t, data, "", "users", "list", "--json", "--limit", "0")), &all); err != nil {
		t.Fatal(err)
	}
	stored := map[string]bool{}
	for _, u := range all {
		stored[u.Username] = true
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := worker; i < len(c.accounts); i += 4 {
				if !stored[c.accounts[i].name] {
					t.Errorf("users list doesn't have %s", c.accounts[i].name)
				}
				c.checkAccount(p, c.accounts[i])
				c.checkSessions(p, c.accounts[i])
				c.checkBrowser(p, c.accounts[i])
			}
		})
	}
	wg.Wait()
	c.checkSpent(p, serve(t, data, noWindow))
	t.Logf("%d kills in %v: %d sign-ups, %d sign-ins to browsers, %d codes exchanged, %d refreshes, %d sessions ended for reuse and %d commands were acknowledged, all were kept",
		round, time.Since(began).Round(time.Second), c.signups.Load(), c.browsers.Load(), c.exchanges.Load(),
		c.refreshes.Load(), c.revocations.Load(), c.commands.Load())
	if n := c.shownLeast(); n < enough {
		t.Errorf("only %d of one of these: this has shown little", n)
	}
}

// shownLeast is how many of what was acknowledged least often were acknowledged.
func (c *crowd) shownLeast() int64 {
	return min(c.signups.Load(), c.browsers.Load(), c.exchanges.Load(), c.refreshes.Load(), c.revocations.Load(), c.commands.Load())
}

// spentSessions is how many sessions have a spent token to present.
func (c *crowd) spentSessions() (n int) {
	for _, who := range c.accounts[:min(busySessions, len(c.accounts))] {
		for _, s := range who.sessions {
			if !s.ended && !s.unclear && len(s.spent) > 0 {
				n++
			}
		}
	}
	return n
}

// checkSpent presents a spent token of every other busy session to a server
// without a replay window. That ends the session, and no other.
func (c *crowd) checkSpent(p, strict *process) {
	spent := 0
	for _, who := range c.accounts[:min(busySessions, len(c.accounts))] {
		for _, s := range who.sessions {
			if s.ended || s.unclear || len(s.spent) == 0 {
				continue
			}
			spent++
			if spent%2 == 0 {
				want(c.t, http.StatusBadRequest)(strict.refresh(s.spent[rand.IntN(len(s.spent))]))
				want(c.t, http.StatusBadRequest)(p.refresh(s.current))
			} else {
				want(c.t, http.StatusOK)(strict.refresh(s.current))
			}
		}
	}
	if spent < 4 {
		c.t.Errorf("only %d sessions were left: this has shown little", spent)
	}
}

// A first start creates the folder, the master key, the schema and the signing keys. The
// next start goes on wherever the first was killed.
func TestFirstStartSurvivesKill(t *testing.T) {
	served := 0
	starts := soak.Size(12, 5)
	for range starts {
		data := t.TempDir()
		p := launch(t, data)
		<-after(0, 250*time.Millisecond)
		p.kill()
		if p.base != "" {
			served++
		}
		p = serve(t, data)
		want(t, http.StatusCreated)(p.signup("alice", processPassword))
		token := want(t, http.StatusOK)(p.login("alice", processPassword)).member("access_token")
		want(t, http.StatusOK)(p.get("/userinfo", token))
		p.kill()
	}
	t.Logf("%d of %d were serving already", served, starts)
}
