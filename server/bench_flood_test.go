package server_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"countersign/hashing"
	"countersign/server"
)

// BenchmarkSignInDuringAFlood has thirteen users sign in, one after another, in browsers
// that are known to their accounts, while an attacker in the same network sends sign-ins
// with fresh names. It reports how many of a hundred users were refused, and how long the
// others waited: half of them, and the slowest.
func BenchmarkSignInDuringAFlood(b *testing.B) {
	for _, rate := range []int{100, 150} {
		for _, attack := range []struct {
			name     string
			patience time.Duration
		}{{"waits", 10 * time.Second}, {"hangs up", 50 * time.Millisecond}} {
			b.Run(fmt.Sprintf("%d a second, %s", rate, attack.name), func(b *testing.B) { signInDuringAFlood(b, rate, attack.patience) })
		}
	}
}

func signInDuringAFlood(b *testing.B, rate int, patience time.Duration) {
	const people = 13
	a := newApp(b, quiet, withOptions(func(o *server.Options) {
		o.Hashing = hashing.Settings{Argon2: hashing.Argon2{MemoryKiB: 19 << 10, Iterations: 2, Parallelism: 1}} // as in production
	}))
	var homes []*page
	for i := range people {
		a.signup(fmt.Sprint("user", i))
		p := a.page()
		p.signIn(fmt.Sprint("user", i), password).want(http.StatusOK)
		homes = append(homes, p)
	}
	s := httptest.NewServer(a)
	defer s.Close()
	end := make(chan struct{})
	var flood sync.WaitGroup
	flood.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-end:
				return
			case <-tick.C:
				flood.Go(func() { sendSignIn(s.Listener.Addr().String(), fmt.Sprint("nobody", i), patience) })
			}
		}
	})
	time.Sleep(2 * time.Second) // until the flood has filled what it can

	var took []time.Duration
	refused := 0
	for i := 0; b.Loop(); i++ {
		who := i % people
		began := time.Now()
		switch r := homes[who].signIn(fmt.Sprint("user", who), password); r.Code {
		case http.StatusOK:
			took = append(took, time.Since(began))
		case http.StatusServiceUnavailable:
			refused++
		default:
			b.Fatalf("%d %s", r.Code, r.Body)
		}
		time.Sleep(100 * time.Millisecond)
	}
	close(end)
	flood.Wait()
	b.ReportMetric(0, "ns/op") // says nothing
	b.ReportMetric(100*float64(refused)/float64(refused+len(took)), "%refused")
	if slices.Sort(took); len(took) > 0 {
		b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "ms-half")
		b.ReportMetric(float64(took[len(took)-1].Milliseconds()), "ms-slowest")
	}
}

// sendSignIn sends a sign-in and closes the connection after patience.
func sendSignIn(address, username string, patience time.Duration) {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	body := `{"username":"` + username + `","password":"a wrong guess"}`
	fmt.Fprintf(conn, "POST /session HTTP/1.1\r\nHost: auth.example.com\r\nOrigin: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		origin, len(body), body)
	io.Copy(io.Discard, conn)
}
