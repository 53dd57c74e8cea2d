package handlers

import (
	"encoding/json"
	"errors"
	"net/url"

	"countersign/factors"
	"countersign/pages"
)

// doAddPasskey is the form of /me/factors that adds a passkey.
const doAddPasskey = "passkey_add"

// fillPasskeys adds what the browser is asked for a new passkey with, or told of those there
// are.
func (h *Me) fillPasskeys(v *visit, d *pages.Data) error {
	if d.Own.Asked == doAddPasskey {
		options, err := h.Factors.CreationOptions(v.ctx(), v.now, v.user.ID, v.account(), v.owner.At)
		d.Passkey = &pages.Passkey{Options: string(options)}
		return err
	}
	accepted, err := h.Factors.Accepted(v.ctx(), v.user.ID)
	if accepted != nil {
		d.Passkey = &pages.Passkey{Accepted: asJSON(accepted)}
	}
	return err
}

func (h *Me) addPasskey(v *visit, form url.Values) (string, error) {
	if err := h.provesFactor(v, form); err != nil {
		return "", err
	}
	_, codes, err := h.Factors.AddPasskey(v.ctx(), v.now, v.user.ID, form.Get("name"), []byte(form.Get("credential")), v.owner.At, v.from)
	switch {
	case errors.Is(err, factors.ErrNotOffered):
		return "factor_gone", nil
	case err != nil:
		return "", err
	case codes == nil:
		return "passkey_added", nil
	}
	return "", h.showFirst(v, codes)
}

// asJSON is for what can't fail.
func asJSON(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}
