package handlers

import (
	"context"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/accounts"
	"countersign/api"
	"countersign/audit"
	"countersign/consents"
	"countersign/factors"
	"countersign/ids"
	"countersign/tokens"
)

// Export answers with everything that we keep about a user.
type Export struct {
	Users    *accounts.Users
	Tokens   *tokens.Service
	Consents consents.Service
	Factors  *factors.Service
	Events   func(context.Context, audit.Filter) ([]audit.Record, error) // security events
}

// exportPage is how many records the export reads at a time.
const exportPage = 500

// answer answers in the memory of a page: an account may have very many sessions and
// events. Where it can't go on, it hangs up, so that no caller takes a part for the whole.
// current reports whether a session is the caller's own.
func (e *Export) answer(c *gin.Context, id ids.User, current func(*tokens.Session) bool) error {
	ctx := c.Request.Context()
	user, err := e.Users.ByID(ctx, id)
	if err != nil {
		return err
	}
	profile, err := e.Users.Profile(ctx, id)
	if err != nil {
		return err
	}
	consents, err := e.Consents.Of(ctx, id)
	if err != nil {
		return err
	}
	second, err := e.Factors.Of(ctx, id)
	if err != nil {
		return err
	}
	identities, err := e.Users.Identities(ctx, id)
	if err != nil {
		return err
	}
	now, after, about := time.Now(), ids.Session{}, audit.Filter{UserID: id, Limit: exportPage, ByNumber: true}
	neverCache(c)
	out := newObjectWriter(c.Writer, "account.json")
	out.member("user", api.DescribeUser(user))
	out.member("profile", profile)
	out.member("consents", api.List(consents, api.DescribeConsent))
	out.member("factors", api.List(second, api.DescribeFactor))
	out.member("identities", api.List(identities, api.DescribeIdentity))
	list(out, "sessions", func() ([]api.OwnSession, error) {
		some, err := e.Tokens.Page(ctx, now, id, after, exportPage)
		if len(some) > 0 {
			after = some[len(some)-1].ID
		}
		return describeOwn(some, current), err
	})
	list(out, "events", func() (told []api.Event, err error) {
		some, err := e.Events(ctx, about)
		for _, ev := range some {
			told = append(told, api.DescribeEvent(ev).ForUser())
			about.After = ev.Place()
		}
		return told, err
	})
	return out.end()
}

func describeOwn(all []tokens.Session, current func(*tokens.Session) bool) []api.OwnSession {
	list := make([]api.OwnSession, len(all))
	for i := range all {
		list[i] = api.OwnSession{Session: api.DescribeSession(all[i]), Current: current(&all[i])}
	}
	return list
}
