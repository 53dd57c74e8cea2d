package handlers

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/accounts"
	"countersign/caller"
	"countersign/clients"
	"countersign/consents"
	"countersign/factors"
	"countersign/ids"
	"countersign/input"
	"countersign/pages"
	"countersign/signin"
	"countersign/tokens"
)

// Me serves /me and the pages below it, where users do on our pages what /account lets
// applications do, by the same methods of the domain. The user is the one who is signed in
// to the browser. Each form names in its field "do" what it does; afterwards the browser is
// led to the page again, which says once what was done. Its field "account" names the account
// whose page it is on; it does nothing to any other.
type Me struct {
	*Hosted
	Clients  *clients.Registry
	Consents consents.Service
	Factors  *factors.Service
	Browser  *signin.Browser
	Export   *Export
}

// A visit is a request of a user who is signed in at our pages.
type visit struct {
	*gin.Context
	now   time.Time
	from  caller.Caller
	login *tokens.Login
	owner signin.Owner
	user  accounts.User
}

func (v *visit) ctx() context.Context { return v.Request.Context() }

// here reports whether a session is in the browser of the visit.
func (v *visit) here(s *tokens.Session) bool {
	return s.LoginID == v.login.ID || s.ID == v.owner.At.Session
}

// A mePage is one of the pages.
type mePage struct {
	name pages.Name
	// fill adds what the page shows. form is what the user has just sent in vain, nil for
	// nothing.
	fill func(v *visit, d *pages.Data, form url.Values) error
	// do are what the page's forms do. They return the code of the notice that says so, or
	// the empty text if they have answered.
	do map[string]func(v *visit, form url.Values) (notice string, err error)
}

// Mount adds the pages' routes.
func (h *Me) Mount(r gin.IRouter) {
	for _, p := range []mePage{h.profile(), h.security(), h.factors(), h.sessions(), h.apps(), h.data()} {
		path, _ := pages.MePath(p.name)
		r.GET(path, h.page(func(c *gin.Context) error { return h.open(c, &p, path) }))
		r.POST(path, h.form(func(c *gin.Context, form url.Values) error { return h.submit(c, &p, path, form) }))
	}
	r.GET(deletedPath, h.page(h.deleted))
}

// visit returns the visit of the user who is signed in, nil for none.
func (h *Me) visit(c *gin.Context) (*visit, error) {
	l, err := h.login(c)
	if l == nil || err != nil {
		return nil, err
	}
	user, err := h.Users.ByID(c.Request.Context(), l.UserID)
	if errors.Is(err, accounts.ErrUnknownUser) { // just deleted
		return nil, nil
	}
	beside, _ := h.Tokens.BrowserSession(h.KnownBrowsers.Cookies.values(c.Request, refreshCookie))
	return &visit{c, time.Now(), h.caller(c, nil), l, signin.OwnerAt(l, beside), user}, err
}

func (h *Me) open(c *gin.Context, p *mePage, path string) error {
	v, err := h.visit(c)
	if err != nil {
		return err
	}
	if v == nil {
		return h.signInFirst(c, path)
	}
	return h.showOwn(v, p, http.StatusOK, pages.Data{Own: &pages.Own{Notice: h.noticed(c)}}, nil)
}

func (h *Me) submit(c *gin.Context, p *mePage, path string, form url.Values) error {
	v, err := h.visit(c)
	if err != nil {
		return err
	}
	if v == nil {
		return h.lost(c, path, form)
	}
	do, there := p.do[form.Get("do")]
	if !there {
		return h.redirect(c, h.Base+path)
	}
	// The user who acts must be the user to whom the page was shown: another may have signed
	// in since, in another tab.
	if !h.Users.IsAccount(form.Get("account"), v.user.ID) {
		h.notify(c, "other_account")
		return h.redirect(c, h.Base+path)
	}
	notice, err := do(v, form)
	switch {
	case signedOut(err):
		return h.lost(c, path, form)
	case err == nil && notice != "":
		h.notify(c, notice)
		return h.redirect(c, h.Base+path)
	case err == nil:
		return nil
	}
	d, status, ok := h.troubles(c, aboutProof(err))
	if errors.Is(err, signin.ErrStale) && v.user.PasswordHash == "" { // there is no field to fill in
		d, status, ok = pages.Data{Errors: []string{"sign_in_again"}}, http.StatusForbidden, true
	}
	if !ok {
		return err
	}
	d.Own = new(pages.Own)
	return h.showOwn(v, p, status, d, form)
}

// showOwn answers with a page of the account.
func (h *Me) showOwn(v *visit, p *mePage, status int, d pages.Data, form url.Values) error {
	d.SignedIn, d.Username, d.Forgot = v.login.Username, v.user.Username, h.Mail
	d.Own.Mail, d.Own.Password = h.Mail, v.user.PasswordHash != ""
	d.Own.ProofDue, d.Own.Account = d.Own.Password && !v.owner.Fresh(v.now), h.Users.AccountToken(v.now, v.user.ID)
	if d.Own.SignInAgain = !d.Own.Password && !v.owner.Fresh(v.now); d.Own.SignInAgain {
		if err := h.offerAgain(v, &d); err != nil {
			return err
		}
	}
	if err := p.fill(v, &d, form); err != nil {
		return err
	}
	return h.show(v.Context, status, p.name, nil, d)
}

// signedOut reports whether the login or the user ended during the request.
func signedOut(err error) bool {
	return errors.Is(err, accounts.ErrSignedOut) || errors.Is(err, accounts.ErrUnknownUser) || errors.Is(err, tokens.ErrUnknown) ||
		errors.Is(err, factors.ErrSignedOut)
}

// lost answers a form of a user who is no longer signed in.
func (h *Me) lost(c *gin.Context, path string, form url.Values) error {
	if form.Get("do") == doDelete {
		gone, err := h.Users.Gone(c.Request.Context(), form.Get("account"))
		if err != nil {
			return err
		}
		if gone { // the form was sent twice
			return h.farewell(c)
		}
	}
	return h.signInFirst(c, path)
}

// aboutProof says on the field for the password that a proof is due, or wrong. The form is
// no sign-in, so the page may tell.
func aboutProof(err error) error {
	var bad input.Error
	switch {
	case errors.Is(err, signin.ErrStale):
		bad.Add("current_password", input.Required, "current_password must not be empty.")
	case errors.Is(err, accounts.ErrBadCredentials):
		bad.Add("current_password", input.Invalid, "current_password is not the account's password.")
	default:
		return err
	}
	return bad.Err()
}

// notify has the browser keep the code of a notice, which the next page shows once.
func (h *Hosted) notify(c *gin.Context, notice string) {
	h.Cookies.set(c, noticeCookie, notice, time.Minute)
}

// noticed returns the code of the notice that the browser keeps, and has it forget it.
func (h *Me) noticed(c *gin.Context) string {
	kept := h.Cookies.values(c.Request, noticeCookie)
	if len(kept) == 0 {
		return ""
	}
	h.Cookies.set(c, noticeCookie, "", 0)
	return kept[0]
}

// naming returns a function that names clients as users know them.
func (h *Me) naming(ctx context.Context) func(ids.Client) (string, error) {
	names := map[ids.Client]string{}
	return func(id ids.Client) (string, error) {
		if name, known := names[id]; known {
			return name, nil
		}
		client, err := h.Clients.ByID(ctx, id)
		switch {
		case errors.Is(err, clients.ErrUnknown) || err == nil && client.Name == "":
			names[id] = string(id)
		case err != nil:
			return "", err
		default:
			names[id] = client.Name
		}
		return names[id], nil
	}
}

// signInFirst leads to the sign-in, and from there to a page of ours.
func (h *Hosted) signInFirst(c *gin.Context, path string) error {
	return h.redirect(c, h.Base+"/login?"+toParameter+"="+url.QueryEscape(path))
}

// toParameter is what names the page of ours that a user goes on to after signing in, in
// queries and forms. Any other address in it counts for nothing.
const toParameter = "to"

// rememberTo keeps the value of toParameter for the pages and redirects that follow.
func rememberTo(c *gin.Context, to string) {
	if slices.Contains(pages.MePaths(), to) {
		c.Set(toParameter, to)
	}
}
