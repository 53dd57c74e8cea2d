package accounts

import (
	"context"
	"errors"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"countersign/ids"
	"countersign/input"
	"countersign/uris"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
)

const (
	maxUsername = 64 // code points
	// maxRawUsername bounds, in bytes, the names that we normalise: mapping a long text
	// costs too much.
	maxRawUsername = 1024
	maxEmail       = 254 // bytes: RFC 5321 section 4.5.3.1.3, less the angle brackets
	maxRole        = 64  // code points
	// maxRolesBytes keeps a token with all of a user's roles small enough for a
	// header.
	maxRolesBytes = 1024
)

// trim returns a name or an address without what phone keyboards, autofill and copying
// leave around it: white space, and invisible format characters such as a zero width
// space or the marks that set a text's direction. Every name and address that comes in
// goes through it; a password never does.
func trim(s string) string {
	return strings.TrimFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r)
	})
}

var errNotUsername = errors.New("username may only have letters, digits and ASCII punctuation, no spaces or symbols")

// NormalizeUsername maps a username to the form it is stored and compared in:
// PRECIS UsernameCaseMapped (RFC 8265 section 3.3), which makes "Ａｌｉｃｅ", "ALICE"
// and "alice" one name and leaves out controls and compatibility characters.
// Letters of different scripts that look alike stay different. Space around it doesn't
// count.
func NormalizeUsername(username string) (string, error) {
	username = trim(username)
	if len(username) > maxRawUsername || !utf8.ValidString(username) {
		return "", errNotUsername
	}
	name, err := precis.UsernameCaseMapped.String(username)
	if err != nil {
		return "", errNotUsername
	}
	// RFC 8264 section 7: the rules should be idempotent. A name for which they aren't
	// would be stored under one form and looked up under another.
	if again, err := precis.UsernameCaseMapped.String(name); err != nil || again != name {
		return "", errNotUsername
	}
	return name, nil
}

// checkUsername normalises a new username and adds what is wrong with it. None is fine.
func checkUsername(bad *input.Error, username string) string {
	username = trim(username)
	if username == "" {
		return ""
	}
	name, err := NormalizeUsername(username)
	switch n := utf8.RuneCountInString(name); {
	case len(username) > maxRawUsername:
		bad.Add("username", input.TooLong, "username must not be longer than %d characters.", maxUsername)
	case err != nil:
		bad.Add("username", input.InvalidCharacters, "%v.", err)
	case n > maxUsername:
		bad.Add("username", input.TooLong, "username must not be longer than %d characters.", maxUsername)
	case strings.HasPrefix(name, "-"):
		// A command would take the name for a flag.
		bad.Add("username", input.NotAllowed, "username must not begin with a hyphen.")
	case strings.Contains(name, "@"):
		// Commands and the page of a forgotten password take a name or an address, so a name
		// must not look like another user's address.
		bad.Add("username", input.NotAllowed, "username must not contain an @: an e-mail address goes into the field email.")
	case ids.Resembles(name):
		// Operators name users by name or id, so a name must not look like another
		// user's id.
		bad.Add("username", input.NotAllowed, "username must not have the form of a user's id.")
	}
	return name
}

// checkEmail returns an e-mail address without space around it, and adds what is wrong
// with it. None is fine.
func checkEmail(bad *input.Error, email string) string {
	email = trim(email)
	if email == "" {
		return ""
	}
	// The key is stored too, and folding can lengthen it.
	if len(email) > maxEmail || len(EmailKey(email)) > maxEmail {
		bad.Add("email", input.TooLong, "email must not be longer than %d bytes.", maxEmail)
		return email
	}
	// A bare address parses to itself: no display name, comment, quotes or
	// surrounding space. Address literals are no user's mailbox, and characters that
	// don't print let one address pass for another.
	addr, err := mail.ParseAddress(email)
	if err != nil || addr.Name != "" || addr.Address != email ||
		strings.HasSuffix(email, "]") || !input.Printable(email) {
		bad.Add("email", input.Invalid, "email must be an address like name@example.com, with nothing around it.")
		return email
	}
	// On the wire, the domain has only ASCII (RFC 5890 section 2.3.2.1).
	at := strings.LastIndexByte(email, '@')
	if uris.IsASCII(email[at:]) {
		return email
	}
	switch domain, err := readable.ToASCII(email[at+1:]); {
	case err != nil:
		bad.Add("email", input.Invalid, "email must have a domain after the @, like name@example.com.")
	case len(email[:at+1])+len(domain) > maxEmail:
		bad.Add("email", input.TooLong, "email must not be longer than %d bytes.", maxEmail)
	}
	return email
}

// checkNewEmail is checkEmail for an address that an account is to have: mail must be
// able to reach it.
func (u *Users) checkNewEmail(ctx context.Context, bad *input.Error, email string) string {
	before := len(bad.Problems)
	email = checkEmail(bad, email)
	if len(bad.Problems) > before || !u.mail || uris.IsASCII(email[:strings.LastIndexByte(email, '@')+1]) {
		return email
	}
	if u.utf8Mail == nil || !u.utf8Mail(ctx) {
		bad.Add("email", input.InvalidCharacters, "email must be ASCII before the @: our mail server takes no other addresses.")
	}
	return email
}

// EmailKey returns the form of an e-mail address that is unique among users: folded by
// case and compatibility, with the domain in Unicode (RFC 5890 section 2.3.2.1). No two
// accounts then have addresses that look alike or are one mailbox. Mail goes to the
// address as given, never to its key.
func EmailKey(email string) string {
	at := strings.LastIndexByte(email, '@')
	domain, _ := readable.ToUnicode(email[at+1:]) // errors don't matter here
	return fold(email[:at+1] + domain)
}

// readable converts domains to Unicode, and to ASCII.
var readable = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.VerifyDNSLength(true))

// checkRoles adds what is wrong with role names.
func checkRoles(bad *input.Error, roles []string) {
	if input.Size(roles) > maxRolesBytes {
		bad.Add("roles", input.TooLong, "roles must not be more than %d bytes together: tokens carry them.", maxRolesBytes)
	}
	for _, r := range roles {
		if r == "" || !input.Printable(r) || utf8.RuneCountInString(r) > maxRole {
			bad.Add("roles", input.Invalid, "roles: %q must be 1 to %d printable characters without spaces.", r, maxRole)
		}
	}
}

// fold erases the differences of case, width and composition. It folds and composes
// twice because each can undo the other (Unicode Standard section 3.13,
// "toNFKC_Casefold").
func fold(s string) string {
	for range 2 {
		s = norm.NFKC.String(cases.Fold().String(s))
	}
	return s
}
