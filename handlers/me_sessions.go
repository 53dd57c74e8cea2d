package handlers

import (
	"errors"
	"net/url"

	"countersign/ids"
	"countersign/pages"
	"countersign/tokens"
)

// sessions is /me/sessions: where the user is signed in.
func (h *Me) sessions() mePage {
	return mePage{
		name: pages.MeSessions,
		fill: h.fillSessions,
		do: map[string]func(*visit, url.Values) (string, error){
			"end_session": h.endSession, "end_login": h.endLogin, "end_others": h.endOthers,
		},
	}
}

// sessionsShown is how many sessions the page shows.
const sessionsShown = 20

func (h *Me) fillSessions(v *visit, d *pages.Data, _ url.Values) error {
	after, _ := ids.Parse[ids.Session](v.Query("after")) // what is no id shows the newest
	some, err := h.Tokens.Page(v.ctx(), v.now, v.user.ID, after, sessionsShown+1)
	if err != nil {
		return err
	}
	if len(some) > sessionsShown {
		some = some[:sessionsShown]
		d.Own.Next = some[sessionsShown-1].ID.String()
	}
	name := h.naming(v.ctx())
	for i := range some {
		s := &some[i]
		client, err := name(s.ClientID)
		if err != nil {
			return err
		}
		d.Own.Sessions = append(d.Own.Sessions, pages.Signed{
			ID: s.ID.String(), Client: client, Device: s.Device, Begun: s.CreatedAt, Used: s.LastUsedAt, Here: v.here(s),
		})
	}
	if d.Own.Later = !after.IsZero(); d.Own.Later {
		return nil
	}
	logins, err := h.Tokens.LoginsOfUser(v.ctx(), v.now, v.user.ID)
	for _, l := range logins {
		d.Own.Browsers = append(d.Own.Browsers, pages.Signed{ID: l.ID.String(), Device: l.Device, Begun: l.AuthTime, Here: l.ID == v.login.ID})
	}
	return err
}

// ended returns the notice for a session or login that has ended, now or before: a form may
// be sent twice.
func ended(err error) (string, error) {
	if errors.Is(err, tokens.ErrUnknown) {
		err = nil
	}
	return "session_ended", err
}

// endSession also signs its browser out of our pages, as the domain does: that may be this
// one.
func (h *Me) endSession(v *visit, form url.Values) (string, error) {
	id, err := ids.Parse[ids.Session](form.Get("id"))
	if err != nil {
		return ended(tokens.ErrUnknown)
	}
	return ended(h.Tokens.EndSessionOf(v.ctx(), v.now, v.user.ID, id, v.from))
}

func (h *Me) endLogin(v *visit, form url.Values) (string, error) {
	id, err := ids.Parse[ids.Login](form.Get("id"))
	if err != nil {
		return ended(tokens.ErrUnknown)
	}
	return ended(h.Tokens.EndLoginOf(v.ctx(), v.now, v.user.ID, id, v.from))
}

func (h *Me) endOthers(v *visit, _ url.Values) (string, error) {
	if _, err := h.Tokens.EndOtherSessions(v.ctx(), v.now, v.user.ID, v.owner.At, v.from); err != nil {
		return "", err
	}
	user, err := h.Users.ByID(v.ctx(), v.user.ID)
	if err != nil {
		return "", err
	}
	h.KnownBrowsers.renew(v.Context, &user) // other browsers are strangers now, this one isn't
	return "others_ended", nil
}
