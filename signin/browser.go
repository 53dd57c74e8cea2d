package signin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"countersign/accounts"
	"countersign/browser"
	"countersign/caller"
	"countersign/clients"
	"countersign/ids"
	"countersign/oauth"
	"countersign/tokens"
)

// ErrNoBrowserClient means that users can't sign in from a browser: the client of
// Browser does not exist, or is not one of ours.
var ErrNoBrowserClient = errors.New("no client for browser sign-in")

// ErrPasswordOff means that this server doesn't let pages sign users in with a
// password.
var ErrPasswordOff = errors.New("pages may not take passwords")

// Browser signs users in to our own applications in a browser. The applications never
// see the refresh token: a cookie keeps it (RFC 10017 section 6.2). The sessions belong
// to one client. All fields are required except RFC9700.
type Browser struct {
	SignIns  *Service
	Clients  *clients.Registry
	ClientID ids.Client
	// RFC9700 refuses every proof but a Code (RFC 9700 section 2.4).
	RFC9700 bool
	Log     *slog.Logger
	// Issued is told of each set of tokens: by which grant a client would have got it, and
	// whether this one is public.
	Issued func(grant string, public bool)
}

// Session is a browser's session with its user and tokens.
type Session struct {
	tokens.Issued
	User accounts.User
	Keep *browser.Proof // see Outcome.Keep
}

// SignIn opens a session for the user of a proof, and ends the sessions of the refresh
// tokens in had, because the browser's cookie has room for one. Its errors are those of
// the proof, ErrPasswordOff, ErrNoBrowserClient and ErrIncomplete.
func (b *Browser) SignIn(ctx context.Context, now time.Time, p Proof, had []string, from caller.Caller) (Session, error) {
	client, err := b.client(ctx)
	if err != nil {
		return Session{}, err
	}
	if !withoutPassword(p) && (b.RFC9700 || !client.AllowsGrant(oauth.GrantPassword)) {
		return Session{}, ErrPasswordOff
	}
	to := browserRecipient(&client)
	o, err := b.SignIns.prove(ctx, p, attempt{now, to, from})
	if err != nil {
		return Session{}, err
	}
	issued, err := b.SignIns.Start(ctx, now, to, &o, nil, nil, from)
	if err != nil {
		return Session{}, err
	}
	b.Issued(grantOf(p), client.Public)
	// The login that the former sessions came of ends with them, or it would outlive a
	// sign-out. If the new session comes of a login itself, that may be the same login,
	// so it stays.
	end := b.SignIns.tokens.SignOutWithLogin
	if !issued.Session.LoginID.IsZero() {
		end = b.SignIns.tokens.SignOut
	}
	for _, token := range b.SignIns.tokens.Newest(had) {
		if err := end(ctx, now, b.ClientID, token, from); err != nil && !errors.Is(err, tokens.ErrUnknown) {
			b.Log.WarnContext(ctx, "the browser's former session lives on", "client_id", b.ClientID, "err", err)
		}
	}
	return Session{issued, o.User, o.Keep}, nil
}

// Refresh exchanges the browser's refresh token for new tokens. Where it sends several,
// see own. ErrLoginRequired, ErrNoBrowserClient.
func (b *Browser) Refresh(ctx context.Context, now time.Time, has []string, from caller.Caller) (Session, error) {
	if len(has) == 0 {
		return Session{}, ErrLoginRequired
	}
	client, err := b.client(ctx)
	if err != nil {
		return Session{}, err
	}
	if has, err = b.own(ctx, now, has, from); err != nil {
		return Session{}, err
	}
	issued, err := first(has, func(token string) (tokens.Issued, error) {
		return b.SignIns.tokens.Refresh(ctx, now, browserRecipient(&client), token, nil, nil, from)
	})
	if err != nil {
		return Session{}, err
	}
	user, err := b.SignIns.user(ctx, issued.Session.UserID)
	if err == nil {
		b.Issued(oauth.GrantRefreshToken, client.Public)
	}
	return Session{issued, user, nil}, err
}

// withoutPassword reports whether a proof shows that the user gave the page no password. Any
// other, future ones included, needs permission for passwords.
func withoutPassword(p Proof) bool {
	switch p.(type) {
	case Code, Passkey: // a passkey tells the page nothing that serves anywhere else
		return true
	}
	return false
}

// grantOf returns the grant that a client takes to the token endpoint where a page sends p.
func grantOf(p Proof) string {
	if _, code := p.(Code); code {
		return oauth.GrantAuthorizationCode
	}
	return oauth.GrantPassword
}

// User returns the user of the browser's session: see Holder.
func (b *Browser) User(ctx context.Context, now time.Time, has []string, from caller.Caller) (accounts.User, error) {
	session, err := b.Holder(ctx, now, has, from)
	if err != nil {
		return accounts.User{}, err
	}
	return b.SignIns.user(ctx, session.UserID)
}

// Holder returns the browser's session, and renews nothing. Where it sends several refresh
// tokens, see own. ErrLoginRequired, ErrNoBrowserClient.
func (b *Browser) Holder(ctx context.Context, now time.Time, has []string, from caller.Caller) (tokens.Session, error) {
	if len(has) == 0 {
		return tokens.Session{}, ErrLoginRequired
	}
	if _, err := b.client(ctx); err != nil {
		return tokens.Session{}, err
	}
	has, err := b.own(ctx, now, has, from)
	if err != nil {
		return tokens.Session{}, err
	}
	return first(has, func(token string) (tokens.Session, error) {
		return b.SignIns.tokens.Holder(ctx, now, b.ClientID, token, from)
	})
}

// SignOut ends the browser's sessions, and the login at the hosted pages that they came
// of, or the next click would sign the user in again. It is no error if there is none.
func (b *Browser) SignOut(ctx context.Context, now time.Time, has []string, from caller.Caller) error {
	for _, token := range b.SignIns.tokens.Newest(has) {
		if err := b.SignIns.tokens.SignOutWithLogin(ctx, now, b.ClientID, token, from); err != nil && !errors.Is(err, tokens.ErrUnknown) {
			return fmt.Errorf("sign out: %w", err)
		}
	}
	return nil
}

// own returns the browser's refresh tokens that may sign its user in, at least one. A
// browser keeps one. Where live ones of several users come, another program has planted
// its own, and the user would act as an attacker: then none counts, and all their sessions
// end, so that none is left to act as. ErrLoginRequired.
func (b *Browser) own(ctx context.Context, now time.Time, has []string, from caller.Caller) ([]string, error) {
	has = b.SignIns.tokens.Newest(has)
	if len(has) == 0 {
		return nil, ErrLoginRequired
	}
	if len(has) == 1 {
		return has, nil
	}
	users := map[ids.User]bool{}
	for _, token := range has {
		session, err := b.SignIns.tokens.SessionOf(ctx, now, b.ClientID, token)
		if err != nil && !errors.Is(err, tokens.ErrUnknown) {
			return nil, err
		}
		if err == nil {
			users[session.UserID] = true
		}
	}
	if len(users) < 2 {
		return has, nil
	}
	b.Log.WarnContext(ctx, "a browser sends refresh tokens of several users: their sessions end", "client_id", b.ClientID, "users", len(users))
	if err := b.SignOut(ctx, now, has, from); err != nil {
		return nil, err
	}
	return nil, ErrLoginRequired
}

// first returns the result of use for the first token that is valid, or ErrLoginRequired, and
// then the tokens.ErrReused or tokens.ErrClass, too, of one that was not.
func first[T any](candidates []string, use func(token string) (T, error)) (T, error) {
	lost := ErrLoginRequired
	for _, token := range candidates {
		got, err := use(token)
		switch {
		case errors.Is(err, tokens.ErrReused), errors.Is(err, tokens.ErrClass):
			lost = fmt.Errorf("%w: %w", ErrLoginRequired, err)
		case !errors.Is(err, tokens.ErrUnknown):
			return got, err
		}
	}
	var none T
	return none, lost
}

// user returns the user of a session. ErrLoginRequired if the user was just deleted or
// disabled.
func (s *Service) user(ctx context.Context, id ids.User) (accounts.User, error) {
	user, err := s.users.ByID(ctx, id)
	if errors.Is(err, accounts.ErrUnknownUser) || err == nil && user.Disabled() {
		return accounts.User{}, ErrLoginRequired
	}
	return user, err
}

// client returns the client that the browser's tokens belong to.
func (b *Browser) client(ctx context.Context) (clients.Client, error) {
	client, err := b.Clients.ByID(ctx, b.ClientID)
	if errors.Is(err, clients.ErrUnknown) || err == nil && !client.FirstParty {
		return clients.Client{}, ErrNoBrowserClient
	}
	if err != nil {
		return clients.Client{}, fmt.Errorf("find client: %w", err)
	}
	return client, nil
}

func browserRecipient(client *clients.Client) oauth.Recipient {
	to := client.Recipient()
	to.Refresh = true
	to.InCookie = true
	to.Scopes = to.Scopes.Without(oauth.Scopes{oauth.ScopeAccount})
	return to
}
