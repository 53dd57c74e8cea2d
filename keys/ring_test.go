package keys_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	gocmp "github.com/google/go-cmp/cmp"

	"countersign/audit"
	"countersign/keys"
	"countersign/seal"
	"countersign/secrecy"
	"countersign/store"
	"countersign/store/storetest"
)

const (
	issuer   = "https://auth.example.com"
	audience = "https://api.example.com"
	atJWT    = "at+jwt"
)

var monthly = keys.Policy{
	RotationPeriod: 720 * time.Hour, JWKSMaxAge: 15 * time.Minute, ClockSkew: 30 * time.Second, AccessTTL: 10 * time.Minute,
}

func lead(p keys.Policy) time.Duration { return p.JWKSMaxAge + p.ClockSkew + 5*time.Second }

// inBubble runs a test in a synctest bubble with its own database.
func inBubble(t *testing.T, test func(t *testing.T, db *store.DB)) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	synctest.Test(t, func(t *testing.T) {
		db := storetest.OpenFile(t, path)
		defer db.Close()
		test(t, db)
	})
}

func master(t testing.TB, texts ...secrecy.Text) *seal.Keys {
	t.Helper()
	if len(texts) == 0 {
		texts = []secrecy.Text{seal.Generate()}
	}
	var all secrecy.Text
	for _, text := range texts {
		all += text + "\n"
	}
	k, err := seal.Parse(all)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func logTo(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// open opens a ring that signs with the given algorithms; by default ES256.
func open(t testing.TB, db keys.Store, master *seal.Keys, policy keys.Policy, algs ...string) *keys.Ring {
	t.Helper()
	if len(algs) == 0 {
		algs = []string{"ES256"}
	}
	ring, err := keys.Open(t.Context(), keys.Options{Store: db, Seal: master, Log: logTo(t), Algorithms: algs, Policy: policy})
	if err != nil {
		t.Fatalf("open ring: %v", err)
	}
	return ring
}

// openUnchecked is open with times that a server refuses: a ring copes with them,
// because another version or policy may have made its keys.
func openUnchecked(t testing.TB, db keys.Store, master *seal.Keys, policy keys.Policy) *keys.Ring {
	t.Helper()
	ring, err := keys.OpenUnchecked(t.Context(), keys.Options{Store: db, Seal: master, Log: logTo(t), Algorithms: []string{"EdDSA"}, Policy: policy})
	if err != nil {
		t.Fatalf("open ring: %v", err)
	}
	return ring
}

// openAdmin opens a ring as the command line does, without configuration.
func openAdmin(t testing.TB, db keys.Store, master *seal.Keys) *keys.Ring {
	t.Helper()
	ring, err := keys.Open(t.Context(), keys.Options{Store: db, Seal: master, Log: logTo(t)})
	if err != nil {
		t.Fatalf("open ring for administration: %v", err)
	}
	return ring
}

// run runs a ring until the returned function is called.
func run(t testing.TB, ring *keys.Ring) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		ring.Run(ctx)
	}()
	return func() { cancel(); <-done }
}

func maintain(t testing.TB, rings ...*keys.Ring) {
	t.Helper()
	for _, ring := range rings {
		if err := ring.Maintain(t.Context()); err != nil {
			t.Fatalf("maintain: %v", err)
		}
	}
}

func claims(now time.Time, ttl time.Duration) jwt.RegisteredClaims {
	return jwt.RegisteredClaims{
		Issuer: issuer, Audience: jwt.ClaimStrings{audience}, Subject: "alice",
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
	}
}

func sign(t testing.TB, ring *keys.Ring, alg string, ttl time.Duration) string {
	t.Helper()
	now := time.Now()
	token, err := ring.Sign(now, alg, atJWT, claims(now, ttl))
	if err != nil {
		t.Fatalf("sign: %v", err)
	}
	return token
}

func verify(ring *keys.Ring, token string) error {
	return ring.Verify(time.Now(), token, atJWT, issuer, &jwt.RegisteredClaims{})
}

func headerOf(t testing.TB, token string) map[string]any {
	t.Helper()
	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Header
}

func kidOf(t testing.TB, token string) string {
	t.Helper()
	return headerOf(t, token)["kid"].(string)
}

// published returns the kids in the JWKS.
func published(t testing.TB, ring *keys.Ring) []string {
	t.Helper()
	body := ring.JWKS(time.Now())
	var set struct{ Keys []struct{ KID string } }
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatal(err)
	}
	var kids []string
	for _, k := range set.Keys {
		kids = append(kids, k.KID)
	}
	return kids
}

func list(t testing.TB, ring *keys.Ring) []keys.Info {
	t.Helper()
	infos, err := ring.List(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return infos
}

func states(t testing.TB, ring *keys.Ring) string {
	t.Helper()
	var all []string
	for _, info := range list(t, ring) {
		all = append(all, string(info.State))
	}
	return strings.Join(all, " ")
}

func wantStates(t testing.TB, ring *keys.Ring, want string) {
	t.Helper()
	if got := states(t, ring); got != want {
		t.Errorf("states = %q, want %q", got, want)
	}
}

func TestFirstStartMakesEveryAlgorithmReady(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		ring := open(t, db, master(t), monthly, "ES256", "EdDSA")
		if err := ring.Ready(time.Now()); err != nil {
			t.Errorf("Ready = %v", err)
		}
		if err := verify(ring, sign(t, ring, "EdDSA", time.Minute)); err != nil {
			t.Errorf("second algorithm: %v", err)
		}
		if got := ring.JWKSMaxAge(time.Now()); got != monthly.JWKSMaxAge {
			t.Errorf("JWKSMaxAge = %v, want %v", got, monthly.JWKSMaxAge)
		}
		wantStates(t, ring, "signing signing")
	})
}

func TestAlgorithmWithoutKeyIsNotReady(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		ring := open(t, db, master(t), monthly, "ES256", "EdDSA")
		// The test revokes the key in the store, so that the ring doesn't replace it yet.
		for _, k := range list(t, ring) {
			if k.Alg == "EdDSA" {
				if err := db.RevokeKey(t.Context(), k.KID, time.Now(), audit.Event{Time: time.Now(), Kind: audit.KeyRevoked}); err != nil {
					t.Fatal(err)
				}
			}
		}
		list(t, ring) // makes the ring read the store
		if err := ring.Ready(time.Now()); !errors.Is(err, keys.ErrNoSigningKey) {
			t.Errorf("Ready = %v, want ErrNoSigningKey", err)
		}
		if _, err := ring.Sign(time.Now(), "EdDSA", atJWT, claims(time.Now(), time.Minute)); !errors.Is(err, keys.ErrNoSigningKey) {
			t.Errorf("Sign: err = %v, want ErrNoSigningKey", err)
		}
		if got := ring.JWKSMaxAge(time.Now()); got != 0 {
			t.Errorf("a JWKS that lacks an algorithm may be cached for %v", got)
		}
		maintain(t, ring)
		if err := ring.Ready(time.Now()); err != nil {
			t.Errorf("Ready after Maintain = %v", err)
		}
	})
}

func TestEveryAlgorithmSignsAndVerifies(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		algs := []string{"RS256", "ES256", "EdDSA", "PS256"}
		ring := open(t, db, master(t), monthly, algs...)
		maintain(t, ring)
		for _, alg := range append(algs, "") {
			token := sign(t, ring, alg, time.Minute)
			if err := verify(ring, token); err != nil {
				t.Errorf("%s: %v", alg, err)
			}
			want := map[string]any{"typ": atJWT, "alg": cmp.Or(alg, "RS256"), "kid": kidOf(t, token)}
			if diff := gocmp.Diff(want, headerOf(t, token)); diff != "" {
				t.Errorf("%s: header (-want +got):\n%s", alg, diff)
			}
		}
		if _, err := ring.Sign(time.Now(), "ES384", atJWT, claims(time.Now(), time.Minute)); !errors.Is(err, keys.ErrNoSigningKey) {
			t.Errorf("algorithm not configured: err = %v", err)
		}
		if got := ring.IDTokenAlg(); got != "RS256" {
			t.Errorf("IDTokenAlg = %s", got)
		}
	})
}

func TestOpenRefusesNonsense(t *testing.T) {
	db := storetest.Open(t)
	for name, change := range map[string]func(*keys.Options){
		"unknown algorithm":   func(o *keys.Options) { o.Algorithms = []string{"HS256"} },
		"algorithm twice":     func(o *keys.Options) { o.Algorithms = []string{"ES256", "ES256"} },
		"no rotation":         func(o *keys.Options) { o.Policy.RotationPeriod = 0 },
		"tokens without life": func(o *keys.Options) { o.Policy.AccessTTL = 0 },
		"negative skew":       func(o *keys.Options) { o.Policy.ClockSkew = -1 },
		"short rotation":      func(o *keys.Options) { o.Policy.RotationPeriod = o.Policy.JWKSMaxAge },
		"tokens that outlive": func(o *keys.Options) { o.Policy.AccessTTL = o.Policy.RotationPeriod },
	} {
		opts := keys.Options{Store: db, Seal: master(t), Algorithms: []string{"ES256"}, Policy: monthly}
		change(&opts)
		if _, err := keys.Open(t.Context(), opts); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

func TestSignRefusesATokenThatOutlivesItsKey(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		ring := open(t, db, master(t), monthly)
		now := time.Now()
		if _, err := ring.Sign(now, "", atJWT, claims(now, 721*time.Hour)); err == nil {
			t.Error("signed a token longer than its key is published")
		}
		if _, err := ring.Sign(now, "", atJWT, jwt.RegisteredClaims{Issuer: issuer}); err == nil {
			t.Error("signed a token without exp")
		}
	})
}

func TestAdministrationMakesNoKeysItself(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		admin := openAdmin(t, db, master(t))
		if got := list(t, admin); len(got) != 0 {
			t.Errorf("list = %v, want none", got)
		}
		if _, err := admin.Rotate(t.Context()); !errors.Is(err, keys.ErrNoSigningKey) {
			t.Errorf("Rotate without keys: err = %v", err)
		}
		if err := admin.Revoke(t.Context(), "nonsense"); !errors.Is(err, keys.ErrUnknownKey) {
			t.Errorf("Revoke of an unknown kid: err = %v", err)
		}
		if err := admin.Ready(time.Now()); !errors.Is(err, keys.ErrNoSigningKey) {
			t.Errorf("Ready = %v", err)
		}
	})
}

func TestJWKSHasPublicMembersOnlyAndIsStable(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		mk := master(t)
		ring := open(t, db, mk, monthly, "ES256", "RS256", "PS256", "EdDSA")
		maintain(t, ring)
		body := ring.JWKS(time.Now())

		var set struct{ Keys []map[string]string }
		if err := json.Unmarshal(body, &set); err != nil {
			t.Fatal(err)
		}
		want := map[string][]string{
			"ES256": {"alg", "crv", "kid", "kty", "use", "x", "y"},
			"RS256": {"alg", "e", "kid", "kty", "n", "use"},
			"PS256": {"alg", "e", "kid", "kty", "n", "use"},
			"EdDSA": {"alg", "crv", "kid", "kty", "use", "x"},
		}
		if len(set.Keys) != len(want) {
			t.Fatalf("%d keys, want %d", len(set.Keys), len(want))
		}
		for _, k := range set.Keys {
			var members []string
			for name := range k {
				members = append(members, name)
			}
			slices.Sort(members)
			if !slices.Equal(members, want[k["alg"]]) || k["use"] != "sig" || len(k["kid"]) != 43 {
				t.Errorf("%s: %v", k["alg"], k)
			}
		}
		if again := open(t, db, mk, monthly, "EdDSA").JWKS(time.Now().Add(time.Hour)); string(again) != string(body) {
			t.Errorf("another replica's JWKS differs: %s, want %s", again, body)
		}
		if _, err := ring.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if changed := ring.JWKS(time.Now()); string(changed) == string(body) {
			t.Error("the JWKS stays although keys were added")
		}
	})
}

func TestKIDIsTheThumbprint(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		ring := open(t, db, master(t), monthly, "ES256", "RS256", "PS256", "EdDSA")
		maintain(t, ring)
		body := ring.JWKS(time.Now())
		for _, k := range thumbprints(t, body) {
			if k.kid != k.want {
				t.Errorf("kid = %s, want %s", k.kid, k.want)
			}
		}
	})
}

var errAway = errors.New("database is away")

// failing is a store whose reads fail while away is set.
type failing struct {
	keys.Store
	away atomic.Bool
}

func (f *failing) Keys(ctx context.Context) ([]keys.Key, error) {
	if f.away.Load() {
		return nil, errAway
	}
	return f.Store.Keys(ctx)
}

// hanging is a store in which adding a key of one algorithm blocks while it hangs.
type hanging struct {
	keys.Store
	alg   string
	hangs atomic.Bool
}

func (h *hanging) InsertKey(ctx context.Context, k keys.Key, e audit.Event) error {
	if k.Alg == h.alg && h.hangs.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	return h.Store.InsertKey(ctx, k, e)
}

func TestKeyThatTakesLongDelaysNoOtherAlgorithm(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		policy := keys.Policy{RotationPeriod: 2 * time.Minute, JWKSMaxAge: 30 * time.Second, AccessTTL: time.Minute}
		hanging := &hanging{Store: db, alg: "RS256"}
		ring, err := keys.Open(t.Context(), keys.Options{
			Store: hanging, Seal: master(t), Algorithms: []string{"RS256", "ES256"}, Policy: policy,
		})
		if err != nil {
			t.Fatal(err)
		}
		stop := run(t, ring)
		first := kidOf(t, sign(t, ring, "ES256", time.Minute))
		hanging.hangs.Store(true)
		time.Sleep(policy.RotationPeriod + time.Minute)
		if kidOf(t, sign(t, ring, "ES256", time.Minute)) == first {
			t.Error("the first key still signs")
		}
		stop()
	})
}

func TestRingGoesOnFromMemoryWhileTheStoreFails(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		var logged strings.Builder
		failing := &failing{Store: db}
		ring, err := keys.Open(t.Context(), keys.Options{
			Store: failing, Seal: master(t), Algorithms: []string{"ES256"}, Policy: monthly,
			Log: slog.New(slog.NewTextHandler(&logged, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		stop := run(t, ring)
		time.Sleep(time.Minute)
		synctest.Wait()
		failing.away.Store(true)
		time.Sleep(time.Hour)
		synctest.Wait()

		if err := verify(ring, sign(t, ring, "", time.Minute)); err != nil {
			t.Errorf("verify from memory: %v", err)
		}
		if got := ring.JWKSMaxAge(time.Now()); got != 0 {
			t.Errorf("a JWKS that may be out of date may be cached for %v", got)
		}
		failing.away.Store(false)
		time.Sleep(5 * time.Second)
		if got := ring.JWKSMaxAge(time.Now()); got != monthly.JWKSMaxAge {
			t.Errorf("JWKSMaxAge = %v after the store is back, want %v", got, monthly.JWKSMaxAge)
		}
		stop()
		if got := strings.Count(logged.String(), errAway.Error()); got != 1 {
			t.Errorf("logged %d times, want once:\n%s", got, logged.String())
		}
		if got := strings.Count(logged.String(), "succeeds again"); got != 1 {
			t.Errorf("its end logged %d times, want once:\n%s", got, logged.String())
		}
	})
}
