package factors_test

import (
	"encoding/base32"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/caller"
	"countersign/factors"
	"countersign/ids"
	"countersign/limits"
	"countersign/seal"
	"countersign/secrecy"
	"countersign/store"
	"countersign/store/storetest"
	"countersign/tokens"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main{M: m}.Run()) }

var now = time.Date(2026, 3, 1, 12, 30, 10, 0, time.UTC)

// rig is a Service with alice, who is signed in at a place.
type rig struct {
	*factors.Service
	t     testing.TB
	db    *store.DB
	alice ids.User
	here  ids.Place
	epoch int64
	key   secrecy.Text // the master key

	master   *seal.Keys
	throttle *limits.Throttle
}

func newRig(t testing.TB) *rig {
	t.Helper()
	db := storetest.Open(t)
	r := &rig{t: t, db: db, alice: ids.New[ids.User](), key: seal.Generate()}
	master, err := seal.Parse(r.key)
	noError(t, err)
	r.master, r.throttle = master, storetest.Throttle(t, db)
	r.Service = service(t, factors.Options{Store: db, Seal: master, Throttle: r.throttle, Issuer: "Acme: Notes"})
	noError(t, db.CreateUser(t.Context(), accounts.User{ID: r.alice, Username: "alice", CreatedAt: now, UpdatedAt: now}, audit.Event{Time: now, Kind: audit.UserCreated}))
	l := tokens.Login{ID: ids.NewRandom[ids.Login](), UserID: r.alice, AuthTime: now, CreatedAt: now, ExpiresAt: now.Add(24 * time.Hour), AbsoluteExpiresAt: now.Add(48 * time.Hour), Methods: []string{"pwd"}}
	noError(t, db.CreateLogin(t.Context(), l, audit.Event{Time: now, Kind: audit.LoginCreated}))
	r.here = ids.Place{Login: l.ID}
	return r
}

// service returns a Service that offers all factors.
func service(t testing.TB, o factors.Options) *factors.Service {
	t.Helper()
	o.Settings = factors.Settings{TOTP: true, Passkeys: true}
	s, err := factors.New(o)
	noError(t, err)
	return s
}

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// oathtool makes the code of a secret at a time.
func (r *rig) oathtool(secret string, at time.Time) string {
	r.t.Helper()
	out, err := exec.CommandContext(r.t.Context(), "oathtool", "--totp", "--base32", "--now", at.UTC().Format("2006-01-02 15:04:05 UTC"), secret).Output()
	if errors.Is(err, exec.ErrNotFound) {
		r.t.Fatal("this test needs oathtool: install oathtool (test/prepare does, where that is simple)")
	}
	noError(r.t, err)
	return strings.TrimSpace(string(out))
}

// enrol gives alice a TOTP in force, and returns its secret and the recovery codes.
func (r *rig) enrol() (secret string, codes []string) {
	r.t.Helper()
	e, err := r.Enrol(r.t.Context(), now, r.alice, "alice", "phone", r.here)
	noError(r.t, err)
	codes, err = r.Confirm(r.t.Context(), now, r.alice, e.ID, r.oathtool(e.Secret, now), r.here, caller.Caller{})
	noError(r.t, err)
	r.epoch = 1
	return e.Secret, codes
}

func (r *rig) prove(at time.Time, by factors.Method, code string, from caller.Caller) error {
	return r.Prove(r.t.Context(), at, r.alice, r.epoch, by, code, from)
}

func (r *rig) fails(what string, err, want error) {
	r.t.Helper()
	if !errors.Is(err, want) {
		r.t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// The codes are those of RFC 6238 (appendix B), with the last six digits.
func TestCodesAreThoseOfTheStandard(t *testing.T) {
	r := newRig(t)
	secret := base32.StdEncoding.EncodeToString([]byte("12345678901234567890"))
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		if got, err := factors.CodeAt(secret, time.Unix(at, 0)); err != nil || got != want {
			t.Errorf("at %d: %s (%v), want %s", at, got, err, want)
		}
	}
	if got := r.oathtool(secret, time.Unix(59, 0)); got != "287082" {
		t.Errorf("oathtool says %s", got)
	}
}

// An app reads the secret, and makes codes that are good for a minute and a half, once each.
//
// Requirement: line 81.
func TestTOTP(t *testing.T) {
	r := newRig(t)
	e, err := r.Enrol(t.Context(), now, r.alice, "alice@example.com", "phone", r.here)
	noError(t, err)
	u, err := url.Parse(e.URI)
	noError(t, err)
	if q := u.Query(); u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/Acme  Notes:alice@example.com" || q.Get("secret") != e.Secret || q.Get("issuer") != "Acme: Notes" {
		t.Errorf("address = %s", e.URI)
	}
	if due, err := r.Due(t.Context(), r.alice); err != nil || len(due.Methods) > 0 {
		t.Errorf("before it is confirmed, %v is due (%v)", due, err)
	}
	_, err = r.Confirm(t.Context(), now, r.alice, e.ID, r.oathtool(e.Secret, now.Add(-time.Hour)), r.here, caller.Caller{})
	r.fails("an old code", err, factors.ErrBadCode)
	codes, err := r.Confirm(t.Context(), now, r.alice, e.ID, r.oathtool(e.Secret, now), r.here, caller.Caller{})
	noError(t, err)
	r.epoch = 1
	if len(codes) != 10 {
		t.Errorf("%d recovery codes", len(codes))
	}
	if due, err := r.Due(t.Context(), r.alice); err != nil || len(due.Methods) != 2 || due.Methods[0] != factors.ByTOTP {
		t.Errorf("due: %v (%v)", due, err)
	}
	r.fails("the code that confirmed it", r.prove(now, factors.ByTOTP, r.oathtool(e.Secret, now), caller.Caller{}), factors.ErrBadCode)
	later := now.Add(time.Hour)
	for off, want := range map[time.Duration]error{-60 * time.Second: factors.ErrBadCode, 60 * time.Second: factors.ErrBadCode} {
		r.fails(off.String(), r.prove(later, factors.ByTOTP, r.oathtool(e.Secret, later.Add(off)), caller.Caller{}), want)
	}
	for i, off := range []time.Duration{-30 * time.Second, 0, 30 * time.Second} {
		code := r.oathtool(e.Secret, later.Add(off))
		if i == 1 {
			code = " " + code[:3] + " " + code[3:] // as apps show it
		}
		noError(t, r.prove(later, factors.ByTOTP, code, caller.Caller{}))
		r.fails("again", r.prove(later, factors.ByTOTP, code, caller.Caller{}), factors.ErrBadCode)
	}
	for _, bad := range []string{"", "0", "1234567", "abcdef", "１２３４５６", strings.Repeat("1", 1<<16)} {
		later = later.Add(time.Hour)
		r.fails(bad[:min(len(bad), 20)], r.prove(later, factors.ByTOTP, bad, caller.Caller{}), factors.ErrBadCode)
	}
	r.fails("by no method", r.prove(later.Add(time.Hour), "", "", caller.Caller{}), factors.ErrBadCode)
}

// A recovery code works once, however it is spelled.
//
// Requirement: line 81.
func TestRecoveryCodes(t *testing.T) {
	r := newRig(t)
	_, codes := r.enrol()
	r.fails("of the wrong method", r.prove(now, factors.ByTOTP, codes[0], caller.Caller{}), factors.ErrBadCode)
	noError(t, r.prove(now, factors.ByRecoveryCode, codes[0], caller.Caller{}))
	r.fails("again", r.prove(now, factors.ByRecoveryCode, codes[0], caller.Caller{}), factors.ErrBadCode)
	noError(t, r.prove(now, factors.ByRecoveryCode, " "+strings.ToUpper(strings.ReplaceAll(codes[1], "-", " ")), caller.Caller{}))
	noError(t, r.prove(now, factors.ByRecoveryCode, strings.NewReplacer("o", "0", "l", "1", "-", "").Replace(codes[2]), caller.Caller{}))
	renewed, err := r.Renew(t.Context(), now, r.alice, r.here, caller.Caller{})
	noError(t, err)
	r.fails("a former one", r.prove(now, factors.ByRecoveryCode, codes[3], caller.Caller{}), factors.ErrBadCode)
	noError(t, r.prove(now, factors.ByRecoveryCode, renewed[9], caller.Caller{}))
	all, err := r.Of(t.Context(), r.alice)
	noError(t, err)
	if got := all[len(all)-1]; got.Kind != factors.RecoveryCodes || got.Remaining != 9 {
		t.Errorf("left: %+v", got)
	}
}

// However many guess, and from wherever, they get what the budget lets through; the owner's
// browser has its own.
func TestGuessesHaveABudget(t *testing.T) {
	r := newRig(t)
	secret, _ := r.enrol()
	right := r.oathtool(secret, now.Add(time.Hour))
	var good []string // all codes that would do meanwhile
	for off := -time.Minute; off <= time.Minute; off += 30 * time.Second {
		good = append(good, r.oathtool(secret, now.Add(time.Hour+off)))
	}
	looked := 0
	for i := range 10_000 {
		guess := strconv.Itoa(1_000_000 + i)[1:]
		if slices.Contains(good, guess) {
			continue
		}
		at := now.Add(time.Hour + time.Duration(i)*time.Millisecond)
		err := r.prove(at, factors.ByTOTP, guess, caller.Caller{Address: "10.0." + strconv.Itoa(i/100) + ".1"})
		if errors.Is(err, factors.ErrBadCode) {
			looked++
		} else if !errors.Is(err, limits.ErrThrottled) {
			t.Fatal(err)
		}
	}
	if most := storetest.Throttle(t, r.db).StrangersPerAccount(); looked != most {
		t.Errorf("%d guesses of 10,000 were looked at, want %d", looked, most)
	}
	r.fails("a stranger with the right code", r.prove(now.Add(time.Hour), factors.ByTOTP, right, caller.Caller{Address: "192.0.2.1"}), limits.ErrThrottled)
	known := func(epoch int64) caller.Caller {
		return caller.Caller{Address: "192.0.2.1", Browser: func(ids.User) (string, int64) { return "browser", epoch }}
	}
	r.fails("a browser of before", r.prove(now.Add(time.Hour), factors.ByTOTP, right, known(0)), limits.ErrThrottled)
	noError(t, r.prove(now.Add(time.Hour), factors.ByTOTP, right, known(1)))
}

// A right code pays back what the wrong ones before it took.
func TestARightCodeRefillsTheBudget(t *testing.T) {
	r := newRig(t)
	secret, _ := r.enrol()
	at := now
	for range 30 {
		at = at.Add(30 * time.Second)
		r.fails("wrong", r.prove(at, factors.ByRecoveryCode, "wrong", caller.Caller{}), factors.ErrBadCode)
		noError(t, r.prove(at, factors.ByTOTP, r.oathtool(secret, at), caller.Caller{}))
	}
}

// What the database holds opens nothing.
func TestSecretsRestSealed(t *testing.T) {
	r := newRig(t)
	secret, codes := r.enrol()
	raw, err := base32.StdEncoding.DecodeString(secret)
	noError(t, err)
	in, err := r.db.InForce(t.Context(), r.alice)
	noError(t, err)
	if at := string(in.TOTPs[0].Sealed); strings.Contains(at, string(raw)) || strings.Contains(at, secret) || len(codes[0]) != 19 {
		t.Errorf("%q holds the secret", at)
	}
	other, err := seal.Parse(seal.Generate())
	noError(t, err)
	stranger := service(t, factors.Options{Store: r.db, Seal: other, Throttle: storetest.Throttle(t, r.db), Issuer: "Acme"})
	if err := stranger.Prove(t.Context(), now.Add(time.Hour), r.alice, 1, factors.ByTOTP, r.oathtool(secret, now.Add(time.Hour)), caller.Caller{}); err == nil || errors.Is(err, factors.ErrBadCode) {
		t.Errorf("with another master key: %v", err)
	}
}

// An operator who replaces the master key can remove the former one after a while.
func TestSecretsAreSealedAnew(t *testing.T) {
	r := newRig(t)
	secret, _ := r.enrol()
	former, err := seal.Parse(r.key)
	noError(t, err)
	next := seal.Generate()
	both, err := seal.Parse(next + "," + r.key)
	noError(t, err)
	with := func(k *seal.Keys) *factors.Service {
		return service(t, factors.Options{Store: r.db, Seal: k, Throttle: storetest.Throttle(t, r.db), Issuer: "Acme"})
	}
	if n, err := with(former).Reseal(t.Context(), now, 10); err != nil || n != 0 {
		t.Errorf("resealed %d (%v), want none", n, err)
	}
	for _, want := range []int64{1, 0} {
		if n, err := with(both).Reseal(t.Context(), now, 10); err != nil || n != want {
			t.Errorf("resealed %d (%v), want %d", n, err, want)
		}
	}
	alone, err := seal.Parse(next)
	noError(t, err)
	later := now.Add(time.Hour)
	noError(t, with(alone).Prove(t.Context(), later, r.alice, 1, factors.ByTOTP, r.oathtool(secret, later), caller.Caller{}))
	if _, err := with(former).Reseal(t.Context(), now, 10); err == nil {
		t.Error("a secret is sealed anew that no key opens")
	}
}

func TestOnlyTheOperatorResets(t *testing.T) {
	r := newRig(t)
	r.enrol()
	_, err := r.Reset(t.Context(), now, r.alice, caller.Caller{})
	r.fails("a stranger", err, caller.ErrNotOperator)
	if n, err := r.Reset(t.Context(), now, r.alice, caller.Operator()); err != nil || n != 1 {
		t.Errorf("reset %d (%v)", n, err)
	}
	if due, err := r.Due(t.Context(), r.alice); err != nil || len(due.Methods) > 0 {
		t.Errorf("after it %v is due (%v)", due, err)
	}
}

// Strangers who guess at the sign-ins of a user don't keep the user from setting up another app.
func TestStrangersDontKeepAUserFromSettingUpAnApp(t *testing.T) {
	r := newRig(t)
	r.enrol()
	var wait *limits.WaitError
	for i := 0; !errors.As(r.prove(now, factors.ByTOTP, "000000", caller.Caller{Address: "10." + strconv.Itoa(i/250) + "." + strconv.Itoa(i%250) + ".1"}), &wait); i++ {
		if i > 10_000 { // each from a network of its own, so that it is the shared budget that ends
			t.Fatal("strangers guess without end")
		}
	}
	e, err := r.Enrol(t.Context(), now, r.alice, "alice", "tablet", r.here)
	noError(t, err)
	_, err = r.Confirm(t.Context(), now, r.alice, e.ID, r.oathtool(e.Secret, now), r.here, caller.Caller{})
	noError(t, err)
}
