package handlers

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/accounts"
	"countersign/authorize"
	"countersign/ids"
	"countersign/pages"
	"countersign/secrecy"
	"countersign/signin"
	"countersign/tokens"
	"countersign/upstreams"
)

// What a provider has said of a user who has no account that is linked to it stays in a
// cookie until the user has filled in what a new account lacks (/signup/with), or has signed
// in to an account by its own means (/login/link), which is then linked.

func (h *Upstreams) mountPending(r gin.IRouter) {
	r.GET("/signup/with", h.page(h.openJoin))
	r.POST("/signup/with", h.form(h.join))
	r.GET("/login/link", h.page(h.openLink))
	r.POST("/login/link", h.form(h.link))
}

// keep has the browser keep claims. owner is the user who has signed in to link them, zero
// for none.
func (h *Hosted) keep(c *gin.Context, claims upstreams.Claims, owner ids.User) {
	note := ""
	if !owner.IsZero() {
		note = owner.String()
	}
	text, life := h.Upstreams.Keep(time.Now(), claims, note)
	h.Cookies.set(c, claimsCookie, text, life)
}

// ownerKey is where link leaves the owner for the rest of the request.
const ownerKey = "owner of claims"

// kept returns the claims that the browser keeps, and the owner that keep was given.
func (h *Hosted) kept(c *gin.Context) (claims upstreams.Claims, owner ids.User, ok bool) {
	has := h.Cookies.values(c.Request, claimsCookie)
	if len(has) != 1 {
		return claims, owner, false
	}
	claims, note, ok := h.Upstreams.Kept(time.Now(), has[0])
	owner, _ = ids.Parse[ids.User](note)
	if here, there := c.Get(ownerKey); there {
		owner, _ = here.(ids.User)
	}
	return claims, owner, ok
}

// linkKept links the claims that the browser keeps for the user who has just signed in, if
// it is the user who has signed in for that. What stands against it is no reason to refuse
// the sign-in.
func (h *Hosted) linkKept(c *gin.Context, l *tokens.Login) error {
	claims, owner, ok := h.kept(c)
	if !ok || owner.IsZero() || owner != l.UserID {
		return nil
	}
	h.Cookies.set(c, claimsCookie, "", 0)
	err := h.SignIns.Link(c.Request.Context(), time.Now(), signin.OwnerAt(l, ids.Session{}), claims, h.caller(c, nil))
	if errors.Is(err, accounts.ErrIdentityTaken) || errors.Is(err, accounts.ErrTooManyIdentities) {
		return nil
	}
	return err
}

// newcomer answers the user of a provider for whom there is no account.
func (h *Upstreams) newcomer(c *gin.Context, r *authorize.Request, l *tokens.Login, ticket string, claims upstreams.Claims) error {
	holder, err := h.holder(c, claims)
	if err != nil {
		return err
	}
	switch {
	case holder && h.Upstreams.LinksByEmail(claims.Provider):
		h.keep(c, claims, ids.User{})
		return h.onward(c, "/login/link")
	case !h.mayJoin(claims):
		return h.fail(c, r, l, ticket, signin.ErrNotLinked)
	}
	// The address is taken over if the provider has verified it, and no account has it.
	email := ""
	if claims.EmailVerified && !holder && h.Names.Email != accounts.None {
		email = claims.Email
	}
	if email != "" && h.Names.Username != accounts.Required {
		o, err := h.SignIns.Prove(c.Request.Context(), time.Now(), signin.FederatedSignUp{Claims: claims, Email: email}, h.signingIn(c, h.prefers(c, locales(r))))
		if err == nil {
			return h.enterOr(c, r, l, ticket, &o, nil)
		}
		if _, _, ok := h.troubles(c, err); !ok {
			return err
		}
	}
	h.keep(c, claims, ids.User{})
	return h.onward(c, "/signup/with")
}

// mayJoin reports whether the user of a provider may get an account.
func (h *Upstreams) mayJoin(claims upstreams.Claims) bool {
	return h.SignupEnabled && h.Upstreams.MaySignUp(claims.Provider)
}

// holder reports whether an account has the address that a provider has verified.
func (h *Upstreams) holder(c *gin.Context, claims upstreams.Claims) (bool, error) {
	if !claims.EmailVerified {
		return false, nil
	}
	_, err := h.Users.ByEmail(c.Request.Context(), claims.Email)
	if errors.Is(err, accounts.ErrUnknownUser) {
		return false, nil
	}
	return err == nil, err
}

// openJoin asks for what a new account lacks. An address that another account has is not
// filled in, because it can't be this one's.
func (h *Upstreams) openJoin(c *gin.Context) error {
	r, err := h.early(c, c.Query("ticket"))
	if err != nil {
		return err
	}
	claims, _, ok := h.kept(c)
	if !ok {
		return h.onward(c, "/login")
	}
	holder, err := h.holder(c, claims)
	if err != nil {
		return err
	}
	d := pages.Data{}
	if !holder {
		d.Email = claims.Email
	}
	return h.askJoin(c, http.StatusOK, r, claims, d)
}

func (h *Upstreams) askJoin(c *gin.Context, status int, r *authorize.Request, claims upstreams.Claims, d pages.Data) error {
	if !h.mayJoin(claims) {
		return errSignupOff
	}
	d.RequireVerifiedEmail, d.Provider = h.RequireVerifiedEmail, h.Upstreams.Name(claims.Provider)
	return h.show(c, status, pages.Join, r, d)
}

func (h *Upstreams) join(c *gin.Context, form url.Values) error {
	ticket := form.Get("ticket")
	r, err := h.request(c, ticket)
	if err != nil && !isLate(err) {
		return err
	}
	claims, _, ok := h.kept(c)
	if !ok {
		return h.onward(c, "/login")
	}
	if !h.mayJoin(claims) {
		return errSignupOff
	}
	l, err := h.login(c)
	if err != nil {
		return err
	}
	username, email := form.Get("username"), strings.TrimSpace(form.Get("email"))
	o, err := h.SignIns.Prove(c.Request.Context(), time.Now(), signin.FederatedSignUp{Claims: claims, Username: username, Email: email}, h.signingIn(c, h.prefers(c, locales(r))))
	if err != nil {
		d, status, ok := h.troubles(c, err)
		if !ok {
			return err
		}
		d.Username, d.Email = username, email
		if r == nil {
			d.Ticket = ticket
		}
		return h.askJoin(c, status, r, claims, d)
	}
	h.Cookies.set(c, claimsCookie, "", 0)
	if o.State == signin.AddressDue {
		h.KnownBrowsers.remember(c, &o.User, nil)
		h.remember(c, r)
		return h.show(c, http.StatusOK, pages.Message, r, pages.Data{
			Message: "verify_sent", Username: cmp.Or(o.User.Username, email), Account: h.Users.AccountToken(time.Now(), o.User.ID), Email: email,
		})
	}
	return h.enterOr(c, r, l, ticket, &o, nil)
}

// openLink offers to link the account that has the address which the provider has verified.
func (h *Upstreams) openLink(c *gin.Context) error {
	r, err := h.early(c, c.Query("ticket"))
	if err != nil {
		return err
	}
	claims, _, ok := h.kept(c)
	if !ok || !claims.EmailVerified || !h.Upstreams.LinksByEmail(claims.Provider) {
		return h.onward(c, "/login")
	}
	return h.askLink(c, http.StatusOK, r, claims, pages.Data{})
}

func (h *Upstreams) askLink(c *gin.Context, status int, r *authorize.Request, claims upstreams.Claims, d pages.Data) error {
	d.Provider, d.Email, d.Signup, d.Forgot = h.Upstreams.Name(claims.Provider), claims.Email, h.mayJoin(claims), h.Mail
	return h.show(c, status, pages.Linking, r, d)
}

// link signs the user in to the account by its own password, and by its second factor if it
// has one. Then enter links it.
func (h *Upstreams) link(c *gin.Context, form url.Values) error {
	ticket := form.Get("ticket")
	r, err := h.request(c, ticket)
	if err != nil && !isLate(err) {
		return err
	}
	claims, _, ok := h.kept(c)
	if !ok || !claims.EmailVerified || !h.Upstreams.LinksByEmail(claims.Provider) {
		return h.onward(c, "/login")
	}
	l, err := h.login(c)
	if err != nil {
		return err
	}
	o, err := h.SignIns.Prove(c.Request.Context(), time.Now(), signin.Password{
		Username: claims.Email, Password: secrecy.Text(form.Get("password")),
	}, h.signingIn(c, ""))
	if err != nil {
		d, status, ok := h.troubles(c, err)
		if !ok {
			return err
		}
		if r == nil {
			d.Ticket = ticket
		}
		return h.askLink(c, status, r, claims, d)
	}
	if o.State == signin.FactorDue {
		h.keep(c, claims, o.User.ID) // for /factor
	} else {
		c.Set(ownerKey, o.User.ID)
	}
	return h.enterOr(c, r, l, ticket, &o, nil)
}
