package server_test

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
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

// wire sends one request again and again as net/http would, and spends next to nothing on it
// itself, so that what a benchmark counts is the server's.
type wire struct {
	b       *testing.B
	app     *app
	request *http.Request
	header  http.Header
	status  int
	body    bytes.Buffer
}

func (w *wire) Header() http.Header            { return w.header }
func (w *wire) WriteHeader(status int)         { w.status = status }
func (w *wire) Write(body []byte) (int, error) { return w.body.Write(body) }

// wire returns a wire for requests with header, pairs of names and values.
func (a *app) wire(b *testing.B, method, target string, header ...string) *wire {
	r := httptest.NewRequestWithContext(b.Context(), method, target, nil)
	r.Host = "auth.example.com"
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	b.ReportAllocs()
	return &wire{b: b, app: a, request: r, header: http.Header{}}
}

// send sends the request with a body, which may be empty. The answer must be 200. It is
// good until the next one.
func (w *wire) send(body string) []byte {
	clear(w.header)
	w.body.Reset()
	w.status = http.StatusOK
	w.request.Body = io.NopCloser(strings.NewReader(body))
	w.app.ServeHTTP(w, w.request)
	if w.status != http.StatusOK {
		w.b.Fatalf("%d %s", w.status, w.body.Bytes())
	}
	return w.body.Bytes()
}

// refresh chains refresh tokens, beginning with the given one. Client authentication is
// the form's or the header's.
func (w *wire) refresh(client, token string) {
	const member = `"refresh_token":"`
	for w.b.Loop() {
		answer := w.send("grant_type=refresh_token" + client + "&refresh_token=" + token)
		_, rest, _ := bytes.Cut(answer, []byte(member))
		end := bytes.IndexByte(rest, '"')
		if end < 0 {
			w.b.Fatalf("no refresh token in %s", answer)
		}
		token = string(rest[:end])
	}
}

func BenchmarkJWKS(b *testing.B) {
	w := newApp(b, quiet).wire(b, http.MethodGet, "/.well-known/jwks.json")
	for b.Loop() {
		w.send("")
	}
}

func BenchmarkDiscovery(b *testing.B) {
	w := newApp(b, quiet).wire(b, http.MethodGet, "/.well-known/openid-configuration")
	for b.Loop() {
		w.send("")
	}
}

func BenchmarkUserInfo(b *testing.B) {
	a := newApp(b, quiet)
	a.signup("alice")
	w := a.wire(b, http.MethodGet, "/userinfo", "Authorization", "Bearer "+a.login("alice").text("access_token"))
	for b.Loop() {
		w.send("")
	}
}

func BenchmarkIntrospect(b *testing.B) {
	a := newApp(b, quiet)
	a.signup("alice")
	body := "token=" + a.login("alice").text("access_token")
	w := a.wire(b, http.MethodPost, "/oauth/introspect", "Content-Type", formType, "Authorization", basic("reader", secret))
	for b.Loop() {
		w.send(body)
	}
}

// BenchmarkRefresh has no openid scope, so that one signature is made.
func BenchmarkRefresh(b *testing.B) {
	a := newApp(b, quiet)
	a.signup("alice")
	f := passwordForm("alice")
	f.Set("scope", "profile")
	token := a.token(f).want(http.StatusOK).text("refresh_token")
	a.wire(b, http.MethodPost, "/oauth/token", "Content-Type", formType).refresh("&client_id=spa", token)
}

// BenchmarkRefreshWithIDToken makes an RS256 signature too.
func BenchmarkRefreshWithIDToken(b *testing.B) {
	a := newApp(b, quiet)
	a.signup("alice")
	a.wire(b, http.MethodPost, "/oauth/token", "Content-Type", formType).refresh("&client_id=spa", a.login("alice").text("refresh_token"))
}

// BenchmarkRefreshConfidential is BenchmarkRefresh of a client with a secret.
func BenchmarkRefreshConfidential(b *testing.B) {
	a := newApp(b, quiet)
	a.signup("alice")
	f := with(without(passwordForm("alice"), "client_id"), "scope", "profile")
	token := a.token(f, "Authorization", basic("web", secret)).want(http.StatusOK).text("refresh_token")
	a.wire(b, http.MethodPost, "/oauth/token", "Content-Type", formType, "Authorization", basic("web", secret)).refresh("", token)
}

// BenchmarkSessionRefresh refreshes by the cookie.
func BenchmarkSessionRefresh(b *testing.B) {
	a := newApp(b, quiet)
	a.signup("alice")
	cookie := refreshName + "=" + a.page().signIn("alice", password).want(http.StatusOK).setCookie(refreshName).Value
	w := a.wire(b, http.MethodPost, "/session/refresh", "Origin", origin, "Cookie", cookie)
	for b.Loop() {
		w.send("")
		for _, set := range w.header["Set-Cookie"] {
			if strings.HasPrefix(set, refreshName+"=") {
				w.request.Header["Cookie"][0], _, _ = strings.Cut(set, ";")
			}
		}
	}
}

func BenchmarkClientCredentials(b *testing.B) {
	w := newApp(b, quiet).wire(b, http.MethodPost, "/oauth/token", "Content-Type", formType)
	for b.Loop() {
		w.send("grant_type=client_credentials&client_id=api&client_secret=dev-secret")
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
