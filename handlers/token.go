package handlers

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"countersign/grants"
)

// Token is POST /oauth/token (RFC 6749 section 3.2).
type Token struct {
	Grants *grants.Service
}

// Mount adds the endpoint's routes.
func (h *Token) Mount(r gin.IRouter) { r.POST("/oauth/token", h.token) }

func (h *Token) token(c *gin.Context) {
	members, clientID, err := h.Grants.Token(c.Request, origin(c))
	c.Set(ClientIDKey, clientID)
	if err != nil {
		h.fail(c, err)
		return
	}
	neverCache(c)
	writeJSON(c, http.StatusOK, "application/json", members)
}

func (h *Token) fail(c *gin.Context, err error) {
	say, ok := errors.AsType[*grants.Error](err)
	if !ok {
		panic(err) // grants translates every error
	}
	if say.Status == http.StatusUnauthorized {
		c.Header("WWW-Authenticate", `Basic realm="countersign", charset="UTF-8"`)
	}
	setRetryAfter(c, say.RetryAfter)
	writeOAuthError(c, say.Status, say.Code, say.Description)
}
