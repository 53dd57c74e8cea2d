package handlers

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/authorize"
	"countersign/pages"
	"countersign/tokens"
)

// home returns where users go on to who came without an application's request.
func (h *Hosted) home() string { return cmp.Or(h.HomeURL, h.Base+"/me") }

// pendingFor is how long the browser remembers a request while its user waits for a letter.
const pendingFor = time.Hour

// maxPending bounds a ticket that the browser remembers, in bytes: a cookie has at most 4
// KiB, and all headers of a request together 8 at many proxies.
const maxPending = 3 << 10

// remember has the browser keep the request that its user was on the way with when the user
// asked for a letter, so that the page that the letter leads to goes on with it. It does
// nothing for nil.
func (h *Hosted) remember(c *gin.Context, r *authorize.Request) {
	if r == nil {
		return
	}
	if ticket := h.Authorize.Ticket(r); len(ticket) <= maxPending {
		h.Cookies.set(c, pendingCookie, ticket, pendingFor)
	}
}

// forget has the browser forget that request, if it remembers one.
func (h *Hosted) forget(c *gin.Context) {
	if len(h.Cookies.values(c.Request, pendingCookie)) > 0 {
		h.Cookies.set(c, pendingCookie, "", 0)
	}
}

// pending returns the request of a page that a letter leads to: that of the ticket, or else
// the one that the browser remembers; nil for none. One that is late or no longer good is
// none: the letter works all the same.
func (h *Hosted) pending(c *gin.Context, ticket string) (*authorize.Request, error) {
	if remembered := h.Cookies.values(c.Request, pendingCookie); ticket == "" && len(remembered) > 0 {
		ticket = remembered[0]
	}
	r, err := h.request(c, ticket)
	if _, ok := errors.AsType[*authorize.PageError](err); ok {
		return nil, nil
	}
	return r, err
}

// goOn leads a user who is signed in past a page that signs users in. It returns false if
// the request asks for a proof all the same, or the user is to give one that links an account at
// another provider. Where one more factor is due, too, a user who has
// come back from its page may sign in as another here.
func (h *Hosted) goOn(c *gin.Context, r *authorize.Request, l *tokens.Login) (bool, error) {
	if _, _, linking := h.linking(c); l == nil || linking {
		return false, nil
	}
	if r == nil {
		must, err := h.SignIns.MustEnrol(c.Request.Context(), l)
		if err != nil || must { // the user signs in again, and then sets up a second factor
			return false, err
		}
		return true, h.advance(c, nil, l)
	}
	j, err := h.Authorize.Judge(c.Request.Context(), r, l)
	if err != nil || j.Step() == authorize.SignIn || j.Step() == authorize.SignUp || j.Step() == authorize.StepUp {
		return false, err
	}
	return true, h.follow(c, r, j)
}

// isLate reports whether a page is older than its authorization request or its request to
// sign out. What the user does there for itself still counts; only the way back is gone.
func isLate(err error) bool { return errors.Is(err, authorize.ErrLate) }

// early returns the request of a ticket, and nil for one that is late: the page works
// without it.
func (h *Hosted) early(c *gin.Context, ticket string) (*authorize.Request, error) {
	r, err := h.request(c, ticket)
	if isLate(err) {
		return nil, nil
	}
	return r, err
}

// late fills in where a user can start again whose ticket has expired.
func (h *Hosted) late(c *gin.Context, ticket string, d pages.Data) pages.Data {
	d.Client, d.App = h.Authorize.Whence(c.Request.Context(), time.Now(), ticket)
	return d
}

// showLate answers a user who has signed in on a page that is older than its request.
func (h *Hosted) showLate(c *gin.Context, ticket string) error {
	return h.show(c, http.StatusOK, pages.Message, nil, h.late(c, ticket, pages.Data{Message: "signed_in_late"}))
}
