package handlers

import (
	"cmp"
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/authorize"
	"countersign/ids"
	"countersign/pages"
	"countersign/tokens"
)

// Logout serves GET and POST /oauth/logout (OpenID Connect RP-Initiated Logout section
// 2), where an application signs the user out of this browser, and /logout, where the
// user does.
type Logout struct{ *Hosted }

// Mount adds the routes.
func (h *Logout) Mount(r gin.IRouter) {
	r.GET("/oauth/logout", h.page(h.get))
	r.POST("/oauth/logout", h.page(h.post))
	r.GET("/logout", h.page(h.open))
	r.POST("/logout", h.form(h.submit))
}

func (h *Logout) get(c *gin.Context) error {
	form, err := url.ParseQuery(c.Request.URL.RawQuery)
	if err != nil {
		return errMalformedForm
	}
	return h.receive(c, form)
}

// post takes a request as a form, which may come from any site. Browsers then leave out
// our cookie, so post redirects them to the same request as a GET.
func (h *Logout) post(c *gin.Context) error {
	form, err := readPageForm(c.Request)
	if err != nil {
		return err
	}
	return h.receive(c, form)
}

// receive signs the user out at once, or asks first.
func (h *Logout) receive(c *gin.Context, form url.Values) error {
	r, err := h.Authorize.ReadLogout(c.Request.Context(), time.Now(), form)
	if err != nil {
		return err
	}
	logClient(c, r.ClientID)
	l, err := h.login(c)
	if err != nil {
		return err
	}
	if !r.Agreed(l) || c.Request.Method == http.MethodPost && l == nil {
		return h.redirect(c, h.Base+"/logout?ticket="+h.Authorize.LogoutTicket(r))
	}
	return h.end(c, r, l)
}

// end signs the browser out and redirects it to where the request says.
func (h *Logout) end(c *gin.Context, r *authorize.Logout, l *tokens.Login) error {
	if err := h.Authorize.SignOut(c.Request.Context(), time.Now(), r, l, callerOf(c, "")); err != nil {
		return err
	}
	// The browser may have sent logins beside l, or several that don't count.
	if err := h.endLogins(c, ids.User{}); err != nil {
		return err
	}
	h.Cookies.set(c, loginCookie, "", 0)
	return h.redirect(c, cmp.Or(r.GoTo(), h.Base+"/logout"))
}

// asked returns the request that the page is part of; without a ticket, or with one that
// has expired, an empty one: the user may always sign out.
func (h *Logout) asked(c *gin.Context, ticket string) (*authorize.Logout, error) {
	if ticket == "" {
		return &authorize.Logout{}, nil
	}
	r, err := h.Authorize.ResumeLogout(c.Request.Context(), time.Now(), ticket)
	if isLate(err) {
		return &authorize.Logout{}, nil
	}
	return r, err
}

func (h *Logout) open(c *gin.Context) error {
	r, err := h.asked(c, c.Query("ticket"))
	if err != nil {
		return err
	}
	l, err := h.login(c)
	if err != nil {
		return err
	}
	if r.Agreed(l) { // the request came by POST, without our cookie
		return h.end(c, r, l)
	}
	if l == nil {
		return h.showIn(c, http.StatusOK, pages.SignedOut, r.UILocales, pages.Data{})
	}
	return h.showIn(c, http.StatusOK, pages.Logout, r.UILocales, pages.Data{
		Ticket: c.Query("ticket"), Client: r.ClientName, Username: l.Username,
	})
}

func (h *Logout) submit(c *gin.Context, form url.Values) error {
	r, err := h.asked(c, form.Get("ticket"))
	if err != nil {
		return err
	}
	l, err := h.login(c)
	if err != nil {
		return err
	}
	return h.end(c, r, l)
}
