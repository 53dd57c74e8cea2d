package accounts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"countersign/ids"
)

// typed is whom a caller means: a user who types a username or an e-mail address, or a
// user whom the caller knows already. The zero value is no user.
type typed struct {
	id       ids.User // known already; the rest is empty then
	username string   // normalised; empty if the text can't be one
	key      string   // EmailKey, empty if the text can't be an address
	text     string   // trimmed
}

// readTyped reads what a user typed.
func readTyped(text string) typed {
	t := typed{text: trim(text)}
	if name, err := NormalizeUsername(t.text); err == nil {
		t.username = name
	}
	if strings.Contains(t.text, "@") && len(t.text) <= maxRawUsername && utf8.ValidString(t.text) {
		t.key = EmailKey(t.text)
	}
	return t
}

// nothing reports whether no account can have such a name or address.
func (t typed) nothing() bool { return t.id.IsZero() && t.username == "" && t.key == "" }

// budget names the guess budget of an account, or of none if user is the zero User. All
// names of an account have one budget. So does an account that only holds an address and the
// account that has proven it: if they had two, an attacker with an account of the first kind
// could tell from budgets whether there is one of the second.
func (t typed) budget(user *User) string {
	key := EmailKey(cmp.Or(user.Email, "name@example.com")) // the same work for none
	switch {
	case user.Email != "":
		return key
	case !user.ID.IsZero():
		return user.Username
	default:
		return cmp.Or(t.key, t.username)
	}
}

// Claimants are the accounts that a caller may mean who types a name with an @, each the
// zero User if there is none.
type Claimants struct {
	ByUsername User // older versions let users have names with an @
	ByEmail    User // claims the address; alone if it has proven it
	Unclaimed  User // the newest of those that hold the address, but don't claim it
}

// inOrder returns the accounts that there are, the one with the best claim first. A proven
// address goes before a username: its owner must not be shadowed by an account that has the
// address for its name.
func (c *Claimants) inOrder() []User {
	all := []User{c.ByUsername, c.ByEmail, c.Unclaimed}
	if c.ByEmail.EmailVerified {
		all[0], all[1] = all[1], all[0]
	}
	return slices.DeleteFunc(all, func(u User) bool { return u.ID.IsZero() })
}

// withPassword returns the first account in order that has a password, or the zero User.
func (c *Claimants) withPassword() User {
	for _, u := range c.inOrder() {
		if u.PasswordHash != "" {
			return u
		}
	}
	return User{}
}

// find returns the account that a caller means, or the zero User if there is none.
func (u *Users) find(ctx context.Context, who typed) (User, error) {
	return u.choose(ctx, who, func(c *Claimants) User { return append(c.inOrder(), User{})[0] })
}

// guessed is find for a guess at a password, for which accounts without one don't stand in
// the way of others.
func (u *Users) guessed(ctx context.Context, who typed) (User, error) {
	return u.choose(ctx, who, (*Claimants).withPassword)
}

func (u *Users) choose(ctx context.Context, who typed, among func(*Claimants) User) (user User, err error) {
	switch {
	case !who.id.IsZero():
		user, err = u.store.User(ctx, who.id)
	case who.key != "":
		var c Claimants
		c, err = u.store.Claimants(ctx, who.username, who.key)
		user = among(&c)
	default:
		user, err = u.store.UserByUsername(ctx, who.username)
	}
	if errors.Is(err, ErrUnknownUser) {
		return User{}, nil
	}
	if err != nil {
		return User{}, fmt.Errorf("find user: %w", err)
	}
	return user, nil
}

// sharing returns the account, other than guessed's, that holds the address unclaimed and has
// that hash; ErrUnknownUser if there is none. Accounts with one address share a salt (see
// create), so the hash that guessed's account needed is the right one for each of them.
func (u *Users) sharing(ctx context.Context, who typed, hash string) (User, error) {
	user, err := u.store.UnclaimedUser(ctx, who.key, hash)
	if err != nil && !errors.Is(err, ErrUnknownUser) {
		err = fmt.Errorf("find user: %w", err)
	}
	return user, err
}
