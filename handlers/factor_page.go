package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/authorize"
	"countersign/factors"
	"countersign/pages"
	"countersign/signin"
)

// FactorPage serves /factor, where a user who has given the password proves a second factor,
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
	if has := h.Cookies.values(c.Request, factorCookie); len(has) == 1 {
		return has[0]
	}
	return ""
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
		return h.show(c, http.StatusOK, pages.Factor, r, pages.Data{Ticket: c.Query("ticket"), Recovery: recovery})
	}
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
	by := factors.ByTOTP
	if form.Get("method") == string(factors.ByRecoveryCode) {
		by = factors.ByRecoveryCode
	}
	o, err := h.SignIns.Prove(c.Request.Context(), time.Now(), signin.SecondFactor{Challenge: challenge, Method: by, Code: form.Get("code")}, h.signingIn(c, ""))
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
	if errors.Is(err, signin.ErrBadChallenge) {
		h.Cookies.set(c, factorCookie, "", 0)
	}
	return h.refuse(c, r, err, pages.Data{Ticket: form.Get("ticket"), Recovery: by == factors.ByRecoveryCode})
}

// refuse shows the page once more, with what is wrong.
func (h *FactorPage) refuse(c *gin.Context, r *authorize.Request, err error, d pages.Data) error {
	wrong, status, ok := h.troubles(c, err)
	if !ok {
		return err
	}
	wrong.Ticket, wrong.Recovery, wrong.Over = d.Ticket, d.Recovery, errors.Is(err, signin.ErrBadChallenge)
	return h.show(c, status, pages.Factor, r, wrong)
}
