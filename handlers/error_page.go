package handlers

import (
	"strings"

	"github.com/gin-gonic/gin"

	"countersign/pages"
	"countersign/refusals"
)

// errorPageKey is where WriteProblem finds the pages for a caller that takes them.
const errorPageKey = "error page"

// ForBrowsers has problems of every path answered with a page where Accept names text/html,
// as browsers' does when a user opens an address. Programs, and scripts of pages, which
// call with */*, get the problem. It must run before any handler that can end a request.
func (h *Hosted) ForBrowsers(c *gin.Context) {
	if accepts(c.Request.Header["Accept"], "text/html") {
		c.Set(errorPageKey, h)
	}
}

// pagesFor returns the pages for a caller that takes them, nil for others.
func pagesFor(c *gin.Context) *Hosted {
	h, _ := c.Value(errorPageKey).(*Hosted)
	return h
}

// problemMessages are the messages for problems, by kind. The others have one for all.
var problemMessages = map[string]string{
	"not_found": "not_found", "method_not_allowed": "not_a_page", "login_required": "login_first", "origin_not_allowed": "origin",
	"internal": "internal", "unavailable": "unavailable", "overloaded": "unavailable", "throttled": "unavailable",
}

// showProblem answers with the page that says what a problem says.
func (h *Hosted) showProblem(c *gin.Context, p *refusals.Problem) {
	h.prepare(c)
	d := pages.Data{Message: problemMessages[strings.TrimPrefix(p.Type, refusals.ProblemTypes)]}
	if d.Message == "" {
		d.Message, d.Detail = "refused", p.Detail
	}
	if err := h.show(c, p.Status, pages.Message, nil, d); err != nil {
		panic(err) // our templates have words for every problem
	}
}
