package handlers

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"countersign/grants"
)

// Introspect serves POST /oauth/introspect (RFC 7662).
type Introspect struct {
	Grants *grants.Service
}

// Mount adds the endpoint's routes.
func (h *Introspect) Mount(r gin.IRouter) { r.POST("/oauth/introspect", h.introspect) }

func (h *Introspect) introspect(c *gin.Context) {
	members, clientID, err := h.Grants.Introspect(c.Request, callerOf(c, ""))
	logClient(c, clientID)
	if err != nil {
		refuseClient(c, err)
		return
	}
	neverCache(c)
	writeJSON(c, http.StatusOK, "application/json", members)
}
