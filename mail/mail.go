// Package mail writes and sends the letters of an account: with a link that proves
// an address or sets a new password, or only to tell what has happened. [Compose]
// writes one in the reader's language, a [Sender] sends it.
package mail

import (
	"context"
	"errors"
)

// Message is a mail as it is sent.
type Message struct {
	To      string
	Subject string
	Text    string
	HTML    string
}

// ErrRefused says that a message was refused for good: there is no such mailbox, or
// the server will not take it. All other errors may be gone the next time.
var ErrRefused = errors.New("the mail was refused")

// Sender sends mail. It is safe for concurrent use.
type Sender interface {
	// Send returns when the message is the next server's to deliver, or an error,
	// ErrRefused among them.
	Send(ctx context.Context, m Message) error
}
