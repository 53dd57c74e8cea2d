package handlers

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/accounts"
	"countersign/api"
	"countersign/factors"
	"countersign/ids"
	"countersign/signin"
	"countersign/tokens"
)

// Factors serves /account/factors, where users set up what they prove besides the password.
// All but the list needs a proof, as a change of the account does.
type Factors struct {
	Bearer        *Bearer
	Users         *accounts.Users
	SignIns       *signin.Service
	Factors       *factors.Service
	KnownBrowsers *KnownBrowsers
}

// Mount adds the endpoint's routes.
func (h *Factors) Mount(r gin.IRouter) {
	r.GET("/account/factors", h.Bearer.Owner(h.list))
	r.POST("/account/factors/totp", h.Bearer.Owner(h.enrol))
	r.POST("/account/factors/totp/:id/confirm", h.Bearer.Owner(h.confirm))
	r.POST("/account/factors/passkeys/options", h.Bearer.Owner(h.passkeyOptions))
	r.POST("/account/factors/passkeys", h.Bearer.Owner(h.addPasskey))
	r.POST("/account/factors/recovery_codes", h.Bearer.Owner(h.renew))
	r.PATCH("/account/factors/:id", h.Bearer.Owner(h.rename))
	r.DELETE("/account/factors/:id", h.Bearer.Owner(h.remove))
}

func (h *Factors) list(c *gin.Context, mine tokens.Session) error {
	all, err := h.Factors.Of(c.Request.Context(), mine.UserID)
	if err != nil {
		return err
	}
	answer := map[string]any{"factors": api.List(all, api.DescribeFactor)}
	accepted, err := h.Factors.Accepted(c.Request.Context(), mine.UserID)
	if err != nil {
		return err
	}
	if accepted != nil {
		answer["accepted_passkeys"] = accepted
	}
	neverCache(c)
	writeJSON(c, http.StatusOK, "application/json", answer)
	return nil
}

// proven refuses a session that has not given a proof of late, or no second factor where the
// user has one.
func (h *Factors) proven(c *gin.Context, mine *tokens.Session) error {
	return h.SignIns.ConfirmForFactors(c.Request.Context(), time.Now(), signin.OwnerIn(mine), "", h.KnownBrowsers.caller(c, ""))
}

type nameRequest struct {
	Name string `json:"name"`
}

func (h *Factors) enrol(c *gin.Context, mine tokens.Session) error {
	var req nameRequest
	if err := cmp.Or(readOptional(c.Request, &req), h.proven(c, &mine)); err != nil {
		return err
	}
	user, err := h.Users.ByID(c.Request.Context(), mine.UserID)
	if err != nil {
		return err
	}
	e, err := h.Factors.Enrol(c.Request.Context(), time.Now(), mine.UserID, cmp.Or(user.Username, user.Email), req.Name, ids.Place{Session: mine.ID})
	if err != nil {
		return err
	}
	neverCache(c)
	writeJSON(c, http.StatusCreated, "application/json", map[string]any{"id": e.ID, "secret": e.Secret, "otpauth_uri": e.URI})
	return nil
}

type codeRequest struct {
	Code string `json:"code"`
}

func (h *Factors) confirm(c *gin.Context, mine tokens.Session) error {
	var req codeRequest
	if err := cmp.Or(readJSON(c.Request, &req), h.proven(c, &mine)); err != nil {
		return err
	}
	id, err := factorID(c)
	if err != nil {
		return err
	}
	codes, err := h.Factors.Confirm(c.Request.Context(), time.Now(), mine.UserID, id, req.Code, ids.Place{Session: mine.ID}, h.KnownBrowsers.caller(c, ""))
	if errors.Is(err, factors.ErrBadCode) {
		return errWrongCode
	}
	if err != nil {
		return err
	}
	answer := map[string]any{}
	if codes != nil {
		answer["recovery_codes"] = codes
	}
	if codes != nil {
		h.KnownBrowsers.stillKnown(c, h.Users, mine.UserID)
	}
	neverCache(c)
	writeJSON(c, http.StatusOK, "application/json", answer)
	return nil
}

func (h *Factors) passkeyOptions(c *gin.Context, mine tokens.Session) error {
	if err := cmp.Or(readOptional(c.Request, &struct{}{}), h.proven(c, &mine)); err != nil {
		return err
	}
	user, err := h.Users.ByID(c.Request.Context(), mine.UserID)
	if err != nil {
		return err
	}
	options, err := h.Factors.CreationOptions(c.Request.Context(), time.Now(), user.ID, cmp.Or(user.Username, user.Email), ids.Place{Session: mine.ID})
	if err != nil {
		return err
	}
	neverCache(c)
	writeJSON(c, http.StatusOK, "application/json", map[string]any{"publicKey": options})
	return nil
}

type newPasskeyRequest struct {
	Name       string          `json:"name"`
	Credential json.RawMessage `json:"credential"`
}

func (h *Factors) addPasskey(c *gin.Context, mine tokens.Session) error {
	var req newPasskeyRequest
	if err := cmp.Or(readJSON(c.Request, &req), h.proven(c, &mine)); err != nil {
		return err
	}
	p, codes, err := h.Factors.AddPasskey(c.Request.Context(), time.Now(), mine.UserID, req.Name, req.Credential, ids.Place{Session: mine.ID}, h.KnownBrowsers.caller(c, ""))
	if errors.Is(err, factors.ErrBadPasskey) {
		return errBadNewPasskey
	}
	if err != nil {
		return err
	}
	answer := struct {
		api.Factor
		Codes []string `json:"recovery_codes,omitempty"` // with the first factor
	}{api.DescribeFactor(p.Factor), codes}
	if codes != nil {
		h.KnownBrowsers.stillKnown(c, h.Users, mine.UserID)
	}
	neverCache(c)
	writeJSON(c, http.StatusCreated, "application/json", answer)
	return nil
}

func (h *Factors) renew(c *gin.Context, mine tokens.Session) error {
	if err := cmp.Or(readOptional(c.Request, &struct{}{}), h.proven(c, &mine)); err != nil {
		return err
	}
	codes, err := h.Factors.Renew(c.Request.Context(), time.Now(), mine.UserID, ids.Place{Session: mine.ID}, callerOf(c, ""))
	if err != nil {
		return err
	}
	neverCache(c)
	writeJSON(c, http.StatusCreated, "application/json", map[string]any{"recovery_codes": codes})
	return nil
}

func (h *Factors) rename(c *gin.Context, mine tokens.Session) error {
	var req nameRequest
	if err := cmp.Or(readJSON(c.Request, &req), h.proven(c, &mine)); err != nil {
		return err
	}
	id, err := factorID(c)
	if err != nil {
		return err
	}
	if err := h.Factors.Rename(c.Request.Context(), time.Now(), mine.UserID, id, req.Name, ids.Place{Session: mine.ID}); err != nil {
		return err
	}
	return noContent(c)
}

func (h *Factors) remove(c *gin.Context, mine tokens.Session) error {
	if err := h.proven(c, &mine); err != nil {
		return err
	}
	id, err := factorID(c)
	if err != nil {
		return err
	}
	if err := h.Factors.Remove(c.Request.Context(), time.Now(), mine.UserID, id, ids.Place{Session: mine.ID}, callerOf(c, "")); err != nil {
		return err
	}
	h.KnownBrowsers.stillKnown(c, h.Users, mine.UserID)
	return noContent(c)
}

// factorID returns the id in the path. One that is malformed names no factor.
func factorID(c *gin.Context) (ids.Factor, error) {
	id, err := ids.Parse[ids.Factor](c.Param("id"))
	if err != nil {
		return id, factors.ErrUnknown
	}
	return id, nil
}
