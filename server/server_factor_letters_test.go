package server_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"countersign/caller"
)

// The owner of an account learns of each change of the factors, also of an attacker’s.
func TestLettersAboutFactors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t)
		a.provenUser("alice")
		p := a.page()
		p.signIn("alice", password).want(http.StatusOK)
		begun := p.do(http.MethodPost, "/account/factors/totp", "").want(http.StatusCreated)
		p.do(http.MethodPost, "/account/factors/totp/"+begun.text("id")+"/confirm", `{"code":"000000"}`).want(http.StatusBadRequest)
		box.want(t, "a wrong code")
		_, recovery := p.enrol()
		box.want(t, "added", "A second step was added to your account")

		time.Sleep(time.Minute)
		q := a.page()
		ch := q.challenged("alice")
		q.answer(ch, "recovery_code", "nonsense").want(http.StatusUnauthorized)
		q.answer(ch, "recovery_code", recovery[0]).want(http.StatusOK)
		box.want(t, "a recovery code", "A recovery code was used")
		q.do(http.MethodPost, "/account/factors/recovery_codes", "").want(http.StatusCreated)
		box.want(t, "renewed", "You have new recovery codes")
		factor := q.do(http.MethodGet, "/account/factors", "").json()["factors"].([]any)[0].(map[string]any)["id"].(string)
		q.do(http.MethodPatch, "/account/factors/"+factor, `{"name":"phone"}`).want(http.StatusNoContent)
		box.want(t, "renamed")
		q.do(http.MethodDelete, "/account/factors/"+factor, "").want(http.StatusNoContent)
		box.want(t, "removed", "A second step was removed from your account")

		// In the owner's language, at an enrolment, and by the operator.
		user, err := a.Users.ByUsername(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		q.do(http.MethodPut, "/account/profile", `{"locale":"ko"}`).want(http.StatusOK)
		a.options.Factors.Required = []string{"all"}
		a.restart()
		own := a.person()
		secret := own.dueToEnrol("alice")
		own.submit("/factor/enrol", form("code", appCode(t, secret))).says(http.StatusOK, "Recovery codes")
		box.want(t, "an enrolment", "계정에 2단계 인증이 추가되었습니다")
		if _, err := a.Factors.Reset(t.Context(), time.Now(), user.ID, caller.Operator()); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Factors.Reset(t.Context(), time.Now(), user.ID, caller.Operator()); err != nil {
			t.Fatal(err)
		}
		box.want(t, "the operator", "2단계 인증이 초기화되었습니다")

		// A caller who is signed in can't fill the mailbox.
		a.options.Factors.Required = nil
		a.restart()
		r := a.page()
		r.signIn("alice", password).want(http.StatusOK)
		r.enrol()
		for range 40 {
			r.do(http.MethodPost, "/account/factors/recovery_codes", "").want(http.StatusCreated)
		}
		time.Sleep(time.Minute)
		if sent, _ := box.empty(); len(sent) < 10 || len(sent) > 20 {
			t.Errorf("%d letters about 41 changes", len(sent))
		}

		// An address that is not proven gets none.
		a.signup("bob")
		a.page().signIn("bob", password).want(http.StatusOK)
		b := a.page()
		b.signIn("bob", password).want(http.StatusOK)
		b.enrol()
		box.want(t, "no proven address", "Confirm your e-mail address")
	})
}
