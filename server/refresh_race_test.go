package server_test

import (
	"encoding/base64"
	"encoding/binary"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"countersign/keys"
	"countersign/seal"
	"countersign/server"
)

// racers is how many callers present a refresh token at the same moment.
const racers = 64

// quick makes a server that signs with one cheap algorithm and logs nothing.
func quick(o *server.Options, k *keys.Options) {
	k.Algorithms = []string{"ES256"}
	o.Log = slog.New(slog.DiscardHandler)
}

// replicas opens n servers on one database file, with one master key.
func replicas(t *testing.T, n int, change ...func(*server.Options, *keys.Options)) []*app {
	t.Helper()
	path, key := filepath.Join(t.TempDir(), "countersign.db"), seal.Generate()
	all := make([]*app, n)
	for i := range all {
		all[i] = openApp(t, path, key, append([]func(*server.Options, *keys.Options){quick}, change...)...)
	}
	return all
}

// loginWithoutID signs in for tokens that no ID token comes with: signing it
// would be most of the work.
func (a *app) loginWithoutID(username string) string {
	a.t.Helper()
	f := passwordForm(username)
	f.Set("scope", "profile")
	return a.token(f).want(http.StatusOK).text("refresh_token")
}

// race presents all tokens at the same moment, to the servers in turn, and returns the
// answers in the order of the tokens.
func race(all []*app, tokens []string) []*response {
	answers := make([]*response, len(tokens))
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i, token := range tokens {
		wg.Go(func() {
			<-start
			answers[i] = all[i%len(all)].refresh(token)
		})
	}
	close(start)
	wg.Wait()
	return answers
}

// counter reads the number in a refresh token, whose form docs/decisions/0001
// describes: version, master key, session, counter, MAC.
func counter(t testing.TB, token string) uint64 {
	t.Helper()
	text, ok := strings.CutPrefix(token, "cs_rt_")
	b, err := base64.RawURLEncoding.DecodeString(text)
	if !ok || err != nil || len(b) != 1+4+16+8+32 {
		t.Fatalf("%q is not a refresh token: %v", token, err)
	}
	return binary.BigEndian.Uint64(b[21:29])
}

// wantCounter fails the test unless the only session of the user is at counter n.
func (a *app) wantCounter(user string, n uint64) {
	a.t.Helper()
	u, err := a.Users.ByUsername(a.t.Context(), user)
	if err != nil {
		a.t.Fatal(err)
	}
	sessions, err := a.Tokens.OfUser(a.t.Context(), time.Now(), u.ID)
	if err != nil {
		a.t.Fatal(err)
	}
	if len(sessions) != 1 || sessions[0].Counter != n {
		a.t.Fatalf("sessions = %+v, want one, at counter %d", sessions, n)
	}
}

// testRace has many callers present the one current token, round after round.
func testRace(t *testing.T, all []*app, rounds int) {
	all[0].signup("alice")
	token := all[0].loginWithoutID("alice")
	tokens := make([]string, racers)
	began := time.Now()
	for round := range rounds {
		for i := range tokens {
			tokens[i] = token
		}
		answers := race(all, tokens)
		next := answers[0].want(http.StatusOK).text("refresh_token")
		for i, r := range answers {
			if got := r.want(http.StatusOK).text("refresh_token"); got != next {
				t.Fatalf("round %d: callers 0 and %d got different successors:\n%s\n%s", round, i, next, got)
			}
		}
		if next == token {
			t.Fatalf("round %d: the token was not rotated", round)
		}
		token = next
	}
	all[0].wantCounter("alice", uint64(rounds))
	t.Logf("%d rounds of %d callers at %d servers: one successor each, in %v", rounds, racers, len(all), time.Since(began).Round(time.Millisecond))
}

// Requirement: line 28.
func TestCallersThatRaceGetOneSuccessor(t *testing.T) {
	t.Run("one server", func(t *testing.T) { testRace(t, replicas(t, 1), raceRounds) })
	t.Run("two servers on one database", func(t *testing.T) { testRace(t, replicas(t, 2), raceRounds/2) })
}

// testMixedRace has callers present the current token and the two before it at
// once, round after round. Only the current one moves the session.
func testMixedRace(t *testing.T, all []*app, rounds int) {
	all[0].signup("alice")
	older := all[0].loginWithoutID("alice")
	old := all[0].refresh(older).want(http.StatusOK).text("refresh_token")
	current := all[0].refresh(old).want(http.StatusOK).text("refresh_token")
	tokens := make([]string, racers)
	for round := range rounds {
		for i := range tokens {
			tokens[i] = []string{older, old, current}[i%3]
		}
		answers := race(all, tokens)
		next := answers[2].want(http.StatusOK).text("refresh_token") // to one who had the current one
		if got, want := counter(t, next), counter(t, current)+1; got != want {
			t.Fatalf("round %d: the current token's successor has number %d, want %d", round, got, want)
		}
		for i, r := range answers {
			got := r.want(http.StatusOK).text("refresh_token")
			// A caller with an older token came before the rotation or after it.
			if got != next && (i%3 == 2 || got != current) {
				t.Fatalf("round %d: caller %d left the chain: presented number %d of %d, got number %d\n%s",
					round, i, counter(t, tokens[i]), counter(t, current), counter(t, got), got)
			}
			tokens[i] = got
		}
		// All of them go on from where they are, and meet.
		for i, r := range race(all, tokens) {
			if n := counter(t, r.want(http.StatusOK).text("refresh_token")); n > counter(t, next)+1 {
				t.Fatalf("round %d: caller %d is at number %d, %d is the most there can be", round, i, n, counter(t, next)+1)
			}
		}
		older, old = current, next
		current = all[0].refresh(next).want(http.StatusOK).text("refresh_token")
		all[0].wantCounter("alice", counter(t, current))
	}
}

// Requirement: line 27.
func TestOldAndCurrentTokensAtOnceStayOnOneChain(t *testing.T) {
	t.Run("one server", func(t *testing.T) { testMixedRace(t, replicas(t, 1), raceRounds/20) })
	t.Run("two servers on one database", func(t *testing.T) { testMixedRace(t, replicas(t, 2), raceRounds/20) })
}

// testFreeRun has a few callers refresh as fast as they can, each with the
// latest token it got, none waiting for the others, until the session has been
// rotated so often.
func testFreeRun(t *testing.T, all []*app, rotations uint64) {
	const callers = 4
	all[0].signup("alice")
	token := all[0].loginWithoutID("alice")
	var (
		mu     sync.Mutex
		chain  = map[uint64]string{0: token}
		latest uint64
		behind int // refused for having fallen behind
		wg     sync.WaitGroup
	)
	numbered := func(n uint64) string {
		mu.Lock()
		defer mu.Unlock()
		return chain[n]
	}
	// learn records the answer to token number held, and returns the number to go on
	// with.
	learn := func(held uint64, r *response) uint64 {
		mu.Lock()
		defer mu.Unlock()
		if r.Code != http.StatusOK {
			// More than eight rotations inside the window can't be told from
			// theft. Those that others have not heard of yet count.
			if r.Code != http.StatusBadRequest || latest+callers-held <= 8 {
				t.Errorf("number %d of %d: %d %s", held, latest, r.Code, r.Body)
			}
			behind++
			return latest
		}
		got := r.text("refresh_token")
		n := counter(t, got)
		if known, ok := chain[n]; ok && known != got {
			t.Errorf("the session forked: two tokens have the number %d:\n%s\n%s", n, known, got)
		}
		if n < held {
			t.Errorf("the session went back from number %d to %d", held, n)
		}
		chain[n] = got
		latest = max(latest, n)
		return n
	}
	for i := range callers {
		wg.Go(func() {
			for held := uint64(0); held < rotations && !t.Failed(); {
				held = learn(held, all[i%len(all)].refresh(numbered(held)))
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	all[0].wantCounter("alice", latest)
	all[0].refresh(chain[latest]).want(http.StatusOK)
	t.Logf("%d rotations by %d callers at %d servers, %d times one had fallen behind", latest, callers, len(all), behind)
}

// Requirement: line 28.
func TestCallersThatDoNotWaitForEachOtherStayOnOneChain(t *testing.T) {
	t.Run("one server", func(t *testing.T) { testFreeRun(t, replicas(t, 1), uint64(raceRounds)) })
	t.Run("two servers on one database", func(t *testing.T) { testFreeRun(t, replicas(t, 2), uint64(raceRounds)) })
}

// Requirement: line 26.
func TestReplayAfterWindowEndsSessionEvenRightAfterARotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, all := range [][]*app{replicas(t, 1), replicas(t, 2)} {
			thief, owner := all[0], all[len(all)-1]
			owner.signup("alice")
			first := owner.loginWithoutID("alice")
			elsewhere := owner.loginWithoutID("alice")
			second := owner.refresh(first).want(http.StatusOK).text("refresh_token")

			time.Sleep(time.Minute) // the window's last moment
			if got := thief.refresh(first).want(http.StatusOK).text("refresh_token"); got != second {
				t.Fatalf("inside the window: got %s, want the current token %s", got, second)
			}
			time.Sleep(time.Millisecond)
			third := owner.refresh(second).want(http.StatusOK).text("refresh_token")

			thief.refresh(first).wantError(http.StatusBadRequest, "invalid_grant")
			for _, token := range []string{third, second, first} {
				owner.refresh(token).wantError(http.StatusBadRequest, "invalid_grant")
			}
			owner.refresh(elsewhere).want(http.StatusOK)
		}
	})
}

// If a thief and the owner present a token at the same moment, not both may succeed: in
// either order, the session ends.
//
// Requirement: line 26.
func TestReplayAfterWindowEndsSessionThatIsRotatedMeanwhile(t *testing.T) {
	for _, n := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			all := replicas(t, n)
			all[0].signup("alice")
			for range raceRounds / 20 {
				first := all[0].loginWithoutID("alice")
				second := all[0].refresh(first).want(http.StatusOK).text("refresh_token")
				time.Sleep(time.Minute + time.Millisecond)

				held := []string{first, second}
				for i, r := range race(all, []string{second, first, second, first, second, second}) {
					if r.Code == http.StatusOK {
						held = append(held, r.text("refresh_token"))
					} else {
						r.wantError(http.StatusBadRequest, "invalid_grant")
					}
					if i%2 == 1 && i < 4 && r.Code == http.StatusOK {
						t.Fatal("the replayed token was good")
					}
				}
				for _, token := range held {
					all[0].refresh(token).wantError(http.StatusBadRequest, "invalid_grant")
				}
			}
		})
	}
}
