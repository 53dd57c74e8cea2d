package handlers

import (
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/pages"
	"countersign/theme"
	"countersign/web"
)

// Assets serves the files that browsers load from us: the sign-in module, to pages of
// any origin, and the demo app, if there is one.
type Assets struct {
	Demo  fs.FS
	Theme *theme.Theme // nil: our own
}

// Mount adds the routes.
func (h *Assets) Mount(r gin.IRouter) error {
	asset(r, "/assets/countersign.js", web.Module, moduleMaxAge)
	asset(r, "/assets/countersign.d.ts", web.Types, moduleMaxAge)
	asset(r, "/assets/pages.css", pages.Style, moduleMaxAge)
	asset(r, "/assets/pages.svg", pages.Icon, moduleMaxAge)
	asset(r, "/assets/form-post.js", pages.FormPostScript, moduleMaxAge)
	asset(r, "/assets/deliberate.js", pages.DeliberateScript, moduleMaxAge)
	asset(r, "/assets/mailed-link.js", pages.MailedLinkScript, moduleMaxAge)
	asset(r, "/assets/password.js", pages.PasswordScript, moduleMaxAge)
	asset(r, "/assets/passkey.js", pages.PasskeyScript, moduleMaxAge)
	asset(r, "/assets/answered.js", pages.AnsweredScript, moduleMaxAge)
	asset(r, "/assets/strength.js", pages.StrengthScript, moduleMaxAge)
	worker := newDocument(assetTypes[".js"], pages.StrengthWorker)
	r.GET("/assets/strength-worker.js", func(c *gin.Context) {
		cacheControl := cacheFor(moduleMaxAge)
		if c.Query("v") == pages.StrengthVersion {
			cacheControl = forever
		}
		worker.answer(c, cacheControl)
	})
	if h.Theme != nil {
		for _, a := range h.Theme.Assets() {
			d := newDocument(a.Type, a.Body)
			r.GET(a.Path, func(c *gin.Context) { d.answer(c, forever) })
		}
	}
	if h.Demo == nil {
		return nil
	}
	policy := func(c *gin.Context) { c.Header("Content-Security-Policy", demoCSP) }
	start := func(c *gin.Context) {
		to := url.URL{Path: "demo/index.html", RawQuery: c.Request.URL.RawQuery} // the query selects how the demo signs in
		c.Redirect(http.StatusFound, to.String())
	}
	r.GET("/demo", policy, start)
	r.GET("/", policy, start)
	return fs.WalkDir(h.Demo, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := fs.ReadFile(h.Demo, name)
		asset(r, "/demo/"+name, body, 0, policy)
		return err
	})
}

// moduleMaxAge is how long browsers may cache the module. It is short because a new
// version has the same address.
const moduleMaxAge = 10 * time.Minute

// forever is the Cache-Control of what has another address when it changes.
var forever = []string{"public, max-age=31536000, immutable"}

// demoCSP lets the demo run its own scripts and no others, and call APIs of this
// machine. It stops browsers from submitting forms: if a script failed, a submitted
// form would put the password into the URL.
const demoCSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
	"connect-src 'self' http://localhost:* http://127.0.0.1:*; frame-ancestors 'none'; base-uri 'none'; " +
	"form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// assetTypes are the media types by extension. The operating system's own list may
// differ.
var assetTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".ts":   "application/typescript; charset=utf-8",
}

// asset serves a file. The handlers in before run first.
func asset(r gin.IRouter, at string, body []byte, maxAge time.Duration, before ...gin.HandlerFunc) {
	d, cacheControl := newDocument(assetTypes[path.Ext(at)], body), cacheFor(maxAge)
	r.GET(at, append(before, func(c *gin.Context) { d.answer(c, cacheControl) })...)
}
