package signin

import (
	"context"
	"errors"
	"time"

	"countersign/accounts"
	"countersign/caller"
	"countersign/ids"
	"countersign/oauth"
	"countersign/upstreams"
)

// ErrNotLinked means that a provider has said who the user is there, and that no account
// here is linked to that.
var ErrNotLinked = errors.New("no account is linked to the user of the provider")

// Federated proves a user by what a provider says, which the caller has from
// upstreams.Service. It opens only an account that is linked: an equal address, proven or
// not, opens none. A second factor is asked for as after a password, whatever the user has
// proven there. Its errors are ErrNotLinked and those of an account that may not sign in.
type Federated upstreams.Claims

func (f Federated) prove(ctx context.Context, s *Service, a attempt) (Outcome, error) {
	c := upstreams.Claims(f)
	user, err := s.users.ByIdentity(ctx, c.Key())
	if errors.Is(err, accounts.ErrUnknownUser) {
		return Outcome{}, ErrNotLinked
	}
	if err == nil {
		err = s.users.Barred(&user)
	}
	if err != nil {
		return Outcome{}, err
	}
	return proven(a.now, user, oauth.MethodFederated), nil
}

// FederatedSignUp creates an account that is linked to a user of a provider, which also
// proves its user. The account has no password. Its address, if any, is proven if it is the
// one that the provider has verified; otherwise it is as at any sign-up. Two with the same
// claims make one account. Its errors are those of accounts.Users.Create.
type FederatedSignUp struct {
	Claims          upstreams.Claims
	Username, Email string
}

func (n FederatedSignUp) prove(ctx context.Context, s *Service, a attempt) (Outcome, error) {
	c := &n.Claims
	named := s.named(c)
	own := accounts.NewUser{
		Username: n.Username, Email: n.Email, By: &named,
		Profile: accounts.Profile{Name: c.Name, GivenName: c.GivenName, FamilyName: c.FamilyName, Picture: c.Picture, Locale: c.Locale},
	}
	if c.EmailVerified && accounts.EmailKey(n.Email) == accounts.EmailKey(c.Email) {
		own.Email, own.EmailVerified = c.Email, true
	}
	user, err := s.users.Create(ctx, a.now, own, a.from)
	if errors.Is(err, accounts.ErrIdentityTaken) || errors.Is(err, accounts.ErrUsernameTaken) || errors.Is(err, accounts.ErrEmailTaken) {
		// The form was sent twice. Later than that, what the provider has said is no proof any
		// more: the user signs in there again.
		if o, wrong := Federated(n.Claims).prove(ctx, s, a); wrong == nil && a.now.Sub(o.User.CreatedAt) < time.Minute {
			return o, nil
		}
	}
	if err != nil {
		return Outcome{}, err
	}
	if s.users.AddressDue(&user) {
		return Outcome{State: AddressDue, User: user}, nil
	}
	return proven(a.now, user, oauth.MethodFederated), nil
}

func (s *Service) named(c *upstreams.Claims) accounts.Named {
	return accounts.Named{Provider: c.Provider, Name: s.upstreams.Name(c.Provider), Key: c.Key(), Email: c.Email}
}

// Link links the account of an owner to what a provider says. The owner must have given a
// proof for it, before or after the way to the provider. Its errors are those of
// accounts.Users.Link.
func (s *Service) Link(ctx context.Context, now time.Time, mine Owner, c upstreams.Claims, from caller.Caller) error {
	return s.users.Link(ctx, now, mine.UserID, mine.At, s.named(&c), from)
}

// Unlink removes an identity of an owner, who must have given a proof. Its errors are those
// of accounts.Users.Unlink.
func (s *Service) Unlink(ctx context.Context, now time.Time, mine Owner, id ids.Identity, from caller.Caller) error {
	return s.users.Unlink(ctx, now, mine.UserID, id, mine.At, s.upstreams.Name, from)
}
