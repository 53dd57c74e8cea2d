package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/accounts"
	"countersign/authorize"
	"countersign/caller"
	"countersign/factors"
	"countersign/pages"
	"countersign/secrecy"
	"countersign/signin"
	"countersign/tokens"
)

// Login serves /login, where users sign in to the browser, with or without an
// authorization request.
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
	if r == nil && c.Query("again") != "" { // a user of /me proves anew who it is
		return h.ask(c, http.StatusOK, nil, nil, pages.Data{})
	}
	if gone, err := h.goOn(c, r, l); gone || err != nil {
		return err
	}
	if r == nil {
		return h.ask(c, http.StatusOK, nil, nil, pages.Data{})
	}
	j, err := h.Authorize.Judge(c.Request.Context(), r, l)
	if err != nil {
		return err
	}
	return h.ask(c, http.StatusOK, r, continuing(j, l), pages.Data{Username: r.LoginHint})
}

// continuing returns the login whose user may continue without a new proof, nil if a proof
// is due.
func continuing(j authorize.Judgment, l *tokens.Login) *tokens.Login {
	if !j.MayContinue {
		return nil
	}
	return l
}

// ask shows the page. The user of signedIn, if not nil, may continue without a new proof.
func (h *Login) ask(c *gin.Context, status int, r *authorize.Request, signedIn *tokens.Login, d pages.Data) error {
	d.Signup, d.Forgot, d.Providers = h.SignupEnabled, h.Mail, h.choices()
	d.RequireVerifiedEmail = h.RequireVerifiedEmail
	h.sayLinking(c, &d)
	if h.SignIns.TakesPasskeys() {
		if d.Passkey == nil {
			d.Passkey = new(pages.Passkey)
		}
		c.Header("Content-Security-Policy", pageCSP+"; connect-src 'self'") // the page asks for a challenge
	}
	if signedIn != nil {
		d.SignedIn, d.Continue = signedIn.Username, h.Users.AccountToken(time.Now(), signedIn.UserID)
	}
	return h.show(c, status, pages.Login, r, d)
}

func (h *Login) submit(c *gin.Context, form url.Values) error {
	r, err := h.request(c, form.Get("ticket"))
	late := isLate(err)
	if err != nil && (!late || form.Get("continue") != "") {
		return err
	}
	l, err := h.login(c)
	if err != nil {
		return err
	}
	if form.Get("continue") != "" && r != nil {
		// The user who continues must be the user whom the page named: another may have signed
		// in since, in another tab.
		if l != nil && !h.Users.IsAccount(form.Get("account"), l.UserID) {
			return h.askAgain(c, http.StatusBadRequest, r, l, pages.Data{Errors: []string{"other_account"}})
		}
		return h.advance(c, r.Choose(), l)
	}
	username := form.Get("username")
	proof, from := h.proof(c, form, r, l)
	if proof == nil {
		return h.askAgain(c, http.StatusBadRequest, r, l, pages.Data{Username: username, Errors: []string{"missing_fields"}})
	}
	o, err := h.SignIns.Prove(c.Request.Context(), time.Now(), proof, from)
	var entered *tokens.Login
	if err == nil {
		entered, err = h.enter(c, r, &o, l)
	}
	if err == nil && late {
		return h.showLate(c, form.Get("ticket"))
	}
	if err == nil {
		return h.advance(c, r, entered)
	}
	d, status, ok := h.troubles(c, err)
	if !ok {
		return err
	}
	d.Username = username
	if gone, ok := errors.AsType[*factors.UnknownPasskeyError](err); ok {
		d.Passkey = &pages.Passkey{Unknown: asJSON(gone)}
	}
	if due, ok := errors.AsType[*accounts.NotVerifiedError](err); ok && h.Mail {
		d.Account = h.Users.AccountToken(time.Now(), due.User.ID)
	}
	if late {
		d.Ticket = form.Get("ticket") // for the next attempt, which is late, too
	}
	return h.askAgain(c, status, r, l, d)
}

// proof returns the proof that a form carries, and who brings it; nil if something is missing.
func (h *Login) proof(c *gin.Context, form url.Values, r *authorize.Request, l *tokens.Login) (signin.Proof, caller.Caller) {
	from := h.proving(c, "", r, l)
	if answer := form.Get("credential"); answer != "" {
		from.Binding = bindingOf(h.KnownBrowsers.Cookies.boundTo(c.Request)) // the page got its challenge from Session
		return signin.Passkey{Challenge: form.Get("challenge"), Answer: []byte(answer)}, from
	}
	username, password := form.Get("username"), secrecy.Text(form.Get("password"))
	if username == "" || password == "" {
		return nil, from
	}
	return signin.Password{Username: username, Password: password}, from
}

// askAgain shows the page after a sign-in that failed.
func (h *Login) askAgain(c *gin.Context, status int, r *authorize.Request, l *tokens.Login, d pages.Data) error {
	if r == nil {
		return h.ask(c, status, nil, nil, d)
	}
	j, err := h.Authorize.Judge(c.Request.Context(), r, l)
	if err != nil {
		return err
	}
	return h.ask(c, status, r, continuing(j, l), d)
}
