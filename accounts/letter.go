package accounts

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"countersign/audit"
	"countersign/seal"
)

// ErrBadToken says that a mailed token was never ours, has been used, has expired,
// or was overtaken by another change of the account.
var ErrBadToken = errors.New("the mailed token is no good")

// LetterKind says what a letter is about.
type LetterKind string

// The letters there are. The first three carry a token.
const (
	VerifyEmail       LetterKind = "verify_email"       // proves the address of an account
	ChangeEmail       LetterKind = "change_email"       // proves a new address, and goes there
	ResetPassword     LetterKind = "reset_password"     // lets in a user who forgot the password
	EmailChanged      LetterKind = "email_changed"      // tells the old address
	PasswordChanged   LetterKind = "password_changed"   // tells the owner
	AlreadyRegistered LetterKind = "already_registered" // tells who signs up a second time
)

// lifetimes are how long a letter's token is good for, or how long it is worth
// sending one without.
var lifetimes = map[LetterKind]time.Duration{
	VerifyEmail:       24 * time.Hour,
	ChangeEmail:       time.Hour,
	ResetPassword:     30 * time.Minute,
	EmailChanged:      24 * time.Hour,
	PasswordChanged:   24 * time.Hour,
	AlreadyRegistered: time.Hour,
}

// Letter is a mail, kept until it is sent and its token used. The token
// itself is kept nowhere: it is the letter's id under a MAC.
type Letter struct {
	ID        uuid.UUID
	Kind      LetterKind
	UserID    uuid.UUID // whom it is about; nil for one that is never sent, see DueAt
	Address   string    // where it goes
	Language  string    // what the reader prefers, as in Accept-Language
	Epoch     int64     // of the account when it was asked for
	CreatedAt time.Time
	ExpiresAt time.Time
	// DueAt is when to send it; zero if it has been sent, or was never to be. One
	// that goes nowhere is kept for a caller who asked for mail to an address that no
	// account has: it takes the same work.
	DueAt    time.Time
	Attempts int // at sending it

	Username string // of the user now; not written
}

// nowhere makes a letter one that is never sent.
func (l *Letter) nowhere() { l.UserID, l.Address, l.DueAt = uuid.Nil, "", time.Time{} }

// HasToken reports whether the letter carries a token.
func (l *Letter) HasToken() bool {
	return l.Kind == VerifyEmail || l.Kind == ChangeEmail || l.Kind == ResetPassword
}

// LetterStore is the memory for letters. Every method is atomic and safe for
// concurrent use, on every replica together.
type LetterStore interface {
	// PostLetter keeps a letter to be sent. A session that asks for it must be alive
	// when the letter is written, and the letter is of its user's epoch. ErrSignedOut.
	PostLetter(ctx context.Context, l Letter, session uuid.UUID) error
	// Letter finds one that has not expired at now. ErrBadToken.
	Letter(ctx context.Context, id uuid.UUID, now time.Time) (Letter, error)
	// ConfirmEmail uses up a letter of VerifyEmail or ChangeEmail: its address
	// becomes or is the user's, proven, and no other account's. Of any number of
	// concurrent calls one succeeds. A change takes an account that is still in the
	// letter's epoch, and links mailed before it die with it. letters are posted.
	// ErrBadToken, ErrEmailTaken.
	ConfirmEmail(ctx context.Context, id uuid.UUID, now time.Time, ev audit.Event, letters ...Letter) error
	// ResetPassword uses up a letter of ResetPassword to an account that is still in
	// the letter's epoch and has its address: the hash is replaced, the epoch moves,
	// all sessions end, other such letters die, and the address is proven and the
	// user's, unless it is another's. Of any number of concurrent calls one succeeds.
	// letters are posted. ErrBadToken.
	ResetPassword(ctx context.Context, id uuid.UUID, hash string, now time.Time, ev audit.Event, letters ...Letter) error

	// DueLetters lists at most limit letters that are due and have not expired.
	DueLetters(ctx context.Context, now time.Time, limit int) ([]Letter, error)
	// ClaimLetter puts a letter off from when it was due and counts an attempt.
	// false: another replica has just done so, or it is gone.
	ClaimLetter(ctx context.Context, l Letter, until time.Time) (bool, error)
	// LetterDone marks a letter as sent, or never to be.
	LetterDone(ctx context.Context, id uuid.UUID) error
	// PurgeLetters removes at most limit letters that had expired at the given
	// time and returns how many.
	PurgeLetters(ctx context.Context, before time.Time, limit int) (int64, error)
}

// A mailed token is the letter's id (seal.Keys.Token).
const (
	mailPrefix  = "cs_mt_"
	mailPurpose = "mailed token"
)

// MailToken is the token that a letter carries.
func MailToken(keys *seal.Keys, letter uuid.UUID) string {
	return keys.Token(mailPrefix, mailPurpose, letter[:])
}

// parseMailToken reads a mailed token. ErrBadToken if we didn't make it.
func parseMailToken(keys *seal.Keys, token string) (uuid.UUID, error) {
	message, ok := keys.OpenToken(mailPrefix, mailPurpose, token)
	if !ok || len(message) != len(uuid.UUID{}) {
		return uuid.Nil, ErrBadToken
	}
	return uuid.UUID(message), nil
}
