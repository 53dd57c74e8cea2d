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
	"countersign/signin"
	"countersign/tokens"
	"countersign/upstreams"
)

// What a provider has said of a user who has no account that is linked to it stays in a
// cookie until the user has filled in what a new account lacks (/signup/with), or has signed
// in to the account that is to be linked (/login/link), by whatever means it has.

func (h *Upstreams) mountPending(r gin.IRouter) {
	r.GET("/signup/with", h.page(h.openJoin))
	r.POST("/signup/with", h.form(h.join))
	r.GET("/login/link", h.page(h.openLink))
	r.POST("/login/link", h.form(h.link))
}

// keep has the browser keep claims. owner is the user whose next sign-in links them, zero for
// none.
func (h *Hosted) keep(c *gin.Context, claims upstreams.Claims, owner ids.User) {
	note := ""
	if !owner.IsZero() {
		note = owner.String()
	}
	text, life := h.Upstreams.Keep(time.Now(), claims, note)
	h.Cookies.set(c, claimsCookie, text, life)
}

// kept returns the claims that the browser keeps, and the owner that keep was given.
func (h *Hosted) kept(c *gin.Context) (claims upstreams.Claims, owner ids.User, ok bool) {
	claims, note, ok := h.Upstreams.Kept(time.Now(), h.Cookies.only(c.Request, claimsCookie))
	owner, _ = ids.Parse[ids.User](note)
	return claims, owner, ok
}

// linking returns the claims that the next sign-in links, if it is the owner's. ok is false if
// there are none.
func (h *Hosted) linking(c *gin.Context) (claims upstreams.Claims, owner ids.User, ok bool) {
	claims, owner, ok = h.kept(c)
	return claims, owner, ok && !owner.IsZero()
}

// sayLinking fills in what the next sign-in links, and to which account.
func (h *Hosted) sayLinking(c *gin.Context, d *pages.Data) {
	if claims, _, ok := h.linking(c); ok {
		d.Links, d.Email, d.Username = h.Upstreams.Name(claims.Provider), claims.Email, cmp.Or(d.Username, claims.Email)
	}
}

// linkKept links the claims that the browser keeps for the user who has just signed in, if
// it is the user who was to sign in for that. A sign-in of another user ends the offer. What
// stands against the link is no reason to refuse the sign-in, which has happened.
func (h *Hosted) linkKept(c *gin.Context, l *tokens.Login) {
	claims, owner, ok := h.linking(c)
	if !ok {
		return
	}
	h.Cookies.set(c, claimsCookie, "", 0)
	if owner != l.UserID {
		return
	}
	err := h.SignIns.Link(c.Request.Context(), time.Now(), signin.OwnerAt(l, ids.Session{}), claims, h.caller(c, nil))
	switch {
	case err == nil, errors.Is(err, accounts.ErrIdentityTaken), errors.Is(err, accounts.ErrTooManyIdentities):
	default:
		h.Log.ErrorContext(c.Request.Context(), "an account is not linked", "request_id", RequestID(c), "provider", claims.Provider, "err", err)
	}
}

// newcomer answers the user of a provider for whom there is no account.
func (h *Upstreams) newcomer(c *gin.Context, r *authorize.Request, l *tokens.Login, ticket string, claims upstreams.Claims) error {
	holder, err := h.holder(c, claims)
	if err != nil {
		return err
	}
	switch {
	case holder != nil && h.Upstreams.LinksByEmail(claims.Provider):
		h.keep(c, claims, ids.User{})
		return h.onward(c, "/login/link")
	case !h.mayJoin(claims):
		return h.fail(c, r, l, ticket, signin.ErrNotLinked)
	}
	// The address is taken over if the provider has verified it, and no account has it.
	email := ""
	if claims.EmailVerified && holder == nil && h.Names.Email != accounts.None {
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

// holder returns the user who has the address that a provider has verified, nil for none.
func (h *Upstreams) holder(c *gin.Context, claims upstreams.Claims) (*accounts.User, error) {
	if !claims.EmailVerified {
		return nil, nil
	}
	user, err := h.Users.ByEmail(c.Request.Context(), claims.Email)
	if errors.Is(err, accounts.ErrUnknownUser) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &user, nil
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
	if holder == nil {
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
	claims, owner, ok := h.kept(c)
	if !ok || !claims.EmailVerified || !h.Upstreams.LinksByEmail(claims.Provider) {
		return h.onward(c, "/login")
	}
	if !owner.IsZero() { // the user is asked once more
		h.keep(c, claims, ids.User{})
	}
	return h.show(c, http.StatusOK, pages.Linking, r, pages.Data{
		Provider: h.Upstreams.Name(claims.Provider), Email: claims.Email, Signup: h.mayJoin(claims),
	})
}

// link has the user sign in to that account, by whatever means it has. linkKept then links it.
func (h *Upstreams) link(c *gin.Context, form url.Values) error {
	r, err := h.early(c, form.Get("ticket"))
	if err != nil {
		return err
	}
	if r == nil {
		c.Set(ticketKey, "") // late: the sign-in would be refused with it
	}
	claims, _, ok := h.kept(c)
	if !ok || !h.Upstreams.LinksByEmail(claims.Provider) {
		return h.onward(c, "/login")
	}
	holder, err := h.holder(c, claims)
	if err != nil {
		return err
	}
	if holder != nil {
		h.keep(c, claims, holder.ID)
	}
	return h.onward(c, "/login")
}
