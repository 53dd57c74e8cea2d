// Package pages renders the hosted pages, on which users sign in, sign up, allow an
// application what it asks for, and read what went wrong. [Render] writes one in the
// reader's language. Pages are plain HTML that needs no script. The page of
// response_mode=form_post has one to save the user a click, pages that mailed links lead
// to have one to save the pasting of the link, those that answer a form have one to keep the
// browser from asking whether to send it again, and pages with a button that acts without a
// typed secret have one to protect it: see deliberate.js. Those with a field for a password
// show it on demand (password.js), and say how strong a new one is (strength.js).
//
// A page shows only what [Data] holds and its fixed words, which are in words.go. Names
// that users or operators chose (of clients and users) are always plain text.
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

	"countersign/theme"
)

// A Name says which page.
type Name string

// The pages. FactorEnrol is where a user sets up a second factor on the way to sign in.
// Message says one thing: an error, that mail is on its way, or that an
// address is confirmed. FormPost is the form of response_mode=form_post.
const (
	Login     Name = "login"
	Factor    Name = "factor"
	Signup    Name = "signup"
	Join      Name = "join" // what the account lacks that a user of another provider gets
	Linking   Name = "link" // to link an account to another provider
	Consent   Name = "consent"
	Logout    Name = "logout"
	SignedOut Name = "signed_out"
	Forgot    Name = "forgot"
	Reset     Name = "reset"
	Verify    Name = "verify"
	Again     Name = "again"
	Message   Name = "message"
	FormPost  Name = "form_post"
	Preview   Name = "preview" // for developers: links to all pages and letters

	FactorEnrol Name = "factor_enrol"
)

// Data fills in a page's fixed words.
type Data struct {
	Service  string       // name of the service, as its users know it
	Base     string       // path of the issuer ("" or "/auth"), before every link and asset
	Folder   string       // in place of Base before links, where pages are previews; empty: Base
	Theme    *theme.Theme // nil: our own
	Here     string       // query of this page, to which the language switch adds a language; empty: there is no switch
	Answers  bool         // the page is the answer to a form
	Home     string       // where users go on to, a URL; empty: our own pages
	Ticket   string       // carried in every form and link; empty: none
	To       string       // as Ticket, where there is none: the page of ours where a user goes on to after signing in
	Client   string       // name of the application that asks; empty: none
	App      string       // where a user starts again whose ticket has expired, a URL; empty: unknown
	Username string       // already filled in, or the user who is signed in
	Email    string       // already filled in, or where a letter goes to
	Account  string       // names the account to /verify/again more exactly than Username; empty: not known

	Errors    []string          // codes of what went wrong, see words.go
	Retry     time.Duration     // with the code throttled: how long to wait
	Fields    map[string]string // what is wrong with a field: a code of package input, or a sentence
	MinLength int               // of a new password, for its errors; 0: not mentioned

	// UsernameNeed and EmailNeed are required, optional or none: whether visitors who sign up
	// give that name, and so what the others sign in with. Empty: optional.
	UsernameNeed, EmailNeed string

	Providers []Provider // Login, Signup: with which other providers' accounts users sign in, too
	Provider  string     // name of the one that the page is about
	Links     string     // Login: name of the provider whose account the sign-in links to the account with Email; empty: none

	SignedIn             string   // Login: the user who may go on without a password; empty: none
	Continue             string   // Login: names the account of SignedIn, as Account does
	Passkey              *Passkey // Login, Factor, MeFactors; nil: the page takes none
	OnlyPasskey          bool     // Factor: the user has no authenticator app
	MayRemember          bool     // Factor, FactorEnrol: the user may ask for no second factor in this browser
	Recovery             bool     // Factor: asks for a recovery code, not for one of an authenticator app
	Over                 bool     // Factor, FactorEnrol: the user has to begin again
	Signup, Forgot       bool     // Login: link to these pages; MeSecurity: to the latter
	RequireVerifiedEmail bool     // Login: link to Again; Signup: ask for an address
	Scopes               []string // Consent: the scopes asked for
	Token                string   // Reset, Verify: the mailed token; empty: the page asks for the link, or its script finds the token
	Renew                string   // Reset, Verify: a mailed token that is no good any more, in whose place the page offers another

	Message string // Message: code of what it says, see words.go
	Detail  string // Message: for developers, in English
	// MailFails says that no mail can be sent at present. Messages that mail is on its way
	// say so, too.
	MailFails bool

	Enrolment     *Enrolment // FactorEnrol: of the app that the user sets up
	RecoveryCodes []string   // FactorEnrol: of the user who has set it up

	Own   *Own   // Me and the pages beside it
	Lists []List // Preview

	Action string  // FormPost: the target, http or https
	Values []Value // FormPost: in order
}

// A Passkey is what a page asks the browser for a passkey with. All are JSON.
type Passkey struct {
	Options  string // WebAuthn JSON for navigator.credentials; empty: the page asks /session/passkey/options
	Unknown  string // for PublicKeyCredential.signalUnknownCredential; empty: nothing to say
	Accepted string // for PublicKeyCredential.signalAllAcceptedCredentials; empty: nothing to say
}

// A List is a part of Preview, with links in its rows.
type List struct {
	Title string
	Rows  []Row
}

// A Row is what Preview says about one page or letter.
type Row struct {
	Name  string
	Links []Link
}

// A Link leads to a page or a letter.
type Link struct{ Label, URL string }

// A Value is one parameter of an authorization response.
type Value struct{ Name, Value string }

// Files are served at Data.Base, at /assets/pages.css, /assets/pages.svg,
// /assets/form-post.js, /assets/deliberate.js, /assets/mailed-link.js, /assets/password.js,
// /assets/passkey.js and /assets/answered.js.
var (
	//go:embed pages.css
	Style []byte
	//go:embed pages.svg
	Icon []byte
	//go:embed form-post.js
	FormPostScript []byte
	//go:embed deliberate.js
	DeliberateScript []byte
	//go:embed password.js
	PasswordScript []byte
	//go:embed passkey.js
	PasskeyScript []byte
	//go:embed mailed-link.js
	MailedLinkScript []byte
	//go:embed answered.js
	AnsweredScript []byte
)

//go:embed *.html
var files embed.FS

// templates are the pages by name: each is the layout with its own main part.
var templates = func() map[Name]*template.Template {
	layout := template.Must(template.ParseFS(files, "layout.html", "parts.html"))
	pages := map[Name]*template.Template{}
	for _, name := range []Name{Login, Factor, FactorEnrol, Signup, Join, Linking, Consent, Me, MeSecurity, MeSessions, MeApps, MeData, MeFactors, Logout, Forgot, Reset, Verify, Again, Message, FormPost, Preview} {
		pages[name] = template.Must(template.Must(layout.Clone()).ParseFS(files, string(name)+".html"))
	}
	return pages
}()

// Render writes a page as HTML, in "ko" or else in "en": see [Language].
func Render(w io.Writer, language string, page Name, data *Data) error {
	if language != "ko" {
		language = "en"
	}
	if data.Theme == nil {
		themed := *data
		themed.Theme = new(theme.Theme)
		data = &themed
	}
	v := view{Data: data, Language: language, Page: page}
	switch page {
	case SignedOut:
		v.Page, v.code = Message, "signed_out"
	case Message:
		v.code = known("message.", data.Message, ".title")
	case FormPost:
		// Browsers can't post a form to an app, and a code must not go to other schemes.
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

// A view is a page as the templates see it.
type view struct {
	*Data
	Language string
	Page     Name
	code     string // of what a Message says
	group    Name   // of fields, see Group; empty: all
}

// title returns the key of the page's heading.
func (v view) title() string {
	if v.Page == Message {
		return "message." + v.code + ".title"
	}
	return string(v.Page) + ".title"
}

// Base returns what comes before the path of every page.
func (v view) Base() string { return cmp.Or(v.Folder, v.Data.Base) }

// Root returns what comes before the path of every asset.
func (v view) Root() string { return v.Data.Base }

// Heading returns the page's heading.
func (v view) Heading() (string, error) { return v.Say(v.title()) }

// Title returns the title of the browser window. It says whether something is wrong on
// the page, because a screen reader reads the title first.
func (v view) Title() (string, error) {
	heading, err := v.Heading()
	if err != nil || len(v.Errors)+len(v.Fields) == 0 {
		return heading, err
	}
	prefix, err := v.Say("error.prefix")
	return prefix + " " + heading, err
}

// Link returns the path of a page, with the ticket if there is one, so that the user
// stays on the way to the same application or page.
func (v view) Link(path string) string { return v.Base() + path + v.Address() }

// A tongue is a language of the language switch.
type tongue struct {
	Code, Name, URL string
	Current         bool
}

// Languages returns the languages of the language switch.
func (v view) Languages() []tongue {
	if v.Here == "" {
		return nil
	}
	var all []tongue
	for _, code := range Languages {
		all = append(all, tongue{code, names[code], v.Here + code, code == v.Language})
	}
	return all
}

// Icon returns the name of the picture of a Message.
func (v view) Icon() string {
	switch v.code {
	case "":
		return ""
	case "mail_sent", "verify_sent", "verify_again":
		return "mail"
	case "verified", "password_set", "already_verified", "already_set", "signed_in_late", "signed_out", "deleted":
		return "done"
	default:
		return "alert"
	}
}

// Address returns the query of the page's address, to which Back and Reload lead.
func (v view) Address() string {
	switch {
	case v.Ticket != "":
		return "?ticket=" + template.URLQueryEscaper(v.Ticket)
	case v.To != "":
		return "?to=" + template.URLQueryEscaper(v.To)
	default:
		return ""
	}
}

// Who returns the username of the user who is signed in.
func (v view) Who() string { return cmp.Or(v.SignedIn, v.Username) }

// An onward is a link with which a user goes on.
type onward struct {
	Label, URL string
	Main       bool // shown as a button
}

// Onward returns the links with which a user goes on from a page that has no other way on:
// to the application, where its request is known, or else home.
func (v view) Onward() []onward {
	var all []onward
	if v.App != "" {
		all = append(all, onward{"onward.app", v.App, true})
	}
	// /login leads users who are signed in to their next step, or home.
	next := onward{"onward.login", v.Link("/login"), len(all) == 0 && v.Icon() != "mail"}
	switch {
	case v.Ticket != "" && v.Client != "":
		next.Label = "onward.client"
	case v.Ticket != "":
	case v.Home != "":
		next.Label, next.URL = "onward.home", v.Home
	case v.code == "signed_in_late":
		next.Label = "onward.me"
	}
	return append(all, next)
}

// Stay returns where a user goes who doesn't sign out.
func (v view) Stay() string { return cmp.Or(v.Home, v.Base()+"/me") }

// Again returns the key of the link to the page that sends another letter, which says
// otherwise where a button beside it does that.
func (v view) Again(otherwise string) string {
	if v.Renew != "" {
		return "renew.other"
	}
	return otherwise
}

// Resend reports whether a Message has a button that sends the letter again to the account
// named Username.
func (v view) Resend() bool {
	return v.Username != "" && (v.code == "verify_sent" || v.code == "verify_again")
}

// AskAgain reports whether a Message links to the page that asks for a new password.
func (v view) AskAgain() bool { return v.code == "mail_sent" }

// MailWaits reports whether a Message says that mail waits.
func (v view) MailWaits() bool {
	saying := v.code
	if v.Own != nil {
		saying = v.Own.Notice
	}
	return v.MailFails && slices.Contains([]string{"mail_sent", "verify_sent", "verify_again", "letter_sent", "email_asked"}, saying)
}

// MessageText returns the text of a Message.
func (v view) MessageText() ([]part, error) { return v.Parts("message." + v.code + ".text") }

// Failures returns sentences that say what went wrong with the form as a whole, and
// with fields that this page doesn't show.
func (v view) Failures() ([]string, error) {
	var all []string
	for _, code := range v.Errors {
		key := "error." + known("error.", code, "")
		if own := key + "." + v.names(); words[own] != (said{}) {
			key = own
		}
		s, err := v.Say(key)
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
