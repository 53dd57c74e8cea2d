package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/accounts"
	"countersign/api"
	"countersign/ids"
	"countersign/signin"
	"countersign/tokens"
)

// Identities serves /account/identities: with which other providers' accounts users may sign
// in. They link them at our own pages, because that takes a way to the provider and back.
type Identities struct {
	Bearer        *Bearer
	Users         *accounts.Users
	SignIns       *signin.Service
	KnownBrowsers *KnownBrowsers
}

// Mount adds the endpoint's routes.
func (h *Identities) Mount(r gin.IRouter) {
	r.GET("/account/identities", h.Bearer.Owner(h.list))
	r.DELETE("/account/identities/:id", h.Bearer.Owner(h.unlink))
}

func (h *Identities) list(c *gin.Context, mine tokens.Session) error {
	all, err := h.Users.Identities(c.Request.Context(), mine.UserID)
	if err != nil {
		return err
	}
	neverCache(c)
	writeJSON(c, http.StatusOK, "application/json", map[string]any{"identities": api.List(all, api.DescribeIdentity)})
	return nil
}

// unlink needs a proof, as a change of the account does, and ends all other sessions.
func (h *Identities) unlink(c *gin.Context, mine tokens.Session) error {
	ctx, now, owner, from := c.Request.Context(), time.Now(), signin.OwnerIn(&mine), h.KnownBrowsers.caller(c, "")
	if _, err := h.SignIns.Confirm(ctx, now, owner, "", from); err != nil {
		return err
	}
	id, err := ids.Parse[ids.Identity](c.Param("id"))
	if err != nil {
		return accounts.ErrUnknownIdentity
	}
	if err := h.SignIns.Unlink(ctx, now, owner, id, from); err != nil {
		return err
	}
	h.KnownBrowsers.stillKnown(c, h.Users, mine.UserID)
	return noContent(c)
}
