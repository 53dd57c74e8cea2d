package handlers

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/accounts"
)

// Signup is POST /signup: a person creates an account.
type Signup struct {
	Failures
	Users   *accounts.Users
	Enabled bool
}

// Handler answers pages of origins that requireOrigin lets through. SignupPage mounts
// it.
func (h *Signup) Handler(requireOrigin gin.HandlerFunc) gin.HandlerFunc {
	answer := h.handle(h.signup)
	return func(c *gin.Context) {
		if requireOrigin(c); !c.IsAborted() {
			answer(c)
		}
	}
}

type signupRequest struct {
	Username  string `json:"username"`
	Password  string `json:"password"`
	Email     string `json:"email"`
	UILocales string `json:"ui_locales"`
}

// User is an account as its owner and the operator see it.
type User struct {
	ID            string   `json:"id"`
	Username      string   `json:"username"`
	Email         string   `json:"email,omitempty"`
	EmailVerified bool     `json:"email_verified"`
	Roles         []string `json:"roles"`
	Disabled      bool     `json:"disabled"`
	CreatedAt     string   `json:"created_at"` // RFC 3339
}

// DescribeUser is u without what nobody may see.
func DescribeUser(u accounts.User) User {
	return User{
		ID: u.ID.String(), Username: u.Username, Email: u.Email, EmailVerified: u.EmailVerified,
		Roles: append([]string{}, u.Roles...), Disabled: u.Disabled(), CreatedAt: u.CreatedAt.UTC().Format(time.RFC3339),
	}
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
		Username: req.Username, Password: req.Password, Email: req.Email, Language: language(c, req.UILocales),
	}, origin(c))
	if err != nil {
		return err
	}
	c.Set(SubjectKey, user.ID.String())
	neverCache(c)
	writeJSON(c, http.StatusCreated, "application/json", DescribeUser(user))
	return nil
}
