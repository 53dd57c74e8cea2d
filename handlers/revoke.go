package handlers

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"countersign/grants"
)

// Revoke serves POST /oauth/revoke (RFC 7009).
type Revoke struct {
	Grants *grants.Service
}

// Mount adds the endpoint's routes.
func (h *Revoke) Mount(r gin.IRouter) { r.POST("/oauth/revoke", h.revoke) }

func (h *Revoke) revoke(c *gin.Context) {
	clientID, err := h.Grants.Revoke(c.Request, callerOf(c, ""))
	logClient(c, clientID)
	if err != nil {
		refuseClient(c, err)
		return
	}
	neverCache(c)
	c.Status(http.StatusOK) // the body is empty: the status says everything (section 2.2)
}
