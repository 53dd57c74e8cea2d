package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/authorize"
	"countersign/pages"
	"countersign/signin"
)

// EnrolPage serves /factor/enrol, where a user who has given a first proof sets up the second
// factor that the operator asks for, sees the recovery codes, and goes on. The browser keeps
// the challenge in a cookie, as for /factor.
type EnrolPage struct{ *Hosted }

// enrolPath is the path of the page.
const enrolPath = "/factor/enrol"

// enrolLife is longer than that of the challenge.
const enrolLife = 20 * time.Minute

// Mount adds the page's routes.
func (h *EnrolPage) Mount(r gin.IRouter) {
	r.GET(enrolPath, h.page(h.open))
	r.POST(enrolPath, h.form(h.submit))
}

// askEnrolment leads a browser to /factor/enrol, on its way.
func (h *Hosted) askEnrolment(c *gin.Context, due *signin.EnrolmentDueError) error {
	h.Cookies.set(c, enrolCookie, due.Challenge, enrolLife)
	return h.onward(c, enrolPath)
}

// challenge returns the challenge that the browser has to answer, empty for none.
func (h *EnrolPage) challenge(c *gin.Context) string {
	return h.Cookies.only(c.Request, enrolCookie)
}

func (h *EnrolPage) open(c *gin.Context) error {
	r, err := h.request(c, c.Query("ticket"))
	if err != nil && !isLate(err) {
		return err
	}
	if h.challenge(c) == "" {
		return h.onward(c, "/login")
	}
	return h.ask(c, http.StatusOK, r, pages.Data{Ticket: c.Query("ticket")})
}

// ask shows the page with what the user's app needs.
func (h *EnrolPage) ask(c *gin.Context, status int, r *authorize.Request, d pages.Data) error {
	e, err := h.SignIns.Enrolment(c.Request.Context(), time.Now(), h.challenge(c), h.signingIn(c, ""))
	if err != nil {
		return h.refuse(c, r, err, d.Ticket)
	}
	if e.App != nil {
		d.Enrolment = &pages.Enrolment{ID: e.App.ID.String(), Secret: e.App.Secret, URI: e.App.URI}
	}
	if e.Passkey != nil {
		d.Passkey = &pages.Passkey{Options: string(e.Passkey)}
	}
	d.MayRemember, d.Username = h.SignIns.RemembersBrowsers(), e.Account
	return h.show(c, status, pages.FactorEnrol, r, d)
}

// refuse shows the page without what the app needs, because there is no use in it.
func (h *EnrolPage) refuse(c *gin.Context, r *authorize.Request, err error, ticket string) error {
	d, status, ok := h.troubles(c, err)
	if !ok {
		return err
	}
	if errors.Is(err, signin.ErrBadChallenge) {
		h.Cookies.set(c, enrolCookie, "", 0)
	}
	d.Ticket, d.Over = ticket, true
	return h.show(c, status, pages.FactorEnrol, r, d)
}

func (h *EnrolPage) submit(c *gin.Context, form url.Values) error {
	ticket := form.Get("ticket")
	r, err := h.request(c, ticket)
	late := isLate(err)
	if err != nil && !late {
		return err
	}
	l, err := h.login(c)
	if err != nil {
		return err
	}
	if form.Get("done") != "" && l != nil { // the user has seen the recovery codes
		if late {
			return h.showLate(c, ticket)
		}
		return h.advance(c, r, l)
	}
	challenge := h.challenge(c)
	if challenge == "" {
		return h.onward(c, "/login")
	}
	first := signin.FirstFactor{Challenge: challenge, Code: form.Get("code"), Remember: form.Get("remember") != ""}
	if made := form.Get("credential"); made != "" {
		first.Passkey = []byte(made)
	}
	o, err := h.SignIns.Prove(c.Request.Context(), time.Now(), first, h.signingIn(c, ""))
	if err == nil {
		_, err = h.enter(c, r, &o, l)
	}
	if err == nil {
		h.Cookies.set(c, enrolCookie, "", 0)
		return h.show(c, http.StatusOK, pages.FactorEnrol, r, pages.Data{Ticket: ticket, RecoveryCodes: o.RecoveryCodes})
	}
	if wrong, status, ok := h.troubles(c, err); ok && !errors.Is(err, signin.ErrBadChallenge) {
		wrong.Ticket = ticket
		return h.ask(c, status, r, wrong)
	}
	return h.refuse(c, r, err, ticket)
}
