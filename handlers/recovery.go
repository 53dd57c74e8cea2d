package handlers

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/accounts"
	"countersign/caller"
	"countersign/secrecy"
	"countersign/signin"
)

// Recovery serves what users do by mail, signed in or not: set a new password after
// forgetting the old one, and verify an address.
type Recovery struct {
	Failures
	KnownBrowsers *KnownBrowsers
	Users         *accounts.Users
	SignIns       *signin.Service
}

// Mount adds the endpoint's routes.
func (h *Recovery) Mount(r gin.IRouter) {
	r.POST("/account/password/forgot", h.handle(h.forgot))
	r.POST("/account/password/reset", h.handle(h.reset))
	r.POST("/account/email/resend", h.handle(h.resend))
	r.POST("/account/email/verify", h.handle(h.verify))
}

// maxLanguage bounds a list of preferred languages, in bytes.
const maxLanguage = 255

// language returns the languages that the reader of a letter prefers: those that the
// application names, as in OpenID Connect's ui_locales, or else the browser's.
func language(c *gin.Context, uiLocales string) string {
	text := cmp.Or(strings.Join(strings.Fields(uiLocales), ", "), c.GetHeader("Accept-Language"))
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, text)
	return text[:min(len(text), maxLanguage)]
}

type correspondRequest struct {
	Email     string `json:"email"`
	Username  string `json:"username"`
	UILocales string `json:"ui_locales"`
}

func (h *Recovery) correspondent(c *gin.Context) (accounts.Correspondent, caller.Caller, error) {
	var req correspondRequest
	if err := readJSON(c.Request, &req); err != nil {
		return accounts.Correspondent{}, caller.Caller{}, err
	}
	return accounts.Correspondent{Email: req.Email, Username: req.Username}, h.KnownBrowsers.caller(c, req.UILocales), nil
}

func (h *Recovery) forgot(c *gin.Context) error {
	who, from, err := h.correspondent(c)
	if err == nil {
		err = h.Users.RequestReset(c.Request.Context(), time.Now(), who, from)
	}
	return accepted(c, err)
}

func (h *Recovery) resend(c *gin.Context) error {
	who, from, err := h.correspondent(c)
	if err == nil {
		err = h.Users.ResendVerification(c.Request.Context(), time.Now(), who, from)
	}
	return accepted(c, err)
}

type resetRequest struct {
	Token     string       `json:"token"`
	Password  secrecy.Text `json:"new_password"`
	UILocales string       `json:"ui_locales"`
}

func (h *Recovery) reset(c *gin.Context) error {
	var req resetRequest
	if err := readJSON(c.Request, &req); err != nil {
		return err
	}
	o, err := h.SignIns.Prove(c.Request.Context(), time.Now(), signin.Reset{Token: req.Token, Password: req.Password}, callerOf(c, req.UILocales))
	if err == nil && o.State == signin.SignedIn { // a mailbox is no second factor
		h.KnownBrowsers.remember(c, &o.User, nil)
	}
	if err == nil && o.Repeated {
		err = accounts.ErrAlreadyDone
	}
	return done(c, err)
}

type verifyRequest struct {
	Token     string `json:"token"`
	UILocales string `json:"ui_locales"`
}

func (h *Recovery) verify(c *gin.Context) error {
	var req verifyRequest
	if err := readJSON(c.Request, &req); err != nil {
		return err
	}
	return done(c, h.Users.ConfirmEmail(c.Request.Context(), time.Now(), req.Token, callerOf(c, req.UILocales)))
}

type doneResponse struct {
	Status string `json:"status"`
}

// done answers 204 after a mailed token was used, and 200 with a status if it had been
// before: a user who presses twice has made no mistake.
func done(c *gin.Context, err error) error {
	if errors.Is(err, accounts.ErrAlreadyDone) {
		neverCache(c)
		writeJSON(c, http.StatusOK, "application/json", doneResponse{"already_done"})
		return nil
	}
	if err != nil {
		return err
	}
	return noContent(c)
}

// accepted answers 202: a mail is on its way, if there is an account to send it to.
func accepted(c *gin.Context, err error) error {
	if err != nil {
		return err
	}
	neverCache(c)
	c.Status(http.StatusAccepted)
	return nil
}
