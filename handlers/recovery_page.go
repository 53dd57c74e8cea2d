package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/accounts"
	"countersign/input"
	"countersign/pages"
	"countersign/secrecy"
)

// RecoveryPages serves /forgot, /reset, /verify and /verify/again, where users do the same
// on our pages. Mailed links lead to /reset and /verify, with the token after a #, or in
// the query if the operator's own links say so. Opening a link changes nothing, because
// programs that scan mail open links, too.
type RecoveryPages struct{ *Hosted }

// Mount adds the pages' routes. Password managers look for the page that changes the
// password at the origin's root (https://www.w3.org/TR/change-password-url/), whatever the
// issuer's path.
func (h *RecoveryPages) Mount(root, r gin.IRouter) {
	changing := h.page(func(c *gin.Context) error { return h.redirect(c, h.Base+"/forgot") })
	r.GET(changePassword, changing)
	if h.Base != "" {
		root.GET(changePassword, changing)
	}
	r.GET("/forgot", h.page(h.openForgot))
	r.POST("/forgot", h.form(h.forgot))
	r.GET("/reset", h.page(h.opened(pages.Reset)))
	r.POST("/reset", h.form(h.reset))
	r.GET("/verify", h.page(h.opened(pages.Verify)))
	r.POST("/verify", h.form(h.verify))
	r.GET("/verify/again", h.page(h.openAgain))
	r.POST("/verify/again", h.form(h.again))
}

const changePassword = "/.well-known/change-password"

var errMailOff = &pageMessage{http.StatusNotFound, "mail_off"}

func (h *RecoveryPages) openForgot(c *gin.Context) error {
	if !h.Mail {
		return errMailOff
	}
	r, err := h.request(c, c.Query("ticket"))
	if err != nil {
		return err
	}
	return h.show(c, http.StatusOK, pages.Forgot, r, pages.Data{})
}

func (h *RecoveryPages) forgot(c *gin.Context, form url.Values) error {
	if !h.Mail {
		return errMailOff
	}
	r, err := h.request(c, form.Get("ticket"))
	if err != nil && !isLate(err) {
		return err
	}
	who := accounts.Correspondent{}
	name := form.Get("email")
	if strings.Contains(name, "@") {
		who.Email = name
	} else {
		who.Username = name
	}
	err = h.Users.RequestReset(c.Request.Context(), time.Now(), who, h.KnownBrowsers.caller(c, locales(r)))
	if err == nil {
		return h.show(c, http.StatusOK, pages.Message, r, pages.Data{Message: "mail_sent"})
	}
	d, status, ok := h.troubles(c, err)
	if !ok {
		return err
	}
	if code, wrong := d.Fields["username"]; wrong { // the page has one field for both
		d.Fields = map[string]string{"email": code}
	}
	d.Email = name
	return h.show(c, status, pages.Forgot, r, d)
}

// opened shows the page that a mailed link leads to. Where the token isn't in the query,
// the page's script finds it, or else the user pastes the link.
func (h *RecoveryPages) opened(page pages.Name) func(*gin.Context) error {
	return func(c *gin.Context) error {
		return h.show(c, http.StatusOK, page, nil, pages.Data{Token: c.Query("token")})
	}
}

func (h *RecoveryPages) reset(c *gin.Context, form url.Values) error {
	token := accounts.FindMailToken(form.Get("token")) // the user may paste the whole link
	user, err := h.Users.ResetPassword(c.Request.Context(), time.Now(), token, secrecy.Text(form.Get("password")), callerOf(c, ""))
	message := "password_set"
	if errors.Is(err, accounts.ErrAlreadyDone) {
		message, err = "already_set", nil
	}
	if err == nil {
		h.KnownBrowsers.remember(c, &user)
		return h.show(c, http.StatusOK, pages.Message, nil, pages.Data{Message: message})
	}
	d, status, ok := h.troubles(c, err)
	if !ok {
		return err
	}
	if code, wrong := d.Fields["new_password"]; wrong {
		d.Fields = map[string]string{"password": code}
	}
	if !errors.Is(err, accounts.ErrBadToken) { // with no use for it, the page asks for the link again
		d.Token = token
	}
	return h.show(c, status, pages.Reset, nil, d)
}

func (h *RecoveryPages) verify(c *gin.Context, form url.Values) error {
	token := accounts.FindMailToken(form.Get("token"))
	err := h.Users.ConfirmEmail(c.Request.Context(), time.Now(), token, callerOf(c, ""))
	if err == nil {
		return h.show(c, http.StatusOK, pages.Message, nil, pages.Data{Message: "verified"})
	}
	if errors.Is(err, accounts.ErrAlreadyDone) {
		return h.show(c, http.StatusOK, pages.Message, nil, pages.Data{Message: "already_verified"})
	}
	if input, ok := errors.AsType[*input.Error](err); ok && errors.Is(input, accounts.ErrEmailTaken) {
		err = accounts.ErrBadToken // the user can't correct the address here
	}
	d, status, ok := h.troubles(c, err)
	if !ok {
		return err
	}
	if !errors.Is(err, accounts.ErrBadToken) { // with no use for it, the page asks for the link again
		d.Token = token
	}
	return h.show(c, status, pages.Verify, nil, d)
}

// openAgain shows the page on which a user asks for another letter that confirms the
// address of a new account.
func (h *RecoveryPages) openAgain(c *gin.Context) error {
	if !h.Mail {
		return errMailOff
	}
	r, err := h.request(c, c.Query("ticket"))
	if err != nil {
		return err
	}
	return h.show(c, http.StatusOK, pages.Again, r, pages.Data{})
}

// again takes the username: before the address is proven, it names no account.
func (h *RecoveryPages) again(c *gin.Context, form url.Values) error {
	if !h.Mail {
		return errMailOff
	}
	r, err := h.request(c, form.Get("ticket"))
	if err != nil && !isLate(err) {
		return err
	}
	who := accounts.Correspondent{Username: form.Get("username")}
	d := pages.Data{Message: "verify_again", Username: who.Username}
	err = h.Users.ResendVerification(c.Request.Context(), time.Now(), who, h.KnownBrowsers.caller(c, locales(r)))
	if err == nil {
		return h.show(c, http.StatusOK, pages.Message, r, d)
	}
	d, status, ok := h.troubles(c, err)
	if !ok {
		return err
	}
	if code, wrong := d.Fields["email"]; wrong { // the page has no field for it
		d.Fields = map[string]string{"username": code}
	}
	d.Username = who.Username
	return h.show(c, status, pages.Again, r, d)
}
