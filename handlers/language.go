package handlers

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/authorize"
	"countersign/caller"
	"countersign/pages"
)

// languageParameter is what the links of the pages' language switch have in their query.
const languageParameter = "language"

// languageFor is how long the browser keeps the language that its user chose.
const languageFor = 400 * 24 * time.Hour

// chosen returns the language whose link the user has just followed, empty for none.
func chosen(c *gin.Context) string {
	if c.Request.Method != http.MethodGet && c.Request.Method != http.MethodHead {
		return ""
	}
	if language := c.Query(languageParameter); slices.Contains(pages.Languages, language) {
		return language
	}
	return ""
}

// keepLanguage has the browser keep the language that its user has just chosen.
func (h *Hosted) keepLanguage(c *gin.Context) {
	if language := chosen(c); language != "" {
		h.Cookies.set(c, languageCookie, language, languageFor)
	}
}

// prefers returns the languages that the reader prefers: the one just chosen, or else those
// that the application asks for (ui_locales), or else the one chosen before. It is empty where
// only the browser tells.
func (h *Hosted) prefers(c *gin.Context, locales string) string {
	before := ""
	for _, language := range h.Cookies.values(c.Request, languageCookie) {
		if slices.Contains(pages.Languages, language) {
			before = language
		}
	}
	return cmp.Or(chosen(c), locales, before)
}

// caller is who makes a request of our own pages, with the language for letters.
func (h *Hosted) caller(c *gin.Context, r *authorize.Request) caller.Caller {
	return h.KnownBrowsers.caller(c, h.prefers(c, locales(r)))
}

// here returns the query with which the user comes to the page again, in another language: the
// page's own and, after a form, its ticket or where it leads to. It ends with the name of the parameter that the
// language follows.
func here(c *gin.Context, ticket, to string) string {
	query := url.Values{}
	if c.Request.Method == http.MethodGet || c.Request.Method == http.MethodHead {
		query = c.Request.URL.Query()
	}
	query.Del(languageParameter)
	if ticket != "" {
		query.Set("ticket", ticket)
	} else if to != "" {
		query.Set(toParameter, to)
	}
	if len(query) == 0 {
		return "?" + languageParameter + "="
	}
	return "?" + query.Encode() + "&" + languageParameter + "="
}
