package mail

import (
	"bytes"
	_ "embed"
	"fmt"
	htmltemplate "html/template"
	"maps"
	"slices"
	"strings"
	"text/template"
	"time"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
	"golang.org/x/text/language"

	"countersign/theme"
)

// A Kind says what a letter is about.
type Kind string

// The kinds of letters.
const (
	VerifyEmail       Kind = "verify_email"
	ChangeEmail       Kind = "change_email"
	ResetPassword     Kind = "reset_password"
	EmailChangeAsked  Kind = "email_change_asked"
	EmailChanged      Kind = "email_changed"
	PasswordChanged   Kind = "password_changed"
	AlreadyRegistered Kind = "already_registered"
	NewBrowser        Kind = "new_browser"
	IdentityLinked    Kind = "identity_linked"
	IdentityUnlinked  Kind = "identity_unlinked"

	FactorAdded          Kind = "factor_added"
	FactorRemoved        Kind = "factor_removed"
	FactorsReset         Kind = "factors_reset"
	RecoveryCodesRenewed Kind = "recovery_codes_renewed"
	RecoveryCodeUsed     Kind = "recovery_code_used"
	PasswordRemoved      Kind = "password_removed"
)

// Vars fill in a letter's fixed words.
type Vars struct {
	Service  string        // name of the service, as its users know it
	Username string        // may be any text: users choose it
	Link     string        // empty if the letter has none
	ValidFor time.Duration // how long the link works
	Theme    *theme.Theme  // how the letter looks; nil: our own look
	Issuer   string        // URL below which the theme's files are
	SignIn   SignIn        // of NewBrowser
	Provider string        // of IdentityLinked and IdentityUnlinked: the operator's name for it
}

// SignIn says how an account was signed in to.
type SignIn struct {
	At      time.Time
	Device  string // label of the browser, as in "Firefox on Linux"; empty: unknown
	Address string // IP address; empty: unknown
}

// Kinds returns all kinds of letters.
func Kinds() []Kind { return slices.Sorted(maps.Keys(english.letters)) }

//go:embed letter.txt
var textLayout string

//go:embed letter.html
var htmlLayout string

var (
	asText = template.Must(template.New("text").Parse(textLayout))
	asHTML = htmltemplate.Must(htmltemplate.New("html").Parse(htmlLayout))
)

// filled is a letter with its variables filled in.
type filled struct {
	Language, Service, Subject, Action, Link string
	Before, Then, After                      []string
	Facts                                    []fact // between Before and Then
	Logo, Accent, Footer                     string // Logo is a URL; empty: the service's name
	CardCorner, ButtonCorner                 int    // in pixels
	Links                                    []link
}

// A fact is a line of its own.
type fact struct{ Name, Value string }

// A link leads to a page of the operator's.
type link struct{ Label, URL string }

// Compose writes a letter in the language that comes closest to what the reader
// prefers (as in Accept-Language), or else in English. The caller sets the recipient.
func Compose(kind Kind, prefers string, vars Vars) (Message, error) {
	tongue := choose(prefers)
	words, known := tongue.letters[kind]
	if !known {
		return Message{}, fmt.Errorf("compose mail: no letter %q", kind)
	}
	vars.Service, vars.Username = harmless(vars.Service), unlinked(harmless(vars.Username))
	fill := strings.NewReplacer("{service}", vars.Service, "{username}", vars.Username, "{time}", tongue.duration(vars.ValidFor), "{provider}", unlinked(harmless(vars.Provider)))
	f := filled{
		Language: tongue.code, Service: vars.Service,
		Subject: fill.Replace(words.subject), Action: fill.Replace(words.action),
	}
	if words.action != "" {
		f.Link = vars.Link
	}
	look := vars.Theme
	if look == nil {
		look = new(theme.Theme)
	}
	f.Accent, f.Footer = look.Accent(), look.Footer
	f.CardCorner, f.ButtonCorner = look.Corners()
	if logo := look.LetterLogo(); logo != nil {
		f.Logo = vars.Issuer + logo.Path
	}
	for _, l := range look.Links {
		f.Links = append(f.Links, link{tongue.links[l.Name], l.URL})
	}
	for _, part := range []struct {
		into *[]string
		from []string
	}{{&f.Before, words.before}, {&f.Then, words.then}, {&f.After, words.after}} {
		for _, p := range part.from {
			*part.into = append(*part.into, fill.Replace(p))
		}
	}
	if kind == NewBrowser {
		f.Facts = tongue.facts(vars.SignIn)
	}
	var text, html bytes.Buffer
	if err := asText.Execute(&text, f); err != nil {
		return Message{}, fmt.Errorf("compose mail: %w", err)
	}
	if err := asHTML.Execute(&html, f); err != nil {
		return Message{}, fmt.Errorf("compose mail: %w", err)
	}
	return Message{Subject: f.Subject, Text: text.String(), HTML: html.String()}, nil
}

// choose returns the language that comes closest to prefers.
func choose(prefers string) tongue {
	tags, _, err := language.ParseAcceptLanguage(prefers)
	if err != nil {
		return tongues[0]
	}
	_, i, _ := matcher.Match(tags...)
	return tongues[i]
}

// facts tells of a sign-in.
func (t *tongue) facts(s SignIn) []fact {
	device := t.unknown
	if s.Device != "" {
		// The caller who signs in chooses it.
		device = t.device(unlinked(harmless(s.Device)))
	}
	all := []fact{{t.when, t.moment(s.At.UTC())}, {t.browser, device}}
	if s.Address != "" {
		all = append(all, fact{t.address, harmless(s.Address)})
	}
	return all
}

// harmless removes from a text that a user chose all characters that could break a
// header or reverse the words around it.
func harmless(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return -1
		}
		return r
	}, s)
}

// unlinked keeps mail programs from turning a username into a link. An attacker who
// signs up chooses both the name and the address that gets the letter: with a name that
// is a link, our letter would carry the attacker's link. Names that merely contain a dot
// stay as they are, and so do addresses, which only lead to a new mail.
func unlinked(name string) string {
	if strings.ContainsAny(name, ":/") {
		return linkParts.Replace(name)
	}
	inHost := func(r rune) bool {
		return r == '.' || r == '-' || unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsNumber(r)
	}
	for rest := name; rest != ""; {
		start := strings.IndexFunc(rest, inHost)
		if start < 0 {
			break
		}
		end := len(rest)
		if n := strings.IndexFunc(rest[start:], func(r rune) bool { return !inHost(r) }); n >= 0 {
			end = start + n
		}
		ofAddress := strings.HasSuffix(rest[:start], "@") || strings.HasPrefix(rest[end:], "@")
		if !ofAddress && isHost(strings.Trim(rest[start:end], ".-")) {
			return linkParts.Replace(name)
		}
		rest = rest[end:]
	}
	return name
}

// isHost reports whether a text is a name under a listed public suffix.
func isHost(text string) bool {
	if !strings.Contains(text, ".") {
		return false
	}
	ascii, err := idna.ToASCII(strings.ToLower(text))
	if err != nil {
		ascii = text
	}
	suffix, listed := publicsuffix.PublicSuffix(ascii)
	return listed || strings.Contains(suffix, ".")
}

// linkParts puts an invisible character (U+200B ZERO WIDTH SPACE) where a link would go on.
var linkParts = strings.NewReplacer(".", ".\u200b", ":", ":\u200b", "/", "/\u200b")
