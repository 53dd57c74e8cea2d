package server_test

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/uuid"

	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
	"countersign/keys"
	"countersign/seal"
	"countersign/server"
	"countersign/test/soak"
	"countersign/tokens"
)

const (
	linearAtOnce  = 4   // users whose histories are made at a time
	linearCallers = 3   // of each user
	linearCalls   = 120 // in a user's history
)

// TestLinearSessions has concurrent callers use sessions at random, on two servers with
// one database, and then looks for an order that explains all answers
// (linear_model_test.go).
func TestLinearSessions(t *testing.T) {
	calls := soak.Size(12_000, 500)
	var faults atomic.Int64
	l := newLinear(t, linearWindow(t), func(_ *linear, o *server.Options) {
		o.Store = &unreliable{o.Store, &faults}
	})
	began, counts, checking := time.Now(), map[string]int{}, time.Duration(0)
	// A busy machine may need more calls until everything has happened.
	for n := 0; n < calls || n < 4*calls && len(tooFew(counts, calls)) > 0; n = counts["calls"] {
		users := l.live(2 * linearAtOnce)
		checked := time.Now()
		for _, u := range users {
			if result := u.check(); result != porcupine.Ok {
				t.Fatalf("history of %s is %s with a window of %v:\n%s", u.name, result, l.window, u.explain())
			}
			u.count(counts)
		}
		checking += time.Since(checked)
		if t.Failed() {
			return
		}
	}
	took := time.Since(began)
	t.Logf("%d calls in %v (window %v), checked in %v", counts["calls"], (took - checking).Round(time.Millisecond), l.window, checking.Round(time.Millisecond))
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%8d %s", counts[what], what)
	}
	for _, what := range tooFew(counts, calls) {
		t.Errorf("only %d of %q", counts[what], what)
	}
	if got, want := int64(counts["uncertain"]), faults.Load(); got != want {
		t.Errorf("%d calls failed, but the store failed %d times", got, want)
	}
}

// tooFew returns the kinds of events that happened too rarely for the check to be
// meaningful.
func tooFew(counts map[string]int, calls int) (kinds []string) {
	for what, rate := range map[string]int{ // one in so many calls
		"met by others": 3, "rotations": 10, "replays": 20, "presented at once by several": 50,
		"reused, session ended": 500, "undecidable, session lived on": 500, "refused to another client": 100,
		"sign in: done": 100, "sign in: refused": 2000, "end session: done": 500, "end session: refused": 2000,
		"end all sessions: done": 1000, "disable: done": 1000, "enable: done": 1000, "uncertain": 1000,
	} {
		if counts[what] < calls/rate {
			kinds = append(kinds, what)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// linear is two servers on one database, and the window they have been given.
type linear struct {
	t        *testing.T
	path     string
	replicas []*app
	window   time.Duration
	users    int
}

// newLinear opens two servers. change may put something between them and their store.
func newLinear(t *testing.T, window time.Duration, change func(l *linear, o *server.Options)) *linear {
	l := &linear{t: t, path: filepath.Join(t.TempDir(), "countersign.db"), window: window}
	key := seal.Generate()
	for range 2 {
		l.replicas = append(l.replicas, openApp(t, l.path, key, quick, func(o *server.Options, _ *keys.Options) {
			o.Throttle.FreeFailures = 1000 // for sign-ins of a disabled user
			o.Tokens.RefreshReplayWindow = window
			change(l, o)
		}))
	}
	return l
}

// linearWindow is a window that suits the machine: some twenty calls of one caller
// fit in, so that tokens of every age come up by themselves.
func linearWindow(t *testing.T) time.Duration {
	const rounds = 20
	l := newLinear(t, time.Minute, func(*linear, *server.Options) {})
	l.replicas[0].signup("pacemaker")
	tokens := make([]string, linearAtOnce*linearCallers)
	for i := range tokens {
		tokens[i] = l.replicas[0].loginWithoutID("pacemaker")
	}
	took := make([]time.Duration, rounds*len(tokens))
	var wg sync.WaitGroup
	for i, token := range tokens {
		wg.Go(func() {
			for n := range rounds {
				began := time.Now()
				token = l.replicas[i%2].refresh(token).want(http.StatusOK).text("refresh_token")
				took[i*rounds+n] = time.Since(began)
			}
		})
	}
	wg.Wait()
	slices.Sort(took)
	return max(50*time.Millisecond, 20*took[len(took)/2])
}

// live records the histories of n users, a few at a time.
func (l *linear) live(n int) []*linearUser {
	users := make([]*linearUser, n)
	for i := range users {
		l.users++
		u := &linearUser{linear: l, name: fmt.Sprintf("user-%d", l.users)}
		u.id = ids.User(uuid.MustParse(l.replicas[0].signup(u.name)))
		users[i] = u
	}
	next := make(chan *linearUser)
	var wg sync.WaitGroup
	for range linearAtOnce {
		wg.Go(func() {
			for u := range next {
				u.live()
			}
		})
	}
	for _, u := range users {
		next <- u
	}
	close(next)
	wg.Wait()
	return users
}

// linearUser is a user, with what the callers know.
type linearUser struct {
	*linear
	name string
	id   ids.User

	mu       sync.Mutex
	history  []porcupine.Operation
	sessions [linearSessions]*linearSession // nil: free
	disabled bool
}

// linearSession is what the callers know of a session.
type linearSession struct {
	id     ids.Session
	tokens []string // by number, from 0 on without a gap; none as long as the sign-in is under way
	over   bool     // as far as the callers know
}

// live lets the callers act until the history is full.
func (u *linearUser) live() {
	var wg sync.WaitGroup
	for who := range linearCallers {
		wg.Go(func() {
			for u.goesOn() {
				u.act(who)
			}
		})
	}
	wg.Wait()
}

// goesOn reports whether a caller has more to do. After all sessions are over it makes
// a few more calls, to check that they stay over.
func (u *linearUser) goesOn() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	alive := func(s *linearSession) bool { return s == nil || !s.over }
	if len(u.history) >= linearCalls || u.t.Failed() {
		return false
	}
	return slices.ContainsFunc(u.sessions[:], alive) || rand.IntN(8) > 0
}

// act does something at random.
func (u *linearUser) act(who int) {
	n := rand.IntN(1000)
	if u.isDisabled() && n < 300 {
		u.enable(who)
		return
	}
	session, known := u.pickSession()
	if !known {
		u.signIn(who)
		return
	}
	latest := u.latest(session)
	switch {
	case n < 525:
		u.refresh(who, session, latest)
	case n < 835: // of another tab, or a lost answer
		u.refresh(who, session, latest-rand.IntN(7))
	case n < 865: // perhaps of a thief, who waits
		time.Sleep(rand.N(u.window * 3 / 2))
		u.refresh(who, session, rand.IntN(latest+1))
	case n < 895: // until the server can't tell
		for range remembered + 2 {
			u.refresh(who, session, u.latest(session))
		}
		u.refresh(who, session, latest)
	case n < 925:
		u.elsewhere(who, session, latest-rand.IntN(3))
	case n < 950:
		u.signIn(who)
	case n < 960:
		u.endSession(who, session)
	case n < 965:
		u.endOfUser(who)
	case n < 970:
		u.disable(who)
	default: // while the tokens get old
		time.Sleep(rand.N(u.window / 2))
	}
}

// pickSession is a session of which there are tokens, mostly one that lives. It
// reports false if another one had better be begun.
func (u *linearUser) pickSession() (int, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var all, living []int
	for i, s := range u.sessions {
		if s == nil || len(s.tokens) == 0 {
			continue
		}
		all = append(all, i)
		if !s.over {
			living = append(living, i)
		}
	}
	full := len(all) == linearSessions
	switch {
	case len(living) > 0 && rand.IntN(20) > 0:
		return living[rand.IntN(len(living))], true
	case len(all) > 0 && (len(living) > 0 || full || rand.IntN(5) == 0):
		return all[rand.IntN(len(all))], true
	}
	return 0, false
}

func (u *linearUser) isDisabled() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.disabled
}

// latest is the number of the latest token of a session that a caller got.
func (u *linearUser) latest(session int) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.sessions[session].tokens) - 1
}

// do calls one of the servers, and records the call and its answer.
func (u *linearUser) do(who int, c linearCall, serve func(a *app) linearAnswer) linearAnswer {
	a, began := u.replicas[rand.IntN(len(u.replicas))], time.Now()
	answer := serve(a)
	c.began, c.ended = began.UnixNano(), time.Now().UnixNano()
	op := porcupine.Operation{ClientId: who, Input: c, Call: c.began, Output: answer, Return: c.ended}
	if answer.outcome == uncertain {
		op.Return = math.MaxInt64 // it may happen at any time from now on
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.history = append(u.history, op)
	return answer
}

// signIn begins a session where there is room for one.
func (u *linearUser) signIn(who int) {
	u.mu.Lock()
	slot := slices.Index(u.sessions[:], nil)
	if slot >= 0 {
		u.sessions[slot] = new(linearSession)
	}
	u.mu.Unlock()
	if slot < 0 {
		return
	}
	var token string
	u.do(who, linearCall{what: linSignIn, session: slot}, func(a *app) linearAnswer {
		f := passwordForm(u.name)
		f.Set("scope", "profile")
		r := a.token(f)
		if r.Code != http.StatusOK {
			return u.denied(r)
		}
		token = r.text("refresh_token")
		return linearAnswer{outcome: happened}
	})
	u.mu.Lock()
	defer u.mu.Unlock()
	if token == "" {
		u.sessions[slot] = nil
	} else {
		u.sessions[slot].id, u.sessions[slot].tokens = sessionOf(u.t, token), []string{token}
	}
}

// denied is an answer that gives no tokens.
func (u *linearUser) denied(r *response) linearAnswer {
	if r.Code >= http.StatusInternalServerError {
		return linearAnswer{outcome: uncertain}
	}
	if r.Code != http.StatusBadRequest || r.text("error") != "invalid_grant" {
		u.t.Errorf("%s: unexpected answer %d: %s", u.name, r.Code, r.Body)
	}
	return linearAnswer{outcome: denied}
}

// refresh presents a refresh token, and learns the one it gets.
func (u *linearUser) refresh(who, session, number int) {
	token, number := u.token(session, number)
	c := linearCall{what: linRefresh, session: session, number: uint64(number)}
	answer := u.do(who, c, func(a *app) linearAnswer {
		r := a.refresh(token)
		if r.Code != http.StatusOK {
			return u.denied(r)
		}
		return linearAnswer{happened, u.learn(session, r.text("refresh_token"))}
	})
	if answer.outcome == denied && number == u.latest(session) {
		u.ended(session)
	}
}

// elsewhere presents a refresh token as another client.
func (u *linearUser) elsewhere(who, session, number int) {
	token, number := u.token(session, number)
	c := linearCall{what: linElsewhere, session: session, number: uint64(number)}
	u.do(who, c, func(a *app) linearAnswer {
		r := a.token(form("grant_type", "refresh_token", "client_id", "other", "refresh_token", token))
		if r.Code != http.StatusOK {
			return u.denied(r)
		}
		return linearAnswer{happened, counter(u.t, r.text("refresh_token"))}
	})
}

// token is a session's token of that number, or the first.
func (u *linearUser) token(session, number int) (string, int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	number = max(0, number)
	return u.sessions[session].tokens[number], number
}

// learn records a new token of the session, and returns its number.
func (u *linearUser) learn(session int, token string) uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	s, n := u.sessions[session], counter(u.t, token)
	switch {
	case sessionOf(u.t, token) != s.id:
		u.t.Errorf("%s: got a token of session %s in session %s", u.name, sessionOf(u.t, token), s.id)
	case n < uint64(len(s.tokens)):
		if token != s.tokens[n] {
			u.t.Errorf("%s: two tokens of session %s have the number %d", u.name, s.id, n)
		}
	case n == uint64(len(s.tokens)):
		s.tokens = append(s.tokens, token)
	default:
		u.t.Errorf("%s: got number %d of session %s, after %d", u.name, n, s.id, len(s.tokens)-1)
	}
	return n
}

// sessionOf returns the session's id in a refresh token; see counter.
func sessionOf(t testing.TB, token string) ids.Session {
	t.Helper()
	counter(t, token)
	b, _ := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "cs_rt_"))
	return ids.Session(b[5:21])
}

// ended records that a session is over.
func (u *linearUser) ended(session int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sessions[session].over = true
}

// allEnded records that all sessions are over, and whether the user is disabled.
func (u *linearUser) allEnded(disabled bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.disabled = disabled
	for _, s := range u.sessions {
		if s != nil {
			s.over = true
		}
	}
}

// operator returns the result of an operator's change.
func (u *linearUser) operator(err error) linearAnswer {
	switch {
	case err == nil:
		return linearAnswer{outcome: happened}
	case errors.Is(err, tokens.ErrUnknown):
		return linearAnswer{outcome: denied}
	case !errors.Is(err, errUnreliable):
		u.t.Errorf("%s: %v", u.name, err)
	}
	return linearAnswer{outcome: uncertain}
}

func (u *linearUser) endSession(who, session int) {
	u.mu.Lock()
	id := u.sessions[session].id
	u.mu.Unlock()
	u.do(who, linearCall{what: linEndSession, session: session}, func(a *app) linearAnswer {
		return u.operator(a.Tokens.EndSession(u.t.Context(), time.Now(), id, caller.Operator()))
	})
	u.ended(session)
}

func (u *linearUser) endOfUser(who int) {
	u.do(who, linearCall{what: linEndOfUser}, func(a *app) linearAnswer {
		n, err := a.Tokens.EndUserSessions(u.t.Context(), time.Now(), u.id, caller.Operator())
		answer := u.operator(err)
		answer.number = uint64(n)
		return answer
	})
	u.allEnded(u.isDisabled())
}

func (u *linearUser) disable(who int) {
	u.do(who, linearCall{what: linDisable}, func(a *app) linearAnswer {
		return u.operator(a.Users.Disable(u.t.Context(), time.Now(), u.id, caller.Operator()))
	})
	u.allEnded(true)
}

func (u *linearUser) enable(who int) {
	u.do(who, linearCall{what: linEnable}, func(a *app) linearAnswer {
		return u.operator(a.Users.Enable(u.t.Context(), time.Now(), u.id, caller.Operator()))
	})
	u.mu.Lock()
	defer u.mu.Unlock()
	u.disabled = false
}

// check looks for an order that explains the history. Finding one, or that there
// is none, takes milliseconds.
func (u *linearUser) check() porcupine.CheckResult {
	return porcupine.CheckOperationsTimeout(linearModel(u.window), withTimes(u.history), time.Minute)
}

// explain shows what led to the first call that has no place in the longest order
// that explains part of the history: the calls about its session, with their places.
func (u *linearUser) explain() string {
	history := withTimes(u.history)
	_, info := porcupine.CheckOperationsVerbose(linearModel(u.window), history, time.Minute)
	longest := slices.MaxFunc(info.PartialLinearizations()[0], func(a, b []int) int { return len(a) - len(b) })
	place := make([]int, len(history))
	for i := range place {
		place[i] = slices.Index(longest, i)
	}
	call := func(i int) linearCall { return history[i].Input.(linearCall) }
	misfit := -1
	var order []int
	for i := range history {
		order = append(order, i)
		if place[i] < 0 && (misfit < 0 || call(i).ended < call(misfit).ended) {
			misfit = i
		}
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(call(i).began, call(j).began) })
	var b strings.Builder
	for _, i := range order {
		c := call(i)
		if misfit < 0 || c.began > call(misfit).ended || c.ofSession() && call(misfit).ofSession() && c.session != call(misfit).session {
			continue
		}
		at := "-"
		if place[i] >= 0 {
			at = strconv.Itoa(place[i])
		}
		since := func(t int64) time.Duration { return time.Duration(t - call(order[0]).began).Round(time.Microsecond) }
		fmt.Fprintf(&b, "%4s %12v to %12v, caller %d: %v: %v\n", at, since(c.began), since(c.ended), history[i].ClientId, c, history[i].Output)
	}
	return b.String()
}

// count adds up what happened.
func (u *linearUser) count(counts map[string]int) {
	var met, together bool
	for i, op := range u.history {
		c, a := op.Input.(linearCall), op.Output.(linearAnswer)
		counts["calls"]++
		met, together = false, false
		for j, other := range u.history {
			d := other.Input.(linearCall)
			if i == j || d.began > c.ended || d.ended < c.began {
				continue
			}
			met = true
			together = together || c.what == linRefresh && d.what == linRefresh && c.session == d.session && c.number == d.number
		}
		if met {
			counts["met by others"]++
		}
		if together && a.outcome == happened {
			counts["presented at once by several"]++
		}
		switch {
		case a.outcome == uncertain:
			counts["uncertain"]++
		case c.what == linElsewhere && a.outcome == denied:
			counts["refused to another client"]++
		case c.what != linRefresh:
			counts[c.what+": "+string(a.outcome)]++
		case a.outcome == happened:
			counts["replays"]++ // less the rotations; see below
		case u.livedAfter(op):
			counts["undecidable, session lived on"]++
		default:
			counts["refused, session over"]++
		}
	}
	for _, s := range u.sessions {
		if s != nil {
			counts["rotations"] += len(s.tokens) - 1
			counts["replays"] -= len(s.tokens) - 1
		}
	}
	events, err := u.replicas[0].db.Events(u.t.Context(), audit.Filter{UserID: u.id})
	if err != nil {
		u.t.Fatal(err)
	}
	for _, e := range events {
		if e.Kind == audit.SessionReused {
			counts["reused, session ended"]++
		}
	}
}

// livedAfter reports whether the session of a call was alive afterwards.
func (u *linearUser) livedAfter(op porcupine.Operation) bool {
	c := op.Input.(linearCall)
	return slices.ContainsFunc(u.history, func(later porcupine.Operation) bool {
		d, a := later.Input.(linearCall), later.Output.(linearAnswer)
		return d.what == linRefresh && d.session == c.session && d.began > c.ended && a.outcome == happened
	})
}

var errUnreliable = errors.New("the store is out of order")

// unreliable is a store that sometimes fails, before or after the write.
type unreliable struct {
	server.Store
	faults *atomic.Int64
}

func (s *unreliable) sometimes(do func() error) error {
	n := rand.IntN(200)
	if n == 0 {
		s.faults.Add(1)
		return errUnreliable
	}
	err := do()
	if n == 1 && err == nil {
		s.faults.Add(1)
		return errUnreliable
	}
	return err
}

func (s *unreliable) AdvanceSession(ctx context.Context, next tokens.Session, now time.Time) error {
	return s.sometimes(func() error { return s.Store.AdvanceSession(ctx, next, now) })
}

func (s *unreliable) EndSession(ctx context.Context, id ids.Session, ev audit.Event) error {
	return s.sometimes(func() error { return s.Store.EndSession(ctx, id, ev) })
}
