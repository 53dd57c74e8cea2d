package handlers

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"countersign/grants"
)

// Token serves POST /oauth/token (RFC 6749 section 3.2).
type Token struct {
	Grants *grants.Service
}

// Mount adds the endpoint's routes.
func (h *Token) Mount(r gin.IRouter) { r.POST("/oauth/token", h.token) }

func (h *Token) token(c *gin.Context) {
	members, clientID, err := h.Grants.Token(c.Request, callerOf(c, ""))
	logClient(c, clientID)
	if err != nil {
		refuseClient(c, err)
		return
	}
	neverCache(c)
	writeJSON(c, http.StatusOK, "application/json", members)
}
