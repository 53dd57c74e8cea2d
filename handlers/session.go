package handlers

import (
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/api"
	"countersign/input"
	"countersign/refusals"
	"countersign/secrecy"
	"countersign/signin"
)

// Session serves /session, the sign-in from a browser application. The refresh token
// stays in a cookie (RFC 10017 section 6.2).
type Session struct {
	Failures
	Browser       *signin.Browser
	SignIns       *signin.Service
	Cookies       *Cookies
	KnownBrowsers *KnownBrowsers
	Issuer        string
}

// Mount adds the endpoint's routes.
func (h *Session) Mount(r gin.IRouter) {
	r.POST("/session", h.handle(h.signIn))
	r.GET("/session", h.handle(h.user))
	r.DELETE("/session", h.handle(h.signOut))
	r.POST("/session/refresh", h.handle(h.refresh))
	r.POST("/session/factor", h.handle(h.factor))
	r.POST("/session/passkey/options", h.handle(h.askPasskey))
	r.POST("/session/passkey", h.handle(h.passkey))
}

// signInRequest is a username and a password, or an authorization code with the
// parameters of its request.
type signInRequest struct {
	Username string       `json:"username"`
	Password secrecy.Text `json:"password"`

	Code        string `json:"code"`
	Verifier    string `json:"code_verifier"`
	RedirectURI string `json:"redirect_uri"`
}

// signedIn is the answer to a sign-in and to a refresh. It leaves out the access token
// when that is in a cookie.
type signedIn struct {
	AccessToken string   `json:"access_token,omitempty"`
	TokenType   string   `json:"token_type,omitempty"`
	ExpiresIn   int64    `json:"expires_in"` // of the access token, in seconds
	User        api.User `json:"user"`
}

func (h *Session) signIn(c *gin.Context) error {
	var req signInRequest
	if err := readJSON(c.Request, &req); err != nil {
		return err
	}
	if err := req.check(); err != nil {
		return err
	}
	return h.prove(c, req.proof(), h.Cookies.binding(c.Request))
}

// prove signs the user of a proof in. binding is what a challenge is bound to.
func (h *Session) prove(c *gin.Context, p signin.Proof, binding string) error {
	from := h.KnownBrowsers.signingIn(c, "", bindingOf(binding))
	s, err := h.Browser.SignIn(c.Request.Context(), time.Now(), p, h.Cookies.ending(c.Request), from)
	if errors.Is(err, signin.ErrFactorDue) {
		h.Cookies.set(c, bindingCookie, binding, bindingLife)
	}
	if errors.Is(err, signin.ErrEnrolmentDue) {
		return refusals.EnrolmentDue(h.Issuer + enrolPath)
	}
	if err != nil {
		return err
	}
	h.KnownBrowsers.remember(c, &s.User, s.Keep)
	h.answer(c, &s)
	return nil
}

// proof returns the proof that the request carries.
func (r *signInRequest) proof() signin.Proof {
	if r.Code != "" {
		return signin.Code{Code: r.Code, Verifier: r.Verifier, RedirectURI: r.RedirectURI}
	}
	return signin.Password{Username: r.Username, Password: r.Password}
}

// check returns which members are missing for the chosen proof, or belong to the other.
func (r *signInRequest) check() error {
	needs := []struct{ name, value string }{{"username", r.Username}, {"password", string(r.Password)}}
	others := []struct{ name, value string }{{"code_verifier", r.Verifier}, {"redirect_uri", r.RedirectURI}}
	if r.Code != "" {
		needs, others = others, needs
	}
	var wrong []input.Problem
	for _, member := range needs {
		if member.value == "" {
			wrong = append(wrong, input.Problem{Field: member.name, Code: input.Required, Detail: member.name + " must not be empty."})
		}
	}
	for _, member := range others {
		if member.value != "" {
			wrong = append(wrong, input.Problem{Field: member.name, Code: input.NotAllowed, Detail: member.name + " belongs to the other way to sign in: send username and password, or code, code_verifier and redirect_uri."})
		}
	}
	if len(wrong) > 0 {
		return refusals.InvalidInput(wrong...)
	}
	return nil
}

func (h *Session) refresh(c *gin.Context) error {
	s, err := h.Browser.Refresh(c.Request.Context(), time.Now(), h.Cookies.values(c.Request, refreshCookie), callerOf(c, ""))
	if errors.Is(err, signin.ErrLoginRequired) {
		h.Cookies.clear(c)
	}
	if err != nil {
		return err
	}
	h.answer(c, &s)
	return nil
}

// answer sends the tokens.
func (h *Session) answer(c *gin.Context, s *signin.Session) {
	logClient(c, s.Session.ClientID)
	c.Set(SubjectKey, s.User.ID.String())
	h.Cookies.clearFormer(c)
	h.Cookies.set(c, refreshCookie, s.RefreshToken, time.Until(s.Session.ExpiresAt))
	out := signedIn{ExpiresIn: int64(s.ExpiresIn / time.Second), User: api.DescribeUser(s.User)}
	if h.Cookies.AccessCookie {
		h.Cookies.set(c, accessCookie, s.AccessToken, s.ExpiresIn)
	} else {
		out.AccessToken, out.TokenType = s.AccessToken, "Bearer"
	}
	neverCache(c)
	writeJSON(c, http.StatusOK, "application/json", out)
}

func (h *Session) user(c *gin.Context) error {
	user, err := h.Browser.User(c.Request.Context(), time.Now(), h.Cookies.values(c.Request, refreshCookie), callerOf(c, ""))
	if errors.Is(err, signin.ErrLoginRequired) {
		h.Cookies.clear(c)
	}
	if err != nil {
		return err
	}
	c.Set(SubjectKey, user.ID.String())
	neverCache(c)
	writeJSON(c, http.StatusOK, "application/json", api.DescribeUser(user))
	return nil
}

func (h *Session) signOut(c *gin.Context) error {
	err := h.Browser.SignOut(c.Request.Context(), time.Now(), h.Cookies.ending(c.Request), callerOf(c, ""))
	if err != nil {
		return err
	}
	h.Cookies.clear(c)
	return noContent(c)
}
