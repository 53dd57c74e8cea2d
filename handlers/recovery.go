package handlers

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/accounts"
	"countersign/tokens"
)

// Recovery is what people do with their account by mail: set a new password when
// they forgot it, prove an address, and change it.
type Recovery struct {
	Failures
	Bearer  *Bearer
	Account *Account
	Devices *Devices
	Users   *accounts.Users
}

// Mount adds the endpoint's routes.
func (h *Recovery) Mount(r gin.IRouter) {
	r.POST("/account/password/forgot", h.handle(h.forgot))
	r.POST("/account/password/reset", h.handle(h.reset))
	r.POST("/account/email/resend", h.handle(h.resend))
	r.POST("/account/email/verify", h.handle(h.verify))
	r.POST("/account/email", h.Bearer.Owner(h.changeEmail))
}

// maxLanguage bounds what people prefer to read.
const maxLanguage = 255

// language is what the reader of a letter prefers: the languages that the
// application names, as in OpenID Connect's ui_locales, or those of the browser.
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

func (h *Recovery) correspondent(c *gin.Context) (accounts.Correspondent, error) {
	var req correspondRequest
	if err := readJSON(c.Request, &req); err != nil {
		return accounts.Correspondent{}, err
	}
	return accounts.Correspondent{
		Email: req.Email, Username: req.Username, Language: language(c, req.UILocales), Address: c.ClientIP(),
	}, nil
}

func (h *Recovery) forgot(c *gin.Context) error {
	who, err := h.correspondent(c)
	if err == nil {
		err = h.Users.RequestReset(c.Request.Context(), time.Now(), who)
	}
	return accepted(c, err)
}

func (h *Recovery) resend(c *gin.Context) error {
	who, err := h.correspondent(c)
	if err == nil {
		err = h.Users.ResendVerification(c.Request.Context(), time.Now(), who)
	}
	return accepted(c, err)
}

type resetRequest struct {
	Token     string `json:"token"`
	Password  string `json:"new_password"`
	UILocales string `json:"ui_locales"`
}

func (h *Recovery) reset(c *gin.Context) error {
	var req resetRequest
	if err := readJSON(c.Request, &req); err != nil {
		return err
	}
	user, err := h.Users.ResetPassword(c.Request.Context(), time.Now(), req.Token, req.Password, language(c, req.UILocales), origin(c))
	if err != nil {
		return badToken(err)
	}
	h.Devices.remember(c, &user)
	return noContent(c)
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
	if err := h.Users.ConfirmEmail(c.Request.Context(), time.Now(), req.Token, language(c, req.UILocales), origin(c)); err != nil {
		return badToken(err)
	}
	return noContent(c)
}

type changeEmailRequest struct {
	Email     string `json:"email"`
	Current   string `json:"current_password"`
	UILocales string `json:"ui_locales"`
}

func (h *Recovery) changeEmail(c *gin.Context, mine tokens.Session) error {
	var req changeEmailRequest
	if err := readJSON(c.Request, &req); err != nil {
		return err
	}
	if err := h.Account.prove(c, &mine, req.Current); err != nil {
		return err
	}
	err := h.Users.RequestEmailChange(c.Request.Context(), time.Now(), mine.UserID, mine.ID, req.Email, language(c, req.UILocales), c.ClientIP())
	return accepted(c, err)
}

// accepted says that a mail is on its way, if there is anybody to send it to.
func accepted(c *gin.Context, err error) error {
	if errors.Is(err, accounts.ErrNoMail) {
		return errNoMail
	}
	if err != nil {
		return err
	}
	neverCache(c)
	c.Status(http.StatusAccepted)
	return nil
}

// badToken says what is wrong with a mailed token.
func badToken(err error) error {
	if errors.Is(err, accounts.ErrBadToken) {
		return invalidInput(FieldError{"token", accounts.Invalid, "token is not one that was mailed, or has been used, or is too old: ask for another mail."})
	}
	return err
}
