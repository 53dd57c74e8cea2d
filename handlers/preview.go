package handlers

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/accounts"
	"countersign/mail"
	"countersign/pages"
)

// Preview serves /preview, where developers look at all pages and letters in all their
// states, and at the letters that were sent. It is for serve --dev alone: a reader of a
// letter can use its link.
type Preview struct {
	*Hosted
	Issuer string
	Kept   *mail.Recorder
}

// Mount adds the routes.
func (h *Preview) Mount(r gin.IRouter) {
	r.GET("/preview", h.page(h.index))
	r.GET("/preview/mail", h.page(h.sent))
	r.GET("/preview/mail/:letter", h.page(h.letter))
	r.GET("/preview/:language/*name", h.page(h.example))
	// The forms of previews lead back to them.
	r.POST("/preview/:language/*name", h.page(func(c *gin.Context) error {
		return h.redirect(c, h.Base+"/preview/"+c.Param("language")+c.Param("name"))
	}))
}

const letters = "letters/"

func (h *Preview) index(c *gin.Context) error {
	at := h.Base + "/preview/"
	links := func(name string, extensions ...string) (all []pages.Link) {
		for _, language := range pages.Languages {
			for _, extension := range extensions {
				all = append(all, pages.Link{Label: language + extension, URL: at + language + "/" + name + extension})
			}
		}
		return all
	}
	sent := pages.List{Title: "Letters that were sent", Rows: []pages.Row{{Name: "mail", Links: []pages.Link{{Label: "all", URL: at + "mail"}}}}}
	all, composed := pages.List{Title: "Pages"}, pages.List{Title: "Letters"}
	for _, e := range pages.Examples() {
		all.Rows = append(all.Rows, pages.Row{Name: e.Name, Links: links(e.Name, "")})
	}
	for _, kind := range mail.Kinds() {
		composed.Rows = append(composed.Rows, pages.Row{Name: string(kind), Links: links(letters+string(kind), "", ".txt")})
	}
	return h.show(c, http.StatusOK, pages.Preview, nil, pages.Data{Lists: []pages.List{sent, all, composed}})
}

var errNoPreview = &pageMessage{http.StatusNotFound, "not_found"}

// example shows a page or a letter in a language.
func (h *Preview) example(c *gin.Context) error {
	language, name := c.Param("language"), strings.TrimPrefix(c.Param("name"), "/")
	if pages.Language(language) != language {
		return errNoPreview
	}
	if other := chosen(c); other != "" && other != language {
		return h.redirect(c, h.Base+"/preview/"+other+"/"+name)
	}
	if kind, ok := strings.CutPrefix(name, letters); ok {
		kind, asText := strings.CutSuffix(kind, ".txt")
		link := "/forgot"
		if l := (accounts.Letter{Kind: accounts.LetterKind(kind)}); l.HasToken() {
			link = "/verify#token=cs_mt_example"
		}
		m, err := mail.Compose(mail.Kind(kind), language, mail.Vars{
			Service: h.ServiceName, Username: "alice", Link: h.Issuer + link, ValidFor: 24 * time.Hour,
			Theme: h.Theme, Issuer: h.Issuer,
			SignIn:   mail.SignIn{At: time.Date(2030, 1, 31, 15, 4, 0, 0, time.UTC), Device: "Firefox on Linux", Address: "203.0.113.7"},
			Provider: "Google",
		})
		if err != nil {
			return errNoPreview
		}
		return showLetter(c, &m, asText)
	}
	for _, e := range pages.Examples() {
		if e.Name == name {
			e.Data.Folder = h.Base + "/preview/" + language
			if e.Page == pages.FormPost { // its script would leave for the application
				c.Header("Content-Security-Policy", strings.Replace(pageCSP, "script-src 'self'", "form-action 'none'", 1))
			}
			return h.showIn(c, http.StatusOK, e.Page, language, e.Data)
		}
	}
	return errNoPreview
}

// sent lists the letters that were sent.
func (h *Preview) sent(c *gin.Context) error {
	list := pages.List{Title: "Letters that were sent, the latest first"}
	for _, m := range h.Kept.Letters() {
		at := h.Base + "/preview/mail/" + strconv.Itoa(m.Number)
		list.Rows = append(list.Rows, pages.Row{
			Name:  m.At.Format(time.TimeOnly) + " " + m.To + ": " + m.Subject,
			Links: []pages.Link{{Label: "HTML", URL: at}, {Label: "text", URL: at + ".txt"}},
		})
	}
	if len(list.Rows) == 0 {
		list.Rows = []pages.Row{{Name: "none yet", Links: []pages.Link{{Label: "preview", URL: h.Base + "/preview"}}}}
	}
	return h.show(c, http.StatusOK, pages.Preview, nil, pages.Data{Lists: []pages.List{list}})
}

func (h *Preview) letter(c *gin.Context) error {
	number, asText := strings.CutSuffix(c.Param("letter"), ".txt")
	for _, m := range h.Kept.Letters() {
		if strconv.Itoa(m.Number) == number {
			return showLetter(c, &m.Message, asText)
		}
	}
	return errNoPreview
}

// letterCSP is for letters, whose style is in the letter because mail programs load none.
const letterCSP = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

func showLetter(c *gin.Context, m *mail.Message, asText bool) error {
	if asText {
		c.Data(http.StatusOK, "text/plain; charset=utf-8", []byte(m.Subject+"\n\n"+m.Text))
		return nil
	}
	c.Header("Content-Security-Policy", letterCSP)
	c.Data(http.StatusOK, "text/html; charset=utf-8", []byte(m.HTML))
	return nil
}
