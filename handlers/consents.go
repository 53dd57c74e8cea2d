package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/api"
	"countersign/consents"
	"countersign/ids"
	"countersign/tokens"
)

// Consents serves /account/consents, where users see what they let third-party
// applications have, and withdraw it.
type Consents struct {
	Bearer   *Bearer
	Consents consents.Service
}

// Mount adds the endpoint's routes.
func (h *Consents) Mount(r gin.IRouter) {
	r.GET("/account/consents", h.Bearer.Owner(h.list))
	r.DELETE("/account/consents/:client_id", h.Bearer.Owner(h.revoke))
}

func (h *Consents) list(c *gin.Context, mine tokens.Session) error {
	all, err := h.Consents.Of(c.Request.Context(), mine.UserID)
	if err != nil {
		return err
	}
	neverCache(c)
	writeJSON(c, http.StatusOK, "application/json", map[string]any{"consents": api.List(all, api.DescribeConsent)})
	return nil
}

func (h *Consents) revoke(c *gin.Context, mine tokens.Session) error {
	err := h.Consents.Revoke(c.Request.Context(), time.Now(), mine.UserID, ids.Client(c.Param("client_id")), callerOf(c, ""))
	if err != nil {
		return err
	}
	return noContent(c)
}
