package accounts

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"countersign/ids"
)

// claims returns everything that a client may learn about a user with profile p: the
// standard claims (OpenID Connect Core section 5.1), and the roles. A claim without a
// value is left out (section 5.3.2).
func (u *User) claims(p *Profile) map[string]any {
	claims := map[string]any{
		"sub":        u.ID.String(),
		"updated_at": u.UpdatedAt.Unix(),
	}
	if u.Username != "" {
		claims["preferred_username"] = u.Username
	}
	if len(u.Roles) > 0 { // some verifiers refuse an empty list
		claims["roles"], claims["groups"] = u.Roles, u.Roles
	}
	if u.Email != "" {
		claims["email"] = u.Email
		claims["email_verified"] = u.EmailVerified
	}
	for claim, value := range p.All() {
		if !strings.Contains(claim, ".") {
			claims[claim] = value
		}
	}
	if name := cmp.Or(p.Name, u.Username); name != "" {
		claims["name"] = name
	}
	if p.PhoneNumber != "" {
		claims["phone_number_verified"] = false // we verify none
	}
	if p.Address != (Address{}) {
		claims["address"] = p.Address
	}
	return claims
}

// ofProfile are the claims that come from the profile.
var ofProfile = append(topLevel(ProfileClaims()), "phone_number_verified")

// topLevel replaces the parts of a claim by the claim.
func topLevel(names []string) []string {
	for i, name := range names {
		names[i], _, _ = strings.Cut(name, ".")
	}
	return slices.Compact(names)
}

// Claims returns those of the wanted claims of a user that have a value. A deleted or
// disabled user is ErrUnknownUser.
func (u *Users) Claims(ctx context.Context, id ids.User, wanted []string) (map[string]any, error) {
	user, err := u.store.User(ctx, id)
	if err == nil && user.Disabled() {
		err = ErrUnknownUser
	}
	if err != nil {
		return nil, fmt.Errorf("find user: %w", err)
	}
	// The profile is read after the user. If it changes in between, the claims are
	// newer than updated_at, so a client that compares updated_at asks again.
	var profile Profile
	if slices.ContainsFunc(wanted, func(claim string) bool { return slices.Contains(ofProfile, claim) }) {
		if profile, err = u.Profile(ctx, id); err != nil {
			return nil, err
		}
	}
	all, said := user.claims(&profile), map[string]any{}
	for _, claim := range wanted {
		if value, ok := all[claim]; ok {
			said[claim] = value
		}
	}
	return said, nil
}
