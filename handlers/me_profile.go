package handlers

import (
	"net/url"
	"strings"

	"countersign/accounts"
	"countersign/pages"
	"countersign/secrecy"
)

// profile is /me: the names and the address of the account, and what users say of
// themselves.
func (h *Me) profile() mePage {
	return mePage{
		name: pages.Me,
		fill: h.fillProfile,
		do: map[string]func(*visit, url.Values) (string, error){
			"profile": h.saveProfile, "email": h.changeEmail, "resend": h.resendLink,
		},
	}
}

func (h *Me) fillProfile(v *visit, d *pages.Data, form url.Values) error {
	profile, err := h.Users.Profile(v.ctx(), v.user.ID)
	if err != nil {
		return err
	}
	typed(&profile, form)
	d.Email = form.Get("email")
	d.Own.Address, d.Own.Verified, d.Own.Profile = v.user.Email, v.user.EmailVerified, map[string]string{}
	for claim, value := range profile.All() {
		d.Own.Profile[claim] = value
	}
	return nil
}

// typed changes a profile to what a form says. Browsers end lines as in mail.
func typed(profile *accounts.Profile, form url.Values) {
	for _, claim := range accounts.ProfileClaims() {
		if form.Has(claim) {
			profile.Set(claim, strings.TrimSpace(strings.ReplaceAll(form.Get(claim), "\r\n", "\n")))
		}
	}
}

func (h *Me) saveProfile(v *visit, form url.Values) (string, error) {
	profile, err := h.Users.Profile(v.ctx(), v.user.ID)
	if err != nil {
		return "", err
	}
	typed(&profile, form)
	_, err = h.Users.SetProfile(v.ctx(), v.now, v.user.ID, v.owner.At, profile, v.from)
	return "profile_saved", err
}

func (h *Me) changeEmail(v *visit, form url.Values) (string, error) {
	if _, err := h.SignIns.Confirm(v.ctx(), v.now, v.owner, secrecy.Text(form.Get("current_password")), v.from); err != nil {
		return "", err
	}
	return "email_asked", h.Users.RequestEmailChange(v.ctx(), v.now, v.user.ID, v.owner.At, form.Get("email"), v.from)
}

// resendLink sends the letter again that proves the account's address.
func (h *Me) resendLink(v *visit, _ url.Values) (string, error) {
	who := accounts.Correspondent{Username: v.login.Username, Account: h.Users.AccountToken(v.now, v.user.ID)}
	return "letter_sent", h.Users.ResendVerification(v.ctx(), v.now, who, v.from)
}
