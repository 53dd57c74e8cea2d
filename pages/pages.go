// Package pages is what people see of us: the hosted pages on which they sign in, sign
// up, allow an application what it asks for, and read what went wrong. [Render] writes
// one in the reader's language. Pages are plain HTML that needs no script; only that of
// response_mode=form_post has one, to spare people a click.
//
// It knows nothing of us but what it is given in [Data], and what people chose (names of
// clients and users) is text to it, wherever it stands. What the pages say is in words.go.
package pages

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Name says which page.
type Name string

// The pages there are. Message says one thing: an error, that mail is on its way, that
// an address is confirmed. FormPost is the form of response_mode=form_post.
const (
	Login     Name = "login"
	Signup    Name = "signup"
	Consent   Name = "consent"
	Logout    Name = "logout"
	SignedOut Name = "signed_out"
	Forgot    Name = "forgot"
	Reset     Name = "reset"
	Verify    Name = "verify"
	Message   Name = "message"
	FormPost  Name = "form_post"
)

// Data is what a page says besides its fixed words.
type Data struct {
	Service  string // what people call the service
	Base     string // path of the issuer ("" or "/auth"), before every link and asset
	Ticket   string // goes along in every form and link; empty: none
	Client   string // name of the application that asks; empty: none
	Username string // filled in already, or who is signed in
	Email    string // filled in already

	Errors    []string          // codes of what went wrong, see words.go
	Retry     time.Duration     // with throttled: when to try again
	Fields    map[string]string // what is wrong with a field: a code of package accounts, or a sentence
	MinLength int               // of a new password, to name in its errors; 0: unsaid

	SignedIn       string   // Login: who may go on without a password; empty: nobody
	Signup, Forgot bool     // Login: link to these pages
	EmailRequired  bool     // Signup
	Scopes         []string // Consent: what is asked for
	Token          string   // Reset, Verify: what was mailed

	Message string // Message: code of what it says, see words.go
	Detail  string // Message: for developers, in English

	Action string  // FormPost: where to, http or https
	Values []Value // FormPost: in order
}

// Value is one of an answer's parameters.
type Value struct{ Name, Value string }

// Files are served at Data.Base, at /assets/pages.css, /assets/pages.svg and
// /assets/form-post.js.
var (
	//go:embed pages.css
	Style []byte
	//go:embed pages.svg
	Icon []byte
	//go:embed form-post.js
	FormPostScript []byte
)

//go:embed *.html
var files embed.FS

// templates are the pages by name: each is the layout with its own main part.
var templates = func() map[Name]*template.Template {
	layout := template.Must(template.ParseFS(files, "layout.html"))
	pages := map[Name]*template.Template{}
	for _, name := range []Name{Login, Signup, Consent, Logout, Forgot, Reset, Verify, Message, FormPost} {
		pages[name] = template.Must(template.Must(layout.Clone()).ParseFS(files, string(name)+".html"))
	}
	return pages
}()

// Render writes a page as HTML, in "ko" or else in "en": see [Language].
func Render(w io.Writer, language string, page Name, data *Data) error {
	if language != "ko" {
		language = "en"
	}
	v := view{Data: data, Language: language, Page: page}
	switch page {
	case SignedOut:
		v.Page, v.code = Message, "signed_out"
	case Message:
		v.code = known("message.", data.Message, ".title")
	case FormPost:
		// Browsers post a form to no app, and other schemes are none to send a code to.
		if !strings.HasPrefix(data.Action, "https://") && !strings.HasPrefix(data.Action, "http://") {
			return fmt.Errorf("render page %s: %w", page, errNotWeb)
		}
	}
	t, there := templates[v.Page]
	if !there {
		return fmt.Errorf("render page: there is no %q", page)
	}
	if err := t.Execute(w, v); err != nil {
		return fmt.Errorf("render page %s: %w", page, err)
	}
	return nil
}

var errNotWeb = errors.New("a form can only be posted to http or https")

// view is a page as the templates see it.
type view struct {
	*Data
	Language string
	Page     Name
	code     string // of what a Message says
}

// title is the key of the page's name.
func (v view) title() string {
	if v.Page == Message {
		return "message." + v.code + ".title"
	}
	return string(v.Page) + ".title"
}

// Heading names the page.
func (v view) Heading() (string, error) { return v.Say(v.title()) }

// Title names the page among windows, and says if something is wrong in it: that is
// what a screen reader reads first.
func (v view) Title() (string, error) {
	heading, err := v.Heading()
	if err != nil || len(v.Errors)+len(v.Fields) == 0 {
		return heading, err
	}
	prefix, err := v.Say("error.prefix")
	return prefix + " " + heading, err
}

// Link is the path of another page, or of this one for its form, for people who are
// on their way to the same application.
func (v view) Link(path string) string {
	if v.Ticket == "" {
		return v.Base + path
	}
	return v.Base + path + "?ticket=" + template.URLQueryEscaper(v.Ticket)
}

// Who is signed in.
func (v view) Who() string { return cmp.Or(v.SignedIn, v.Username) }

// MessageText is what a Message says.
func (v view) MessageText() ([]part, error) { return v.Parts("message." + v.code + ".text") }

// Failures are what went wrong with the form as a whole, in words, with what is
// wrong with fields that this page doesn't show.
func (v view) Failures() ([]string, error) {
	var all []string
	for _, code := range v.Errors {
		s, err := v.Say("error." + known("error.", code, ""))
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	shown := map[string]bool{}
	for _, in := range v.Inputs() {
		shown[in.Name] = true
	}
	placed := false
	for _, name := range slices.Sorted(maps.Keys(v.Fields)) {
		if shown[name] {
			placed = true
			continue
		}
		all = append(all, v.wrong(name))
	}
	if placed && len(all) == 0 {
		s, err := v.Say("error.fields")
		return []string{s}, err
	}
	return all, nil
}

// scope is something that an application asks for. One that we have no words for is
// shown as it is.
type scope struct {
	Words string
	Name  string
}

// Wishes are what the application asks for.
func (v view) Wishes() ([]scope, error) {
	var all []scope
	for _, name := range v.Scopes {
		if _, there := words["scope."+name]; !there {
			all = append(all, scope{Name: name})
			continue
		}
		s, err := v.Say("scope." + name)
		if err != nil {
			return nil, err
		}
		all = append(all, scope{Words: s})
	}
	return all, nil
}
