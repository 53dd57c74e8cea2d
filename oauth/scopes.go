package oauth

import (
	"fmt"
	"slices"
	"strings"
)

// The scopes that Countersign itself gives a meaning (OpenID Connect Core
// section 5.4 and RFC 6749 section 3.3); all others are the resource servers'.
const (
	ScopeOpenID        = "openid"
	ScopeProfile       = "profile"
	ScopeEmail         = "email"
	ScopePhone         = "phone"
	ScopeAddress       = "address"
	ScopeRoles         = "roles"
	ScopeGroups        = "groups" // the same by the name that many applications look for
	ScopeOfflineAccess = "offline_access"
	ScopeAccount       = "account" // opens /account, in a token that is for this server alone
)

// UserScopes are the scopes about a user. They mean nothing in a client's own token.
var UserScopes = Scopes{ScopeOpenID, ScopeProfile, ScopeEmail, ScopePhone, ScopeAddress, ScopeRoles, ScopeGroups, ScopeOfflineAccess, ScopeAccount}

// ByName are the scopes that no client gets unless it names them.
var ByName = Scopes{ScopeOfflineAccess, ScopeAccount}

// ClaimsByScope has the claims that each scope opens (OpenID Connect Core section 5.4;
// roles and groups are ours). Discovery advertises them.
var ClaimsByScope = map[string][]string{
	ScopeOpenID: {"sub"},
	ScopeProfile: {
		"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile",
		"picture", "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
	},
	ScopeEmail:   {"email", "email_verified"},
	ScopePhone:   {"phone_number", "phone_number_verified"},
	ScopeAddress: {"address"},
	ScopeRoles:   {"roles"},
	ScopeGroups:  {"groups"},
}

// ScopeOfClaim returns the scope that opens each claim.
func ScopeOfClaim() map[string]string {
	scopes := map[string]string{}
	for scope, claims := range ClaimsByScope {
		for _, claim := range claims {
			scopes[claim] = scope
		}
	}
	return scopes
}

// MaxScopes bounds what a client may have, a request may ask for and a session must store.
const MaxScopes = 100

// Scopes is a set of scopes. It keeps the order of the request.
type Scopes []string

// ParseScopes reads a space-delimited scope parameter (RFC 6749 section 3.3).
// Repeated scopes count once. The empty text is the empty set.
func ParseScopes(text string) (Scopes, error) {
	var set Scopes
	if text == "" {
		return set, nil
	}
	for token := range strings.SplitSeq(text, " ") {
		if !ValidScope(token) {
			return nil, fmt.Errorf("scope is malformed: tokens of visible ASCII without quote or backslash, one space between")
		}
		if set.Has(token) {
			continue
		}
		if len(set) == MaxScopes {
			return nil, fmt.Errorf("scope has more than %d tokens", MaxScopes)
		}
		set = append(set, token)
	}
	return set, nil
}

// ValidScope reports whether s is a scope-token: 1*( %x21 / %x23-5B / %x5D-7E ).
func ValidScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// String returns the set as a scope parameter.
func (s Scopes) String() string { return strings.Join(s, " ") }

// Has reports whether scope is in the set.
func (s Scopes) Has(scope string) bool { return slices.Contains(s, scope) }

// Claims returns the claims that the scopes open.
func (s Scopes) Claims() []string {
	var claims []string
	for _, scope := range s {
		claims = append(claims, ClaimsByScope[scope]...)
	}
	return claims
}

// Within reports whether every scope of s is in other.
func (s Scopes) Within(other Scopes) bool {
	return !slices.ContainsFunc(s, func(scope string) bool { return !other.Has(scope) })
}

// And returns the scopes of s that are in other too.
func (s Scopes) And(other Scopes) Scopes {
	return slices.DeleteFunc(slices.Clone(s), func(scope string) bool { return !other.Has(scope) })
}

// Without returns the scopes of s that are not in other.
func (s Scopes) Without(other Scopes) Scopes {
	return slices.DeleteFunc(slices.Clone(s), other.Has)
}
