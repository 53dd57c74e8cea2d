package handlers

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/accounts"
	"countersign/factors"
	"countersign/ids"
	"countersign/input"
	"countersign/refusals"
	"countersign/secrecy"
	"countersign/signin"
	"countersign/tokens"
)

// Account serves /account, where users manage their own account.
type Account struct {
	Failures
	Bearer        *Bearer
	Users         *accounts.Users
	SignIns       *signin.Service
	Browser       *signin.Browser
	Tokens        *tokens.Service
	Cookies       *Cookies
	KnownBrowsers *KnownBrowsers
	Export        *Export
}

// Mount adds the endpoint's routes.
func (h *Account) Mount(r gin.IRouter) {
	r.GET("/account/sessions", h.Bearer.Owner(h.sessions))
	r.DELETE("/account/sessions", h.Bearer.Owner(h.endOthers))
	r.DELETE("/account/sessions/:id", h.Bearer.Owner(h.endSession))
	r.POST("/account/proof", h.Bearer.Owner(h.proof))
	r.POST("/account/password", h.Bearer.Owner(h.changePassword))
	r.DELETE("/account/password", h.Bearer.Owner(h.removePassword))
	r.POST("/account/email", h.Bearer.Owner(h.changeEmail))
	r.GET("/account/export", h.Bearer.Owner(h.export))
	r.DELETE("/account", h.Bearer.Owner(h.delete))
}

// sessionsPage is how many sessions one answer lists, and the most that a caller can ask
// for.
const sessionsPage, mostSessions = 100, 200

func (h *Account) sessions(c *gin.Context, mine tokens.Session) error {
	limit, after, err := page(c)
	if err != nil {
		return err
	}
	some, err := h.Tokens.Page(c.Request.Context(), time.Now(), mine.UserID, after, limit)
	if err != nil {
		return err
	}
	answer := map[string]any{"sessions": describeOwn(some, is(mine.ID))}
	if len(some) == limit {
		answer["next"] = some[limit-1].ID.String()
	}
	neverCache(c)
	writeJSON(c, http.StatusOK, "application/json", answer)
	return nil
}

// page reads the parameters of a list that comes in pages: limit, and after, which is the
// next of the page before.
func page(c *gin.Context) (limit int, after ids.Session, err error) {
	var bad input.Error
	limit = sessionsPage
	if text, sent := c.GetQuery("limit"); sent {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > mostSessions {
			bad.Add("limit", input.Invalid, "limit must be 1 to %d.", mostSessions)
		}
	}
	if text, sent := c.GetQuery("after"); sent {
		if after, err = ids.Parse[ids.Session](text); err != nil {
			bad.Add("after", input.Invalid, "after must be the next of an answer.")
		}
	}
	return limit, after, bad.Err()
}

func (h *Account) endSession(c *gin.Context, mine tokens.Session) error {
	id, err := ids.Parse[ids.Session](c.Param("id"))
	if err != nil {
		return errNoSession
	}
	switch err := h.Tokens.EndSessionOf(c.Request.Context(), time.Now(), mine.UserID, id, callerOf(c, "")); {
	case errors.Is(err, tokens.ErrUnknown):
		return errNoSession
	case err != nil:
		return err
	}
	return noContent(c)
}

func (h *Account) endOthers(c *gin.Context, mine tokens.Session) error {
	if _, err := h.Tokens.EndOtherSessions(c.Request.Context(), time.Now(), mine.UserID, ids.Place{Session: mine.ID}, callerOf(c, "")); err != nil {
		return err
	}
	if user, err := h.Users.ByID(c.Request.Context(), mine.UserID); err == nil { // other browsers are strangers now, this one isn't
		h.KnownBrowsers.renew(c, &user)
	}
	return noContent(c)
}

type changePasswordRequest struct {
	Current   secrecy.Text `json:"current_password"`
	New       secrecy.Text `json:"new_password"`
	UILocales string       `json:"ui_locales"`
}

func (h *Account) changePassword(c *gin.Context, mine tokens.Session) error {
	var req changePasswordRequest
	if err := readJSON(c.Request, &req); err != nil {
		return err
	}
	now, from := time.Now(), h.KnownBrowsers.caller(c, req.UILocales)
	proven, err := h.SignIns.ConfirmAnew(c.Request.Context(), now, signin.OwnerIn(&mine), req.Current, from)
	if err != nil {
		return wrongPassword(err)
	}
	user, err := h.Users.ChangePassword(c.Request.Context(), now, proven, ids.Place{Session: mine.ID}, req.New, from)
	if err != nil {
		return wrongPassword(err)
	}
	h.KnownBrowsers.renew(c, &user)
	return noContent(c)
}

// removePassword leaves the user the other ways to sign in.
func (h *Account) removePassword(c *gin.Context, mine tokens.Session) error {
	var req passwordRequest
	if err := readOptional(c.Request, &req); err != nil {
		return err
	}
	now, from := time.Now(), h.KnownBrowsers.caller(c, "")
	proven, err := h.SignIns.Confirm(c.Request.Context(), now, signin.OwnerIn(&mine), req.Current, from)
	if err != nil {
		return wrongPassword(err)
	}
	user, err := h.Users.RemovePassword(c.Request.Context(), now, proven, ids.Place{Session: mine.ID}, from)
	if err != nil {
		return wrongPassword(err)
	}
	h.KnownBrowsers.renew(c, &user)
	return noContent(c)
}

// wrongPassword names the member that holds the wrong password. The request isn't a
// sign-in, so the answer may tell.
func wrongPassword(err error) error {
	if errors.Is(err, accounts.ErrBadCredentials) {
		return refusals.InvalidInput(input.Problem{Field: "current_password", Code: input.Invalid, Detail: "current_password is not the account's password."})
	}
	return err
}

func (h *Account) export(c *gin.Context, mine tokens.Session) error {
	return h.Export.answer(c, mine.UserID, is(mine.ID))
}

// is returns whether a session is the one with an id.
func is(id ids.Session) func(*tokens.Session) bool {
	return func(s *tokens.Session) bool { return s.ID == id }
}

// proofRequest has one of three proofs.
type proofRequest struct {
	Current secrecy.Text `json:"current_password"`

	Code string `json:"code"` // of an authenticator app

	Challenge  string          `json:"challenge"` // of /session/passkey/options
	Credential json.RawMessage `json:"credential"`
}

// proof takes a proof for the changes that the session is about to ask for.
func (h *Account) proof(c *gin.Context, mine tokens.Session) error {
	var req proofRequest
	if err := readJSON(c.Request, &req); err != nil {
		return err
	}
	var bad input.Error
	var p signin.Proof
	byPasskey := req.Challenge != "" || len(req.Credential) > 0
	switch {
	case req.Current == "" && req.Code == "" && !byPasskey:
		required(&bad, "current_password", "")
	case req.Current != "" && req.Code == "" && !byPasskey:
		p = signin.OwnPassword{UserID: mine.UserID, At: ids.Place{Session: mine.ID}, Password: req.Current}
	case req.Current == "" && (req.Code == "" || !byPasskey):
		if byPasskey {
			required(&bad, "challenge", req.Challenge)
			required(&bad, "credential", string(req.Credential))
		}
		p = signin.OwnFactor{UserID: mine.UserID, Code: req.Code, Challenge: req.Challenge, Passkey: req.Credential}
	default:
		bad.Add("current_password", input.NotAllowed, "send one proof: current_password, code, or challenge and credential.")
	}
	if err := bad.Err(); err != nil {
		return err
	}
	from := h.KnownBrowsers.caller(c, "")
	from.Binding = bindingOf(h.Cookies.boundTo(c.Request))
	if err := h.SignIns.ProveSession(c.Request.Context(), time.Now(), &mine, p, from); errors.Is(err, factors.ErrBadCode) && byPasskey {
		return refusals.InvalidInput(input.Problem{Field: "credential", Code: input.Invalid, Detail: "credential is no answer of a passkey of yours to this challenge."})
	} else if errors.Is(err, factors.ErrBadCode) {
		return errWrongCode
	} else if err != nil {
		return wrongPassword(err)
	}
	return noContent(c)
}

// confirm checks that the account's owner makes the request: see signin.Service.Confirm.
func (h *Account) confirm(c *gin.Context, mine *tokens.Session, password secrecy.Text) error {
	_, err := h.SignIns.Confirm(c.Request.Context(), time.Now(), signin.OwnerIn(mine), password, h.KnownBrowsers.caller(c, ""))
	return wrongPassword(err)
}

type changeEmailRequest struct {
	Email     string       `json:"email"`
	Current   secrecy.Text `json:"current_password"`
	UILocales string       `json:"ui_locales"`
}

func (h *Account) changeEmail(c *gin.Context, mine tokens.Session) error {
	var req changeEmailRequest
	if err := readJSON(c.Request, &req); err != nil {
		return err
	}
	if err := h.confirm(c, &mine, req.Current); err != nil {
		return err
	}
	err := h.Users.RequestEmailChange(c.Request.Context(), time.Now(), mine.UserID, ids.Place{Session: mine.ID}, req.Email, callerOf(c, req.UILocales))
	return accepted(c, err)
}

type passwordRequest struct {
	Current secrecy.Text `json:"current_password"`
}

func (h *Account) delete(c *gin.Context, mine tokens.Session) error {
	var req passwordRequest
	if err := readOptional(c.Request, &req); err != nil {
		return err
	}
	if err := h.confirm(c, &mine, req.Current); err != nil {
		return err
	}
	if err := h.Users.DeleteOwn(c.Request.Context(), time.Now(), mine.UserID, ids.Place{Session: mine.ID}, callerOf(c, "")); err != nil {
		return err
	}
	// The browser may be signed in as another user, too, and is about to forget it.
	if err := h.Browser.SignOut(c.Request.Context(), time.Now(), h.Cookies.ending(c.Request), callerOf(c, "")); err != nil {
		h.Log.WarnContext(c.Request.Context(), "another session of the browser lives on", "request_id", RequestID(c), "err", err)
	}
	h.Cookies.clear(c)
	return noContent(c)
}

// noContent answers 204.
func noContent(c *gin.Context) error {
	neverCache(c)
	c.Status(http.StatusNoContent)
	return nil
}
