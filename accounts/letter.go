package accounts

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"time"

	"countersign/audit"
	"countersign/ids"
	"countersign/seal"
)

// ErrBadToken means that a mailed token isn't ours, has been used, has expired, or
// became void by a later change of the account.
var ErrBadToken = errors.New("the mailed token is unknown, used or expired")

// ErrAlreadyDone means that the mailed token has been used, and that what it is for is
// done and still so. Nothing changes.
var ErrAlreadyDone = errors.New("the mailed token has done this already")

// LetterKind is the purpose of a letter.
type LetterKind string

// The kinds of letters. The first three carry a token.
const (
	VerifyEmail       LetterKind = "verify_email"       // proves the address of an account
	ChangeEmail       LetterKind = "change_email"       // proves a new address, and is sent there
	ResetPassword     LetterKind = "reset_password"     // lets a user set a new password
	EmailChangeAsked  LetterKind = "email_change_asked" // notifies the present address, proven or not, that a change is asked for
	EmailChanged      LetterKind = "email_changed"      // notifies the old address
	PasswordChanged   LetterKind = "password_changed"   // notifies the owner
	AlreadyRegistered LetterKind = "already_registered" // notifies the owner that another visitor or user wants the address
	NewBrowser        LetterKind = "new_browser"        // notifies the owner of a sign-in
	IdentityLinked    LetterKind = "identity_linked"    // notifies the owner of another way in
	IdentityUnlinked  LetterKind = "identity_unlinked"  // and that it is gone

	// These notify the owner of a change of what is proven at a sign-in besides the password,
	// and of the password's end.
	FactorAdded          LetterKind = "factor_added"
	FactorRemoved        LetterKind = "factor_removed"
	FactorsReset         LetterKind = "factors_reset" // by the operator
	RecoveryCodesRenewed LetterKind = "recovery_codes_renewed"
	RecoveryCodeUsed     LetterKind = "recovery_code_used"
	PasswordRemoved      LetterKind = "password_removed"
)

// lifetimes are how long a letter's token is valid. A letter without one is sent within
// that time or dropped.
var lifetimes = map[LetterKind]time.Duration{
	VerifyEmail:       24 * time.Hour,
	ChangeEmail:       time.Hour,
	ResetPassword:     30 * time.Minute,
	EmailChangeAsked:  24 * time.Hour,
	EmailChanged:      24 * time.Hour,
	PasswordChanged:   24 * time.Hour,
	AlreadyRegistered: time.Hour,
	NewBrowser:        24 * time.Hour,
	IdentityLinked:    24 * time.Hour,
	IdentityUnlinked:  24 * time.Hour,

	FactorAdded:          24 * time.Hour,
	FactorRemoved:        24 * time.Hour,
	FactorsReset:         24 * time.Hour,
	RecoveryCodesRenewed: 24 * time.Hour,
	RecoveryCodeUsed:     24 * time.Hour,
	PasswordRemoved:      24 * time.Hour,
}

// UrgentLetters returns the kinds of letters whose readers wait for them and can't go on
// without. Visitors who sign up with strangers' addresses can't cause them.
func UrgentLetters() []LetterKind { return []LetterKind{ResetPassword} }

// LetterKinds returns every kind of letter.
func LetterKinds() []LetterKind { return slices.Sorted(maps.Keys(lifetimes)) }

// Letter is a mail, stored until it is sent and its token used. The token itself is not
// stored: it is the letter's id under a MAC.
type Letter struct {
	ID        ids.Letter
	Kind      LetterKind
	UserID    ids.User // the user it is about; zero if it is never sent, see DueAt
	Address   string   // of the recipient
	Language  string   // that the reader prefers, as in Accept-Language
	Epoch     int64    // of the account when the letter was asked for
	CreatedAt time.Time
	ExpiresAt time.Time
	// DueAt is when to send it; zero if it was sent, or never will be. A request for
	// mail to an unknown address stores a letter that is never sent, so that it takes
	// the same work as any other.
	DueAt    time.Time
	Attempts int // to send it
	// LastError is why the last attempt failed, in the mail server's words if it said any;
	// empty if none has failed.
	LastError string

	// Device and CallerAddress say with which browser and from which IP address the user
	// signed in. A NewBrowser has them, an IdentityLinked and an IdentityUnlinked the latter;
	// only DueLetters reads them, and Provider.
	Device, CallerAddress string
	// Provider is what users know the identity's provider as.
	Provider string

	Username string // the user's current name, or address where there is none; not stored
}

// nowhere turns l into a letter that is never sent.
func (l *Letter) nowhere() { l.UserID, l.Address, l.DueAt = ids.User{}, "", time.Time{} }

// LeadsToReset reports whether the letter has a link to the page that asks for a new password,
// for a reader who didn't do what it says.
func (l *Letter) LeadsToReset() bool {
	switch l.Kind {
	case EmailChangeAsked, NewBrowser, FactorAdded, FactorRemoved, FactorsReset, RecoveryCodesRenewed, RecoveryCodeUsed, PasswordRemoved,
		IdentityLinked, IdentityUnlinked:
		return true
	}
	return false
}

// HasToken reports whether the letter carries a token.
func (l *Letter) HasToken() bool {
	return l.Kind == VerifyEmail || l.Kind == ChangeEmail || l.Kind == ResetPassword
}

// LetterStore stores letters. Every method is atomic and safe for concurrent use, also
// across replicas.
type LetterStore interface {
	// PostLetter stores a letter for sending, and others with it. The place, if not zero,
	// must be alive at that time, and the letters get the epoch of its user; those with a
	// token end with the place, however it ends: with the session, or with the login where
	// that is what asks. ErrSignedOut.
	PostLetter(ctx context.Context, l Letter, at ids.Place, with ...Letter) error
	// Letter returns a letter that has not expired at now. ErrBadToken.
	Letter(ctx context.Context, id ids.Letter, now time.Time) (Letter, error)
	// UsedLetter returns the ID, Kind, UserID, Address and ExpiresAt of a letter whose
	// token was used and that has not expired at now. A later change of the account that
	// voids mailed tokens voids it, too. ErrBadToken.
	UsedLetter(ctx context.Context, id ids.Letter, now time.Time) (Letter, error)
	// ConfirmEmail uses up a letter of VerifyEmail or ChangeEmail: its address is now
	// the user's, proven, and no other account's. Of any number of concurrent calls one
	// succeeds. A change needs an account that is still in the letter's epoch, and
	// voids the links mailed before it. letters are posted with it. ErrBadToken,
	// ErrEmailTaken.
	ConfirmEmail(ctx context.Context, id ids.Letter, now time.Time, ev audit.Event, letters ...Letter) error
	// ResetPassword uses up a letter of ResetPassword to an account that is still in
	// the letter's epoch and has its address: it replaces the hash, moves the epoch,
	// ends all sessions and what was pending, takes back all consents, and marks the
	// address as proven, unless it is another account's. If it was not proven before, the
	// identities go, too: they may be those of another person who has given it. Of any
	// number of concurrent calls one succeeds. letters are posted with it. ErrBadToken.
	ResetPassword(ctx context.Context, id ids.Letter, hash string, now time.Time, ev audit.Event, letters ...Letter) error

	// DueLetters lists at most limit letters that are due and have not expired, those
	// that are due longest first: of the kinds, or of any kind if none is given.
	DueLetters(ctx context.Context, now time.Time, limit int, kinds ...LetterKind) ([]Letter, error)
	// ClaimLetter postpones a letter from its DueAt to until and counts an attempt. It
	// returns false if another replica has just done so, or if the letter is gone.
	ClaimLetter(ctx context.Context, l Letter, until time.Time) (bool, error)
	// LetterDone marks a letter as sent, or as never to be sent if why is not empty, which
	// then becomes its LastError.
	LetterDone(ctx context.Context, id ids.Letter, why string) error
	// LetterFailed notes why a letter that the caller has claimed until a time could not be
	// sent, and moves its DueAt to again. It does nothing if another replica has claimed the
	// letter since.
	LetterFailed(ctx context.Context, id ids.Letter, until, again time.Time, why string) error
	// PurgeLetters removes at most limit letters that had expired at the given
	// time and returns how many.
	PurgeLetters(ctx context.Context, before time.Time, limit int) (int64, error)
}

// A mailed token is the letter's id (seal.Keys.Token).
const (
	mailPrefix  = "cs_mt_"
	mailPurpose = "mailed token"
)

// MailToken returns the token that a letter carries.
func MailToken(keys *seal.Keys, letter ids.Letter) string {
	return keys.Token(mailPrefix, mailPurpose, letter[:])
}

// mailedToken finds a token in a text.
var mailedToken = regexp.MustCompile(mailPrefix + `[A-Za-z0-9_-]+`)

// FindMailToken returns the mailed token in a text, such as the link that carries it, or
// nothing if there is none.
func FindMailToken(text string) string { return mailedToken.FindString(text) }

// parseMailToken reads a mailed token. ErrBadToken if we didn't make it.
func parseMailToken(keys *seal.Keys, token string) (ids.Letter, error) {
	message, ok := keys.OpenToken(mailPrefix, mailPurpose, trim(token))
	if !ok || len(message) != len(ids.Letter{}) {
		return ids.Letter{}, ErrBadToken
	}
	return ids.Letter(message), nil
}
