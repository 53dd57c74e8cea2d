package server_test

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/hashing"
	"countersign/keys"
	"countersign/server"
)

// The hot paths, and in the same run their bounds: an answer can't be faster than the
// engine, and a refresh not faster than one durable write and one signature. Compare
// ratios, not times: machines differ.

func quiet(o *server.Options, _ *keys.Options) { o.Log = slog.New(slog.DiscardHandler) }

func BenchmarkLimitEngine(b *testing.B) {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.GET("/", func(c *gin.Context) { c.Status(http.StatusOK) })
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for b.Loop() {
		e.ServeHTTP(httptest.NewRecorder(), r)
	}
}

func BenchmarkLimitSignature(b *testing.B) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("claims"))
	for b.Loop() {
		if _, err := ecdsa.SignASN1(rand.Reader, key, digest[:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLimitDurableWrite(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "wal"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	for b.Loop() {
		if _, err := f.WriteAt(page, 0); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJWKS(b *testing.B) {
	a := newApp(b, quiet)
	for b.Loop() {
		a.do(http.MethodGet, "/.well-known/jwks.json", "").want(http.StatusOK)
	}
}

func BenchmarkUserInfo(b *testing.B) {
	a := newApp(b, quiet)
	a.signup("alice")
	access := a.login("alice").text("access_token")
	for b.Loop() {
		a.userinfo(access).want(http.StatusOK)
	}
}

// BenchmarkRefresh has no openid scope, so that one signature is made.
func BenchmarkRefresh(b *testing.B) {
	a := newApp(b, quiet)
	a.signup("alice")
	f := passwordForm("alice")
	f.Set("scope", "profile")
	token := a.token(f).want(http.StatusOK).text("refresh_token")
	for b.Loop() {
		token = a.refresh(token).want(http.StatusOK).text("refresh_token")
	}
}

// BenchmarkRefreshWithIDToken makes an RS256 signature too.
func BenchmarkRefreshWithIDToken(b *testing.B) {
	a := newApp(b, quiet)
	a.signup("alice")
	token := a.login("alice").text("refresh_token")
	for b.Loop() {
		token = a.refresh(token).want(http.StatusOK).text("refresh_token")
	}
}

func BenchmarkClientCredentials(b *testing.B) {
	a := newApp(b, quiet)
	f := form("grant_type", "client_credentials", "client_id", "api", "client_secret", "dev-secret")
	for b.Loop() {
		a.token(f).want(http.StatusOK)
	}
}

// BenchmarkTellAccountsApart signs in with wrong passwords to existing and unknown
// accounts in turns, and reports how well the time of one answer tells them apart: the
// chance that the former takes longer than the latter (the area under the ROC curve).
// 0.5 is no better than a coin.
func BenchmarkTellAccountsApart(b *testing.B) {
	const people = 100
	a := newApp(b, quiet, withOptions(func(o *server.Options) {
		o.Throttle.StrangersPerAccount, o.Throttle.FreeFailures = 1_000_000, 1_000_000
		o.Hashing.Argon2 = hashing.Argon2{MemoryKiB: 19 << 10, Iterations: 2, Parallelism: 1} // as in production
	}))
	for i := range people {
		a.signup(fmt.Sprint("known", i))
	}
	took := map[string][]time.Duration{}
	order := []string{"known", "other"}
	p := a.page()
	for i := 0; b.Loop(); i++ {
		order[0], order[1] = order[1], order[0]
		for _, kind := range order {
			began := time.Now()
			r := p.signIn(fmt.Sprint(kind, i%people), "a wrong guess")
			took[kind] = append(took[kind], time.Since(began))
			r.want(http.StatusUnauthorized)
		}
	}
	known, other := took["known"], took["other"]
	slower := 0.0
	for _, k := range known {
		for _, o := range other {
			slower += float64(cmp.Compare(k, o)+1) / 2
		}
	}
	n := float64(len(known) * len(other))
	b.ReportMetric(slower/n, "AUC")
	b.ReportMetric(math.Sqrt(float64(len(known)+len(other)+1)/(12*n)), "AUC-sd")
}

// BenchmarkSilentSignIn is a client's sign-in of a user who is signed in to the
// browser: two durable writes, for the code and the session, and one signature.
func BenchmarkSilentSignIn(b *testing.B) {
	a := newApp(b, quiet)
	p, _ := a.newPerson(b, "alice")
	f := authorization("spa", "prompt", "none", "scope", "profile")
	for b.Loop() {
		a.exchange(p.authorize(f).code(spaCallback)).want(http.StatusOK)
	}
}
