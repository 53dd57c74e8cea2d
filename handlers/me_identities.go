package handlers

import (
	"cmp"
	"errors"
	"net/url"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/accounts"
	"countersign/ids"
	"countersign/pages"
	"countersign/signin"
	"countersign/upstreams"
)

// The forms of /me/security about other providers. A link with do and id leads to the page
// with that form alone, where it needs the password.
const (
	doLink   = "identity_link"   // id is the provider's
	doUnlink = "identity_unlink" // id is the identity's
)

// listIdentities fills in the user's accounts at other providers, and what can be linked.
func (h *Me) listIdentities(v *visit, d *pages.Data) error {
	all, err := h.Users.Identities(v.ctx(), v.user.ID)
	if err != nil {
		return err
	}
	for _, i := range all {
		d.Own.Identities = append(d.Own.Identities, pages.OwnIdentity{
			ID: i.ID.String(), Provider: h.Upstreams.Name(i.Provider), Email: i.Email, Since: i.LinkedAt,
		})
	}
	d.Own.Linkable = h.choices()
	return nil
}

// askIdentity fills in the form that a link or a form sent in vain asks for.
func (h *Me) askIdentity(v *visit, d *pages.Data, form url.Values) {
	asked := cmp.Or(form.Get("do"), v.Query("do"))
	if d.Own.ProofDue && (asked == doLink || asked == doUnlink) {
		d.Own.Asked, d.Own.Identity = asked, cmp.Or(form.Get("id"), v.Query("id"))
		d.Provider = h.Upstreams.Name(d.Own.Identity)
	}
}

// offerAgain fills in with which providers a user without a password can give a proof.
func (h *Me) offerAgain(v *visit, d *pages.Data) error {
	all, err := h.Users.Identities(v.ctx(), v.user.ID)
	for _, c := range h.choices() {
		if slices.ContainsFunc(all, func(i accounts.Identity) bool { return i.Provider == c.ID }) {
			d.Own.Again = append(d.Own.Again, c)
		}
	}
	return err
}

// linkIdentity leads to the provider. The proof is given here, before.
func (h *Me) linkIdentity(v *visit, form url.Values) (string, error) {
	if err := h.proves(v, form); err != nil {
		return "", err
	}
	err := h.depart(v.Context, form.Get("id"), journey{Login: v.login.ID.String()}, "", true)
	switch {
	case errors.Is(err, upstreams.ErrUnknown), errors.Is(err, upstreams.ErrAway):
		return "identity_failed", nil
	default:
		return "", err
	}
}

// linked links what a provider says to the account of the user who has asked for it at
// /me/security, if that user is still signed in to this browser there.
func (h *Upstreams) linked(c *gin.Context, j journey, claims upstreams.Claims, err error) error {
	const back = "/me/security"
	l, wrong := h.login(c)
	switch {
	case wrong != nil:
		return wrong
	case l == nil:
		return h.signInFirst(c, back)
	case l.ID.String() != j.Login:
		h.notify(c, "other_account")
		return h.redirect(c, h.Base+back)
	}
	if err == nil {
		err = h.SignIns.Link(c.Request.Context(), time.Now(), signin.OwnerAt(l, ids.Session{}), claims, h.caller(c, nil))
	}
	notice, ok := h.linkNotice(err)
	if signedOut(err) {
		return h.signInFirst(c, back)
	}
	if !ok {
		return err
	}
	h.notify(c, notice)
	return h.redirect(c, h.Base+back)
}

// linkNotice returns the code of the notice about a link. ok is false for errors that are
// the server's.
func (h *Upstreams) linkNotice(err error) (notice string, ok bool) {
	for _, one := range []struct {
		when error
		say  string
	}{
		{accounts.ErrIdentityTaken, "identity_taken"}, {accounts.ErrTooManyIdentities, "identities_full"},
		{upstreams.ErrDenied, "identity_denied"}, {upstreams.ErrAnswer, "identity_failed"}, {upstreams.ErrAway, "identity_failed"},
	} {
		if errors.Is(err, one.when) {
			return one.say, true
		}
	}
	return "identity_linked", err == nil
}

func (h *Me) unlinkIdentity(v *visit, form url.Values) (string, error) {
	if err := h.proves(v, form); err != nil {
		return "", err
	}
	id, err := ids.Parse[ids.Identity](form.Get("id"))
	if err == nil {
		err = h.SignIns.Unlink(v.ctx(), v.now, v.owner, id, v.from)
	} else {
		err = accounts.ErrUnknownIdentity
	}
	if errors.Is(err, accounts.ErrUnknownIdentity) { // the form was sent twice
		return "identity_unlinked", nil
	}
	if err != nil {
		return "", err
	}
	h.KnownBrowsers.stillKnown(v.Context, h.Users, v.user.ID)
	return "identity_unlinked", nil
}
