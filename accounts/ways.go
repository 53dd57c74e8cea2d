package accounts

import (
	"context"
	"fmt"
	"time"

	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
)

// RemovePassword removes the password of a user who has just given a proof and has another way
// in, ends all of the user's sessions and logins but the place that asks, and returns the user
// with the new epoch. The caller must have checked the proof. Where there is no password,
// nothing changes. ErrLastWayIn, ErrSignedOut, ErrBadCredentials if the account changed since
// the proof, ErrUnknownUser.
func (u *Users) RemovePassword(ctx context.Context, now time.Time, proven User, at ids.Place, from caller.Caller) (User, error) {
	if at.IsZero() {
		return User{}, ErrSignedOut
	}
	user, err := u.store.User(ctx, proven.ID)
	if err != nil {
		return User{}, fmt.Errorf("remove a password: %w", err)
	}
	if user.PasswordHash == "" {
		return user, nil
	}
	letters, err := u.notice(ctx, now, PasswordRemoved, &user, from)
	if err != nil {
		return User{}, err
	}
	by := By{Place: at, Epoch: proven.Epoch}
	if err := u.store.RemovePassword(ctx, user.ID, u.providers, by, now, userEvent(audit.UserPasswordRemoved, now, user.ID, from), letters...); err != nil {
		return User{}, fmt.Errorf("remove a password: %w", err)
	}
	user.PasswordHash, user.Epoch = "", proven.Epoch+1
	return user, nil
}

// OtherWayIn reports whether a user can sign in without the password.
func (u *Users) OtherWayIn(ctx context.Context, id ids.User) (bool, error) {
	return u.store.OtherWayIn(ctx, id, u.providers)
}
