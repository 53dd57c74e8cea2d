package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// shortKeys are about as short as makes sense: a key is published 11 seconds before it
// signs, and signs for 20. Verifiers may cache for longer than the quarter of a period by
// which keys are early anyhow, so that the lead is tested; and that quarter leaves a busy
// machine 3 seconds to make an RSA key after the poll that finds it missing.
var shortKeys = []string{
	"COUNTERSIGN_KEYS_ROTATION_PERIOD=20s",
	"COUNTERSIGN_KEYS_JWKS_MAX_AGE=6s",
	"COUNTERSIGN_KEYS_CLOCK_SKEW=0s",
	"COUNTERSIGN_TOKENS_ACCESS_TTL=3s",
}

// longKeys have a lead of 6 seconds but don't rotate by themselves while a test runs.
var longKeys = []string{
	"COUNTERSIGN_KEYS_ROTATION_PERIOD=1h",
	"COUNTERSIGN_KEYS_JWKS_MAX_AGE=1s",
	"COUNTERSIGN_KEYS_CLOCK_SKEW=0s",
	"COUNTERSIGN_TOKENS_ACCESS_TTL=1m",
}

// noticed is how soon a running server must know of a change by another process.
const noticed = 5 * time.Second

// jwks fetches the public keys of a server, by kid, and says how long they may
// be cached.
func jwks(p *process) (map[string]any, time.Duration, error) {
	a, err := p.get("/.well-known/jwks.json", "")
	if err != nil {
		return nil, 0, err
	}
	if a.status != http.StatusOK {
		return nil, 0, errors.New(a.String())
	}
	var set struct {
		Keys []struct{ KID, Kty, Alg, X, Y, N, E string }
	}
	if err := json.Unmarshal(a.body, &set); err != nil {
		return nil, 0, err
	}
	number := func(text string) *big.Int {
		b, _ := base64.RawURLEncoding.DecodeString(text) // a wrong one verifies nothing
		return new(big.Int).SetBytes(b)
	}
	keys := map[string]any{}
	for _, k := range set.Keys {
		switch k.Kty {
		case "EC":
			point := append([]byte{4}, append(number(k.X).FillBytes(make([]byte, 32)), number(k.Y).FillBytes(make([]byte, 32))...)...)
			if keys[k.KID], err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point); err != nil {
				return nil, 0, err
			}
		case "RSA":
			keys[k.KID] = &rsa.PublicKey{N: number(k.N), E: int(number(k.E).Int64())}
		}
	}
	text, ok := strings.CutPrefix(a.header.Get("Cache-Control"), "public, max-age=")
	seconds, err := strconv.Atoi(text)
	if !ok || err != nil {
		return nil, 0, fmt.Errorf("Cache-Control: %q", a.header.Get("Cache-Control"))
	}
	return keys, time.Duration(seconds) * time.Second, nil
}

// verifier is a resource server that obeys the cache headers to the letter: it keeps the
// keys as long as it may, and doesn't ask again for an unknown key.
type verifier struct {
	from  *process
	keys  map[string]any
	until time.Time
}

// verify checks a token as a resource server does, with no leeway.
func (v *verifier) verify(token string) error {
	if !time.Now().Before(v.until) {
		keys, maxAge, err := jwks(v.from)
		if err != nil {
			return err
		}
		v.keys, v.until = keys, time.Now().Add(maxAge) // from the answer on: as late as is allowed
	}
	_, err := jwt.Parse(token, func(t *jwt.Token) (any, error) {
		key, ok := v.keys[kidOf(token)]
		if !ok {
			return nil, fmt.Errorf("kid %s is not among %v", kidOf(token), slices.Sorted(maps.Keys(v.keys)))
		}
		return key, nil
	}, jwt.WithValidMethods([]string{"ES256", "RS256"}), jwt.WithIssuer(processIssuer), jwt.WithExpirationRequired())
	return err
}

// decode reads a JWT's part without verifying it.
func decode(token string, part int, into any) {
	b, _ := base64.RawURLEncoding.DecodeString(strings.Split(token+"..", ".")[part])
	json.Unmarshal(b, into) // what can't be read stays empty
}

func kidOf(token string) string {
	var header struct{ KID string }
	decode(token, 0, &header)
	return header.KID
}

func expiryOf(token string) time.Time {
	var claims struct{ Exp int64 }
	decode(token, 1, &claims)
	return time.Unix(claims.Exp, 0)
}

// watch verifies every token that comes, at once and then repeatedly as long as it lives.
// It returns how often it did, and passes refusals to fail.
func (v *verifier) watch(tokens <-chan string, fail func(error)) (verified int) {
	var live []string
	check := func(token string) {
		err := v.verify(token)
		// A token that expired meanwhile proves nothing.
		if err != nil && time.Now().Before(expiryOf(token)) {
			fail(err)
		}
		verified++
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case token, ok := <-tokens:
			if !ok {
				return verified
			}
			check(token)
			live = append(live, token)
		case <-tick.C:
			live = slices.DeleteFunc(live, func(token string) bool { return !time.Now().Before(expiryOf(token)) })
			for _, token := range live {
				check(token)
			}
		}
	}
}

func TestVerifiersThatObeyCacheHeadersNeverMeetAnUnknownKey(t *testing.T) {
	t.Parallel() // with the other long test: both mostly wait
	const rotations = 3
	data := t.TempDir()
	servers := []*process{serve(t, data, shortKeys...), serve(t, data, shortKeys...)}
	want(t, 201)(servers[0].signup("alice", processPassword))

	var (
		mu   sync.Mutex
		kids = map[string][]string{} // by algorithm, in order of appearance
		wg   sync.WaitGroup
	)
	seen := func(token string) {
		var header struct{ Alg, KID string }
		decode(token, 0, &header)
		mu.Lock()
		defer mu.Unlock()
		if !slices.Contains(kids[header.Alg], header.KID) {
			kids[header.Alg] = append(kids[header.Alg], header.KID)
		}
	}
	rotated := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(kids["ES256"]) > rotations && len(kids["RS256"]) > rotations
	}

	// Each verifier has the keys from one server, and tokens from both.
	var feeds []chan string
	verified := make([]int, len(servers))
	for i, p := range servers {
		feed := make(chan string, 100)
		feeds = append(feeds, feed)
		wg.Go(func() {
			verified[i] = (&verifier{from: p}).watch(feed, func(err error) { t.Errorf("verifier %d: %v", i, err) })
		})
	}
	issued := make([]int, 2*len(servers))
	var load sync.WaitGroup
	stop := make(chan struct{})
	for i := range issued {
		p, other := servers[i%2], servers[(i+1)%2]
		a := want(t, 200)(p.login("alice", processPassword))
		load.Go(func() {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for refresh := a.member("refresh_token"); ; issued[i]++ {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				a, err := p.refresh(refresh)
				if err != nil || a.status != http.StatusOK {
					t.Errorf("refresh: %v (%v)", a, err)
					return
				}
				refresh = a.member("refresh_token")
				access := a.member("access_token")
				// A token that expired on the way proves nothing.
				if a, err := other.get("/userinfo", access); (err != nil || a.status != http.StatusOK) && time.Now().Before(expiryOf(access)) {
					t.Errorf("userinfo at the other server: %v (%v)", a, err)
				}
				for _, token := range []string{access, a.member("id_token")} {
					seen(token)
					for _, feed := range feeds {
						feed <- token
					}
				}
			}
		})
	}
	took := eventually(t, 90*time.Second, "all algorithms have rotated three times", func() bool { return rotated() || t.Failed() })
	first := func(alg string) string { mu.Lock(); defer mu.Unlock(); return kids[alg][0] }
	for _, alg := range []string{"ES256", "RS256"} {
		keys, _, err := jwks(servers[0])
		if err != nil {
			t.Error(err)
		}
		if _, there := keys[first(alg)]; there && !t.Failed() {
			t.Errorf("the first %s key is still published, two keys later: %v", alg, slices.Sorted(maps.Keys(keys)))
		}
	}
	close(stop)
	load.Wait()
	for _, feed := range feeds {
		close(feed)
	}
	wg.Wait()
	t.Logf("%d ES256 and %d RS256 keys in %v; %v responses, verified %v times, none refused",
		len(kids["ES256"]), len(kids["RS256"]), took.Round(time.Second), issued, verified)
}

// keyInfo is a key as the command line prints it.
type keyInfo struct {
	KID, Alg, State string
	SignsFrom       time.Time `json:"signs_from"`
}

// listed runs a command that prints the keys, and returns those in a state.
func listed(t *testing.T, data, state string, args ...string) map[string]keyInfo {
	t.Helper()
	var all []keyInfo
	if err := json.Unmarshal([]byte(command(t, data, "", append(args, "--json")...)), &all); err != nil {
		t.Fatal(err)
	}
	found := map[string]keyInfo{}
	for _, k := range all {
		if k.State == state {
			found[k.Alg] = k
		}
	}
	return found
}

// publishes reports whether a server publishes a key.
func publishes(t *testing.T, p *process, kid string) bool {
	t.Helper()
	keys, _, err := jwks(p)
	if err != nil {
		t.Fatal(err)
	}
	_, there := keys[kid]
	return there
}

func TestKeysRotateReachesRunningServers(t *testing.T) {
	data := t.TempDir()
	servers := []*process{serve(t, data, longKeys...), serve(t, data, longKeys...)}
	want(t, 201)(servers[0].signup("alice", processPassword))
	refresh := want(t, 200)(servers[0].login("alice", processPassword)).member("refresh_token")

	next := listed(t, data, "next", "keys", "rotate")
	if len(next) != 2 {
		t.Fatalf("keys rotate: next keys %v, want one of each algorithm", next)
	}
	verifiers := []*verifier{{from: servers[0]}, {from: servers[1]}}
	for alg, key := range next {
		for i, p := range servers {
			took := eventually(t, noticed, "the next key is published", func() bool { return publishes(t, p, key.KID) })
			t.Logf("server %d publishes the next %s key after %v", i, alg, took.Round(time.Millisecond))
		}
	}
	last := slices.MaxFunc(slices.Collect(maps.Values(next)), func(a, b keyInfo) int { return a.SignsFrom.Compare(b.SignsFrom) })
	for i, p := range servers {
		eventually(t, time.Until(last.SignsFrom)+noticed, "the next keys sign", func() bool {
			began := time.Now()
			a := want(t, 200)(p.refresh(refresh))
			refresh = a.member("refresh_token")
			both := true
			for member, alg := range map[string]string{"access_token": "ES256", "id_token": "RS256"} {
				token := a.member(member)
				for _, v := range verifiers {
					if err := v.verify(token); err != nil {
						t.Fatalf("%s: %v", member, err)
					}
				}
				signs := kidOf(token) == next[alg].KID
				if signs && time.Now().Before(next[alg].SignsFrom) {
					t.Fatalf("server %d signs with the next %s key before %v", i, alg, next[alg].SignsFrom)
				}
				if !signs && began.After(next[alg].SignsFrom) {
					t.Fatalf("server %d doesn't sign with the next %s key, due from %v", i, alg, next[alg].SignsFrom)
				}
				both = both && signs
			}
			return both
		})
	}
}

func TestKeysRevokeReachesRunningServers(t *testing.T) {
	data := t.TempDir()
	servers := []*process{serve(t, data, longKeys...), serve(t, data, longKeys...)}
	want(t, 201)(servers[0].signup("alice", processPassword))
	a := want(t, 200)(servers[0].login("alice", processPassword))
	old, refresh := a.member("access_token"), a.member("refresh_token")
	for _, p := range servers {
		want(t, 200)(p.get("/userinfo", old))
	}

	command(t, data, "", "keys", "revoke", "--", kidOf(old))
	for i, p := range servers {
		took := eventually(t, noticed, "userinfo refuses the revoked key's token", func() bool {
			a, err := p.get("/userinfo", old)
			if err != nil {
				t.Fatal(err)
			}
			return a.status == http.StatusUnauthorized && a.member("error") == "invalid_token"
		})
		if publishes(t, p, kidOf(old)) {
			t.Errorf("server %d still publishes the revoked key", i)
		}
		t.Logf("server %d refuses the revoked key's tokens after %v", i, took.Round(time.Millisecond))
	}
	for i, p := range servers { // the session survives, with another key
		a := want(t, 200)(p.refresh(refresh))
		refresh = a.member("refresh_token")
		if kidOf(a.member("access_token")) == kidOf(old) {
			t.Errorf("server %d signs with the revoked key", i)
		}
		for _, other := range servers {
			want(t, 200)(other.get("/userinfo", a.member("access_token")))
		}
		if err := (&verifier{from: p}).verify(a.member("access_token")); err != nil {
			t.Errorf("server %d: %v", i, err)
		}
	}
}

// Both start at once on an empty folder, and race to make the schema, the
// master key and the signing keys.
func TestTwoServersShareAFolder(t *testing.T) {
	for range 5 {
		data := t.TempDir()
		servers := []*process{launch(t, data), launch(t, data)}
		for _, p := range servers {
			p.await("serving")
		}
		one, two := servers[0], servers[1]

		want(t, 201)(one.signup("alice", processPassword))
		a := want(t, 200)(two.login("alice", processPassword))
		want(t, 200)(one.get("/userinfo", a.member("access_token")))
		first := a.member("refresh_token")
		second := want(t, 200)(one.refresh(first)).member("refresh_token")
		if again := want(t, 200)(two.refresh(first)).member("refresh_token"); again != second {
			t.Fatalf("the other server answers %s, want %s", again, second)
		}
		want(t, 200)(two.refresh(second))

		// Only the first algorithm's key is there from the start.
		eventually(t, noticed, "both publish the same keys, one of each algorithm", func() bool {
			ours, _, err := jwks(one)
			if err != nil {
				t.Fatal(err)
			}
			theirs, _, err := jwks(two)
			if err != nil {
				t.Fatal(err)
			}
			return len(ours) == 2 && slices.Equal(slices.Sorted(maps.Keys(ours)), slices.Sorted(maps.Keys(theirs)))
		})
		one.kill()
		two.kill()
	}
}

func TestCommandsTakeEffectOnRunningServerAtOnce(t *testing.T) {
	data := t.TempDir()
	// In Kubernetes, beside a service called countersign-smtp. These are no settings.
	links := []string{"COUNTERSIGN_SMTP_SERVICE_HOST=10.0.0.1", "COUNTERSIGN_SMTP_PORT=tcp://10.0.0.1:25", "COUNTERSIGN_SMTP_PORT_25_TCP_ADDR=10.0.0.1"}
	p := serve(t, data, links...)
	if said := p.said("COUNTERSIGN_SMTP_PORT_25_TCP_ADDR"); len(said) != 1 {
		t.Errorf("the log names the variables of Kubernetes in %q, want one line", said)
	}

	command(t, data, processPassword, "users", "create", "--username", "alice", "--password-stdin")
	a := want(t, 200)(p.login("alice", processPassword))
	want(t, 200)(p.get("/userinfo", a.member("access_token")))

	command(t, data, "", "users", "disable", "alice")
	want(t, 400)(p.login("alice", processPassword))
	want(t, 400)(p.refresh(a.member("refresh_token")))
	want(t, 401)(p.get("/userinfo", a.member("access_token")))

	command(t, data, "", "users", "enable", "alice")
	want(t, 400)(p.refresh(a.member("refresh_token"))) // the session doesn't come back
	a = want(t, 200)(p.login("alice", processPassword))

	const another = "a staple for another horse"
	command(t, data, "\ufeff"+another+"\r\n", "users", "set-password", "alice", "--password-stdin")
	want(t, 400)(p.login("alice", processPassword))
	want(t, 400)(p.refresh(a.member("refresh_token")))
	want(t, 401)(p.get("/userinfo", a.member("access_token")))
	one, two := want(t, 200)(p.login("alice", another)), want(t, 200)(p.login("alice", another))

	var sessions []struct{ ID string }
	if err := json.Unmarshal([]byte(command(t, data, "", "sessions", "list", "--user", "alice", "--json")), &sessions); err != nil || len(sessions) != 2 {
		t.Fatalf("sessions = %v (%v), want two", sessions, err)
	}
	var claims struct{ SID string }
	decode(one.member("access_token"), 1, &claims)
	command(t, data, "", "sessions", "revoke", claims.SID)
	want(t, 400)(p.refresh(one.member("refresh_token")))
	want(t, 401)(p.get("/userinfo", one.member("access_token")))
	want(t, 200)(p.refresh(two.member("refresh_token"))) // the other goes on

	command(t, data, "", "clients", "create", "--id", "mobile", "--public", "--first-party", "--grant", "password", "--scope", "openid")
	want(t, 200)(p.login("alice", another, "client_id", "mobile"))
	command(t, data, "", "clients", "delete", "mobile")
	want(t, 401)(p.login("alice", another, "client_id", "mobile"))

	command(t, data, processPassword, "clients", "create", "--id", "job", "--secret-stdin", "--grant", "client_credentials", "--scope", "read")
	own := func(secret string) (*answer, error) {
		return p.tokens("grant_type", "client_credentials", "client_id", "job", "client_secret", secret)
	}
	want(t, 200)(own(processPassword))
	var rotated struct {
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(command(t, data, "", "clients", "rotate-secret", "job", "--json")), &rotated); err != nil {
		t.Fatal(err)
	}
	want(t, 401)(own(processPassword))
	want(t, 200)(own(rotated.Secret))

	command(t, data, "", "users", "delete", "alice")
	want(t, 400)(p.login("alice", another))
	want(t, 400)(p.refresh(two.member("refresh_token")))
	want(t, 401)(p.get("/userinfo", two.member("access_token")))
}
