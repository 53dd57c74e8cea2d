package accounts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
	"countersign/input"
)

// AddRole gives the user a role, for the operator, and returns the user as it is then. A
// role that the user has already changes nothing. Access tokens that are out keep the roles
// they have. *input.Error, ErrUnknownUser, caller.ErrNotOperator.
func (u *Users) AddRole(ctx context.Context, now time.Time, id ids.User, role string, from caller.Caller) (User, error) {
	return u.changeRoles(ctx, now, id, from, func(roles []string) ([]string, error) {
		if slices.Contains(roles, role) {
			return roles, nil
		}
		roles = append(roles, role)
		var bad input.Error
		checkRoles(&bad, roles)
		return roles, bad.Err()
	})
}

// RemoveRole is AddRole's opposite. A role that the user doesn't have changes nothing.
func (u *Users) RemoveRole(ctx context.Context, now time.Time, id ids.User, role string, from caller.Caller) (User, error) {
	return u.changeRoles(ctx, now, id, from, func(roles []string) ([]string, error) {
		return slices.DeleteFunc(roles, func(r string) bool { return r == role }), nil
	})
}

func (u *Users) changeRoles(ctx context.Context, now time.Time, id ids.User, from caller.Caller, change func([]string) ([]string, error)) (User, error) {
	if err := from.MustBeOperator(); err != nil {
		return User{}, err
	}
	if err := u.store.ChangeRoles(ctx, id, change, now, userEvent(audit.UserRolesChanged, now, id, from)); err != nil {
		return User{}, fmt.Errorf("change roles: %w", err)
	}
	return u.store.User(ctx, id)
}

// SetEmail gives the user another address, proven or not, for the operator, and returns the
// user as it is then. It mails no letter, and voids the links that were mailed to set a
// password or to change the address. The address that the user has already stays as
// it is, unless it is unproven and now proven. *input.Error, which is also ErrEmailTaken if
// that is the only problem; ErrUnknownUser, caller.ErrNotOperator.
func (u *Users) SetEmail(ctx context.Context, now time.Time, user User, email string, verified bool, from caller.Caller) (User, error) {
	if err := from.MustBeOperator(); err != nil {
		return User{}, err
	}
	var bad input.Error
	email = u.checkNewEmail(ctx, &bad, email)
	if email == "" {
		bad.Add("email", input.Required, "email must not be empty.")
	}
	if err := bad.Err(); err != nil {
		return User{}, err
	}
	var err error
	switch {
	case email != user.Email:
		err = u.store.SetEmail(ctx, user.ID, email, verified, now, userEvent(audit.UserEmailChanged, now, user.ID, from))
	case verified:
		err = u.store.ProveEmail(ctx, user.ID, email, now, userEvent(audit.UserEmailVerified, now, user.ID, from))
	}
	switch {
	case errors.Is(err, ErrEmailTaken):
		return User{}, alreadyTaken(err)
	case err != nil:
		return User{}, fmt.Errorf("set e-mail address: %w", err)
	}
	return u.store.User(ctx, user.ID)
}

// Unlock forgets all wrong guesses at the user's account, for the operator, so that callers
// who had to wait for it need not. It returns whether there were some. The budget that a
// network has over all accounts stays as it is. ErrUnknownUser, caller.ErrNotOperator.
func (u *Users) Unlock(ctx context.Context, now time.Time, id ids.User, from caller.Caller) (bool, error) {
	if err := from.MustBeOperator(); err != nil {
		return false, err
	}
	unlocked, err := u.store.UnlockUser(ctx, id, userEvent(audit.UserUnlocked, now, id, from))
	if err != nil {
		return false, fmt.Errorf("unlock user: %w", err)
	}
	return unlocked, nil
}
