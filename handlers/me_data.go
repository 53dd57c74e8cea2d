package handlers

import (
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/input"
	"countersign/pages"
	"countersign/secrecy"
)

const (
	doDelete = "delete"
	// deletedPath is where the deletion of an account ends. Its notice has the same code.
	deletedPath   = "/me/deleted"
	deletedNotice = "deleted"
)

// data is /me/data: the export, and the deletion of the account.
func (h *Me) data() mePage {
	return mePage{
		name: pages.MeData,
		fill: func(*visit, *pages.Data, url.Values) error { return nil },
		do: map[string]func(*visit, url.Values) (string, error){
			"export": func(v *visit, _ url.Values) (string, error) { return "", h.Export.answer(v.Context, v.user.ID, v.here) },
			doDelete: h.delete,
		},
	}
}

func (h *Me) delete(v *visit, form url.Values) (string, error) {
	if form.Get("confirm") != "yes" {
		var bad input.Error
		bad.Add("confirm", input.Required, "confirm must be yes.")
		return "", bad.Err()
	}
	if _, err := h.SignIns.Confirm(v.ctx(), v.now, v.owner, secrecy.Text(form.Get("current_password")), v.from); err != nil {
		return "", err
	}
	if err := h.Users.DeleteOwn(v.ctx(), v.now, v.user.ID, v.owner.At, v.from); err != nil {
		return "", err
	}
	return "", h.farewell(v.Context)
}

// farewell has the browser forget an account that is gone.
func (h *Me) farewell(c *gin.Context) error {
	// The browser may be signed in to an application as another user, too.
	applications := h.KnownBrowsers.Cookies
	if err := h.Browser.SignOut(c.Request.Context(), time.Now(), applications.ending(c.Request), callerOf(c, "")); err != nil {
		h.Log.WarnContext(c.Request.Context(), "another session of the browser lives on", "request_id", RequestID(c), "err", err)
	}
	applications.clear(c)
	h.Cookies.set(c, loginCookie, "", 0)
	h.notify(c, deletedNotice)
	return h.redirect(c, h.Base+deletedPath)
}

// deleted says to the browser in which it happened that the account is deleted. It leads all
// others to the sign-in.
func (h *Me) deleted(c *gin.Context) error {
	if h.noticed(c) != deletedNotice {
		return h.redirect(c, h.Base+"/login")
	}
	return h.show(c, http.StatusOK, pages.Message, nil, pages.Data{Message: deletedNotice})
}
