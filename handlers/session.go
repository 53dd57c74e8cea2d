package handlers

import (
	"cmp"
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/api"
	"countersign/factors"
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
	return h.prove(c, req.proof(), h.binding(c.Request))
}

// prove signs the user of a proof in. binding is what a challenge is bound to.
func (h *Session) prove(c *gin.Context, p signin.Proof, binding string) error {
	bound := ""
	if binding != "" {
		bound = "browser " + binding
	}
	from := h.KnownBrowsers.signingIn(c, "", bound)
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

// bindingLife is longer than that of any challenge.
const bindingLife = 10 * time.Minute

// binding returns the secret of the browser that challenges are bound to, which it keeps in a
// cookie, or a new one.
func (h *Session) binding(r *http.Request) string {
	return cmp.Or(h.boundTo(r), rand.Text()) // tabs that sign in side by side have one
}

// boundTo returns that secret, empty for none.
func (h *Session) boundTo(r *http.Request) string {
	if has := h.Cookies.values(r, bindingCookie); len(has) == 1 {
		return has[0]
	}
	return ""
}

type factorRequest struct {
	Challenge string `json:"challenge"`
	Method    string `json:"method"`
	Code      string `json:"code"`
	Remember  bool   `json:"remember"`
}

// factor goes on with a sign-in for which a second factor was due.
func (h *Session) factor(c *gin.Context) error {
	var req factorRequest
	if err := readJSON(c.Request, &req); err != nil {
		return err
	}
	var bad input.Error
	for _, member := range []struct{ name, value string }{{"challenge", req.Challenge}, {"code", req.Code}} {
		if member.value == "" {
			bad.Add(member.name, input.Required, "%s must not be empty.", member.name)
		}
	}
	if by := factors.Method(req.Method); by != factors.ByTOTP && by != factors.ByRecoveryCode {
		bad.Add("method", input.Invalid, "method must be %s or %s.", factors.ByTOTP, factors.ByRecoveryCode)
	}
	if err := bad.Err(); err != nil {
		return err
	}
	return h.prove(c, signin.SecondFactor{Challenge: req.Challenge, Method: factors.Method(req.Method), Code: req.Code, Remember: req.Remember}, h.boundTo(c.Request))
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
