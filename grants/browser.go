package grants

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"countersign/accounts"
	"countersign/audit"
	"countersign/clients"
	"countersign/oauth"
	"countersign/tokens"
)

// ErrNoBrowserClient says that nobody can sign in from a browser: the client that
// its tokens would belong to doesn't exist, or isn't one of ours.
var ErrNoBrowserClient = errors.New("no client for browser sign-in")

// ErrLoginRequired says that nobody is signed in: there is no session, or it has
// ended.
var ErrLoginRequired = errors.New("nobody is signed in")

// ErrPasswordOff says that pages may not sign people in with a password here.
var ErrPasswordOff = errors.New("no sign-in with a password from pages")

// ErrBadCode says that an authorization code is no good, or doesn't fit what came with
// it.
var ErrBadCode = errors.New("bad authorization code")

// Browser signs people in to our own applications in a browser, which never see
// the refresh token: it is kept in a cookie (RFC 10017 section 6.2). Its sessions
// belong to one client.
type Browser struct {
	Users    *accounts.Users
	Clients  *clients.Registry
	Tokens   *tokens.Service
	ClientID string
	// NoPassword lets nobody sign in but by authorization code (RFC 9700 section 2.4).
	NoPassword bool
	Log        *slog.Logger
}

// SignedIn is a browser's session with what it gets.
type SignedIn struct {
	tokens.Issued
	User accounts.User
}

// From is the browser that signs in.
type From struct {
	Device string          // its label
	Had    []string        // refresh tokens that it has
	Caller accounts.Caller // where a password may be proven from
	Origin audit.Origin
}

// SignIn opens a session for whoever knows the password, and ends those whose
// refresh tokens the browser had: its cookie has room for one. It returns what
// accounts.Users.Authenticate does, ErrPasswordOff, and ErrNoBrowserClient.
func (b *Browser) SignIn(ctx context.Context, now time.Time, username, password string, from From) (SignedIn, error) {
	client, err := b.client(ctx)
	if err != nil {
		return SignedIn{}, err
	}
	if b.NoPassword || !client.AllowsGrant(oauth.GrantPassword) {
		return SignedIn{}, ErrPasswordOff
	}
	user, err := b.Users.Authenticate(ctx, now, username, password, from.Caller)
	if err != nil {
		return SignedIn{}, err
	}
	issued, err := b.Tokens.Start(ctx, now, browserRecipient(&client), tokens.SignIn{
		UserID: user.ID, Epoch: user.Epoch, Roles: user.Roles, AuthTime: now, Device: from.Device,
	}, nil, nil, from.Origin)
	if errors.Is(err, tokens.ErrUserGone) {
		return SignedIn{}, accounts.ErrBadCredentials
	}
	if err != nil {
		return SignedIn{}, err
	}
	// With the login that they came of, or signing out would leave that behind.
	b.endFormer(ctx, now, from, b.Tokens.SignOutWithLogin)
	return SignedIn{issued, user}, nil
}

// SignInByCode opens a session for an authorization code that the page got, which has
// led the browser to the authorization endpoint: it never sees the password, either.
// ErrBadCode, ErrNoBrowserClient.
func (b *Browser) SignInByCode(ctx context.Context, now time.Time, x tokens.Exchange, from From) (SignedIn, error) {
	to, err := b.recipient(ctx)
	if err != nil {
		return SignedIn{}, err
	}
	issued, err := b.Tokens.Redeem(ctx, now, to, x, from.Origin)
	for _, bad := range []error{tokens.ErrUnknown, tokens.ErrCodeUsed, tokens.ErrVerifier, tokens.ErrUserGone, tokens.ErrTarget} {
		if errors.Is(err, bad) {
			return SignedIn{}, ErrBadCode
		}
	}
	if err != nil {
		return SignedIn{}, err
	}
	user, err := b.user(ctx, issued.Session.UserID)
	if err != nil {
		return SignedIn{}, err
	}
	b.endFormer(ctx, now, from, b.Tokens.SignOut) // the login goes on, and may be the same
	return SignedIn{issued, user}, nil
}

// endFormer ends the sessions that the browser had before.
func (b *Browser) endFormer(ctx context.Context, now time.Time, from From, end func(context.Context, time.Time, string, string, audit.Origin) error) {
	for _, token := range from.Had {
		if err := end(ctx, now, b.ClientID, token, from.Origin); err != nil && !errors.Is(err, tokens.ErrUnknown) {
			b.Log.WarnContext(ctx, "the browser's former session lives on", "client_id", b.ClientID, "err", err)
		}
	}
}

// Refresh gives the browser new tokens for one of those it has. More than one can
// be there where another host of the domain has set a cookie, too; ours is the one
// that is good. ErrLoginRequired, ErrNoBrowserClient.
func (b *Browser) Refresh(ctx context.Context, now time.Time, has []string, origin audit.Origin) (SignedIn, error) {
	if len(has) == 0 {
		return SignedIn{}, ErrLoginRequired
	}
	to, err := b.recipient(ctx)
	if err != nil {
		return SignedIn{}, err
	}
	issued, err := first(has, func(token string) (tokens.Issued, error) {
		return b.Tokens.Refresh(ctx, now, to, token, nil, nil, origin)
	})
	if err != nil {
		return SignedIn{}, err
	}
	user, err := b.user(ctx, issued.Session.UserID)
	return SignedIn{issued, user}, err
}

// User returns who is signed in, and changes nothing. ErrLoginRequired.
func (b *Browser) User(ctx context.Context, now time.Time, has []string, origin audit.Origin) (accounts.User, error) {
	session, err := first(has, func(token string) (tokens.Session, error) {
		return b.Tokens.Holder(ctx, now, b.ClientID, token, origin)
	})
	if err != nil {
		return accounts.User{}, err
	}
	return b.user(ctx, session.UserID)
}

// SignOut ends the browser's sessions, and the login at the hosted pages that they came
// of, or the next click would sign in again. That there is none is no error.
func (b *Browser) SignOut(ctx context.Context, now time.Time, has []string, origin audit.Origin) error {
	for _, token := range has {
		if err := b.Tokens.SignOutWithLogin(ctx, now, b.ClientID, token, origin); err != nil && !errors.Is(err, tokens.ErrUnknown) {
			return fmt.Errorf("sign out: %w", err)
		}
	}
	return nil
}

// first returns what the first token that is good for something is good for.
func first[T any](candidates []string, use func(token string) (T, error)) (T, error) {
	for _, token := range candidates {
		got, err := use(token)
		if !errors.Is(err, tokens.ErrUnknown) && !errors.Is(err, tokens.ErrReused) {
			return got, err
		}
	}
	var none T
	return none, ErrLoginRequired
}

// user is the user of a session. One that has just gone is nobody.
func (b *Browser) user(ctx context.Context, id uuid.UUID) (accounts.User, error) {
	user, err := b.Users.ByID(ctx, id)
	if errors.Is(err, accounts.ErrUnknownUser) || err == nil && user.Disabled() {
		return accounts.User{}, ErrLoginRequired
	}
	return user, err
}

// client is the one that the browser's tokens belong to.
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

// recipient is the client as one that is given tokens.
func (b *Browser) recipient(ctx context.Context) (oauth.Recipient, error) {
	client, err := b.client(ctx)
	if err != nil {
		return oauth.Recipient{}, err
	}
	return browserRecipient(&client), nil
}

func browserRecipient(client *clients.Client) oauth.Recipient {
	to := client.Recipient()
	to.Refresh = true
	to.NoIDToken = true
	return to
}
