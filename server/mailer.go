package server

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"countersign/accounts"
	"countersign/mail"
)

// The mailer sends the letters that are due. Every replica has one; the replica that
// claims a letter sends it. If that replica dies, the letter becomes due again after a
// while. So a letter may be sent twice, but is never lost.
//
// Urgent letters have connections of their own to the mail server: however many others
// are due, an urgent one waits for none of them. The number of all connections is small,
// because mail servers limit it.
const (
	urgentConnections = 2
	otherConnections  = 2

	collectPeriod = time.Second
	collectSize   = 20
	sendTimeout   = time.Minute
	claimedFor    = 2 * sendTimeout
	maxSendPause  = time.Hour
)

// Links are the pages that mailed links lead to. {token} in them stands for the token;
// after a # it appears in no log and no Referer.
type Links struct {
	ResetPassword string
	VerifyEmail   string
}

// link returns the link for a letter.
func (l Links) link(kind accounts.LetterKind, token string) string {
	page := l.VerifyEmail
	if kind == accounts.ResetPassword {
		page = l.ResetPassword
	}
	return strings.ReplaceAll(page, "{token}", token)
}

// deliver sends letters until ctx ends.
func (a *App) deliver(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { a.deliverOver(ctx, urgentConnections, accounts.UrgentLetters()...) })
	wg.Go(func() { a.deliverOver(ctx, otherConnections) })
	wg.Wait()
}

// deliverOver sends letters of the kinds, or of any kind if none is given, over at most
// so many connections at a time.
func (a *App) deliverOver(ctx context.Context, connections int, kinds ...accounts.LetterKind) {
	work := make(chan accounts.Letter)
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			for l := range work {
				a.send(ctx, l)
			}
		})
	}
	defer wg.Wait()
	defer close(work)
	for pause := collectPeriod; sleep(ctx, pause); {
		letters, err := a.o.Store.DueLetters(ctx, time.Now(), collectSize, kinds...)
		if err != nil && ctx.Err() == nil {
			a.o.Log.WarnContext(ctx, "letters not collected, will try again", "err", err)
		}
		for _, l := range letters {
			select {
			case work <- l:
			case <-ctx.Done():
				return
			}
		}
		if pause = collectPeriod; len(letters) == collectSize { // there are more
			pause = collectPeriod / collectSize
		}
	}
}

// send sends one letter, unless another replica does.
func (a *App) send(ctx context.Context, l accounts.Letter) {
	now := time.Now()
	until, left := now.Add(claimedFor), l.ExpiresAt.Sub(now)
	if left <= 0 {
		return // it expired while the letters before it were sent
	}
	mine, err := a.o.Store.ClaimLetter(ctx, l, until)
	if err != nil && ctx.Err() == nil {
		a.o.Log.WarnContext(ctx, "letter not claimed, will try again", "kind", l.Kind, "subject", l.UserID, "err", err)
	}
	if !mine || err != nil {
		return // it becomes due again, here or on another replica
	}
	vars := mail.Vars{Service: a.o.ServiceName, Username: l.Username, ValidFor: left.Round(time.Minute), Theme: a.o.Theme, Issuer: a.o.Issuer,
		SignIn: mail.SignIn{At: l.CreatedAt, Device: l.Device, Address: l.CallerAddress}, Provider: l.Provider}
	switch {
	case l.HasToken():
		vars.Link = a.o.Mail.Links.link(l.Kind, accounts.MailToken(a.o.Seal, l.ID))
	case l.LeadsToReset():
		vars.Link = a.o.Issuer + "/forgot"
	}
	message, err := mail.Compose(mail.Kind(l.Kind), l.Language, vars)
	message.To = l.Address
	if err == nil {
		deadline, cancel := context.WithTimeout(ctx, sendTimeout)
		err = a.o.Mail.Sender.Send(deadline, message)
		cancel()
	}
	refused := ""
	switch {
	case err == nil:
		a.mailFailed.Store(0)
		a.o.Log.InfoContext(ctx, "mail sent", "kind", l.Kind, "subject", l.UserID)
	case errors.Is(err, mail.ErrRefused):
		a.mailFailed.Store(0)
		refused = err.Error()
		a.o.Log.WarnContext(ctx, "mail refused, will not try again", "kind", l.Kind, "subject", l.UserID, "err", err)
	default:
		a.o.Log.WarnContext(ctx, "mail not sent, will try again", "kind", l.Kind, "subject", l.UserID, "attempts", l.Attempts+1, "err", err)
		if errors.Is(err, mail.ErrUnavailable) {
			a.mailFailed.Store(time.Now().UnixMilli())
		}
		again := now.Add(sendPause(l.Kind, l.Attempts))
		if err := a.o.Store.LetterFailed(context.WithoutCancel(ctx), l.ID, until, again, err.Error()); err != nil {
			a.o.Log.WarnContext(ctx, "the reason why mail was not sent is not stored", "kind", l.Kind, "subject", l.UserID, "err", err)
		}
		return
	}
	// Even while the server stops: otherwise the letter would be sent again.
	if err := a.o.Store.LetterDone(context.WithoutCancel(ctx), l.ID, refused); err != nil {
		a.o.Log.WarnContext(ctx, "mail will be sent twice", "kind", l.Kind, "subject", l.UserID, "err", err)
	}
}

// soon are the pauses before an urgent letter is sent again at first: its reader waits for
// it, and what keeps it back is often over in a moment.
var soon = []time.Duration{10 * time.Second, 30 * time.Second}

// sendPause returns how long to wait before sending a letter again that has been tried
// attempts times before the attempt that failed now.
func sendPause(kind accounts.LetterKind, attempts int) time.Duration {
	if slices.Contains(accounts.UrgentLetters(), kind) {
		if attempts < len(soon) {
			return soon[attempts]
		}
		attempts -= len(soon)
	}
	return min(claimedFor<<min(attempts, 10), maxSendPause)
}

// mailTroubled is how long a failure counts as the present state of the mail server.
const mailTroubled = 10 * time.Minute

// mailFails reports whether this server, as far as it knows, can send no mail at present.
func (a *App) mailFails() bool {
	at := a.mailFailed.Load()
	return at != 0 && time.Since(time.UnixMilli(at)) < mailTroubled
}
