package handlers

import "github.com/gin-gonic/gin"

// Home serves the issuer's own address, which leads on.
type Home struct{ *Hosted }

// Mount adds the routes. Where the issuer has a path, the root leads there, too.
func (h *Home) Mount(root, r gin.IRouter, demo bool) {
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
