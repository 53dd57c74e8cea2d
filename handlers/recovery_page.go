package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/accounts"
	"countersign/authorize"
	"countersign/input"
	"countersign/pages"
	"countersign/secrecy"
	"countersign/signin"
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
	changing := h.page(func(c *gin.Context) error { return h.redirect(c, h.Base+"/me/security") })
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
	r, err := h.early(c, c.Query("ticket"))
	if err != nil {
		return err
	}
	return h.show(c, http.StatusOK, pages.Forgot, r, pages.Data{})
}

func (h *RecoveryPages) forgot(c *gin.Context, form url.Values) error {
	if !h.Mail {
		return errMailOff
	}
	r, err := h.early(c, form.Get("ticket"))
	if err != nil {
		return err
	}
	if token := form.Get("token"); token != "" {
		err := h.Users.Renew(c.Request.Context(), time.Now(), accounts.ResetPassword, token, h.caller(c, r))
		return h.sent(c, r, err, pages.Forgot, pages.Data{Message: "mail_sent"})
	}
	who := accounts.Correspondent{}
	name := form.Get("email")
	if strings.Contains(name, "@") {
		who.Email = name
	} else {
		who.Username = name
	}
	err = h.Users.RequestReset(c.Request.Context(), time.Now(), who, h.caller(c, r))
	return h.sent(c, r, err, pages.Forgot, pages.Data{Message: "mail_sent", Email: name})
}

// sent answers a form that asks for a letter: with the message of d, or with the form's page
// once more if err is what the user can correct.
func (h *RecoveryPages) sent(c *gin.Context, r *authorize.Request, err error, page pages.Name, d pages.Data) error {
	if err == nil {
		h.remember(c, r)
		return h.show(c, http.StatusOK, pages.Message, r, d)
	}
	again, status, ok := h.troubles(c, err)
	if !ok {
		return err
	}
	for _, code := range again.Fields { // each page has one field for all names of an account
		again.Fields = map[string]string{inputOf[page]: code}
	}
	again.Username, again.Email = d.Username, d.Email
	return h.show(c, status, page, r, again)
}

// inputOf is the field of a page that asks for a letter.
var inputOf = map[pages.Name]string{pages.Forgot: "email", pages.Again: "username"}

// opened shows the page that a mailed link leads to. Where the token isn't in the query,
// the page's script finds it, or else the user pastes the link.
func (h *RecoveryPages) opened(page pages.Name) func(*gin.Context) error {
	return func(c *gin.Context) error {
		r, err := h.pending(c, c.Query("ticket"))
		if err != nil {
			return err
		}
		return h.show(c, http.StatusOK, page, r, pages.Data{Token: c.Query("token")})
	}
}

func (h *RecoveryPages) reset(c *gin.Context, form url.Values) error {
	r, err := h.pending(c, form.Get("ticket"))
	if err != nil {
		return err
	}
	token := accounts.FindMailToken(form.Get("token")) // the user may paste the whole link
	from := callerOf(c, h.prefers(c, locales(r)))
	from.Binding = hostedBinding
	o, err := h.SignIns.Prove(c.Request.Context(), time.Now(), signin.Reset{Token: token, Password: secrecy.Text(form.Get("password"))}, from)
	if err == nil {
		return h.afterReset(c, r, &o)
	}
	d, status, ok := h.troubles(c, err)
	if !ok {
		return err
	}
	if code, wrong := d.Fields["new_password"]; wrong {
		d.Fields = map[string]string{"password": code}
	}
	if errors.Is(err, accounts.ErrBadToken) { // the page offers another link, or asks for the link again
		d.Renew = token
	} else {
		d.Token = token
	}
	return h.show(c, status, pages.Reset, r, d)
}

// afterReset leads a user who has set a new password on with the application's request;
// without one it says so.
func (h *RecoveryPages) afterReset(c *gin.Context, r *authorize.Request, o *signin.Outcome) error {
	if r == nil {
		if o.State == signin.SignedIn { // where a second factor is due, a mailbox makes no browser known
			h.KnownBrowsers.remember(c, &o.User, nil)
		}
		message := "password_set"
		if o.Repeated {
			message = "already_set"
		}
		return h.show(c, http.StatusOK, pages.Message, nil, pages.Data{Message: message})
	}
	had, err := h.login(c)
	if err != nil {
		return err
	}
	l, err := h.enter(c, r, o, had)
	if err != nil {
		return err
	}
	return h.advance(c, r, l)
}

func (h *RecoveryPages) verify(c *gin.Context, form url.Values) error {
	r, err := h.pending(c, form.Get("ticket"))
	if err != nil {
		return err
	}
	token := accounts.FindMailToken(form.Get("token"))
	err = h.Users.ConfirmEmail(c.Request.Context(), time.Now(), token, callerOf(c, h.prefers(c, locales(r))))
	if err == nil {
		return h.show(c, http.StatusOK, pages.Message, r, pages.Data{Message: "verified"})
	}
	if errors.Is(err, accounts.ErrAlreadyDone) {
		return h.show(c, http.StatusOK, pages.Message, r, pages.Data{Message: "already_verified"})
	}
	if input, ok := errors.AsType[*input.Error](err); ok && errors.Is(input, accounts.ErrEmailTaken) {
		err = accounts.ErrBadToken // the user can't correct the address here
	}
	d, status, ok := h.troubles(c, err)
	if !ok {
		return err
	}
	if errors.Is(err, accounts.ErrBadToken) {
		d.Renew = token
	} else {
		d.Token = token
	}
	return h.show(c, status, pages.Verify, r, d)
}

// openAgain shows the page on which a user asks for another letter that confirms the
// address of a new account.
func (h *RecoveryPages) openAgain(c *gin.Context) error {
	if !h.Mail {
		return errMailOff
	}
	r, err := h.early(c, c.Query("ticket"))
	if err != nil {
		return err
	}
	return h.show(c, http.StatusOK, pages.Again, r, pages.Data{})
}

// again takes what the user signs in with, or the account that the page knows.
func (h *RecoveryPages) again(c *gin.Context, form url.Values) error {
	if !h.Mail {
		return errMailOff
	}
	r, err := h.early(c, form.Get("ticket"))
	if err != nil {
		return err
	}
	from := h.caller(c, r)
	if token := form.Get("token"); token != "" {
		err := h.Users.Renew(c.Request.Context(), time.Now(), accounts.VerifyEmail, token, from)
		return h.sent(c, r, err, pages.Again, pages.Data{Message: "verify_again"})
	}
	who := accounts.Correspondent{Username: form.Get("username"), Account: form.Get("account")}
	err = h.Users.ResendVerification(c.Request.Context(), time.Now(), who, from)
	return h.sent(c, r, err, pages.Again, pages.Data{Message: "verify_again", Username: who.Username, Account: who.Account})
}
