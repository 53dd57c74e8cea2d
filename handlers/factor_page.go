package handlers

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/authorize"
	"countersign/factors"
	"countersign/pages"
	"countersign/signin"
)

// FactorPage serves /factor, where a user who has given a first proof proves a second factor,
// or a user who is signed in one more, for a request that asks for it (authorize.StepUp).
// The browser keeps the challenge in a cookie, so that a link or a reload leads to the page
// and the address tells nothing.
type FactorPage struct{ *Hosted }

// Mount adds the page's routes.
func (h *FactorPage) Mount(r gin.IRouter) {
	r.GET("/factor", h.page(h.open(false)))
	r.GET("/factor/recovery", h.page(h.open(true)))
	r.POST("/factor", h.form(h.submit))
}

// hostedBinding is what challenges of our own pages are bound to. No other door has it, and
// no script can read the cookie that has the challenge.
const hostedBinding = "hosted pages"

// askFactor leads a browser to /factor, on its way.
func (h *Hosted) askFactor(c *gin.Context, due *signin.FactorDueError) error {
	h.Cookies.set(c, factorCookie, due.Challenge, bindingLife)
	return h.onward(c, "/factor")
}

// onward leads a browser to another page of ours with what the present one was on the way to.
func (h *Hosted) onward(c *gin.Context, path string) error {
	query := url.Values{}
	if ticket := c.GetString(ticketKey); ticket != "" {
		query.Set("ticket", ticket)
	} else if to := c.GetString(toParameter); to != "" {
		query.Set(toParameter, to)
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return h.redirect(c, h.Base+path)
}

// challenge returns the challenge that the browser has to answer, empty for none.
func (h *FactorPage) challenge(c *gin.Context) string {
	return h.Cookies.only(c.Request, factorCookie)
}

func (h *FactorPage) open(recovery bool) func(*gin.Context) error {
	return func(c *gin.Context) error {
		r, err := h.request(c, c.Query("ticket"))
		if err != nil && !isLate(err) {
			return err
		}
		if h.challenge(c) == "" {
			return h.begin(c, r)
		}
		return h.ask(c, http.StatusOK, r, pages.Data{Ticket: c.Query("ticket"), Recovery: recovery})
	}
}

// ask shows the page, with the ways that the user has.
func (h *FactorPage) ask(c *gin.Context, status int, r *authorize.Request, d pages.Data) error {
	due, err := h.SignIns.StillDue(c.Request.Context(), time.Now(), h.challenge(c), h.signingIn(c, ""))
	if errors.Is(err, signin.ErrBadChallenge) {
		return h.over(c, r, d.Ticket)
	}
	if err != nil {
		return err
	}
	if due.Passkey != nil {
		d.Passkey = &pages.Passkey{Options: string(due.Passkey)}
	}
	d.MayRemember = h.SignIns.RemembersBrowsers() && !d.Recovery
	d.OnlyPasskey = !slices.Contains(due.Methods, factors.ByTOTP)
	return h.show(c, status, pages.Factor, r, d)
}

// begin leads a browser without a challenge to the page that gives it one: back here, if the
// request asks a user who is signed in for one more factor, or else to sign in.
func (h *FactorPage) begin(c *gin.Context, r *authorize.Request) error {
	l, err := h.login(c)
	if err != nil {
		return err
	}
	if r == nil || l == nil {
		return h.onward(c, "/login")
	}
	return h.advance(c, r, l)
}

func (h *FactorPage) submit(c *gin.Context, form url.Values) error {
	r, err := h.request(c, form.Get("ticket"))
	late := isLate(err)
	if err != nil && !late {
		return err
	}
	challenge := h.challenge(c)
	if challenge == "" {
		return h.onward(c, "/login")
	}
	l, err := h.login(c)
	if err != nil {
		return err
	}
	p := signin.SecondFactor{
		Challenge: challenge, Method: cmp.Or(factors.Method(form.Get("method")), factors.ByTOTP), Code: form.Get("code"), Passkey: []byte(form.Get("credential")),
		Remember: form.Get("remember") != "",
	}
	o, err := h.SignIns.Prove(c.Request.Context(), time.Now(), p, h.signingIn(c, ""))
	if err == nil {
		l, err = h.enter(c, r, &o, l)
	}
	if err == nil {
		h.Cookies.set(c, factorCookie, "", 0)
		if late {
			return h.showLate(c, form.Get("ticket"))
		}
		return h.advance(c, r, l)
	}
	return h.refuse(c, r, err, p.Method, form.Get("ticket"))
}

// over says that the user has to begin again.
func (h *FactorPage) over(c *gin.Context, r *authorize.Request, ticket string) error {
	h.Cookies.set(c, factorCookie, "", 0)
	return h.show(c, http.StatusBadRequest, pages.Factor, r, pages.Data{Ticket: ticket, Errors: []string{"bad_challenge"}, Over: true})
}

// refuse shows the page once more, with what is wrong.
func (h *FactorPage) refuse(c *gin.Context, r *authorize.Request, err error, by factors.Method, ticket string) error {
	d, status, ok := h.troubles(c, err)
	if !ok {
		return err
	}
	if errors.Is(err, signin.ErrBadChallenge) {
		return h.over(c, r, ticket)
	}
	if by == factors.ByPasskey && errors.Is(err, factors.ErrBadCode) {
		d.Errors = []string{"bad_passkey"}
	}
	d.Ticket, d.Recovery = ticket, by == factors.ByRecoveryCode
	return h.ask(c, status, r, d)
}
