package server

import (
	"context"
	"errors"
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
	left := l.ExpiresAt.Sub(now)
	if left <= 0 {
		return // it expired while the letters before it were sent
	}
	mine, err := a.o.Store.ClaimLetter(ctx, l, now.Add(sendPause(l.Attempts)))
	if err != nil && ctx.Err() == nil {
		a.o.Log.WarnContext(ctx, "letter not claimed, will try again", "kind", l.Kind, "subject", l.UserID, "err", err)
	}
	if !mine || err != nil {
		return // it becomes due again, here or on another replica
	}
	vars := mail.Vars{Service: a.o.ServiceName, Username: l.Username, ValidFor: left.Round(time.Minute)}
	switch {
	case l.HasToken():
		vars.Link = a.o.Mail.Links.link(l.Kind, accounts.MailToken(a.o.Seal, l.ID))
	case l.Kind == accounts.EmailChangeAsked:
		vars.Link = a.o.Issuer + "/forgot"
	}
	message, err := mail.Compose(mail.Kind(l.Kind), l.Language, vars)
	message.To = l.Address
	if err == nil {
		deadline, cancel := context.WithTimeout(ctx, sendTimeout)
		err = a.o.Mail.Sender.Send(deadline, message)
		cancel()
	}
	switch {
	case err == nil:
		a.o.Log.InfoContext(ctx, "mail sent", "kind", l.Kind, "subject", l.UserID)
	case errors.Is(err, mail.ErrRefused):
		a.o.Log.WarnContext(ctx, "mail refused, will not try again", "kind", l.Kind, "subject", l.UserID, "err", err)
	default:
		a.o.Log.WarnContext(ctx, "mail not sent, will try again", "kind", l.Kind, "subject", l.UserID, "attempts", l.Attempts+1, "err", err)
		return
	}
	// Even while the server stops: otherwise the letter would be sent again.
	if err := a.o.Store.LetterDone(context.WithoutCancel(ctx), l.ID); err != nil {
		a.o.Log.WarnContext(ctx, "mail will be sent twice", "kind", l.Kind, "subject", l.UserID, "err", err)
	}
}

// sendPause returns how long to wait after this many attempts before sending a letter
// again.
func sendPause(attempts int) time.Duration {
	return min(claimedFor<<min(attempts, 10), maxSendPause)
}
