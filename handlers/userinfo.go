package handlers

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"countersign/accounts"
	"countersign/tokens"
)

// UserInfo is GET and POST /userinfo (OpenID Connect Core section 5.3).
type UserInfo struct {
	Bearer *Bearer
	Users  *accounts.Users
}

// Mount adds the endpoint's routes.
func (h *UserInfo) Mount(r gin.IRouter) {
	answer := h.Bearer.Require(tokens.ScopeOpenID, h.userinfo)
	r.GET("/userinfo", answer)
	r.POST("/userinfo", answer)
}

// ClaimsByScope says which claims each scope opens (OpenID Connect Core section
// 5.4; roles is ours). Discovery advertises them.
var ClaimsByScope = map[string][]string{
	tokens.ScopeOpenID:  {"sub"},
	tokens.ScopeProfile: {"preferred_username", "name", "updated_at"},
	tokens.ScopeEmail:   {"email", "email_verified"},
	tokens.ScopeRoles:   {"roles"},
}

// ScopeOfClaim says which scope opens a claim.
func ScopeOfClaim() map[string]string {
	scopes := map[string]string{}
	for scope, claims := range ClaimsByScope {
		for _, claim := range claims {
			scopes[claim] = scope
		}
	}
	return scopes
}

func (h *UserInfo) userinfo(c *gin.Context, access tokens.Access) {
	id, err := uuid.Parse(access.Subject)
	if err != nil { // a client's own token: no user to tell of
		challenge(c, http.StatusForbidden, "insufficient_scope", "the access token is not a user's", tokens.ScopeOpenID)
		return
	}
	user, err := h.Users.ByID(c.Request.Context(), id)
	if errors.Is(err, accounts.ErrUnknownUser) || err == nil && user.Disabled() {
		challengeInvalidToken(c)
		return
	}
	if err != nil {
		h.Bearer.fail(c, err)
		return
	}
	neverCache(c)
	writeJSON(c, http.StatusOK, "application/json", claims(&user, access.Scopes))
}

// claims are what the scopes let the client know. A claim without a value is
// left out (OpenID Connect Core section 5.3.2).
func claims(u *accounts.User, scopes tokens.Scopes) map[string]any {
	all := map[string]any{
		"sub":                u.ID.String(),
		"preferred_username": u.Username,
		"name":               u.Username,
		"updated_at":         u.UpdatedAt.Unix(),
		"roles":              append([]string{}, u.Roles...),
	}
	if u.Email != "" {
		all["email"] = u.Email
		all["email_verified"] = u.EmailVerified
	}
	said := map[string]any{}
	for _, scope := range scopes {
		for _, claim := range ClaimsByScope[scope] {
			if value, ok := all[claim]; ok {
				said[claim] = value
			}
		}
	}
	return said
}
