package handlers

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"countersign/factors"
	"countersign/ids"
	"countersign/input"
	"countersign/pages"
	"countersign/secrecy"
)

// The forms of /me/factors. A link with do, and id where the form has one, leads to the page
// with that form.
const (
	doBegin   = "factor_begin"
	doConfirm = "factor_confirm"
	doRemove  = "factor_remove"
	doRenew   = "codes_renew"
)

// factors is /me/factors: what the user proves besides the password.
func (h *Me) factors() mePage {
	return mePage{
		name: pages.MeFactors,
		fill: h.fillFactors,
		do: map[string]func(*visit, url.Values) (string, error){
			doBegin: h.beginFactor, doConfirm: h.confirmFactor, doRemove: h.removeFactor, doRenew: h.renewCodes,
			doAddPasskey: h.addPasskey,
		},
	}
}

// listFactors fills in the factors in force.
func (h *Me) listFactors(v *visit, d *pages.Data) error {
	all, err := h.Factors.Of(v.ctx(), v.user.ID)
	for _, f := range all {
		d.Own.Factors = append(d.Own.Factors, pages.OwnFactor{
			ID: f.ID.String(), Name: f.Name, Codes: f.Kind == factors.RecoveryCodes, Passkey: f.Kind == factors.KindPasskey, Left: f.Remaining, Since: f.CreatedAt, Used: f.LastUsedAt,
		})
	}
	return err
}

func (h *Me) fillFactors(v *visit, d *pages.Data, form url.Values) error {
	if err := h.listFactors(v, d); err != nil {
		return err
	}
	d.Own.MayAdd, d.Own.MayAddPasskey = h.Factors.Offers(factors.TOTP), h.Factors.Offers(factors.KindPasskey)
	lacks, err := h.SignIns.LacksFactor(v.ctx(), &v.owner)
	if err != nil {
		return err
	}
	if lacks { // each form would be refused
		d.Own.SignInAgain, d.Own.MayAdd, d.Own.MayAddPasskey = true, false, false
		return nil
	}
	asked := cmp.Or(form.Get("do"), v.Query("do"))
	d.Own.Factor = cmp.Or(form.Get("id"), v.Query("id"))
	if slices.Contains([]string{doBegin, doRemove, doRenew, doAddPasskey}, asked) && (asked != doBegin || d.Own.MayAdd) && (asked != doAddPasskey || d.Own.MayAddPasskey) {
		d.Own.Asked = asked
	}
	if err := h.fillPasskeys(v, d); err != nil {
		return err
	}
	if asked != doConfirm || d.Own.Enrolment != nil {
		return nil
	}
	id, _ := ids.Parse[ids.Factor](d.Own.Factor)
	e, err := h.Factors.Pending(v.ctx(), v.user.ID, id, v.account())
	if errors.Is(err, factors.ErrUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	d.Own.Enrolment = &pages.Enrolment{ID: e.ID.String()}
	if d.Fields["code"] != "" { // only the owner gets as far as a wrong code
		d.Own.Enrolment.Secret, d.Own.Enrolment.URI = e.Secret, e.URI
	}
	return nil
}

// account is the name of the account in an authenticator app.
func (v *visit) account() string { return cmp.Or(v.user.Username, v.user.Email) }

// proves checks that the owner of the account sends a form.
func (h *Me) proves(v *visit, form url.Values) error {
	_, err := h.SignIns.Confirm(v.ctx(), v.now, v.owner, secrecy.Text(form.Get("current_password")), v.from)
	return err
}

// provesFactor is proves for a change of the factors.
func (h *Me) provesFactor(v *visit, form url.Values) error {
	return h.SignIns.ConfirmForFactors(v.ctx(), v.now, v.owner, secrecy.Text(form.Get("current_password")), v.from)
}

func (h *Me) beginFactor(v *visit, form url.Values) (string, error) {
	if err := h.provesFactor(v, form); err != nil {
		return "", err
	}
	e, err := h.Factors.Enrol(v.ctx(), v.now, v.user.ID, v.account(), "", v.owner.At)
	if err != nil {
		return "", err
	}
	p := h.factors()
	own := &pages.Own{Enrolment: &pages.Enrolment{ID: e.ID.String(), Secret: e.Secret, URI: e.URI}}
	return "", h.showOwn(v, &p, http.StatusOK, pages.Data{Own: own}, nil)
}

func (h *Me) confirmFactor(v *visit, form url.Values) (string, error) {
	if err := h.provesFactor(v, form); err != nil {
		return "", err
	}
	id, err := ids.Parse[ids.Factor](form.Get("id"))
	if err != nil {
		return "factor_gone", nil
	}
	codes, err := h.Factors.Confirm(v.ctx(), v.now, v.user.ID, id, form.Get("code"), v.owner.At, v.from)
	switch {
	case errors.Is(err, factors.ErrBadCode):
		var bad input.Error
		bad.Add("code", input.Invalid, "code is not the app's present code.")
		return "", bad.Err()
	case errors.Is(err, factors.ErrUnknown): // in force since the form was sent before, or begun anew
		return h.confirmedBefore(v, id)
	case err != nil:
		return "", err
	case codes == nil:
		return "factor_added", nil
	}
	return "", h.showFirst(v, codes)
}

// showFirst is showCodes after a first factor.
func (h *Me) showFirst(v *visit, codes []string) error {
	h.KnownBrowsers.stillKnown(v.Context, h.Users, v.user.ID)
	return h.showCodes(v, codes)
}

// confirmedBefore says whether a factor that isn't pending is in force.
func (h *Me) confirmedBefore(v *visit, id ids.Factor) (string, error) {
	all, err := h.Factors.Of(v.ctx(), v.user.ID)
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(all, func(f factors.Factor) bool { return f.ID == id }) {
		return "factor_added", nil
	}
	return "factor_gone", nil
}

// showCodes shows recovery codes, which can be seen this once.
func (h *Me) showCodes(v *visit, codes []string) error {
	p := h.factors()
	return h.showOwn(v, &p, http.StatusOK, pages.Data{Own: &pages.Own{Codes: codes}}, nil)
}

func (h *Me) renewCodes(v *visit, form url.Values) (string, error) {
	if err := h.provesFactor(v, form); err != nil {
		return "", err
	}
	codes, err := h.Factors.Renew(v.ctx(), v.now, v.user.ID, v.owner.At, v.from)
	if errors.Is(err, factors.ErrUnknown) {
		return "factor_gone", nil
	}
	if err != nil {
		return "", err
	}
	return "", h.showCodes(v, codes)
}

func (h *Me) removeFactor(v *visit, form url.Values) (string, error) {
	if err := h.provesFactor(v, form); err != nil {
		return "", err
	}
	id, err := ids.Parse[ids.Factor](form.Get("id"))
	if err == nil {
		err = h.Factors.Remove(v.ctx(), v.now, v.user.ID, id, v.owner.At, v.from)
	} else {
		err = factors.ErrUnknown
	}
	switch {
	case err == nil:
		h.KnownBrowsers.stillKnown(v.Context, h.Users, v.user.ID)
	case errors.Is(err, factors.ErrUnknown):
		err = nil // the form was sent twice
	}
	return "factor_removed", err
}
