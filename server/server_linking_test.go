package server_test

import (
	"net/http"
	"strings"
	"testing"

	"countersign/server"
	"countersign/upstreams"
)

// offered is a server with a provider a, which names the address of alice's account there as
// verified, and a provider b, of other users.
type offered struct {
	*listening
	a, b *idp
}

func offering(t *testing.T, change ...func(*server.Options)) *offered {
	t.Helper()
	l := &offered{a: newIDP(t), b: newIDP(t)}
	l.a.tell(func(p *idp) { p.user["email"], p.user["email_verified"] = "Alice@Example.com", true })
	l.listening = listen(t, func(_ string, o *server.Options) {
		o.Upstreams = []upstreams.Declared{
			l.a.provide("a", func(s *upstreams.Settings) { s.LinkByEmail = upstreams.LinkVerified }),
			l.b.provide("b", func(s *upstreams.Settings) { s.Name = "Acme" }),
		}
		for _, c := range change {
			c(o)
		}
	})
	return l
}

// saysYes comes from provider a and says that the account is to be linked.
func (l *offered) saysYes(s *surfer) *shown {
	l.t.Helper()
	return s.open(l.url+"/login/with/a").at(l.listening, "/login/link", http.StatusOK, "Alice@Example.com").
		submit("link-form").at(l.listening, "/login", http.StatusOK, "Sign in to the account with the address", "links your account of", `value="Alice@Example.com"`, "Continue with Acme")
}

// With link_by_email: verified the account's own sign-in links it, second factor included.
func TestLinkingTakesASignInToTheAccount(t *testing.T) {
	for _, factor := range []bool{false, true} {
		own := offering(t)
		alice := own.has("alice", "alice@example.com", true)
		s := newSurfer(t)
		secret := ""
		if factor {
			secret = s.enrol(own.listening, "alice")
			s = newSurfer(t)
		}
		// A sign-in that isn't for it links nothing.
		r := s.open(own.url+"/login/with/a").at(own.listening, "/login/link", http.StatusOK)
		if !factor {
			s.open(own.url+"/login").submit("login-form", "username", "alice", "password", password).at(own.listening, "/me", http.StatusOK)
			if own.identities(alice) != 0 {
				t.Fatal("a sign-in for something else links the account")
			}
		}
		// The user who is signed in already gives a proof all the same.
		r = r.submit("link-form").at(own.listening, "/login", http.StatusOK, "links your account of")
		if own.identities(alice) != 0 {
			t.Fatal("it is linked without a proof")
		}
		r = r.submit("login-form", "username", "alice", "password", password)
		if factor {
			if own.identities(alice) != 0 {
				t.Fatal("it is linked before the second factor")
			}
			r = r.at(own.listening, "/factor", http.StatusOK).submit("factor-form", "code", nextCode(t, secret))
		}
		r.at(own.listening, "/me", http.StatusOK, "alice")
		if own.identities(alice) != 1 {
			t.Error("it is not linked")
		}
		s.open(own.url+"/login").at(own.listening, "/me", http.StatusOK) // which goes straight on as before
		next := newSurfer(t).open(own.url + "/login/with/a")
		if factor {
			next.at(own.listening, "/factor", http.StatusOK)
		} else {
			next.at(own.listening, "/me", http.StatusOK, "alice")
		}
	}
}

// The account may have no password: any way into it links it, on the way to an application, too.
func TestLinkingTakesAnyWayIntoTheAccount(t *testing.T) {
	own := offering(t)
	own.b.tell(func(p *idp) { p.user["email"], p.user["email_verified"] = "alice@example.com", true })
	newSurfer(t).open(own.url+"/login/with/b").at(own.listening, "/me", http.StatusOK)
	alice, err := own.Users.ByEmail(t.Context(), "alice@example.com")
	if err != nil || alice.PasswordHash != "" {
		t.Fatalf("the account: %+v, %v", alice, err)
	}
	s := newSurfer(t)
	r := s.open(own.url+"/oauth/authorize?"+authorization("spa").Encode()).submit("with-a").at(own.listening, "/login/link", http.StatusOK).
		submit("link-form").at(own.listening, "/login", http.StatusOK, "links your account of")
	s.stopAt = spaCallback
	r.submit("with-b")
	if back := s.trail[len(s.trail)-1]; !strings.HasPrefix(back, spaCallback+"?") || !strings.Contains(back, "code=") {
		t.Errorf("the user comes to %s", back)
	}
	if n := own.identities(alice); n != 2 {
		t.Errorf("%d identities", n)
	}
	newSurfer(t).open(own.url+"/login/with/a").at(own.listening, "/me", http.StatusOK, "alice@example.com")
}

// Where a second factor has to be set up first, the account is linked after that.
func TestLinkingOutlastsAnEnrolment(t *testing.T) {
	own := offering(t, required("all"))
	alice := own.has("alice", "alice@example.com", true)
	s := newSurfer(t)
	r := own.saysYes(s).submit("login-form", "username", "alice", "password", password).at(own.listening, "/factor/enrol", http.StatusOK)
	if own.identities(alice) != 0 {
		t.Fatal("it is linked before the second factor is set up")
	}
	found := shownSecret.FindStringSubmatch(r.body)
	if found == nil {
		t.Fatalf("no key: %s", r.body)
	}
	r.submit("enrol-form", "code", appCode(t, found[1])).at(own.listening, "/factor/enrol", http.StatusOK, "Recovery codes")
	if own.identities(alice) != 1 {
		t.Error("it is not linked")
	}
}

// The sign-in of another user links nothing, and ends the offer; so does going back.
func TestLinkingIsForTheAccountThatIsNamed(t *testing.T) {
	own := offering(t)
	alice, bob := own.has("alice", "alice@example.com", true), own.has("bob", "bob@example.com", true)
	s := newSurfer(t)
	own.saysYes(s).submit("login-form", "username", "bob", "password", password).at(own.listening, "/me", http.StatusOK, "bob")
	s.open(own.url+"/login").at(own.listening, "/me", http.StatusOK)
	s.open(own.url + "/logout").submit("logout-form")
	s.open(own.url+"/login").submit("login-form", "username", "alice", "password", password).at(own.listening, "/me", http.StatusOK, "alice")

	q := newSurfer(t)
	own.saysYes(q)
	q.open(own.url+"/login/link").at(own.listening, "/login/link", http.StatusOK)
	q.open(own.url+"/login").submit("login-form", "username", "alice", "password", password).at(own.listening, "/me", http.StatusOK, "alice")

	// Nor does a form of another site say yes.
	v := signedInto(t, own.listening, "alice")
	v.open(own.url+"/login/with/a").at(own.listening, "/login/link", http.StatusOK)
	v.post(own.url+"/login/link", "https://evil.example", "cross-site", form()).at(own.listening, "/login/link", http.StatusForbidden)
	v.open(own.url+"/login").at(own.listening, "/me", http.StatusOK)
	if own.identities(alice)+own.identities(bob) != 0 {
		t.Error("it is linked")
	}
}

// What stands against the link is no reason to refuse the sign-in.
func TestLinkingThatFailsLeavesTheUserSignedIn(t *testing.T) {
	store := &brittle{}
	own := offering(t, func(o *server.Options) { store.Store, o.Store = o.Store, store })
	alice := own.has("alice", "alice@example.com", true)
	s := newSurfer(t)
	r := own.saysYes(s)
	store.breakNext("LinkIdentity", true)
	r.submit("login-form", "username", "alice", "password", password).at(own.listening, "/me", http.StatusOK, "alice")
	if own.identities(alice) != 0 {
		t.Fatal("it is linked")
	}
	// Another account has got it meanwhile.
	r = own.saysYes(s)
	own.has("bob", "bob@example.com", true)
	signedInto(t, own.listening, "bob").open(own.url+"/me/security").submit("link-a").at(own.listening, "/me/security", http.StatusOK, "The account is linked")
	r.submit("login-form", "username", "alice", "password", password).at(own.listening, "/me", http.StatusOK, "alice")
	if own.identities(alice) != 0 {
		t.Error("it is linked")
	}
}
