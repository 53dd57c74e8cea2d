package handlers

import (
	"time"

	"github.com/gin-gonic/gin"

	"countersign/accounts"
	"countersign/browser"
	"countersign/caller"
	"countersign/seal"
)

// Devices remembers in a cookie which accounts a browser is known to, so that an
// attacker who guesses at their passwords elsewhere does not keep their owners out.
type Devices struct {
	Cookies *Cookies
	Seal    *seal.Keys
}

// knownFor is how long a browser is known to the accounts that were signed in to
// with it: as long as browsers keep a cookie.
const knownFor = 400 * 24 * time.Hour

func (d *Devices) recognize(c *gin.Context) *browser.Known {
	return browser.Recognize(d.Seal, d.Cookies.values(c.Request, deviceCookie))
}

// caller is callerOf with the accounts that the browser is known to.
func (d *Devices) caller(c *gin.Context, uiLocales string) caller.Caller {
	from := callerOf(c, uiLocales)
	from.Browser = d.recognize(c).Knows
	return from
}

// remember makes a browser known to an account whose owner uses it.
func (d *Devices) remember(c *gin.Context, user *accounts.User) {
	d.Cookies.set(c, deviceCookie, d.recognize(c).Remember(user.ID, user.Epoch), knownFor)
}

// renew makes a browser that is known to an account so in a new epoch. What isn't
// may be no browser at all.
func (d *Devices) renew(c *gin.Context, user *accounts.User) {
	if id, _ := d.recognize(c).Knows(user.ID); id != "" {
		d.remember(c, user)
	}
}
