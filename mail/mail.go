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

// ErrRefused says that the mail server permanently refused a message: there is no such
// mailbox, or the server will not take the message. After any other error the caller
// may try again.
var ErrRefused = errors.New("the mail was refused")

// A Sender sends mail. It is safe for concurrent use.
type Sender interface {
	// Send returns nil when the next server has taken the message for delivery, and
	// ErrRefused if that server refuses it permanently.
	Send(ctx context.Context, m Message) error
}
