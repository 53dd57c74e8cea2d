package handlers

import (
	"cmp"
	"errors"
	"net/url"

	"countersign/consents"
	"countersign/ids"
	"countersign/pages"
)

// apps is /me/apps: what the user lets third-party applications have.
func (h *Me) apps() mePage {
	return mePage{
		name: pages.MeApps,
		fill: func(v *visit, d *pages.Data, _ url.Values) error {
			all, err := h.Consents.Of(v.ctx(), v.user.ID)
			for _, one := range all {
				d.Own.Apps = append(d.Own.Apps, pages.App{
					ID: string(one.ClientID), Name: cmp.Or(one.ClientName, string(one.ClientID)), Scopes: one.Scopes, Since: one.CreatedAt,
				})
			}
			return err
		},
		do: map[string]func(*visit, url.Values) (string, error){
			"withdraw": func(v *visit, form url.Values) (string, error) {
				err := h.Consents.Revoke(v.ctx(), v.now, v.user.ID, ids.Client(form.Get("client")), v.from)
				if errors.Is(err, consents.ErrUnknown) { // the form was sent twice
					err = nil
				}
				return "app_withdrawn", err
			},
		},
	}
}
