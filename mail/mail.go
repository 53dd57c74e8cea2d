// Package mail writes and sends letters about an account. A letter carries a link that
// confirms an address or sets a new password, or only says what has happened.
// [Compose] writes one in the reader's language, a [Sender] sends it.
package mail

import (
	"context"
	"errors"
)

// A Message is a mail ready to be sent.
type Message struct {
	To      string
	Subject string
	Text    string
	HTML    string
}

// ErrRefused says that the mail server refuses a message for good because of its
// recipient: there is no such mailbox, or it is full. After any other error, a refusal
// of this server included, the caller tries again.
var ErrRefused = errors.New("the recipient was refused")

// ErrUnavailable says that the mail server can't be reached or takes no mail from this
// server at present, for any recipient.
var ErrUnavailable = errors.New("no mail can be sent at present")

// A Sender sends mail. It is safe for concurrent use.
type Sender interface {
	// Send returns nil when the next server has taken the message for delivery, and
	// ErrRefused if that server refuses the recipient for good. After ErrUnavailable and any
	// other error the caller tries again. No error holds the recipient's address or a control
	// character.
	Send(ctx context.Context, m Message) error
	// TakesUTF8 reports whether mail can go to addresses that are not ASCII before the
	// @ (RFC 6531). Domains never matter: they go as A-labels.
	TakesUTF8(ctx context.Context) bool
}
