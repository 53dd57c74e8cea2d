package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"countersign/test/soak"
)

// enrolled is a user of a server where all must have a second factor, and what the servers
// acknowledged to the user.
type enrolled struct {
	name    string
	secret  string   // of the app that a page has shown; empty: none was sent back to the server
	asked   bool     // the user has sent a code that puts the app in force
	codes   []string // recovery codes; nil: no answer has come
	used    int      // how many of them were acknowledged
	unclear bool     // the use of the next got no answer
	done    bool     // the user has nothing left to sign in with
}

// visitor is a browser that goes through the hosted pages.
type visitor struct {
	p       *process
	cookies map[string]string
}

func (v *visitor) send(method, path string, f url.Values) (*answer, error) {
	r, err := http.NewRequestWithContext(v.p.t.Context(), method, v.p.base+path, strings.NewReader(f.Encode()))
	if err != nil {
		return nil, err
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", processIssuer)
	}
	for name, value := range v.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	a, err := v.p.do(r)
	if err == nil {
		for _, c := range (&http.Response{Header: a.header}).Cookies() {
			v.cookies[c.Name] = c.Value
		}
	}
	return a, err
}

// begin gives the password, and returns where that leads.
func (v *visitor) begin(name string) (string, error) {
	a, err := v.send(http.MethodPost, "/login", url.Values{"username": {name}, "password": {processPassword}})
	if err != nil {
		return "", err
	}
	return a.header.Get("Location"), nil
}

var (
	shownKey  = regexp.MustCompile(`id="secret">([A-Z2-7]{32})<`)
	shownCode = regexp.MustCompile(`<li><code>([a-z2-7-]{19})</code>`)
)

// enrol goes on from /factor/enrol.
func (v *visitor) enrol(who *enrolled) error {
	a, err := v.send(http.MethodGet, "/factor/enrol", nil)
	if err != nil {
		return err
	}
	key := shownKey.FindSubmatch(a.body)
	if key == nil {
		return fmt.Errorf("the page shows no key: %v", a)
	}
	code, err := totp.GenerateCode(string(key[1]), time.Now())
	if err != nil {
		return err
	}
	who.secret, who.asked = string(key[1]), true
	if a, err = v.send(http.MethodPost, "/factor/enrol", url.Values{"code": {code}}); err != nil {
		return err
	}
	for _, found := range shownCode.FindAllSubmatch(a.body, -1) {
		who.codes = append(who.codes, string(found[1]))
	}
	if len(who.codes) != 10 {
		v.p.t.Errorf("%d recovery codes: %v", len(who.codes), a)
	}
	return nil
}

// recover goes on from /factor with the next recovery code.
func (v *visitor) recover(who *enrolled) error {
	who.unclear = true
	a, err := v.send(http.MethodPost, "/factor", url.Values{"method": {"recovery_code"}, "code": {who.codes[who.used]}})
	if err != nil {
		return err
	}
	if to := a.header.Get("Location"); to != "/me" {
		v.p.t.Errorf("a recovery code leads to %q: %v", to, a)
	}
	who.used, who.unclear = who.used+1, false
	return nil
}

// live signs one user up, has the user set up an app, and sign in by recovery codes, until the
// server is killed.
func live(p *process, who *enrolled) error {
	if a, err := p.signup(who.name, processPassword); err != nil || a.status != http.StatusCreated {
		who.done = true
		return err
	}
	v := &visitor{p, map[string]string{}}
	if to, err := v.begin(who.name); err != nil || to != "/factor/enrol" {
		return fmt.Errorf("a new user is led to %q: %w", to, err)
	}
	if err := v.enrol(who); err != nil {
		return err
	}
	for range 5 {
		v := &visitor{p, map[string]string{}}
		if to, err := v.begin(who.name); err != nil || to != "/factor" {
			return fmt.Errorf("a user with an app is led to %q: %w", to, err)
		}
		if err := v.recover(who); err != nil {
			return err
		}
	}
	return nil
}

// checkFactors fails the test unless the user's factors are those that were acknowledged, whole,
// and open the account to the user alone.
func (who *enrolled) checkFactors(t *testing.T, p *process, data string) {
	t.Helper()
	v := &visitor{p, map[string]string{}}
	to, err := v.begin(who.name)
	if err != nil {
		t.Fatal(err)
	}
	var shown struct {
		Factors []struct {
			Kind      string
			Remaining int
		}
	}
	if err := json.Unmarshal([]byte(command(t, data, "", "users", "show", who.name, "--json")), &shown); err != nil {
		t.Fatal(err)
	}
	has := shown.Factors
	switch {
	case to == "/factor/enrol" && who.codes == nil && len(has) == 0: // nothing of it is there
		if err := v.enrol(who); err != nil {
			t.Fatalf("%s can't set up an app: %v", who.name, err)
		}
		return
	case to != "/factor" || !who.asked:
		t.Fatalf("%s, who has asked: %v, is led to %q", who.name, who.asked, to)
	}
	left := 10 - who.used
	if len(has) != 2 || has[0].Kind != "totp" || has[1].Kind != "recovery_codes" || has[1].Remaining != left && (!who.unclear || has[1].Remaining != left-1) {
		t.Errorf("%s, of whose codes %d are left, has %+v", who.name, left, has)
	}
	if who.unclear && has[1].Remaining == left-1 { // it was used before its answer was lost
		who.used++
	}
	if who.codes == nil { // the user has the app, and can make codes
		code, err := totp.GenerateCode(who.secret, time.Now().Add(30*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		a, err := v.send(http.MethodPost, "/factor", url.Values{"code": {code}})
		if err != nil || a.header.Get("Location") != "/me" {
			t.Errorf("%s can't sign in by the app: %v, %v", who.name, a, err)
		}
		who.done = true
		return
	}
	for _, used := range who.codes[:who.used] {
		if a, err := v.send(http.MethodPost, "/factor", url.Values{"method": {"recovery_code"}, "code": {used}}); err != nil || a.status != http.StatusBadRequest {
			t.Errorf("%s signs in by a used code: %v, %v", who.name, a, err)
		}
	}
	if err := v.recover(who); err != nil {
		t.Fatal(err)
	}
	who.done = who.used == len(who.codes)
}

// A server that is killed while users set up a second factor, or prove it, leaves none half
// there, locks no user out, and lets none in without.
func TestSecondFactorsSurviveKill(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	kills := soak.Size(50, 6)
	var all []*enrolled
	asked, acknowledged := 0, 0
	for round := range kills {
		p := serve(t, data, "COUNTERSIGN_FACTORS_REQUIRED=all")
		var wg sync.WaitGroup
		var killed atomic.Bool
		var now []*enrolled
		for n := range 3 {
			who := &enrolled{name: fmt.Sprintf("user-%d-%d", round, n)}
			now = append(now, who)
			wg.Go(func() {
				if err := live(p, who); err != nil && !killed.Load() {
					t.Error(err)
				}
			})
		}
		<-after(50*time.Millisecond, 800*time.Millisecond)
		killed.Store(true)
		p.kill()
		wg.Wait()
		p = serve(t, data, "COUNTERSIGN_FACTORS_REQUIRED=all")
		for _, who := range now {
			if who.asked {
				asked++
			}
			if who.codes != nil {
				acknowledged++
			}
		}
		all = append(all, now...)
		for _, who := range all[max(0, len(all)-9):] { // those of former rounds, too
			if !who.done {
				who.checkFactors(t, p, data)
			}
		}
		p.kill()
		if t.Failed() {
			return
		}
	}
	t.Logf("%d kills: %d users had sent a code, %d had an answer", kills, asked, acknowledged)
	if asked == 0 {
		t.Error("no user has got as far: this has shown little")
	}
}
