package handlers

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/authorize"
	"countersign/pages"
	"countersign/secrecy"
	"countersign/signin"
)

// SignupPage serves our page at /signup, where visitors create an account and are
// signed in. The endpoint that applications use has the same address and takes JSON.
type SignupPage struct{ *Hosted }

// Mount adds the page's routes. A POST that isn't a form goes to next.
func (h *SignupPage) Mount(r gin.IRouter, next gin.HandlerFunc) {
	r.GET("/signup", h.page(h.open))
	submit := h.form(h.submit)
	r.POST("/signup", func(c *gin.Context) {
		if h.ours(c.Request) {
			submit(c)
			return
		}
		next(c)
	})
}

// ours reports whether the page answers a POST: if it is a form of our page, or another
// site's form that a browser navigates with. A script that sends a form by mistake gets
// the answer of the endpoint for applications.
func (h *SignupPage) ours(r *http.Request) bool {
	return isForm(r) && (h.SameOrigin(r) || strings.Contains(r.Header.Get("Accept"), "text/html"))
}

var errSignupOff = &pageMessage{http.StatusForbidden, "signup_off"}

func (h *SignupPage) open(c *gin.Context) error {
	r, err := h.early(c, c.Query("ticket"))
	if err != nil {
		return err
	}
	l, err := h.login(c)
	if err != nil {
		return err
	}
	if gone, err := h.goOn(c, r, l); gone || err != nil {
		return err
	}
	d := pages.Data{}
	if r != nil && strings.Contains(r.LoginHint, "@") {
		d.Email = r.LoginHint
	} else if r != nil {
		d.Username = r.LoginHint
	}
	return h.ask(c, http.StatusOK, r, d)
}

func (h *SignupPage) ask(c *gin.Context, status int, r *authorize.Request, d pages.Data) error {
	if !h.SignupEnabled {
		return errSignupOff
	}
	d.RequireVerifiedEmail, d.Providers = h.RequireVerifiedEmail, h.choices()
	return h.show(c, status, pages.Signup, r, d)
}

func (h *SignupPage) submit(c *gin.Context, form url.Values) error {
	if !h.SignupEnabled {
		return errSignupOff
	}
	r, err := h.request(c, form.Get("ticket"))
	late := isLate(err)
	if err != nil && !late {
		return err
	}
	username, email := form.Get("username"), form.Get("email")
	o, err := h.SignIns.Prove(c.Request.Context(), time.Now(), signin.SignUp{
		Username: username, Password: secrecy.Text(form.Get("password")), Email: email,
	}, h.signingIn(c, h.prefers(c, locales(r))))
	if err == nil && o.State == signin.AddressDue {
		h.KnownBrowsers.remember(c, &o.User, nil) // which may send the form again
		h.remember(c, r)
		return h.show(c, http.StatusOK, pages.Message, r, pages.Data{
			Message: "verify_sent", Username: cmp.Or(o.User.Username, email), Account: h.Users.AccountToken(time.Now(), o.User.ID), Email: email,
		})
	}
	if err == nil {
		had, err := h.login(c)
		if err != nil {
			return err
		}
		l, err := h.enter(c, r, &o, had)
		if err != nil {
			return err
		}
		if late {
			return h.showLate(c, form.Get("ticket"))
		}
		return h.advance(c, r, l)
	}
	d, status, ok := h.troubles(c, err)
	if !ok {
		return err
	}
	d.Username, d.Email = username, email
	if late {
		d.Ticket = form.Get("ticket") // for the next attempt, which is late, too
	}
	return h.ask(c, status, r, d)
}
