package handlers

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/authorize"
	"countersign/pages"
	"countersign/signin"
	"countersign/tokens"
	"countersign/upstreams"
)

// Upstreams serves /login/with/ID and /login/callback/ID: the way to another provider, and
// back. While the user is there, the browser keeps the request in a cookie, with the
// application's ticket behind it.
//
// The cookie is as Lax as our others, also for a provider that answers with a form from its
// own site, with which browsers send no such cookie: the page that takes the form leads the
// browser on with a GET, and that has the cookies. A SameSite=None cookie would reach us with
// requests of any site, and the user's login, which linking needs, would still be missing.
type Upstreams struct{ Login }

// Mount adds the routes.
func (h *Upstreams) Mount(r gin.IRouter) {
	r.GET("/login/with/:id", h.page(h.open))
	r.POST("/login/with/:id", h.form(h.submit))
	r.GET("/login/callback/:id", h.page(h.callback))
	r.POST("/login/callback/:id", h.page(h.posted))
	h.mountPending(r)
}

var errNoProvider = &pageMessage{http.StatusNotFound, "not_found"}

// A journey is what a user is at a provider for. It travels sealed.
type journey struct {
	Ticket string `json:"ticket,omitempty"` // digest of the application's ticket; empty: none
	To     string `json:"to,omitempty"`     // the page of ours that the user goes on to
	// Login is that of the user who links the provider at /me/security, and who has given a
	// proof for it; empty: the user wants to sign in.
	Login string `json:"login,omitempty"`
}

func digestOf(ticket string) string {
	if ticket == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(ticket))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// choices are the providers that a page offers.
func (h *Hosted) choices() (all []pages.Provider) {
	for _, c := range h.Upstreams.Choices() {
		all = append(all, pages.Provider(c))
	}
	return all
}

// open begins for a link of ours, and for a user who follows it from elsewhere only once the
// user has pressed the button: another site must not sign a user in, or up.
func (h *Upstreams) open(c *gin.Context) error {
	if !h.SameOrigin(c.Request) {
		c.Set(ticketKey, c.Query("ticket"))
		return h.onward(c, "/login")
	}
	return h.begin(c, c.Query("ticket"))
}

func (h *Upstreams) submit(c *gin.Context, form url.Values) error {
	return h.begin(c, form.Get("ticket"))
}

func (h *Upstreams) begin(c *gin.Context, ticket string) error {
	r, err := h.request(c, ticket)
	if err != nil && !isLate(err) {
		return err
	}
	l, err := h.login(c)
	if err != nil {
		return err
	}
	// A user who is signed in already is here to prove it anew.
	err = h.depart(c, c.Param("id"), journey{Ticket: digestOf(ticket), To: c.GetString(toParameter)}, ticket, l != nil)
	return h.fail(c, r, l, ticket, err)
}

// depart leads the browser to a provider.
func (h *Hosted) depart(c *gin.Context, provider string, j journey, ticket string, again bool) error {
	if len(ticket) > maxPending {
		return &authorize.PageError{Code: "invalid_request", Detail: "the request is too large to wait for another provider"}
	}
	note, err := json.Marshal(j)
	if err != nil {
		return err
	}
	to, keep, err := h.Upstreams.Begin(c.Request.Context(), time.Now(), provider, upstreams.Trip{Note: string(note), Again: again})
	if err != nil {
		return err
	}
	h.Cookies.set(c, upstreamCookie, keep+ticketAfter+ticket, upstreams.Life)
	return h.redirect(c, to)
}

// ticketAfter separates the ticket in the cookie from what is before it. Neither has it.
const ticketAfter = "~"

// fail answers a user for whom a provider is no way in: with the sign-in page, which has the
// others.
func (h *Upstreams) fail(c *gin.Context, r *authorize.Request, l *tokens.Login, ticket string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, upstreams.ErrUnknown):
		return errNoProvider
	}
	d, status, ok := h.troubles(c, err)
	if !ok {
		return err
	}
	d.Provider = h.Upstreams.Name(c.Param("id"))
	if r == nil {
		d.Ticket = ticket // which is late, or nothing
	}
	return h.askAgain(c, status, r, l, d)
}

// posted takes an answer that a provider has the browser post from its own site.
func (h *Upstreams) posted(c *gin.Context) error {
	form, err := readPageForm(c.Request)
	if err != nil {
		return err
	}
	answer := url.Values{}
	for _, name := range []string{"state", "code", "error", "iss", "user"} {
		if value := form.Get(name); value != "" && len(value) <= maxPending {
			answer.Set(name, value)
		}
	}
	path := h.Base + "/login/callback/" + url.PathEscape(c.Param("id")) + "?"
	if to := path + answer.Encode(); len(to) <= authorize.MaxLocation {
		return h.redirect(c, to)
	}
	answer.Del("user")
	return h.redirect(c, path+answer.Encode())
}

func (h *Upstreams) callback(c *gin.Context) error {
	kept, ticket, _ := strings.Cut(h.Cookies.only(c.Request, upstreamCookie), ticketAfter)
	claims, note, err := h.Upstreams.Finish(c.Request.Context(), time.Now(), c.Param("id"), kept, c.Request.URL.Query())
	var j journey
	if note != "" {
		h.Cookies.set(c, upstreamCookie, "", 0)
		if wrong := json.Unmarshal([]byte(note), &j); wrong != nil {
			return wrong
		}
	}
	if note == "" || j.Ticket != digestOf(ticket) { // no request of this browser's, so its ticket isn't trusted either
		return h.fail(c, nil, nil, "", cmp.Or(err, upstreams.ErrState))
	}
	if j.Login != "" {
		return h.linked(c, j, claims, err)
	}
	rememberTo(c, j.To)
	r, late := h.request(c, ticket)
	if late != nil && !isLate(late) {
		return late
	}
	l, wrong := h.login(c)
	if wrong != nil {
		return wrong
	}
	if err != nil {
		return h.fail(c, r, l, ticket, err)
	}
	return h.signIn(c, r, l, ticket, claims)
}

// signIn signs the user of a provider in, or says what is left to do.
func (h *Upstreams) signIn(c *gin.Context, r *authorize.Request, l *tokens.Login, ticket string, claims upstreams.Claims) error {
	o, err := h.SignIns.Prove(c.Request.Context(), time.Now(), signin.Federated(claims), h.proving(c, h.prefers(c, locales(r)), r, l))
	if errors.Is(err, signin.ErrNotLinked) {
		return h.newcomer(c, r, l, ticket, claims)
	}
	return h.enterOr(c, r, l, ticket, &o, err)
}

// enterOr signs the user of a proof in and leads on, or says why not.
func (h *Upstreams) enterOr(c *gin.Context, r *authorize.Request, l *tokens.Login, ticket string, o *signin.Outcome, err error) error {
	in := l
	if err == nil {
		in, err = h.enter(c, r, o, l)
	}
	switch {
	case errors.Is(err, signin.ErrFactorDue), errors.Is(err, signin.ErrEnrolmentDue):
		return err
	case err != nil:
		return h.fail(c, r, l, ticket, err)
	case r == nil && ticket != "":
		return h.showLate(c, ticket)
	default:
		return h.advance(c, r, in)
	}
}
