package main

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"countersign/test/soak"
)

// lossy is a proxy to a server that throws a tenth of its answers away: the
// request was served, and the client sees its connection break. What it counts
// is added to lost. It gives up on a server that is down in the same way.
func lossy(t *testing.T, to string, lost *atomic.Int64) string {
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: transport,
		ModifyResponse: func(*http.Response) error {
			if rand.IntN(10) > 0 {
				return nil
			}
			lost.Add(1)
			return errors.New("lost on the way")
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	front := httptest.NewServer(proxy)
	t.Cleanup(func() {
		front.Close()
		transport.CloseIdleConnections()
	})
	return front.URL
}

// hold stops a server where it is and lets it go on after a while, as a busy
// machine does. Requests then write long after they have read.
func hold(t *testing.T, p *process, d time.Duration) {
	for _, signal := range []os.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		if err := p.cmd.Process.Signal(signal); err != nil {
			t.Error(err)
		}
		if signal == syscall.SIGSTOP {
			time.Sleep(d)
		}
	}
}

// Two replicas on one database are stopped and killed again and again, a tenth
// of their answers gets lost, and several tabs of each session race. No honest
// session is lost, none forks, and every thief is found out.
func TestStorm(t *testing.T) {
	t.Parallel()
	const window, tabs = 5 * time.Second, 4
	sessions, length := soak.Size(1000, 80), soak.Size(2*time.Minute, 10*time.Second)

	_, database := startMariaDB(t)
	data := t.TempDir()
	var replicas []*replica
	var lost atomic.Int64
	var fronts, direct []string
	for range 2 {
		r := startReplica(t, data, database, "COUNTERSIGN_TOKENS_REFRESH_REPLAY_WINDOW="+window.String())
		replicas, direct, fronts = append(replicas, r), append(direct, r.base), append(fronts, lossy(t, r.base, &lost))
	}
	s := newSite(t, window, fronts...)
	all := s.open(sessions)
	for i, b := range all {
		switch {
		case i < 8:
			s.hammer(b, tabs)
		case i%10 == 0:
			s.rob(b)
			fallthrough
		default:
			s.browse(b, tabs, 2*time.Second)
		}
	}
	killed := 0
	for began := time.Now(); time.Since(began) < length && !t.Failed(); {
		for range 4 {
			<-after(50*time.Millisecond, 350*time.Millisecond)
			hold(t, replicas[rand.IntN(len(replicas))].process, 50*time.Millisecond+rand.N(200*time.Millisecond))
		}
		victims := replicas
		if rand.IntN(5) > 0 { // mostly one, at times both
			i := rand.IntN(len(replicas))
			victims = replicas[i : i+1]
		}
		for _, r := range victims {
			r.kill()
			killed++
		}
		<-after(0, 300*time.Millisecond)
		for _, r := range victims {
			r.restart()
		}
	}
	s.close()
	thefts := s.thefts.Load()
	quiet := newSite(t, window, direct...)
	live := quiet.settle(all)
	if t.Failed() {
		t.FailNow()
	}
	quiet.condemn(live)
	t.Logf("%d sessions, %d refreshes answered, %d answers thrown away, %d kills, %d answers 503, %d retries, the longest refresh took %v: "+
		"%d honest sessions, none lost or forked; %d thefts, all detected",
		sessions, s.refreshes.Load(), lost.Load(), killed, s.away.Load(), s.retries.Load(), s.longest.Round(time.Millisecond),
		len(live), thefts)
	if thefts < int64(sessions)/20 || killed < 3 || lost.Load() < 20 {
		t.Errorf("%d thefts, %d kills, %d answers thrown away: this has shown little", thefts, killed, lost.Load())
	}
}
