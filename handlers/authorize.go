package handlers

import (
	"errors"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/authorize"
	"countersign/oauth"
)

// Authorization serves the authorization endpoint, GET and POST /oauth/authorize (RFC
// 6749 section 3.1, OpenID Connect Core section 3.1.2). Our own pages lead back to it.
type Authorization struct{ *Hosted }

// Mount adds the endpoint's routes.
func (h *Authorization) Mount(r gin.IRouter) {
	r.GET("/oauth/authorize", h.page(h.get))
	r.POST("/oauth/authorize", h.page(h.post))
	r.GET("/oauth/authorize/resume", h.page(h.resume))
	// Errors are shown where they happen; /error only shows what such a page looks
	// like.
	r.GET("/error", h.page(func(*gin.Context) error { return &authorize.PageError{Code: "invalid_request"} }))
}

func (h *Authorization) get(c *gin.Context) error {
	r, err := h.read(c, c.Request.URL.RawQuery)
	if r == nil || err != nil {
		return err
	}
	return h.proceed(c, r)
}

// post takes a request as a form, which may come from any site. Browsers then leave out
// our cookie, so post redirects them to the same request as a GET.
func (h *Authorization) post(c *gin.Context) error {
	body, err := readBody(c.Request)
	if err != nil || !isForm(c.Request) || c.Request.URL.RawQuery != "" {
		return authorize.ErrMalformed
	}
	r, err := h.read(c, string(body))
	if r == nil || err != nil {
		return err
	}
	return h.redirect(c, h.Base+"/oauth/authorize/resume?ticket="+h.Authorize.Ticket(r))
}

// read reads a request from its encoded parameters. It returns nil if it has already
// answered.
func (h *Authorization) read(c *gin.Context, encoded string) (*authorize.Request, error) {
	r, err := h.Authorize.Read(c.Request.Context(), time.Now(), encoded)
	if r != nil {
		logClient(c, r.ClientID)
	}
	if refusal, ok := errors.AsType[*oauth.Error](err); ok {
		return nil, h.respond(c, r, h.Authorize.Refuse(r, refusal))
	}
	return r, err
}

func (h *Authorization) resume(c *gin.Context) error {
	r, err := h.request(c, c.Query("ticket"))
	if err != nil {
		return err
	}
	if r == nil {
		return &authorize.PageError{Code: "invalid_request", Detail: "ticket is missing"}
	}
	return h.proceed(c, r)
}

// proceed takes a request to its next step. When the database is away, an application
// that waits in a hidden frame gets an error response; a user gets a page and can try
// again.
func (h *Authorization) proceed(c *gin.Context, r *authorize.Request) error {
	l, err := h.login(c)
	if err == nil {
		err = h.advance(c, r, l)
	}
	if err != nil && r.Silent() && h.Unavailable(err) {
		h.Log.ErrorContext(c.Request.Context(), "request failed", "request_id", RequestID(c), "route", c.FullPath(), "err", err)
		return h.respond(c, r, h.Authorize.Unavailable(r))
	}
	return err
}
