package api

import (
	"strings"
	"unicode/utf8"

	"countersign/accounts"
)

// Letter is a letter that isn't delivered, as the operator sees it: without its token, and
// with as much of the address as tells which mail server is meant.
type Letter struct {
	State     string `json:"state"` // "waiting", or "refused" if the mail server refused the recipient
	Kind      string `json:"kind"`
	UserID    string `json:"user_id"`
	To        string `json:"to"`
	Since     string `json:"since"`
	ExpiresAt string `json:"expires_at"` // when it is dropped
	Attempts  int    `json:"attempts"`
	NextAt    string `json:"next_at"`    // of the next attempt; empty if there is none
	LastError string `json:"last_error"` // what the mail server said, or why it said nothing
}

// DescribeLetter returns the view of a letter.
func DescribeLetter(l accounts.Letter) Letter {
	v := Letter{
		State: "waiting", Kind: string(l.Kind), To: hint(l.Address), Since: at(l.CreatedAt), ExpiresAt: at(l.ExpiresAt),
		UserID: l.UserID.String(), Attempts: l.Attempts, LastError: l.LastError,
	}
	if v.NextAt = at(l.DueAt); l.DueAt.IsZero() {
		v.State, v.NextAt = "refused", ""
	}
	return v
}

// hint returns an address with only the first character of the part before the @.
func hint(address string) string {
	_, size := utf8.DecodeRuneInString(address)
	return address[:size] + "..." + address[max(strings.LastIndexByte(address, '@'), size):]
}
