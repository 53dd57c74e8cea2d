package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/test/soak"
)

// recovery is how soon everything must work again after the database answers.
const recovery = 5 * time.Second

// probe is a client that checks whether a server does all that it should.
type probe struct {
	*process
	name    string
	refresh string // their refresh token
	n       int    // sign-ups so far
}

// newProbe returns a probe that is signed in at a server.
func newProbe(p *process, name string) *probe {
	p.t.Helper()
	want(p.t, http.StatusCreated)(p.signup(name, processPassword))
	a := want(p.t, http.StatusOK)(p.login(name, processPassword))
	return &probe{process: p, name: name, refresh: a.member("refresh_token")}
}

// tries are the requests of a probe, by name, with the status of success.
func (p *probe) tries() map[string]func() (a *answer, worked int, err error) {
	return map[string]func() (*answer, int, error){
		"signup": func() (*answer, int, error) {
			p.n++ // a sign-up without an answer may have happened
			a, err := p.signup(fmt.Sprintf("%s-%d", p.name, p.n), processPassword)
			return a, http.StatusCreated, err
		},
		"login": func() (*answer, int, error) {
			a, err := p.login(p.name, processPassword)
			return a, http.StatusOK, err
		},
		"refresh": func() (*answer, int, error) {
			a, err := p.process.refresh(p.refresh)
			if err == nil && a.status == http.StatusOK {
				p.refresh = a.member("refresh_token")
			}
			return a, http.StatusOK, err
		},
		"readyz": func() (*answer, int, error) {
			a, err := p.get("/readyz", "")
			return a, http.StatusOK, err
		},
	}
}

// meetsOutage checks that every request gets a correct 503, while the process says that it
// is alive. It returns how long the slowest answer took.
func (p *probe) meetsOutage() (slowest time.Duration) {
	tries := p.tries()
	for _, what := range slices.Sorted(maps.Keys(tries)) {
		began := time.Now()
		for { // the server checks its readiness once a second
			a, worked, err := tries[what]()
			if what == "readyz" && err == nil && a.status == worked && time.Since(began) < 2*time.Second {
				time.Sleep(20 * time.Millisecond)
				continue
			}
			if err != nil {
				p.t.Errorf("%s without the database: %v", what, err)
			} else if why := impolite(a); why != "" {
				p.t.Errorf("%s without the database: %s: %v", what, why, a)
			}
			break
		}
		if what != "readyz" {
			slowest = max(slowest, time.Since(began))
		}
	}
	if a, err := p.get("/healthz", ""); err != nil || a.status != http.StatusOK {
		p.t.Errorf("healthz without the database: %v (%v)", a, err)
	}
	return slowest
}

// recovers waits until everything works, and returns how long each request took.
func (p *probe) recovers(within time.Duration) map[string]time.Duration {
	began := time.Now()
	took := map[string]time.Duration{}
	for what, try := range p.tries() {
		for {
			a, worked, err := try()
			if err == nil && a.status == worked {
				break
			}
			if err == nil && a.status < 500 || time.Since(began) > within {
				p.t.Errorf("%s doesn't work after %v: %v (%v)", what, time.Since(began), a, err)
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		took[what] = time.Since(began)
	}
	return took
}

// recoveries holds the longest time that each request took.
type recoveries map[string]time.Duration

// await has all probes check in parallel until everything works.
func (r recoveries) await(probes []*probe, within time.Duration) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, p := range probes {
		wg.Go(func() {
			took := p.recovers(within)
			mu.Lock()
			defer mu.Unlock()
			for what, d := range took {
				r[what] = max(r[what], d.Round(time.Millisecond))
			}
		})
	}
	wg.Wait()
}

// comeBack signs in a random account once more.
func (c *crowd) comeBack(p *process) {
	who := c.any(busySessions)
	if who == nil {
		return
	}
	who.mu.Lock()
	defer who.mu.Unlock()
	if len(who.sessions) < 20 {
		c.signIn(p, who)
	}
}

// work keeps users signing up, signing in and refreshing at every replica, until the site
// is closed.
func (c *crowd) work(s *site) {
	for i, p := range s.fronts {
		worker := func(pause time.Duration, do func(n int)) {
			s.browser.Go(func() {
				for n := 0; !c.t.Failed(); n++ {
					select {
					case <-s.stop:
						return
					case <-after(0, pause):
						do(n)
					}
				}
			})
		}
		worker(200*time.Millisecond, func(n int) { c.join(p, fmt.Sprintf("user-%d-%d", i, n)) })
		for range 2 {
			worker(20*time.Millisecond, func(int) { c.comeBack(p) })
			worker(20*time.Millisecond, func(int) { c.refresh(p) })
		}
	}
}

// checkAll checks everything that was acknowledged, and all requests without an answer.
func (c *crowd) checkAll(s *site) {
	s.each(len(c.accounts), func(i int) {
		c.checkAccount(s.any(), c.accounts[i])
		c.checkSessions(s.any(), c.accounts[i])
	})
	s.each(len(c.doubtful), func(i int) { c.checkDoubtful(s.any(), c.doubtful[i]) })
	for what, n := range map[string]int64{"sign-ups": c.signups.Load(), "refreshes": c.refreshes.Load()} {
		if n < 5 {
			c.t.Errorf("only %d %s: this has shown little", n, what)
		}
	}
}

// The database is killed again and again under two replicas, stopped once, and hangs once.
// No acknowledged change is missing; meanwhile the replicas answer 503, and they recover
// by themselves.
func TestDatabaseKilledUnderLoad(t *testing.T) {
	t.Parallel()
	kills := soak.Size(20, 2)
	db, url := startMariaDB(t)
	data := t.TempDir()
	var urls []string
	var probes []*probe
	for i := range 2 {
		r := startReplica(t, data, url, wideWindow)
		urls = append(urls, r.base)
		probes = append(probes, newProbe(r.process, fmt.Sprintf("probe-%d", i)))
	}
	s := newSite(t, 10*time.Minute, urls...)
	c := &crowd{t: t}
	c.work(s)
	longest := recoveries{}
	outage := func(down, up func() error) (slowest time.Duration) {
		<-after(300*time.Millisecond, time.Second)
		if err := down(); err != nil {
			t.Fatal(err)
		}
		for _, p := range probes {
			slowest = max(slowest, p.meetsOutage())
		}
		if err := up(); err != nil {
			t.Fatal(err)
		}
		if longest.await(probes, recovery); t.Failed() {
			t.FailNow()
		}
		return slowest
	}
	var slowest, hung time.Duration
	for range kills {
		slowest = max(slowest, outage(db.Kill, db.Restart))
	}
	outage(db.Stop, db.Restart) // closes connections with other errors
	if soak.On() {
		hung = outage(db.Pause, db.Resume) // no connection gets an answer
	}
	s.close()
	c.checkAll(s)
	t.Logf("%d kills: %d sign-ups and %d refreshes were acknowledged, all were kept; %d sign-ups were left open; "+
		"%d answers 503, the slowest after %v (%v when it hung); everything worked again within %v of the database",
		kills, c.signups.Load(), c.refreshes.Load(), len(c.doubtful), s.away.Load(), slowest.Round(time.Millisecond), hung.Round(time.Millisecond), longest)
	// However often they connect again, they say once what they replace.
	for _, p := range probes {
		said := p.said(`"autocommit":{"server":"OFF","ours":"ON"}`)
		if len(said) != 1 || !strings.Contains(said[0], `"level":"INFO"`) {
			t.Errorf("the log says %d times that the server replaces the database's autocommit: %q", len(said), said)
		}
	}
}
