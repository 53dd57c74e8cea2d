package tokens

import (
	"errors"
	"slices"

	"countersign/oauth"
)

// ErrNoConsent says that a client which is not ours, or is no longer, has no consent of
// the user.
var ErrNoConsent = errors.New("the user has allowed the client nothing")

// entitled returns the scopes that a client may have of a user now: those that it is
// registered with, and unless it is ours only those that the user has allowed it. consent
// is what the user has allowed, nil for nothing at all, which is ErrNoConsent. Whatever
// was granted before counts only within it: in new tokens, at userinfo and introspection.
func entitled(to oauth.Recipient, consent oauth.Scopes) (oauth.Scopes, error) {
	switch {
	case to.FirstParty:
		return to.Scopes, nil
	case consent == nil:
		return nil, ErrNoConsent
	default:
		return to.Scopes.And(consent), nil
	}
}

// within returns those of the claims that one of the scopes opens.
func within(claims []string, may oauth.Scopes) []string {
	scopeOf := oauth.ScopeOfClaim()
	return slices.DeleteFunc(slices.Clone(claims), func(claim string) bool { return !may.Has(scopeOf[claim]) })
}

// Narrow limits what a token opens to what its client, as it is now, may have. A client
// without the consent that it needs may have nothing.
func (a *Access) Narrow(to oauth.Recipient) {
	may := to.Scopes
	if !a.Session.ID.IsZero() {
		may, _ = entitled(to, a.Session.Consent)
	}
	a.Scopes = a.Scopes.And(may)
	a.Account = a.Account && a.Scopes.Has(oauth.ScopeAccount)
	a.Claims = append(a.Scopes.Claims(), within(a.Session.Details.UserInfoClaims, may)...)
}
