package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/accounts"
	"countersign/ids"
	"countersign/tokens"
)

// Profile serves /account/profile, where users describe themselves.
type Profile struct {
	Bearer *Bearer
	Users  *accounts.Users
}

// Mount adds the endpoint's routes.
func (h *Profile) Mount(r gin.IRouter) {
	r.GET("/account/profile", h.Bearer.Owner(h.show))
	r.PUT("/account/profile", h.Bearer.Owner(h.replace))
}

func (h *Profile) show(c *gin.Context, mine tokens.Session) error {
	profile, err := h.Users.Profile(c.Request.Context(), mine.UserID)
	if err != nil {
		return err
	}
	neverCache(c)
	writeJSON(c, http.StatusOK, "application/json", profile)
	return nil
}

// replace makes the body the whole profile: claims that it leaves out are removed.
func (h *Profile) replace(c *gin.Context, mine tokens.Session) error {
	var profile accounts.Profile
	if err := readJSON(c.Request, &profile); err != nil {
		return err
	}
	profile, err := h.Users.SetProfile(c.Request.Context(), time.Now(), mine.UserID, ids.Place{Session: mine.ID}, profile, callerOf(c, ""))
	if err != nil {
		return err
	}
	neverCache(c)
	writeJSON(c, http.StatusOK, "application/json", profile)
	return nil
}
