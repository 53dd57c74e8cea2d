package accounts

import (
	"context"
	"time"

	"countersign/caller"
)

// createdAgain is how long a second Create with the same values counts as the first one's
// repetition: a double click, or a page sent again after its answer was lost.
const createdAgain = 10 * time.Minute

// CreatedJustNow returns the account that n asks for if it was created a moment ago, with
// the same name, address and password, or if the caller's browser is known to it, which
// then also counts later and with another address; otherwise ErrUnknownUser or an error of
// Authenticate, for a wrong password is a guess. Its user may have to prove the address
// first, as after Create.
func (u *Users) CreatedJustNow(ctx context.Context, now time.Time, n NewUser, from caller.Caller) (User, error) {
	user, err := u.ByUsername(ctx, n.Username)
	if trim(n.Username) == "" {
		user, err = u.ByEmail(ctx, n.Email)
	}
	if err != nil {
		return User{}, err
	}
	same, known := user.Email == trim(n.Email), knownBrowser(&user, from) != ""
	// A user who corrects an address that is still to be proven must not be told that a
	// letter went there.
	if !known && now.Sub(user.CreatedAt) > createdAgain || !same && (!known || u.AddressDue(&user)) {
		return User{}, ErrUnknownUser
	}
	unbarred := func(*User) error { return nil }
	return u.authenticateAs(ctx, now, typed{id: user.ID}, n.Password, unbarred, from)
}
