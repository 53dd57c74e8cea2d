package mail

import (
	"errors"
	"net/textproto"
	"regexp"
	"strings"
)

// A step of handing a message to a mail server. What fails before the first of them,
// from connecting to signing in, is never about a recipient.
type step string

const (
	atMail      step = "MAIL"
	atRecipient step = "RCPT"
	atData      step = "DATA"
	atEnd       step = "end of data" // the server's answer to the whole message
)

// enhanced finds the enhanced status code at the beginning of a reply (RFC 2034, RFC 3463).
var enhanced = regexp.MustCompile(`^5\.(\d{1,3})\.(\d{1,3})\b`)

// aboutRecipient reports whether a server refuses a message for good because of its
// recipient. All other refusals are about this server: its sign-in, its address, its
// place on a list, the server's rules or state. Those pass, or the operator mends them,
// and then the letter can go.
//
// The enhanced code decides where there is one. Without one, codes mean what they mean
// at their step (RFC 5321 sections 4.2.3 and 4.3.2), and what could be either counts as
// being about us: trying again costs little, a lost letter much.
func aboutRecipient(at step, err error) bool {
	reply, ok := errors.AsType[*textproto.Error](err)
	if !ok || reply.Code/100 != 5 || at == atMail {
		return false
	}
	if code := enhanced.FindStringSubmatch(reply.Msg); code != nil {
		subject, detail := code[1], code[2]
		switch subject {
		case "1": // addresses; 7 and 8 are about the sender's
			return detail != "7" && detail != "8"
		case "2": // the mailbox: disabled, full
			return true
		case "6": // the recipient's server knows no such address (RFC 6531 section 3.2)
			return detail == "7"
		default: // system, routing, protocol, policy
			return false
		}
	}
	switch at {
	case atRecipient:
		return reply.Code == 550 && !ofUs.MatchString(reply.Msg) || reply.Code == 551 || reply.Code == 552 || reply.Code == 553
	default:
		return reply.Code == 552 // the mailbox is full
	}
}

// aboutUs reports whether a refusal that isn't for good concerns all mail of this server: any
// but a temporary one of one recipient or message.
func aboutUs(at step, err error) bool {
	reply, ok := errors.AsType[*textproto.Error](err)
	return !ok || at == atMail || reply.Code == 421 || reply.Code/100 == 5
}

// ofUs finds what servers without enhanced codes say when 550 is about the client: it
// may not relay, did not sign in, or is on a list.
var ofUs = regexp.MustCompile(`(?i)relay|authenticat|log ?in|\bauth\b|spf|dkim|dmarc|polic(y|ies)|spam|reputation|block|black ?list|denied|permitted|allowed|client host|reverse|helo|ehlo|sender`)

// maxReply bounds, in characters, what a log line repeats of a server's reply.
const maxReply = 300

// harmlessReply returns an error with what a mail server said, for the log: without the
// recipient, which servers repeat and which must not reach a log, and without what could
// forge a line of it.
func harmlessReply(err error, recipients ...string) string {
	said := strings.Join(strings.Fields(harmless(strings.NewReplacer("\r", " ", "\n", " ").Replace(err.Error()))), " ")
	for _, to := range recipients {
		local := to[:strings.LastIndexByte(to, '@')]
		said = regexp.MustCompile("(?i)"+regexp.QuoteMeta(to)).ReplaceAllLiteralString(said, "(recipient)")
		said = regexp.MustCompile(`(?i)(^|[^\pL\pN])`+regexp.QuoteMeta(local)+`($|[^\pL\pN])`).ReplaceAllString(said, "${1}(recipient)${2}")
	}
	if runes := []rune(said); len(runes) > maxReply {
		said = string(runes[:maxReply]) + "..."
	}
	return said
}
