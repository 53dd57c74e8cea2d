package server_test

import (
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"countersign/caller"
	"countersign/hashing"
	"countersign/ids"
	"countersign/server"
	"countersign/test/smtpd"
	"countersign/test/soak"
)

// A caller can't tell from response times which accounts exist. The test sends requests
// in pairs, one about an account and one about none, in random order, each from its own
// network. The statistic is a sign test's: the share of pairs in which the request
// about the account took longer. If the times don't differ the share is a half,
// whatever the machine's noise, with a standard deviation of 1/(2√pairs); the test
// fails at five of these. It also checks that it detects a difference that it puts in
// itself.
//
// Requirement: line 74.
func TestTimeTellsNothing(t *testing.T) {
	pairs := soak.Size(2_000, 240)
	setUp := withOptions(func(o *server.Options) {
		withMail(&smtpd.Server{})(o)
		// One hash more or less shows, and doesn't hide other differences. It takes its time by
		// iterations: collecting larger blocks would come between some requests of a pair.
		o.Hashing.Argon2 = hashing.Argon2{MemoryKiB: 64, Iterations: 16, Parallelism: 1}
		o.Throttle.StrangersPerAccount = 1_000_000
		o.Log = slog.New(slog.DiscardHandler)
	})
	a := newApp(t, proxied, setUp)
	proving := openApp(t, a.path, a.master, proxied, setUp, withOptions(func(o *server.Options) { o.Accounts.RequireVerifiedEmail = true }))

	networks, names, turn := 0, 0, 0
	post := func(to *app, path, body string) *response {
		t.Helper()
		networks++
		p := to.page()
		p.address = fmt.Sprintf("10.%d.%d.%d", networks>>16, networks>>8&255, networks&255)
		return p.do(http.MethodPost, path, body)
	}
	signIn := func(who string) *response {
		t.Helper()
		return post(a, "/session", `{"username":"`+who+`","password":"a wrong password"}`).want(http.StatusUnauthorized)
	}
	// By address, at each door in turn, where a third of the accounts is of each kind: one that
	// may sign in, one that must prove its address first, and a disabled one.
	byAddress := func(who string) *response {
		t.Helper()
		who += "@example.net"
		switch turn / 3 % 3 {
		case 0:
			return post(proving, "/session", `{"username":"`+who+`","password":"a wrong password"}`).want(http.StatusUnauthorized)
		case 1:
			networks++
			return proving.token(with(passwordForm(who), "password", "a wrong password"), "X-Forwarded-For", fmt.Sprintf("10.%d.%d.%d", networks>>16, networks>>8&255, networks&255)).want(http.StatusBadRequest)
		default:
			networks++
			return proving.do(http.MethodPost, "/login", form("username", who, "password", "a wrong password").Encode(), "Content-Type", formType,
				"Origin", issuer, "X-Forwarded-For", fmt.Sprintf("10.%d.%d.%d", networks>>16, networks>>8&255, networks&255)).want(http.StatusBadRequest)
		}
	}
	for n, c := range []struct {
		name string
		ask  func(who string) *response
		less float64 // the share of the time that the test takes off for an unknown account
	}{
		{"sign in", signIn, 0},
		{"sign in by address", byAddress, 0},
		{"sign in, half of it about no account", signIn, 0.5},
		{"forgot by name", func(who string) *response {
			return post(a, "/account/password/forgot", `{"username":"`+who+`"}`).want(http.StatusAccepted)
		}, 0},
		{"forgot by address", func(who string) *response {
			return post(a, "/account/password/forgot", `{"email":"`+who+`@example.net"}`).want(http.StatusAccepted)
		}, 0},
		{"resend by address", func(who string) *response {
			return post(a, "/account/email/resend", `{"email":"`+who+`@example.net"}`).want(http.StatusAccepted)
		}, 0},
		{"sign up with an address", func(who string) *response {
			names++
			return post(proving, "/signup", fmt.Sprintf(`{"username":"new%d","password":%q,"email":"%s@example.net"}`, names, password, who)).want(http.StatusCreated)
		}, 0},
	} {
		letter := string(rune('a' + n))
		people := pairs / 4 // each account may get five mails
		for i := range people {
			name := fmt.Sprint(letter, "known", i)
			to := a
			if c.name == "sign in by address" && i%3 == 1 {
				to = proving
			}
			id, err := ids.Parse[ids.User](post(to, "/signup", fmt.Sprintf(`{"username":%q,"password":%q,"email":"%s@example.net"}`, name, password, name)).want(http.StatusCreated).text("id"))
			if err == nil && c.name == "sign in by address" && i%3 == 2 {
				err = a.Users.Disable(t.Context(), time.Now(), id, caller.Operator())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		var took [2][]float64 // of requests about no account, and about an account; in microseconds
		longer := 0
		for i := range pairs {
			turn = i
			first := rand.IntN(2)
			for _, which := range []int{first, 1 - first} {
				who := fmt.Sprint(letter, []string{"nobody", "known"}[which], i%people)
				began := time.Now()
				c.ask(who)
				spent := float64(time.Since(began).Nanoseconds()) / 1e3
				if which == 0 {
					spent *= 1 - c.less
				}
				took[which] = append(took[which], spent)
			}
			if took[1][i] > took[0][i] {
				longer++
			}
		}
		share, chance := float64(longer)/float64(pairs), 5/(2*math.Sqrt(float64(pairs)))
		median := func(all []float64) float64 { slices.Sort(all); return all[len(all)/2] }
		t.Logf("%s: of %d pairs %.1f %% took longer about an account, 50 ± %.1f is chance; medians %.0f and %.0f µs",
			c.name, pairs, 100*share, 100*chance, median(took[1]), median(took[0]))
		if told := math.Abs(share-0.5) > chance; told != (c.less > 0) {
			t.Errorf("%s: told apart by time: %v", c.name, told)
		}
	}
}
