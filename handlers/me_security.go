package handlers

import (
	"cmp"
	"errors"
	"net/url"
	"slices"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/ids"
	"countersign/pages"
	"countersign/secrecy"
	"countersign/signin"
	"countersign/tokens"
)

// security is /me/security: the password, and what happened to the account of late.
func (h *Me) security() mePage {
	return mePage{
		name: pages.MeSecurity,
		fill: h.fillSecurity,
		do: map[string]func(*visit, url.Values) (string, error){
			"password": h.changePassword, doRemovePassword: h.removePassword, doLink: h.linkIdentity, doUnlink: h.unlinkIdentity,
		},
	}
}

// doRemovePassword is the form that removes the password; a link with do leads to it.
const doRemovePassword = "password_remove"

// removePassword leaves the user the other ways to sign in, and ends all sessions and logins
// but this browser's.
func (h *Me) removePassword(v *visit, form url.Values) (string, error) {
	current := secrecy.Text(form.Get("current_password"))
	if current == "" && v.user.PasswordHash != "" {
		return "", signin.ErrStale
	}
	if v.user.PasswordHash == "" {
		return "password_removed", nil // the form was sent twice
	}
	proven, err := h.SignIns.Confirm(v.ctx(), v.now, v.owner, current, v.from)
	if err == nil {
		proven, err = h.Users.RemovePassword(v.ctx(), v.now, proven, v.owner.At, v.from)
	}
	if err != nil {
		return "", err
	}
	h.KnownBrowsers.renew(v.Context, &proven)
	return "password_removed", nil
}

// changePassword ends all sessions and logins but this browser's.
func (h *Me) changePassword(v *visit, form url.Values) (string, error) {
	current, next := secrecy.Text(form.Get("current_password")), secrecy.Text(form.Get("new_password"))
	proven, err := h.SignIns.ConfirmAnew(v.ctx(), v.now, v.owner, current, v.from)
	if err == nil {
		proven, err = h.Users.ChangePassword(v.ctx(), v.now, proven, v.owner.At, next, v.from)
	}
	if errors.Is(err, accounts.ErrBadCredentials) && next != "" && next != current {
		if again, ok := h.justChanged(v, next); ok {
			proven, err = again, nil
		}
	}
	if err != nil {
		return "", err
	}
	h.KnownBrowsers.renew(v.Context, &proven)
	return "password_changed", nil
}

// justChanged reports whether a password became the account's a moment ago: then its form was
// sent twice. To try it is one more guess, which counts.
func (h *Me) justChanged(v *visit, password secrecy.Text) (proven accounts.User, ok bool) {
	last, err := h.Export.Events(v.ctx(), audit.Filter{UserID: v.user.ID, Latest: true, Kinds: []audit.Kind{audit.UserPasswordChanged}, Limit: 1})
	if err != nil || len(last) == 0 || v.now.Sub(last[0].Time) > time.Minute {
		return proven, false
	}
	proven, err = h.SignIns.Confirm(v.ctx(), v.now, v.owner, password, v.from)
	return proven, err == nil
}

// mostActs is how many events the page shows.
const mostActs = 20

// shownActs are the kinds of events that the page shows. The query selects by them, so that
// no number of others, which a caller can cause, comes before a sign-in.
var shownActs = []audit.Kind{
	audit.LoginCreated, audit.SessionCreated, audit.SessionReused, audit.CodeReused, audit.UserPasswordChanged, audit.UserPasswordRemoved, audit.UserEmailChanged,
	audit.FactorAdded, audit.FactorRemoved, audit.FactorsReset, audit.FactorCounterRegressed, audit.RecoveryCodesRenewed, audit.RecoveryCodeUsed,
	audit.IdentityLinked, audit.IdentityUnlinked,
}

func (h *Me) fillSecurity(v *visit, d *pages.Data, form url.Values) error {
	if err := h.listFactors(v, d); err != nil {
		return err
	}
	if d.Own.Password {
		var err error
		if d.Own.OtherWayIn, err = h.Users.OtherWayIn(v.ctx(), v.user.ID); err != nil {
			return err
		}
	}
	if d.Own.OtherWayIn && cmp.Or(form.Get("do"), v.Query("do")) == doRemovePassword {
		d.Own.Asked = doRemovePassword
	}
	if err := h.listIdentities(v, d); err != nil {
		return err
	}
	h.askIdentity(v, d, form)
	events, err := h.Export.Events(v.ctx(), audit.Filter{UserID: v.user.ID, Latest: true, Kinds: shownActs, Limit: mostActs})
	if err != nil {
		return err
	}
	logins, err := h.Tokens.LoginsOfUser(v.ctx(), v.now, v.user.ID)
	if err != nil {
		return err
	}
	sessions, err := h.Tokens.Page(v.ctx(), v.now, v.user.ID, ids.Session{}, mostSessions)
	if err != nil {
		return err
	}
	name := h.naming(v.ctx())
	for _, ev := range events {
		act := pages.Act{Kind: string(ev.Kind), At: ev.Time, Address: ev.Address}
		if act.Client, err = name(ev.ClientID); err != nil {
			return err
		}
		// An event doesn't say by which browser. What began with it does, while it lives.
		switch ev.Kind {
		case audit.LoginCreated:
			if i := slices.IndexFunc(logins, func(l tokens.Login) bool { return l.CreatedAt.Equal(ev.Time) }); i >= 0 {
				act.Device, act.Here = logins[i].Device, logins[i].ID == v.login.ID
			}
		case audit.SessionCreated:
			if i := slices.IndexFunc(sessions, func(s tokens.Session) bool { return s.ID == ev.SessionID }); i >= 0 {
				act.Device, act.Here = sessions[i].Device, v.here(&sessions[i])
			}
		}
		d.Own.Acts = append(d.Own.Acts, act)
	}
	return nil
}
