package accounts

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// claims are all that a client may hear of a user with a profile: the standard claims
// (OpenID Connect Core section 5.1), and the roles. A claim without a value is left
// out (section 5.3.2).
func (u *User) claims(p *Profile) map[string]any {
	claims := map[string]any{
		"sub":                u.ID.String(),
		"preferred_username": u.Username,
		"updated_at":         u.UpdatedAt.Unix(),
		"roles":              append([]string{}, u.Roles...),
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
	claims["name"] = cmp.Or(p.Name, u.Username)
	if p.PhoneNumber != "" {
		claims["phone_number_verified"] = false // no user proves one
	}
	if p.Address != (Address{}) {
		claims["address"] = p.Address
	}
	return claims
}

// ofProfile are the claims that take a profile to know.
var ofProfile = append(topLevel(ProfileClaims()), "phone_number_verified")

// topLevel puts a claim in the place of its parts.
func topLevel(names []string) []string {
	for i, name := range names {
		names[i], _, _ = strings.Cut(name, ".")
	}
	return slices.Compact(names)
}

// Claims returns those of the wanted claims of a user that have a value. Of a user who
// is not there any more or disabled there are none: ErrUnknownUser.
func (u *Users) Claims(ctx context.Context, id uuid.UUID, wanted []string) (map[string]any, error) {
	user, err := u.store.User(ctx, id)
	if err == nil && user.Disabled() {
		err = ErrUnknownUser
	}
	if err != nil {
		return nil, fmt.Errorf("find user: %w", err)
	}
	// Read after the user: of a change in between the claims tell before updated_at
	// does, so that a client which goes by that asks once more.
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
