package server_test

import (
	"crypto/rand"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign/audit"
	"countersign/factors"
	"countersign/ids"
)

// givePasskey gives a user a way to sign in without the password, from the session of an
// answer.
func (a *app) givePasskey(name string, in *response) {
	a.t.Helper()
	session, err := ids.Parse[ids.Session](sidOf(in))
	if err != nil {
		a.t.Fatal(err)
	}
	a.givePasskeyAt(name, ids.Place{Session: session})
}

func (a *app) givePasskeyAt(name string, at ids.Place) {
	a.t.Helper()
	user, err := a.Users.ByUsername(a.t.Context(), name)
	if err != nil {
		a.t.Fatal(err)
	}
	p := factors.Passkey{
		Factor:       factors.Factor{ID: ids.New[ids.Factor](), UserID: user.ID, Kind: factors.KindPasskey, CreatedAt: time.Now()},
		CredentialID: []byte(rand.Text()), PublicKey: []byte("not read"),
	}
	if _, err := a.db.AddPasskey(a.t.Context(), p, factors.Codes{ID: ids.New[ids.Factor]()}, at, audit.Event{Time: time.Now(), Kind: audit.FactorAdded}); err != nil {
		a.t.Fatal(err)
	}
}

// passwordRemoval makes the answers about removing a password.
func (o *observer) passwordRemoval(a *app) {
	a.signup("gail")
	p, own := a.page(), a.person()
	in := p.signIn("gail", password).want(http.StatusOK)
	own.submit("/login", form("username", "gail", "password", password)).want(http.StatusSeeOther)
	p.do(http.MethodDelete, "/account/password", "").want(http.StatusConflict)
	f := own.open("/me/security").page("password-form")
	own.submit("/me/security", fill(f, "do", "password_remove", "current_password", password)).want(http.StatusConflict)
	own.open("/me/security?do=password_remove").want(http.StatusOK)
	a.givePasskey("gail", in)
	p.do(http.MethodDelete, "/account/password", "").want(http.StatusNoContent)
}

// A password goes where the user can sign in without it, and nowhere else.
func TestPasswordIsRemovedWhereAnotherWayInRemains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t)
		a.provenUser("alice")
		p := a.page()
		p.signIn("alice", password).want(http.StatusOK)
		own := a.person()
		own.submit("/login", form("username", "alice", "password", password)).goesTo("/me")
		p.do(http.MethodDelete, "/account/password", "").wantProblem(http.StatusConflict, "last_way_in")
		for _, page := range []string{"/me/security", "/me/security?do=password_remove"} {
			if r := own.open(page).says(http.StatusOK, "Change password"); strings.Contains(r.Body.String(), "Remove password") {
				t.Errorf("%s offers to remove the password: %s", page, r.Body)
			}
		}
		f := own.open("/me/security").page("password-form")
		own.submit("/me/security", fill(f, "do", "password_remove", "current_password", password)).says(http.StatusConflict, "no way left to sign in")
		p.signIn("alice", password).want(http.StatusOK)
		in := p.refresh().want(http.StatusOK)
		box.want(t, "nothing was removed")

		a.givePasskey("alice", in)
		time.Sleep(11 * time.Minute)
		p.refresh().want(http.StatusOK)
		p.do(http.MethodDelete, "/account/password", "").wantProblem(http.StatusForbidden, "reauthentication_required")
		p.do(http.MethodDelete, "/account/password", `{"current_password":"wrong"}`).wantProblem(http.StatusBadRequest, "invalid_input")
		p.do(http.MethodDelete, "/account/password", `{"current_password":"`+password+`"}`).want(http.StatusNoContent)
		box.want(t, "removed", "Your password was removed")
		p.refresh().want(http.StatusOK)
		own.open("/me").goesTo("/login?to=%2Fme")
		a.page().signIn("alice", password).wantProblem(http.StatusUnauthorized, "invalid_credentials")
		p.do(http.MethodDelete, "/account/password", `{"current_password":"`+password+`"}`).wantProblem(http.StatusBadRequest, "invalid_input")

		// At the account's own page.
		a.provenUser("bob")
		own.submit("/login", form("username", "bob", "password", password)).goesTo("/me")
		bob, err := a.Users.ByUsername(t.Context(), "bob")
		if err != nil {
			t.Fatal(err)
		}
		logins, err := a.Tokens.LoginsOfUser(t.Context(), time.Now(), bob.ID)
		if err != nil || len(logins) != 1 {
			t.Fatal(logins, err)
		}
		a.givePasskeyAt("bob", ids.Place{Login: logins[0].ID})
		own.open("/me/security").says(http.StatusOK, "/me/security?do=password_remove")
		f = own.open("/me/security?do=password_remove").page("remove-form")
		f = own.submit("/me/security", f).says(http.StatusBadRequest, "Please enter your current password.").page("remove-form")
		own.submit("/me/security", fill(f, "current_password", "wrong")).says(http.StatusBadRequest, "This isn't your current password.")
		for range 2 { // the form is sent twice
			own.did(own.submit("/me/security", fill(f, "current_password", password)), "/me/security", "Your password is removed.")
		}
		own.open("/me/security").says(http.StatusOK, "Your account has no password.", "Password removed")
		box.want(t, "removed at the page", "Your password was removed")
	})
}
