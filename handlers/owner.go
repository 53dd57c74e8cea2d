package handlers

import (
	"errors"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/oauth"
	"countersign/refusals"
	"countersign/signin"
	"countersign/tokens"
)

// Owner calls next with a session of the user whose account the request is about. It
// takes one of two proofs: the browser's own session, by its cookie and from a page that
// may use /session; or an access token of one of our own applications that has the scope
// account and is for this server alone. Where a request has both, the token decides. No
// other application may manage the account, and no other token, because others see it.
func (b *Bearer) Owner(next func(*gin.Context, tokens.Session) error) gin.HandlerFunc {
	return b.handle(func(c *gin.Context) error {
		find, lost := b.sessionOfCookie, askForOwner
		if len(c.Request.Header.Values("Authorization")) > 0 {
			find, lost = b.sessionOfToken, b.fail
		}
		mine, ok, err := find(c)
		if !ok || err != nil {
			return err
		}
		err = next(c, mine)
		if _, known := refusals.ForBearer(err, b.Unavailable); err != nil && known { // the session or the user was removed during the request
			lost(c, err)
			return nil
		}
		return err
	})
}

// sessionOfToken returns the session of the access token in the header. It returns false
// if there is none to use; it has then answered.
func (b *Bearer) sessionOfToken(c *gin.Context) (tokens.Session, bool, error) {
	access, ok := b.fromHeader(c, oauth.ScopeAccount)
	if !ok {
		return tokens.Session{}, false, nil
	}
	if !access.Account || access.Session.ID.IsZero() {
		challenge(c, oauth.Refuse(oauth.InsufficientScope,
			"the access token must be a user's, from a first-party client, with the scope account, and for no other resource than the issuer"), oauth.ScopeAccount)
		return tokens.Session{}, false, nil
	}
	return access.Session, true, nil
}

// sessionOfCookie returns the browser's session. It returns false if there is none, or
// if the request comes from a page that may not use it; it has then answered.
func (b *Bearer) sessionOfCookie(c *gin.Context) (tokens.Session, bool, error) {
	if b.SameOrigin(c); c.IsAborted() {
		return tokens.Session{}, false, nil
	}
	has := b.Cookies.values(c.Request, refreshCookie)
	session, err := b.Browser.Holder(c.Request.Context(), time.Now(), has, callerOf(c, ""))
	if errors.Is(err, signin.ErrLoginRequired) {
		if len(has) > 0 {
			b.Cookies.clear(c)
		}
		askForOwner(c, err)
		return tokens.Session{}, false, nil
	}
	if err != nil {
		return tokens.Session{}, false, err
	}
	logClient(c, session.ClientID)
	c.Set(SubjectKey, session.UserID.String())
	return session, true, nil
}

// askForOwner answers that no user is signed in.
func askForOwner(c *gin.Context, _ error) { askForToken(c, oauth.ScopeAccount) }
