package accounts

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
	"countersign/input"
	"countersign/limits"
	"countersign/secrecy"
)

// ErrNoMail means that this server sends no mail.
var ErrNoMail = errors.New("this server sends no mail")

// Correspondent names the account that a caller asks mail for, by exactly one of the first
// two fields.
type Correspondent struct {
	Email    string
	Username string // or an address, as at sign-in
	// Account, if not empty, goes before both while it is valid: an AccountToken, which
	// tells apart the accounts that hold one address.
	Account string
}

// RequestReset posts a letter with which the reader of the account's mail can set a
// new password. Its result doesn't tell whether the account exists. *input.Error,
// *limits.WaitError, ErrNoMail.
func (u *Users) RequestReset(ctx context.Context, now time.Time, who Correspondent, from caller.Caller) error {
	return u.request(ctx, now, ResetPassword, who, from)
}

// ResendVerification posts the letter again that proves an account's address. Its
// result doesn't tell whether the account exists. *input.Error, *limits.WaitError,
// ErrNoMail.
func (u *Users) ResendVerification(ctx context.Context, now time.Time, who Correspondent, from caller.Caller) error {
	return u.request(ctx, now, VerifyEmail, who, from)
}

// request posts a letter to the account that a stranger names. If there is no such
// account, it stores a letter that is never sent.
func (u *Users) request(ctx context.Context, now time.Time, kind LetterKind, who Correspondent, from caller.Caller) error {
	if !u.mail {
		return ErrNoMail
	}
	who.Email, who.Username = trim(who.Email), trim(who.Username)
	var bad input.Error
	switch {
	case who.Email == "" && who.Username == "":
		bad.Add("email", input.Required, "email or username must be given.")
	case who.Email != "" && who.Username != "":
		bad.Add("username", input.NotAllowed, "only one of email and username can be given.")
	default:
		checkEmail(&bad, who.Email)
	}
	if err := bad.Err(); err != nil {
		return err
	}
	user, asked, err := u.addressee(ctx, now, who)
	if err != nil {
		return err
	}
	return u.write(ctx, now, kind, &user, asked, from)
}

// RenewFor is how long after its end a mailed token still names its account to Renew.
const RenewFor = 7 * 24 * time.Hour

// Renew posts a letter of a kind to the account that a mailed token of that kind is about,
// to the address that the account has now. The token may be used, or have expired no longer
// ago than RenewFor. ErrBadToken if the token names no account; *limits.WaitError,
// ErrNoMail.
func (u *Users) Renew(ctx context.Context, now time.Time, kind LetterKind, token string, from caller.Caller) error {
	if !u.mail {
		return ErrNoMail
	}
	letter, user, err := u.open(ctx, now.Add(-RenewFor), token)
	if errors.Is(err, ErrBadToken) {
		letter, user, err = u.openUsed(ctx, now.Add(-RenewFor), token)
	}
	if err == nil && letter.Kind != kind {
		err = ErrBadToken
	}
	if err != nil {
		return err
	}
	return u.write(ctx, now, kind, &user, user.ID.String(), from)
}

// write posts a letter to a user, which is never sent if the user is the zero User or has no
// use for it. asked is what the caller has named the user by.
func (u *Users) write(ctx context.Context, now time.Time, kind LetterKind, user *User, asked string, from caller.Caller) error {
	// Only a browser that the account knows learns from this that there is an account.
	if user.EmailUnclaimed || knownBrowser(user, from) == "" {
		if err := u.chargeNetwork(ctx, now, reason(kind), from); err != nil {
			return err
		}
	}
	letter := u.letter(now, kind, user, user.Email, from.Language)
	if user.Email == "" || user.Disabled() || kind == VerifyEmail && user.EmailVerified {
		letter.nowhere()
	}
	if err := u.ration(ctx, now, &letter, user, asked, from); err != nil {
		return err
	}
	return u.post(ctx, letter, ids.Place{})
}

// post stores a letter that a stranger, or a user who is signed in at a place, asks for,
// and notices with it.
func (u *Users) post(ctx context.Context, l Letter, at ids.Place, notices ...Letter) error {
	if err := u.store.PostLetter(ctx, l, at, notices...); err != nil {
		return fmt.Errorf("post letter: %w", err)
	}
	return nil
}

// addressee returns the user whom a caller asks mail for, the zero User if there is none, and
// what the caller asked for. Of several accounts that hold an address, the newest gets the mail.
func (u *Users) addressee(ctx context.Context, now time.Time, c Correspondent) (user User, asked string, err error) {
	who := readTyped(cmp.Or(c.Email, c.Username))
	asked = cmp.Or(who.key, who.username, who.text)
	if id, ok := u.openAccount(now, c.Account); ok {
		who = typed{id: id}
	} else if c.Email != "" {
		who.username = "" // a name with an @ is not meant
	}
	user, err = u.find(ctx, who)
	return user, asked, err
}

// An AccountToken names an account to a page that it was shown on:
//
//	expires(8) account(16), as a seal.Keys.Token
const (
	accountPrefix  = "cs_am_"
	accountPurpose = "account on a page"
)

// AccountToken returns a token with which the reader of a page, who has given the right
// password, can ask for mail to the account for an hour. It opens nothing else. On the forms
// of the account's pages it says to whom they belong.
func (u *Users) AccountToken(now time.Time, account ids.User) string {
	if u.seal == nil {
		return ""
	}
	return u.seal.Token(accountPrefix, accountPurpose,
		append(binary.BigEndian.AppendUint64(nil, uint64(now.Add(time.Hour).UnixMilli())), account[:]...))
}

// openAccount reads an AccountToken.
func (u *Users) openAccount(now time.Time, token string) (account ids.User, ok bool) {
	if token == "" || u.seal == nil {
		return account, false
	}
	message, ok := u.seal.OpenToken(accountPrefix, accountPurpose, token)
	if !ok || len(message) != 8+len(account) || now.UnixMilli() >= int64(binary.BigEndian.Uint64(message)) {
		return account, false
	}
	return ids.User(message[8:]), true
}

// IsAccount reports whether an AccountToken, however old, names an account.
func (u *Users) IsAccount(token string, account ids.User) bool {
	named, ok := u.openAccount(time.Time{}, token)
	return ok && named == account
}

// Gone reports whether the account that an AccountToken names, however old, is deleted.
func (u *Users) Gone(ctx context.Context, token string) (bool, error) {
	account, ok := u.openAccount(time.Time{}, token)
	if !ok {
		return false, nil
	}
	_, err := u.store.User(ctx, account)
	if errors.Is(err, ErrUnknownUser) {
		return true, nil
	}
	return false, err
}

// letter returns a letter about a user, due now.
func (u *Users) letter(now time.Time, kind LetterKind, user *User, address, language string) Letter {
	return Letter{
		ID: ids.NewRandom[ids.Letter](), Kind: kind, UserID: user.ID, Address: address, Language: language,
		Epoch: user.Epoch, CreatedAt: now, ExpiresAt: now.Add(lifetimes[kind]), DueAt: now,
	}
}

// alreadyRegistered returns a letter to the owner of an address that another caller
// wants to use. It goes to the address as its owner gave it: a different spelling may
// be another person's mailbox.
func (u *Users) alreadyRegistered(now time.Time, holder *User, language string) Letter {
	return u.letter(now, AlreadyRegistered, holder, holder.Email, language)
}

// ResetPassword sets a new password for the holder of a mailed token, ends all
// sessions, and returns the user with the new epoch. ErrBadToken, *input.Error,
// limits.ErrBusy.
//
// A caller who sends the same again gets ErrAlreadyDone, with the user. Another password
// with a token that has been used is ErrBadToken, and counts as a wrong guess, for which
// a caller may also get a *limits.WaitError: the holder of an old link could otherwise
// try passwords without end.
func (u *Users) ResetPassword(ctx context.Context, now time.Time, token string, password secrecy.Text, from caller.Caller) (User, error) {
	user, err := u.resetPassword(ctx, now, token, password, from)
	if !errors.Is(err, ErrBadToken) {
		return user, err
	}
	letter, user, unused := u.openUsed(ctx, now, token) // another call may have used it just now
	if unused != nil || letter.Kind != ResetPassword {
		return User{}, err
	}
	user, wrong := u.authenticateAs(ctx, now, typed{id: user.ID}, password, u.notVerified, from)
	switch {
	case wrong == nil:
		return user, ErrAlreadyDone
	case errors.Is(wrong, ErrBadCredentials):
		return User{}, err
	default:
		return User{}, wrong
	}
}

func (u *Users) resetPassword(ctx context.Context, now time.Time, token string, password secrecy.Text, from caller.Caller) (User, error) {
	letter, user, err := u.open(ctx, now, token)
	if err != nil {
		return User{}, err
	}
	if letter.Kind != ResetPassword || letter.Epoch != user.Epoch {
		return User{}, ErrBadToken
	}
	hash, err := u.hashNew(ctx, "new_password", password, &user, from)
	if err != nil {
		return User{}, err
	}
	user.EmailVerified = user.EmailVerified || user.Email == letter.Address
	letters, err := u.notice(ctx, now, PasswordChanged, &user, from)
	if err != nil {
		return User{}, err
	}
	ev := userEvent(audit.UserPasswordChanged, now, user.ID, from)
	if err := u.store.ResetPassword(ctx, letter.ID, hash, now, ev, letters...); err != nil {
		return User{}, fmt.Errorf("reset password: %w", err)
	}
	user.Epoch = letter.Epoch + 1
	return user, nil
}

// ConfirmEmail proves an address by a mailed token. ErrBadToken, *input.Error, and
// ErrAlreadyDone if the token has proven the address that the account still has.
func (u *Users) ConfirmEmail(ctx context.Context, now time.Time, token string, from caller.Caller) error {
	err := u.confirmEmail(ctx, now, token, from)
	if !errors.Is(err, ErrBadToken) {
		return err
	}
	letter, user, unused := u.openUsed(ctx, now, token) // another call may have used it just now
	if unused == nil && letter.Kind != ResetPassword && user.EmailVerified && user.Email == letter.Address {
		return ErrAlreadyDone
	}
	return err
}

func (u *Users) confirmEmail(ctx context.Context, now time.Time, token string, from caller.Caller) error {
	letter, user, err := u.open(ctx, now, token)
	if err != nil {
		return err
	}
	kind, notice := audit.UserEmailVerified, []Letter(nil)
	switch letter.Kind {
	case VerifyEmail:
	case ChangeEmail:
		kind = audit.UserEmailChanged
		if notice, err = u.notice(ctx, now, EmailChanged, &user, from); err != nil {
			return err
		}
	default:
		return ErrBadToken
	}
	err = u.store.ConfirmEmail(ctx, letter.ID, now, userEvent(kind, now, user.ID, from), notice...)
	if errors.Is(err, ErrEmailTaken) {
		return alreadyTaken(err)
	}
	if err != nil {
		return fmt.Errorf("confirm e-mail address: %w", err)
	}
	return nil
}

// open returns the letter of a mailed token and the user it is about.
func (u *Users) open(ctx context.Context, now time.Time, token string) (Letter, User, error) {
	return u.lookUp(ctx, now, token, u.store.Letter)
}

// openUsed is open for a token that has been used.
func (u *Users) openUsed(ctx context.Context, now time.Time, token string) (Letter, User, error) {
	return u.lookUp(ctx, now, token, u.store.UsedLetter)
}

func (u *Users) lookUp(ctx context.Context, now time.Time, token string, find func(context.Context, ids.Letter, time.Time) (Letter, error)) (Letter, User, error) {
	id, err := parseMailToken(u.seal, token)
	if err != nil {
		return Letter{}, User{}, err
	}
	letter, err := find(ctx, id, now)
	if err != nil {
		return Letter{}, User{}, fmt.Errorf("find letter: %w", err)
	}
	user, err := u.store.User(ctx, letter.UserID)
	if errors.Is(err, ErrUnknownUser) || err == nil && user.Disabled() {
		return Letter{}, User{}, ErrBadToken
	}
	return letter, user, err
}

// RequestEmailChange posts a letter to a new address of a user, which becomes the
// user's once it is proven, and a notice to the present address, proven or not: the
// caller may not be the owner. The user must be signed in where it is asked for. The result
// doesn't tell whether another account has the address. *input.Error,
// *limits.WaitError, ErrNoMail, ErrSignedOut.
func (u *Users) RequestEmailChange(ctx context.Context, now time.Time, id ids.User, at ids.Place, email string, from caller.Caller) error {
	if at.IsZero() { // the store takes the zero Place for a stranger's letter, without an epoch
		return ErrSignedOut
	}
	if !u.mail {
		return ErrNoMail
	}
	var bad input.Error
	email = u.checkNewEmail(ctx, &bad, email)
	if email == "" {
		bad.Add("email", input.Required, "email must not be empty.")
	}
	if err := bad.Err(); err != nil {
		return err
	}
	// These two budgets are the caller's own. Without them there is no change, so the
	// notice needs no other: callers who spend the budget of the present address must not
	// keep its owner from learning.
	own := limits.Key("changes of an address", id.String())
	if err := u.chargeNetwork(ctx, now, reason(ChangeEmail), from); err != nil {
		return err
	}
	if err := u.chargeShared(ctx, now, own, changesOfAddress); err != nil {
		return err
	}
	owner, err := u.store.User(ctx, id)
	if errors.Is(err, ErrUnknownUser) {
		return ErrSignedOut
	}
	if err != nil {
		return fmt.Errorf("find user: %w", err)
	}
	var notices []Letter
	if owner.Email != "" && owner.Email != email {
		language, err := u.languageOf(ctx, id, from)
		if err != nil {
			return err
		}
		notices = append(notices, u.letter(now, EmailChangeAsked, &owner, owner.Email, language))
	}
	user := User{ID: id}
	letter := u.letter(now, ChangeEmail, &user, email, from.Language)
	holder, err := u.store.UserByEmail(ctx, EmailKey(email))
	if err != nil && !errors.Is(err, ErrUnknownUser) {
		return fmt.Errorf("find user: %w", err)
	}
	language, err := u.languageOf(ctx, holder.ID, from) // asked for a new address, too, so that the work is the same
	switch {
	case err != nil:
		return err
	case !holder.ID.IsZero() && holder.ID != id:
		letter, user = u.alreadyRegistered(now, &holder, language), holder
	}
	if err := u.ration(ctx, now, &letter, &user, "", from); err != nil {
		return err
	}
	return u.post(ctx, letter, at, notices...)
}

// changesOfAddress is how many letters to new addresses one user can ask for, per window
// of the throttle.
const changesOfAddress = 5
