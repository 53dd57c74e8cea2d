package handlers

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"countersign/grants"
)

// Challenge serves the authorization challenge endpoint, POST /oauth/challenge (OAuth 2.0 for
// First-Party Applications, draft).
type Challenge struct {
	Grants *grants.Service
}

// Mount adds the endpoint's routes.
func (h *Challenge) Mount(r gin.IRouter) { r.POST("/oauth/challenge", h.challenge) }

func (h *Challenge) challenge(c *gin.Context) {
	answer, clientID, err := h.Grants.Challenge(c.Request, callerOf(c, ""))
	logClient(c, clientID)
	if err != nil {
		refuseClient(c, err)
		return
	}
	neverCache(c)
	writeJSON(c, http.StatusOK, "application/json", answer)
}
