package handlers

import (
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/authorize"
	"countersign/pages"
)

// Consent serves /consent, where a user allows or denies what an application asks for.
type Consent struct{ *Hosted }

// Mount adds the page's routes.
func (h *Consent) Mount(r gin.IRouter) {
	r.GET("/consent", h.page(h.ask))
	r.POST("/consent", h.form(h.decide))
}

func (h *Consent) ask(c *gin.Context) error { return h.consent(c, c.Query("ticket"), "") }

func (h *Consent) decide(c *gin.Context, form url.Values) error {
	return h.consent(c, form.Get("ticket"), form.Get("decision"))
}

func (h *Consent) consent(c *gin.Context, ticket, decision string) error {
	r, err := h.request(c, ticket)
	if err != nil {
		return err
	}
	if r == nil {
		return &authorize.PageError{Code: "invalid_request", Detail: "ticket is missing: start at the application"}
	}
	l, err := h.login(c)
	if err != nil {
		return err
	}
	j, err := h.Authorize.Judge(c.Request.Context(), r, l)
	if err != nil {
		return err
	}
	switch step := j.Step(); {
	case decision == "deny" && (step == authorize.Consent || step == authorize.Answer):
		answer, err := h.Authorize.Deny(j)
		if err != nil {
			return err
		}
		return h.respond(c, r, answer)
	case step != authorize.Consent:
		return h.follow(c, r, j)
	case decision == "allow":
		answer, err := h.Authorize.Allow(c.Request.Context(), time.Now(), j, callerOf(c, ""))
		if err != nil {
			return err
		}
		return h.respond(c, r, answer)
	}
	// The user who allows must be the user who was asked: another may have signed in
	// since.
	return h.show(c, http.StatusOK, pages.Consent, r.For(l), pages.Data{Username: l.Username, Scopes: r.Permissions()})
}
