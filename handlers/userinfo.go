package handlers

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"countersign/accounts"
	"countersign/ids"
	"countersign/oauth"
	"countersign/tokens"
)

// UserInfo serves GET and POST /userinfo (OpenID Connect Core section 5.3).
type UserInfo struct {
	Bearer *Bearer
	Users  *accounts.Users
}

// Mount adds the endpoint's routes.
func (h *UserInfo) Mount(r gin.IRouter) {
	answer := h.Bearer.Require(oauth.ScopeOpenID, h.userinfo)
	r.GET(oauth.UserInfoPath, answer)
	r.POST(oauth.UserInfoPath, answer)
}

func (h *UserInfo) userinfo(c *gin.Context, access tokens.Access) {
	id, err := ids.Parse[ids.User](access.Subject)
	if err != nil { // a client's own token has no user
		challenge(c, oauth.Refuse(oauth.InsufficientScope, "the access token is not a user's"), oauth.ScopeOpenID)
		return
	}
	claims, err := h.Users.Claims(c.Request.Context(), id, access.Claims)
	if err != nil {
		h.Bearer.fail(c, err)
		return
	}
	neverCache(c)
	writeJSON(c, http.StatusOK, "application/json", claims)
}
