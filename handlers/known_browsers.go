package handlers

import (
	"github.com/gin-gonic/gin"

	"countersign/accounts"
	"countersign/browser"
	"countersign/caller"
	"countersign/ids"
	"countersign/seal"
)

// KnownBrowsers remembers in a cookie which accounts a browser is known to. An attacker
// who guesses passwords elsewhere then can't lock the owner out of this browser.
type KnownBrowsers struct {
	Cookies *Cookies
	Seal    *seal.Keys
}

func (k *KnownBrowsers) recognize(c *gin.Context) *browser.Known {
	return browser.Recognize(k.Seal, k.Cookies.values(c.Request, knownBrowserCookie))
}

// caller is callerOf plus the accounts that the browser is known to.
func (k *KnownBrowsers) caller(c *gin.Context, uiLocales string) caller.Caller {
	from := callerOf(c, uiLocales)
	from.Browser = k.recognize(c).Knows
	return from
}

// signingIn is caller for a sign-in, for which it counts, too, that the browser is remembered.
// binding is what a challenge is bound to.
func (k *KnownBrowsers) signingIn(c *gin.Context, uiLocales, binding string) caller.Caller {
	from := k.caller(c, uiLocales)
	from.Remembers, from.Binding = k.recognize(c).Proof, binding
	return from
}

// remember makes the browser known to the account of a user who has just signed in with
// it. keep, if not nil, is what it has to keep of a second factor.
func (k *KnownBrowsers) remember(c *gin.Context, user *accounts.User, keep *browser.Proof) {
	k.Cookies.set(c, knownBrowserCookie, k.recognize(c).Remember(user.ID, user.Epoch, keep), browser.KnownFor)
}

// stillKnown is renew for a user whose account has just moved on, so that all other browsers
// are strangers to it.
func (k *KnownBrowsers) stillKnown(c *gin.Context, users *accounts.Users, id ids.User) {
	if user, err := users.ByID(c.Request.Context(), id); err == nil {
		k.renew(c, &user)
	}
}

// renew moves a browser that is known to an account to the account's new epoch. It does
// nothing for other callers, which may not be browsers at all.
func (k *KnownBrowsers) renew(c *gin.Context, user *accounts.User) {
	if id, _ := k.recognize(c).Knows(user.ID); id != "" {
		k.remember(c, user, nil)
	}
}
