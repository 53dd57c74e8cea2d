package handlers

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"countersign/pages"
)

// Home serves the issuer's own address, which leads on, and /me, which tells users that they
// are signed in.
type Home struct{ *Hosted }

// Mount adds the routes. Where the issuer has a path, the root leads there, too.
func (h *Home) Mount(root, r gin.IRouter, demo bool) {
	r.GET("/me", h.page(h.me))
	if demo {
		return
	}
	r.GET("/", h.page(h.start))
	if h.Base != "" {
		r.GET("", h.page(h.start))
		root.GET("/", h.page(h.start))
	}
}

func (h *Home) start(c *gin.Context) error { return h.redirect(c, h.home()) }

func (h *Home) me(c *gin.Context) error {
	l, err := h.login(c)
	if err != nil {
		return err
	}
	if l == nil {
		return h.redirect(c, h.Base+"/login")
	}
	return h.show(c, http.StatusOK, pages.Me, nil, pages.Data{Username: l.Username, Forgot: h.Mail})
}
