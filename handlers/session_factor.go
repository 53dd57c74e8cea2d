package handlers

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/factors"
	"countersign/input"
	"countersign/signin"
)

// bindingLife is longer than that of any challenge.
const bindingLife = 10 * time.Minute

// binding returns the secret of the browser that challenges are bound to, which it keeps in a
// cookie, or a new one.
func (k *Cookies) binding(r *http.Request) string {
	return cmp.Or(k.boundTo(r), rand.Text()) // tabs that sign in side by side have one
}

// boundTo returns that secret, empty for none.
func (k *Cookies) boundTo(r *http.Request) string {
	return k.only(r, bindingCookie)
}

// bindingOf is what challenges of a browser with a secret are bound to, empty for none.
func bindingOf(secret string) string {
	if secret == "" {
		return ""
	}
	return "browser " + secret
}

type factorRequest struct {
	Challenge  string          `json:"challenge"`
	Method     string          `json:"method"`
	Code       string          `json:"code"`
	Credential json.RawMessage `json:"credential"` // of a passkey, as WebAuthn JSON
	Remember   bool            `json:"remember"`
}

// factor goes on with a sign-in for which a second factor was due.
func (h *Session) factor(c *gin.Context) error {
	var req factorRequest
	if err := readJSON(c.Request, &req); err != nil {
		return err
	}
	p := signin.SecondFactor{Challenge: req.Challenge, Method: factors.Method(req.Method), Code: req.Code, Passkey: req.Credential, Remember: req.Remember}
	var bad input.Error
	required(&bad, "challenge", req.Challenge)
	switch p.Method {
	case factors.ByTOTP, factors.ByRecoveryCode:
		required(&bad, "code", req.Code)
	case factors.ByPasskey:
		required(&bad, "credential", string(req.Credential))
	default:
		bad.Add("method", input.Invalid, "method must be %s, %s or %s.", factors.ByTOTP, factors.ByPasskey, factors.ByRecoveryCode)
	}
	if err := bad.Err(); err != nil {
		return err
	}
	return h.prove(c, p, h.Cookies.boundTo(c.Request))
}

// required adds a member that is missing.
func required(bad *input.Error, member, value string) {
	if value == "" {
		bad.Add(member, input.Required, "%s must not be empty.", member)
	}
}

// askPasskey answers with what a page needs to ask for a passkey.
func (h *Session) askPasskey(c *gin.Context) error {
	if err := readOptional(c.Request, &struct{}{}); err != nil {
		return err
	}
	from, binding := callerOf(c, ""), h.Cookies.binding(c.Request)
	from.Binding = bindingOf(binding)
	challenge, options, err := h.SignIns.AskPasskey(time.Now(), from)
	if err != nil {
		return err
	}
	h.Cookies.set(c, bindingCookie, binding, bindingLife)
	neverCache(c)
	writeJSON(c, http.StatusOK, "application/json", map[string]any{"challenge": challenge, "publicKey": options})
	return nil
}

type passkeyRequest struct {
	Challenge  string          `json:"challenge"`
	Credential json.RawMessage `json:"credential"`
}

// passkey signs the user of a passkey in.
func (h *Session) passkey(c *gin.Context) error {
	var req passkeyRequest
	if err := readJSON(c.Request, &req); err != nil {
		return err
	}
	var bad input.Error
	required(&bad, "challenge", req.Challenge)
	required(&bad, "credential", string(req.Credential))
	if err := bad.Err(); err != nil {
		return err
	}
	return h.prove(c, signin.Passkey{Challenge: req.Challenge, Answer: req.Credential}, h.Cookies.boundTo(c.Request))
}
