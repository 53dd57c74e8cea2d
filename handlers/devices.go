package handlers

import (
	"time"

	"github.com/gin-gonic/gin"

	"countersign/accounts"
	"countersign/browser"
	"countersign/caller"
	"countersign/seal"
)

// Devices remembers in a cookie which accounts a browser is known to. An attacker who
// guesses passwords elsewhere then can't lock the owner out of this browser.
type Devices struct {
	Cookies *Cookies
	Seal    *seal.Keys
}

// knownFor is how long a browser stays known to an account after a sign-in: as long as
// browsers keep a cookie.
const knownFor = 400 * 24 * time.Hour

func (d *Devices) recognize(c *gin.Context) *browser.Known {
	return browser.Recognize(d.Seal, d.Cookies.values(c.Request, deviceCookie))
}

// caller is callerOf plus the accounts that the browser is known to.
func (d *Devices) caller(c *gin.Context, uiLocales string) caller.Caller {
	from := callerOf(c, uiLocales)
	from.Browser = d.recognize(c).Knows
	return from
}

// remember makes the browser known to the account of a user who has just signed in with
// it.
func (d *Devices) remember(c *gin.Context, user *accounts.User) {
	d.Cookies.set(c, deviceCookie, d.recognize(c).Remember(user.ID, user.Epoch), knownFor)
}

// renew moves a browser that is known to an account to the account's new epoch. It does
// nothing for other callers, which may not be browsers at all.
func (d *Devices) renew(c *gin.Context, user *accounts.User) {
	if id, _ := d.recognize(c).Knows(user.ID); id != "" {
		d.remember(c, user)
	}
}
