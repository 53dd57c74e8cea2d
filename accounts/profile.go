package accounts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"regexp"
	"strings"
	"time"

	// The list of time zones, 450 KB of the program's 40 MB. Without it, a name would
	// be valid on a server whose file system has the list and invalid in our image,
	// which has none.
	_ "time/tzdata"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"

	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
	"countersign/input"
	"countersign/uris"
)

// Profile is what users say of themselves: the standard claims (OpenID Connect Core
// section 5.1) that are not the account's own. None of it is proven. An empty field is
// a claim without a value.
type Profile struct {
	Name        string  `json:"name,omitempty"`
	GivenName   string  `json:"given_name,omitempty"`
	FamilyName  string  `json:"family_name,omitempty"`
	MiddleName  string  `json:"middle_name,omitempty"`
	Nickname    string  `json:"nickname,omitempty"`
	Page        string  `json:"profile,omitempty"` // https or http URL, as the next two
	Picture     string  `json:"picture,omitempty"`
	Website     string  `json:"website,omitempty"`
	Gender      string  `json:"gender,omitempty"`
	Birthdate   string  `json:"birthdate,omitempty"`    // YYYY-MM-DD, YYYY, or 0000-MM-DD without the year
	ZoneInfo    string  `json:"zoneinfo,omitempty"`     // name in the IANA time zone database
	Locale      string  `json:"locale,omitempty"`       // BCP 47
	PhoneNumber string  `json:"phone_number,omitempty"` // E.164, with an extension as in RFC 3966
	Address     Address `json:"address,omitzero"`
}

// Address is a user's postal address (OpenID Connect Core section 5.1.1).
type Address struct {
	Formatted     string `json:"formatted,omitempty"` // may have several lines, as the next
	StreetAddress string `json:"street_address,omitempty"`
	Locality      string `json:"locality,omitempty"`
	Region        string `json:"region,omitempty"`
	PostalCode    string `json:"postal_code,omitempty"`
	Country       string `json:"country,omitempty"`
}

// ProfileStore stores profiles.
type ProfileStore interface {
	// Profile returns a user's profile, or the zero Profile.
	Profile(ctx context.Context, user ids.User) (Profile, error)
	// PutProfile replaces a user's profile, updates the user's UpdatedAt and writes ev. If
	// the profile is the same already, it does nothing.
	// ErrUnknownUser, ErrSignedOut.
	PutProfile(ctx context.Context, user ids.User, by By, p Profile, now time.Time, ev audit.Event) error
}

const (
	maxText  = 256 // code points, as in all bounds but the next
	maxLines = 1024
	// maxProfile bounds a profile as JSON, in bytes: as it is stored, and as userinfo
	// sends it.
	maxProfile = 8 << 10
)

// entry is one claim of a profile, or one part of its address.
type entry struct {
	name    string // as the claims and the command line call it
	value   *string
	longest int
	lines   bool               // may have more than one
	check   func(string) error // nil: any text
}

// entries returns every claim that a profile can have.
func (p *Profile) entries() []entry {
	a := &p.Address
	return []entry{
		{"name", &p.Name, maxText, false, nil},
		{"given_name", &p.GivenName, maxText, false, nil},
		{"family_name", &p.FamilyName, maxText, false, nil},
		{"middle_name", &p.MiddleName, maxText, false, nil},
		{"nickname", &p.Nickname, maxText, false, nil},
		{"profile", &p.Page, uris.MaxLength, false, validPage},
		{"picture", &p.Picture, uris.MaxLength, false, validPage},
		{"website", &p.Website, uris.MaxLength, false, validPage},
		{"gender", &p.Gender, 64, false, nil},
		{"birthdate", &p.Birthdate, 10, false, validBirthdate},
		{"zoneinfo", &p.ZoneInfo, 64, false, validZone},
		{"locale", &p.Locale, 64, false, validLocale},
		{"phone_number", &p.PhoneNumber, 32, false, validPhone},
		{"address.formatted", &a.Formatted, maxLines, true, nil},
		{"address.street_address", &a.StreetAddress, maxLines, true, nil},
		{"address.locality", &a.Locality, maxText, false, nil},
		{"address.region", &a.Region, maxText, false, nil},
		{"address.postal_code", &a.PostalCode, 32, false, nil},
		{"address.country", &a.Country, maxText, false, nil},
	}
}

// All yields the profile's claims with their values. The parts of the address are named
// address.locality and so on.
func (p *Profile) All() iter.Seq2[string, string] {
	return func(yield func(claim, value string) bool) {
		for _, e := range p.entries() {
			if *e.value != "" && !yield(e.name, *e.value) {
				return
			}
		}
	}
}

// Set sets one claim, named as in All; the empty value removes it. It returns false if
// there is no such claim.
func (p *Profile) Set(claim, value string) bool {
	for _, e := range p.entries() {
		if e.name == claim {
			*e.value = value
			return true
		}
	}
	return false
}

// ProfileClaims are the names that Set takes.
func ProfileClaims() []string {
	var names []string
	for _, e := range new(Profile).entries() {
		names = append(names, e.name)
	}
	return names
}

// check returns all that is wrong with the profile, or nil.
func (p *Profile) check() error {
	var bad input.Error
	for _, e := range p.entries() {
		value := *e.value
		switch {
		case value == "":
		case utf8.RuneCountInString(value) > e.longest:
			bad.Add(e.name, input.TooLong, "%s must not be longer than %d characters.", e.name, e.longest)
		case !readableText(value, e.lines) && e.lines:
			bad.Add(e.name, input.InvalidCharacters, "%s must be text, without control characters other than the ends of lines.", e.name)
		case !readableText(value, e.lines):
			bad.Add(e.name, input.InvalidCharacters, "%s must be text in one line, without control characters.", e.name)
		case e.check != nil:
			if err := e.check(value); err != nil {
				bad.Add(e.name, input.Invalid, "%s %v.", e.name, err)
			}
		}
	}
	if err := bad.Err(); err != nil {
		return err
	}
	b, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode profile: %w", err)
	}
	if len(b) > maxProfile {
		bad.Add("claims", input.TooLong, "claims must not be more than %d bytes of JSON together.", maxProfile)
	}
	return bad.Err()
}

// sound returns the profile without the claims that break a rule.
func (p Profile) sound() Profile {
	if number, ok := normalizePhone(p.PhoneNumber); ok {
		p.PhoneNumber = number
	}
	for {
		bad, ok := errors.AsType[*input.Error](p.check())
		if !ok {
			return p
		}
		for _, one := range bad.Problems {
			if !p.Set(one.Field, "") {
				return Profile{} // too long as a whole
			}
		}
	}
}

// readableText reports whether s has visible characters, and none that change how the
// text around it looks.
func readableText(s string, lines bool) bool {
	if lines {
		s = strings.NewReplacer("\r\n", " ", "\n", " ").Replace(s)
	}
	return utf8.ValidString(s) &&
		strings.ContainsFunc(s, func(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) }) &&
		!strings.ContainsFunc(s, func(r rune) bool {
			return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp) ||
				// Embeddings, overrides and isolates reverse the rest of the line
				// unless they are closed (Unicode Standard Annex #9, section 2).
				r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
		})
}

// validPage returns what is wrong with the URL of a page or picture. Unlike the URLs
// that clients register, it may have a fragment.
func validPage(uri string) error {
	page, fragment, _ := strings.Cut(uri, "#")
	u, err := uris.Parse(page)
	if err != nil {
		return err
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("must begin with https:// or http://")
	}
	if _, err := url.PathUnescape(fragment); err != nil || strings.ContainsRune(fragment, '#') || strings.ContainsFunc(fragment, uris.NotInURI) {
		return errors.New("must have only the characters of a URI in its fragment")
	}
	return uris.CheckHost(u)
}

var errBirthdate = errors.New("must be a date like 2001-12-31, a year like 2001, or a day without the year like 0000-12-31")

// validBirthdate returns what is wrong with a birthdate. A birthdate without a year has
// the year 0000, which has a 29th of February.
func validBirthdate(s string) error {
	layout := time.DateOnly
	if len(s) == len("2006") {
		layout = "2006"
	}
	if _, err := time.Parse(layout, s); err != nil || s == "0000" {
		return errBirthdate
	}
	return nil
}

// zoneName is the form of a time zone's name. Lower-case names in the database are
// other files, or copies of the zones under other rules.
var zoneName = regexp.MustCompile(`^[A-Z][A-Za-z0-9_+-]*(/[A-Z][A-Za-z0-9_+-]*){0,2}$`)

// validZone returns what is wrong with a time zone's name.
func validZone(name string) error {
	ok := zoneName.MatchString(name) && name != "Local" // "Local" is the server's own zone
	if ok {
		_, err := time.LoadLocation(name)
		ok = err == nil
	}
	if !ok {
		return errors.New("must be a time zone's name, such as Europe/Berlin")
	}
	return nil
}

// validLocale returns what is wrong with a language tag. The library accepts
// underscores and "root", too, which BCP 47 doesn't know.
func validLocale(tag string) error {
	if _, err := language.Parse(tag); err != nil || strings.Contains(tag, "_") || strings.EqualFold(tag, "root") {
		return errors.New("must be a language tag, such as en-US")
	}
	return nil
}

// Profile returns what a user says of themselves.
func (u *Users) Profile(ctx context.Context, id ids.User) (Profile, error) {
	p, err := u.store.Profile(ctx, id)
	if err != nil {
		return Profile{}, fmt.Errorf("find profile: %w", err)
	}
	return p, nil
}

// SetProfile replaces a user's profile, for the user who is signed in at a place or, if
// that is zero, for the operator, and returns it as stored: with the phone number in E.164.
// *input.Error, ErrUnknownUser, ErrSignedOut.
func (u *Users) SetProfile(ctx context.Context, now time.Time, id ids.User, at ids.Place, p Profile, from caller.Caller) (Profile, error) {
	if number, ok := normalizePhone(p.PhoneNumber); ok {
		p.PhoneNumber = number
	}
	if err := p.check(); err != nil {
		return Profile{}, err
	}
	by := By{Place: at, Operator: at.IsZero() && from.IsOperator()}
	if err := u.store.PutProfile(ctx, id, by, p, now, userEvent(audit.UserProfileChanged, now, id, from)); err != nil {
		return Profile{}, fmt.Errorf("set profile: %w", err)
	}
	return p, nil
}
