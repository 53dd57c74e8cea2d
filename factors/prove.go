package factors

import (
	"context"
	"strings"
	"time"

	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
	"countersign/limits"
	"countersign/oauth"
)

// CodeMethods are what a user has proven who has given a code.
var CodeMethods = oauth.Methods{oauth.MethodOTP, oauth.MethodMultiple}

// Prove spends a code of a user who has given the password already. epoch is the account's at
// that proof. ErrBadCode, or a *limits.WaitError after too many wrong codes: a browser that
// the account knows has a budget of its own, so that its owner can sign in whatever strangers
// do who know the password.
func (s *Service) Prove(ctx context.Context, now time.Time, user ids.User, epoch int64, by Method, code string, from caller.Caller) error {
	guess, err := s.begin(ctx, now, budgetOf(user, epoch, from))
	if err != nil {
		return err
	}
	switch by {
	case ByTOTP:
		err = s.proveTOTP(ctx, now, user, code)
	case ByRecoveryCode:
		err = s.proveCode(ctx, now, user, code, from)
	default:
		err = ErrBadCode
	}
	if err != nil {
		return err
	}
	return guess.right(ctx)
}

// proveCode spends a recovery code. ErrBadCode.
func (s *Service) proveCode(ctx context.Context, now time.Time, user ids.User, code string, from caller.Caller) error {
	ev := event(audit.RecoveryCodeUsed, now, user, from)
	letters, err := s.notices(ctx, &ev, from)
	if err != nil {
		return err
	}
	return s.o.Store.SpendCode(ctx, user, digest(user, code), now, ev, letters...)
}

// MethodOf returns the method that a code looks like, where users type either kind into one
// field: six digits are an app's, anything else is a recovery code.
func MethodOf(code string) Method {
	code = strings.Join(strings.Fields(code), "")
	if len(code) == 6 && strings.Trim(code, "0123456789") == "" {
		return ByTOTP
	}
	return ByRecoveryCode
}

// budget is what guesses at codes count against.
type budget struct {
	own    [32]byte
	shared *[32]byte // with other callers whose browser the account doesn't know
	at     ids.User
}

// budgetOf returns the budget of a caller's guess. In another epoch than the account's no
// browser is known.
func budgetOf(user ids.User, epoch int64, from caller.Caller) budget {
	if from.Browser != nil {
		if browser, of := from.Browser(user); browser != "" && of == epoch {
			return budget{own: limits.Key("code from a known browser", user.String(), browser), at: user}
		}
	}
	strangers := limits.Key("code from strangers", user.String())
	return budget{own: limits.Key("code", user.String(), from.Network()), shared: &strangers, at: user}
}

// setUpBudget returns the budget of guesses at the first code of a TOTP, which has one of its
// own: strangers who guess at sign-ins don't keep its user from setting it up.
func setUpBudget(id ids.Factor, user ids.User) budget {
	return budget{own: limits.Key("first code of a TOTP", user.String(), id.String()), at: user}
}

// guess is one that has been charged.
type guess struct {
	s    *Service
	b    budget
	seen limits.Failures
}

// begin charges a guess before it is looked at, so that no number of guesses at once gets
// more than the budget. A right one is paid back.
func (s *Service) begin(ctx context.Context, now time.Time, b budget) (*guess, error) {
	t := s.o.Throttle
	if b.shared != nil {
		if err := t.CheckShared(ctx, now, *b.shared, t.StrangersPerAccount()); err != nil {
			return nil, err
		}
	}
	seen, err := t.Check(ctx, now, b.own)
	if err != nil {
		return nil, err
	}
	if b.shared != nil {
		if err := t.ChargeShared(ctx, now, *b.shared, t.StrangersPerAccount(), b.at); err != nil {
			return nil, err
		}
	}
	if err := t.Charge(ctx, now, b.own, seen, b.at); err != nil {
		return nil, err
	}
	seen.Count++
	return &guess{s, b, seen}, nil
}

// right pays back.
func (g *guess) right(ctx context.Context) error {
	if g.b.shared != nil {
		if err := g.s.o.Throttle.Succeeded(ctx, *g.b.shared, g.seen); err != nil {
			return err
		}
	}
	return g.s.o.Throttle.Succeeded(ctx, g.b.own, g.seen)
}
