package server_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
	"countersign/keys"
	"countersign/seal"
	"countersign/secrecy"
	"countersign/server"
	"countersign/tokens"
)

const (
	modelSteps     = 100
	modelAccessTTL = 5 * time.Minute
)

// TestRefreshTokensObeyTheModel walks at random through what users, thieves, operators,
// crashes and the clock do to sessions, on two servers that share a database, and
// compares every answer and the sessions after every step with the model in
// model_test.go.
//
// MODEL_SEED repeats one walk, MODEL_SEQUENCES changes their number.
func TestRefreshTokensObeyTheModel(t *testing.T) {
	number := func(name string, otherwise uint64) uint64 {
		n, err := strconv.ParseUint(cmp.Or(os.Getenv(name), strconv.FormatUint(otherwise, 10)), 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return n
	}
	first, sequences := number("MODEL_SEED", rand.Uint64()>>32), number("MODEL_SEQUENCES", modelSequences)
	if os.Getenv("MODEL_SEED") != "" {
		sequences = number("MODEL_SEQUENCES", 1)
	}
	var done tally
	t.Run("walks", func(t *testing.T) {
		for seed := first; seed < first+sequences; seed++ {
			t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
				t.Parallel() // they wait for the disk
				if done.failed.Load() {
					return // one is enough to look into
				}
				synctest.Test(t, func(t *testing.T) { walk(t, seed, &done) })
			})
		}
	})
	t.Logf("%d walks from seed %d: %v", sequences, first, done.counts)
	if sequences >= 50 && !t.Failed() { // enough that every kind of thing happens
		for _, v := range []verdict{rotates, replays, isReused, refused, undecidable, tooWide} {
			if done.counts[string(v)] == 0 {
				t.Errorf("no refresh token was one that is %q", v)
			}
		}
	}
}

// tally counts what happened in all walks.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
	failed atomic.Bool
}

func (t *tally) add(counts map[string]int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[string]int{}
	}
	for what, n := range counts {
		t.counts[what] += n
	}
}

// world is the servers of one walk, and the model's state.
type world struct {
	t    *testing.T
	rand *rand.Rand
	modelRules
	servers  []*app
	faults   []*faultyStore // each server's store
	reopen   func() (*app, *faultyStore)
	users    []*modelUser
	sessions []*modelSession
	access   []modelAccess
	given    map[string]bool // every refresh token there ever was
	reuses   int
	began    time.Time
	trace    []string
	done     map[string]int
}

// modelAccess is an access token.
type modelAccess struct {
	token   string
	session *modelSession
	scope   []string
	expires time.Time
}

// faultyStore fails once when told to, before or after the write: the caller can't tell
// which.
type faultyStore struct {
	server.Store
	before, after atomic.Bool
}

func (f *faultyStore) fail(do func() error) error {
	if f.before.Swap(false) {
		return context.DeadlineExceeded
	}
	err := do()
	if f.after.Swap(false) && err == nil {
		return context.DeadlineExceeded
	}
	return err
}

func (f *faultyStore) AdvanceSession(ctx context.Context, next tokens.Session, now time.Time) error {
	return f.fail(func() error { return f.Store.AdvanceSession(ctx, next, now) })
}

func (f *faultyStore) EndSession(ctx context.Context, id ids.Session, ev audit.Event) error {
	return f.fail(func() error { return f.Store.EndSession(ctx, id, ev) })
}

// walk takes a sequence of random steps, the same for the same seed.
func walk(t *testing.T, seed uint64, done *tally) {
	w := &world{t: t, rand: rand.New(rand.NewPCG(seed, 0)), given: map[string]bool{}, began: time.Now(), done: map[string]int{}}
	defer func() {
		done.add(w.done)
		if t.Failed() {
			done.failed.Store(true)
			t.Logf("%s\nwalk it again: MODEL_SEED=%d go test ./server -run TestRefreshTokensObeyTheModel", strings.Join(w.trace, "\n"), seed)
		}
	}()
	w.modelRules = modelRules{
		window:   pick(w, 0, time.Second, time.Minute, time.Minute, 5*time.Minute),
		idle:     pick(w, 10*time.Minute, time.Hour),
		absolute: pick(w, time.Hour, 3*time.Hour),
	}
	w.note("window %v, idle %v, absolute %v", w.window, w.idle, w.absolute)
	path, key := filepath.Join(t.TempDir(), "countersign.db"), seal.Generate()
	w.reopen = func() (*app, *faultyStore) {
		var faulty *faultyStore
		a := openApp(t, path, key, func(o *server.Options, p *keys.Options) {
			faulty = &faultyStore{Store: o.Store}
			o.Store, o.Log, p.Algorithms = faulty, slog.New(slog.DiscardHandler), []string{"ES256"}
			o.Tokens.RefreshReplayWindow, o.Tokens.RefreshIdleTTL, o.Tokens.RefreshAbsoluteTTL = w.window, w.idle, w.absolute
			o.Throttle.FreeFailures, p.Policy.AccessTTL = 1000, modelAccessTTL
		})
		return a, faulty
	}
	for range 2 {
		a, faulty := w.reopen()
		w.servers, w.faults = append(w.servers, a), append(w.faults, faulty)
	}
	for _, name := range []string{"alice", "bob"} {
		w.users = append(w.users, &modelUser{name: name})
		w.signup(w.users[len(w.users)-1])
	}
	for range modelSteps {
		w.step()
		w.compare()
	}
	w.compareEvents()
}

// steps are the possible steps, and how often each is taken.
var steps = []struct {
	weight int
	name   string
	do     func(*world)
}{
	{50, "refresh", (*world).stepRefresh},
	{8, "refresh on and on", (*world).stepChain},
	{8, "refresh at once", (*world).stepBurst},
	{6, "refresh with a fault", (*world).stepFault},
	{4, "forged token", (*world).stepForged},
	{10, "userinfo", (*world).stepUserinfo},
	{10, "login", (*world).stepLogin},
	{24, "time", (*world).stepTime},
	{1, "end session", (*world).stepEndSession},
	{1, "end user's sessions", (*world).stepEndUser},
	{2, "disable or enable", (*world).stepDisable},
	{1, "set password", (*world).stepPassword},
	{1, "delete", (*world).stepDelete},
	{2, "purge", (*world).stepPurge},
	{2, "restart", (*world).stepRestart},
}

func (w *world) step() {
	if len(w.living()) < 2 && w.chance(50) {
		w.stepLogin()
		return
	}
	total := 0
	for _, s := range steps {
		total += s.weight
	}
	n := w.rand.IntN(total)
	for _, s := range steps {
		if n -= s.weight; n < 0 {
			w.done[s.name]++
			s.do(w)
			return
		}
	}
}

func pick[T any](w *world, of ...T) T { return of[w.rand.IntN(len(of))] }

// chance returns true in percent of all cases.
func (w *world) chance(percent int) bool { return w.rand.IntN(100) < percent }

// now returns the time as the server stores it.
func (w *world) now() time.Time { return time.Now().Truncate(time.Millisecond) }

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%12v  ", time.Since(w.began))+fmt.Sprintf(format, args...))
}

func (w *world) name(s *modelSession) string {
	return fmt.Sprintf("session %d (%s at %s)", slices.Index(w.sessions, s), s.user.name, s.client)
}

// fatal fails the walk; the trace follows from walk.
func (w *world) fatal(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("after %v: %s", time.Since(w.began), fmt.Sprintf(format, args...))
}

// server returns a random server.
func (w *world) server() *app { return pick(w, w.servers...) }

// scopesOf are the scopes of those clients in app_test.go that sign users in.
var scopesOf = map[string][]string{
	"spa":   {"openid", "profile", "email", "roles", "offline_access"},
	"other": {"openid", "profile"},
	"web":   {"openid", "profile", "email", "roles", "read", "write", "offline_access"},
}

// some returns a random non-empty subset of scopes, in random order.
func (w *world) some(of []string) []string {
	of = slices.Clone(of)
	w.rand.Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
	return of[:1+w.rand.IntN(len(of))]
}

// ask sends a token request of a client. It may run on any goroutine.
func ask(a *app, client string, f url.Values) *response {
	if client == "web" {
		return a.token(f, "Authorization", basic(client, secret))
	}
	f.Set("client_id", client)
	return a.token(f)
}

func (w *world) signup(u *modelUser) {
	u.id, u.password, u.disabled = w.server().signup(u.name), password, false
}

func (w *world) stepLogin() {
	u, client := pick(w, w.users...), pick(w, "spa", "other", "web")
	f := form("grant_type", "password", "username", u.name, "password", u.password)
	right := !w.chance(10)
	if !right {
		f.Set("password", "not that horse, nor that staple")
	}
	scope := slices.DeleteFunc(slices.Clone(scopesOf[client]), func(s string) bool { return s == "offline_access" })
	if w.chance(50) {
		scope = w.some(scopesOf[client])
		f.Set("scope", strings.Join(scope, " "))
	}
	w.note("%s signs in at %s for %v", u.name, client, scope)
	now, r := w.now(), ask(w.server(), client, f)
	if !right || u.disabled {
		r.wantError(http.StatusBadRequest, "invalid_grant")
		return
	}
	s := &modelSession{user: u, client: client, scope: scope, created: now, used: now}
	_, claims := r.want(http.StatusOK).claims("access_token")
	s.id, _ = claims["sid"].(string)
	s.tokens = []string{w.fresh(r)}
	w.sessions = append(w.sessions, s)
	w.wantAccess(r, s, scope, now)
}

// fresh returns the refresh token of an answer, which must be new.
func (w *world) fresh(r *response) string {
	w.t.Helper()
	token := r.text("refresh_token")
	if w.given[token] {
		w.fatal("refresh token %s was given out before", token)
	}
	w.given[token] = true
	return token
}

// wantAccess checks the access token of an answer.
func (w *world) wantAccess(r *response, s *modelSession, scope []string, now time.Time) {
	w.t.Helper()
	_, claims := r.claims("access_token")
	expires := now.Add(modelAccessTTL).Truncate(time.Second)
	for name, want := range map[string]any{
		"sid": s.id, "sub": s.user.id, "client_id": s.client,
		"exp": float64(expires.Unix()), "auth_time": float64(s.created.Unix()),
	} {
		if claims[name] != want {
			w.fatal("%s: access token has %s = %v, want %v", w.name(s), name, claims[name], want)
		}
	}
	for _, got := range []any{claims["scope"], r.json()["scope"]} {
		text, _ := got.(string)
		if !slices.Equal(slices.Sorted(strings.SplitSeq(text, " ")), slices.Sorted(slices.Values(scope))) {
			w.fatal("%s: scope = %q, want %v", w.name(s), got, scope)
		}
	}
	w.access = append(w.access, modelAccess{r.text("access_token"), s, scope, expires})
}

// living returns the live sessions.
func (w *world) living() []*modelSession {
	now := w.now()
	return slices.DeleteFunc(slices.Clone(w.sessions), func(s *modelSession) bool { return !w.live(s, now) })
}

// token is a session and the number of one of its tokens that a client knows: mostly of
// a live session, and mostly a late one.
func (w *world) token() (*modelSession, int, bool) {
	among := w.sessions
	if live := w.living(); len(live) > 0 && w.chance(95) {
		among = live
	}
	if len(among) == 0 {
		return nil, 0, false
	}
	s := pick(w, among...)
	i := len(s.spent)
	switch n := w.rand.IntN(100); {
	case n < 45:
	case n < 75: // one inside the window
		first, _ := slices.BinarySearchFunc(s.spent, w.now().Add(-w.window), time.Time.Compare)
		i -= w.rand.IntN(i - first + 1)
	case n < 85: // about as far back as is remembered
		i -= 7 + w.rand.IntN(4)
	default:
		i = w.rand.IntN(i + 1)
	}
	i = max(i, 0)
	return s, i, s.tokens[i] != ""
}

// request is a refresh with the session's token i for the scope, if any.
func (s *modelSession) request(i int, scope []string) url.Values {
	f := form("grant_type", "refresh_token", "refresh_token", s.tokens[i])
	if len(scope) > 0 {
		f.Set("scope", strings.Join(scope, " "))
	}
	return f
}

func (w *world) stepRefresh() {
	s, i, ok := w.token()
	if !ok {
		return
	}
	if w.chance(3) { // an unknown client: the server doesn't even look at the token
		w.note("%s, token %d of %d, by a client that can't prove itself", w.name(s), i, len(s.spent))
		f := s.request(i, nil)
		f.Set("client_id", "web")
		f.Set("client_secret", "wrong")
		w.server().token(f).wantError(http.StatusUnauthorized, "invalid_client")
		return
	}
	client := s.client
	if w.chance(10) {
		client = pick(w, "spa", "other", "web", "third")
	}
	var scope []string
	switch n := w.rand.IntN(100); {
	case n < 15:
		scope = w.some(s.scope)
	case n < 25:
		scope = w.some(scopesOf["web"])
	}
	now := w.now()
	v := w.judge(s, i, client, scope, now)
	w.note("%s, token %d of %d, by %s for %v: %s", w.name(s), i, len(s.spent), client, scope, v)
	w.done[string(v)]++
	w.settle(s, v, now, scope, ask(w.server(), client, s.request(i, scope)))
}

// stepChain refreshes with one token after another.
func (w *world) stepChain() {
	s, _, ok := w.token()
	for range 1 + w.rand.IntN(12) {
		i := 0
		if ok {
			i = len(s.spent)
		}
		if !ok || s.tokens[i] == "" {
			return
		}
		now := w.now()
		v := w.judge(s, i, s.client, nil, now)
		w.note("%s, token %d, goes on: %s", w.name(s), i, v)
		w.done[string(v)]++
		w.settle(s, v, now, nil, ask(w.server(), s.client, s.request(i, nil)))
		if w.chance(30) {
			time.Sleep(time.Duration(w.rand.IntN(10000)) * time.Millisecond)
		}
	}
}

// settle checks the answer to a refresh against the verdict, and moves the model.
func (w *world) settle(s *modelSession, v verdict, now time.Time, scope []string, r *response) {
	w.t.Helper()
	next := ""
	switch v {
	case rotates:
		next = w.fresh(r.want(http.StatusOK))
	case replays:
		got, last := r.want(http.StatusOK).text("refresh_token"), &s.tokens[len(s.spent)]
		if *last == "" { // its answer was lost; this one reveals it
			*last = w.fresh(r)
		}
		if got != *last {
			w.fatal("%s: got the refresh token %s, want the current one %s", w.name(s), got, *last)
		}
	case tooWide:
		r.wantError(http.StatusBadRequest, "invalid_scope")
	default:
		r.wantError(http.StatusBadRequest, "invalid_grant")
	}
	if v == rotates || v == replays {
		if len(scope) == 0 {
			scope = s.scope
		}
		w.wantAccess(r, s, scope, now)
	}
	if v == isReused {
		w.reuses++
	}
	s.apply(v, now, next)
}

// stepBurst has callers present one token at the same moment to all servers.
func (w *world) stepBurst() {
	s, i, ok := w.token()
	if !ok {
		return
	}
	callers := 2 + w.rand.IntN(4)
	now := w.now()
	v := w.judge(s, i, s.client, nil, now)
	w.note("%s, token %d of %d, by %d at once: %s", w.name(s), i, len(s.spent), callers, v)
	answers := make([]*response, callers)
	var wg sync.WaitGroup
	for n := range answers {
		wg.Go(func() { answers[n] = ask(w.servers[n%len(w.servers)], s.client, s.request(i, nil)) })
	}
	wg.Wait()
	// The caller that was served first comes first.
	slices.SortStableFunc(answers, func(a, b *response) int { return cmp.Compare(a.Code, b.Code) })
	for n, r := range answers {
		if n > 0 {
			v = w.judge(s, i, s.client, nil, now)
		}
		w.settle(s, v, now, nil, r)
	}
}

// stepFault has the database fail in the middle of a refresh.
func (w *world) stepFault() {
	s, i, ok := w.token()
	if !ok {
		return
	}
	now := w.now()
	v := w.judge(s, i, s.client, nil, now)
	if v != rotates && v != isReused {
		return // nothing is written
	}
	n, after := w.rand.IntN(len(w.servers)), w.chance(70)
	w.note("%s, token %d of %d: %s, with a fault (after it was done: %v)", w.name(s), i, len(s.spent), v, after)
	w.faults[n].before.Store(!after)
	w.faults[n].after.Store(after)
	ask(w.servers[n], s.client, s.request(i, nil)).wantError(http.StatusServiceUnavailable, "temporarily_unavailable")
	if after {
		s.apply(v, now, "")
		if v == isReused {
			w.reuses++
		}
	}
}

// stepForged presents a forged refresh token.
func (w *world) stepForged() {
	s, i, ok := w.token()
	if !ok {
		return
	}
	b := []byte(s.tokens[i])
	switch w.rand.IntN(3) {
	case 0: // another letter somewhere
		n := w.rand.IntN(len(b))
		b[n] = pick(w, []byte("ABCDEFGHIJKLMNOPabcdefghijklmnop")...)
		if string(b) == s.tokens[i] {
			return
		}
	case 1:
		b = b[:w.rand.IntN(len(b)-1)+1]
	case 2: // the head of one, the MAC of another
		tail := pick(w, w.sessions...)
		mac := tail.tokens[0]
		if mac == s.tokens[i] {
			return
		}
		b = append(b[:len(b)-43:len(b)-43], mac[len(mac)-43:]...)
	}
	w.note("forged %s", b)
	ask(w.server(), s.client, form("grant_type", "refresh_token", "refresh_token", string(b))).
		wantError(http.StatusBadRequest, "invalid_grant")
}

// stepUserinfo presents an access token, mostly a late one.
func (w *world) stepUserinfo() {
	if len(w.access) == 0 {
		return
	}
	recent := w.access[max(0, len(w.access)-20):]
	if w.chance(10) {
		recent = w.access
	}
	a, now := pick(w, recent...), w.now()
	good := w.live(a.session, now) && now.Before(a.expires)
	w.note("%s, access token for %v: good %v", w.name(a.session), a.scope, good)
	r := w.server().userinfo(a.token)
	switch {
	case good && slices.Contains(a.scope, "openid"):
		if sub := r.want(http.StatusOK).text("sub"); sub != a.session.user.id {
			w.fatal("sub = %s, want %s", sub, a.session.user.id)
		}
	case good:
		r.wantError(http.StatusForbidden, "insufficient_scope")
	default:
		r.wantError(http.StatusUnauthorized, "invalid_token")
	}
}

// stepTime lets time pass, by preference up to where something changes.
func (w *world) stepTime() {
	now := w.now()
	to := now
	s, i, ok := w.token()
	switch n := w.rand.IntN(100); {
	case n < 25:
		to = now.Add(time.Duration(1+w.rand.IntN(2000)) * time.Millisecond)
	case n < 55 && ok && len(s.spent) > 0: // the end of a token's window
		to = s.spent[min(i, len(s.spent)-1)].Add(w.window)
	case n < 65 && ok: // the end of a session
		to = w.expires(s).Add(-time.Millisecond)
	case n < 90:
		to = now.Add(time.Duration(w.rand.Int64N(int64(time.Minute))).Truncate(time.Millisecond))
	default:
		to = now.Add(time.Duration(w.rand.Int64N(int64(w.idle))).Truncate(time.Millisecond))
	}
	if w.chance(50) {
		to = to.Add(time.Millisecond)
	}
	if d := time.Until(to); d > 0 {
		time.Sleep(d)
		w.note("%v later", d)
	}
}

func (w *world) stepEndSession() {
	s, _, ok := w.token()
	if !ok {
		return
	}
	w.note("%s is ended by an operator", w.name(s))
	id, err := ids.Parse[ids.Session](s.id)
	if err != nil {
		w.fatal("sid: %v", err)
	}
	err = w.server().Tokens.EndSession(w.t.Context(), w.now(), id, caller.Operator())
	if live := w.live(s, w.now()); live != (err == nil) {
		w.fatal("end session: %v, but live is %v", err, live)
	}
	s.ended = true
}

// userID is the user's id, typed.
func (w *world) userID(u *modelUser) ids.User {
	id, err := ids.Parse[ids.User](u.id)
	if err != nil {
		w.fatal("user id: %v", err)
	}
	return id
}

// expel ends all sessions of a user in the model.
func (w *world) expel(u *modelUser) {
	for _, s := range w.sessions {
		s.ended = s.ended || s.user.id == u.id
	}
}

// operator does something to a user that ends their sessions.
func (w *world) operator(u *modelUser, what string, err error) {
	w.t.Helper()
	w.note("%s: %s", u.name, what)
	if err != nil {
		w.fatal("%s %s: %v", what, u.name, err)
	}
	w.expel(u)
}

func (w *world) stepEndUser() {
	u := pick(w, w.users...)
	_, err := w.server().Tokens.EndUserSessions(w.t.Context(), w.now(), w.userID(u), caller.Operator())
	w.operator(u, "end all sessions", err)
}

func (w *world) stepDisable() {
	u := pick(w, w.users...)
	if u.disabled {
		w.note("%s: enable", u.name)
		if err := w.server().Users.Enable(w.t.Context(), w.now(), w.userID(u), caller.Operator()); err != nil {
			w.fatal("enable: %v", err)
		}
		u.disabled = false
		return
	}
	w.operator(u, "disable", w.server().Users.Disable(w.t.Context(), w.now(), w.userID(u), caller.Operator()))
	u.disabled = true
}

func (w *world) stepPassword() {
	u := pick(w, w.users...)
	u.password = fmt.Sprintf("%s, number %d", password, w.rand.IntN(1000000))
	w.operator(u, "set password", w.server().Users.SetPassword(w.t.Context(), w.now(), w.userID(u), secrecy.Text(u.password), caller.Operator()))
}

// stepDelete deletes an account. Its name is free again.
func (w *world) stepDelete() {
	n := w.rand.IntN(len(w.users))
	u := w.users[n]
	w.operator(u, "delete", w.server().Users.Delete(w.t.Context(), w.now(), w.userID(u), caller.Operator()))
	w.users[n] = &modelUser{name: u.name}
	w.signup(w.users[n])
}

func (w *world) stepPurge() {
	w.note("purge")
	if _, err := w.server().Tokens.Purge(w.t.Context(), w.now(), 100); err != nil {
		w.fatal("purge: %v", err)
	}
}

func (w *world) stepRestart() {
	n := w.rand.IntN(len(w.servers))
	w.note("server %d restarts", n)
	if err := w.servers[n].db.Close(); err != nil {
		w.fatal("close: %v", err)
	}
	w.servers[n], w.faults[n] = w.reopen()
}

// compare compares the sessions that a server lists with the model's.
func (w *world) compare() {
	w.t.Helper()
	now, a := w.now(), w.server()
	type seen struct {
		client, scope string
		number        int
		expires       time.Time
	}
	for _, u := range w.users {
		want, got := map[string]seen{}, map[string]seen{}
		for _, s := range w.sessions {
			if s.user == u && w.live(s, now) {
				want[s.id] = seen{s.client, strings.Join(s.scope, " "), len(s.spent), w.expires(s).UTC()}
			}
		}
		all, err := a.Tokens.OfUser(w.t.Context(), now, w.userID(u))
		if err != nil {
			w.fatal("list sessions: %v", err)
		}
		for _, s := range all {
			got[s.ID.String()] = seen{string(s.ClientID), s.Scopes.String(), int(s.Counter), s.ExpiresAt}
		}
		for id, s := range want {
			if got[id] != s {
				w.fatal("session %s is %+v, want %+v", id, got[id], s)
			}
		}
		if len(got) != len(want) {
			w.fatal("%s has %d live sessions, want %d", u.name, len(got), len(want))
		}
	}
}

// compareEvents checks that every reuse left an event.
func (w *world) compareEvents() {
	w.t.Helper()
	events, err := w.servers[0].db.Events(w.t.Context(), audit.Filter{Limit: 1 << 20})
	if err != nil {
		w.fatal("events: %v", err)
	}
	n := 0
	for _, e := range events {
		if e.Kind == audit.SessionReused {
			n++
		}
	}
	if n != w.reuses {
		w.fatal("%d events of reuse, want %d", n, w.reuses)
	}
}
