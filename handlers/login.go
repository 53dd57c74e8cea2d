package handlers

import (
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/authorize"
	"countersign/pages"
	"countersign/tokens"
)

// Login is /login: people sign in to the browser, on the way to an application or not.
type Login struct{ *Hosted }

// Mount adds the page's routes.
func (h *Login) Mount(r gin.IRouter) {
	r.GET("/login", h.page(h.open))
	r.POST("/login", h.form(h.submit))
}

func (h *Login) open(c *gin.Context) error {
	r, err := h.request(c, c.Query("ticket"))
	if err != nil {
		return err
	}
	l, err := h.login(c)
	if err != nil {
		return err
	}
	// Who comes back here, when nothing asks for a sign-in, goes on.
	if r == nil && l != nil {
		return h.advance(c, nil, l)
	}
	if r != nil && l != nil {
		if step, err := h.Authorize.Next(c.Request.Context(), r, l); err != nil || step != authorize.SignIn && step != authorize.SignUp {
			return h.advance(c, r, l)
		}
	}
	d := pages.Data{}
	if r != nil {
		d.Username = r.LoginHint
	}
	return h.ask(c, http.StatusOK, r, l, d)
}

// ask shows the page. Who only has to choose may go on as who they are.
func (h *Login) ask(c *gin.Context, status int, r *authorize.Request, l *tokens.Login, d pages.Data) error {
	d.Signup, d.Forgot = h.Signup, h.Mail
	if r != nil && l != nil {
		if step, err := h.Authorize.Next(c.Request.Context(), r.Choose(), l); err == nil && step != authorize.SignIn && step != authorize.SignUp {
			d.SignedIn = l.Username
		}
	}
	return h.show(c, status, pages.Login, r, d)
}

func (h *Login) submit(c *gin.Context, form url.Values) error {
	r, err := h.request(c, form.Get("ticket"))
	if err != nil {
		return err
	}
	l, err := h.login(c)
	if err != nil {
		return err
	}
	if form.Get("continue") != "" && r != nil {
		return h.advance(c, r.Choose(), l)
	}
	username, password := form.Get("username"), form.Get("password")
	if username == "" || password == "" {
		return h.ask(c, http.StatusBadRequest, r, l, pages.Data{Username: username, Errors: []string{"missing_fields"}})
	}
	user, err := h.Users.Authenticate(c.Request.Context(), time.Now(), username, password, h.Devices.caller(c))
	if err == nil {
		l, err = h.signIn(c, &user, l)
	}
	if err == nil {
		return h.advance(c, r, l)
	}
	d, status, ok := h.troubles(c, err)
	if !ok {
		return err
	}
	d.Username = username
	return h.ask(c, status, r, l, d)
}
