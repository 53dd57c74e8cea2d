package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/accounts"
	"countersign/api"
	"countersign/secrecy"
)

// Signup serves POST /signup, by which an application creates an account for a visitor.
type Signup struct {
	Failures
	Users   *accounts.Users
	Enabled bool
}

// Handler serves pages of the origins that requireOrigin lets through. SignupPage
// mounts it.
func (h *Signup) Handler(requireOrigin gin.HandlerFunc) gin.HandlerFunc {
	answer := h.handle(h.signup)
	return func(c *gin.Context) {
		if requireOrigin(c); !c.IsAborted() {
			answer(c)
		}
	}
}

type signupRequest struct {
	Username  string       `json:"username"`
	Password  secrecy.Text `json:"password"`
	Email     string       `json:"email"`
	UILocales string       `json:"ui_locales"`
}

func (h *Signup) signup(c *gin.Context) error {
	if !h.Enabled {
		return errSignupClosed
	}
	var req signupRequest
	if err := readJSON(c.Request, &req); err != nil {
		return err
	}
	user, err := h.Users.Create(c.Request.Context(), time.Now(), accounts.NewUser{
		Username: req.Username, Password: req.Password, Email: req.Email,
	}, callerOf(c, req.UILocales))
	if err != nil {
		return err
	}
	c.Set(SubjectKey, user.ID.String())
	neverCache(c)
	writeJSON(c, http.StatusCreated, "application/json", api.DescribeUser(user))
	return nil
}
