package accounts

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"countersign/ids"
	"countersign/input"
)

// Beginnings are what a text may be the beginning of, each in the form that it is stored in.
type Beginnings struct {
	Username string // empty: of no username
	EmailKey string
	// ID is the smallest id that begins so, LastID the greatest; both zero if none does.
	ID, LastID ids.User
}

// Search returns at most limit users whose username, e-mail address or id begins with a
// text, in this order, and whether there are more. Case and space around the text don't
// count. An empty text is an *input.Error.
func (u *Users) Search(ctx context.Context, text string, limit int) (found []User, more bool, err error) {
	text = trim(text)
	if text == "" || len(text) > maxRawUsername {
		var bad input.Error
		bad.Add("text", input.Required, "text must not be empty, nor longer than a name.")
		return nil, false, bad.Err()
	}
	var of Beginnings
	if name, err := NormalizeUsername(text); err == nil {
		of.Username = name
	}
	if of.EmailKey = fold(text); strings.Contains(text, "@") {
		of.EmailKey = EmailKey(text)
	}
	of.ID, of.LastID = idsWith(text)
	found, err = u.store.SearchUsers(ctx, of, limit+1)
	if err != nil {
		return nil, false, fmt.Errorf("search users: %w", err)
	}
	if len(found) > limit {
		return found[:limit], true, nil
	}
	return found, false, nil
}

// idsWith returns the smallest and the greatest id that begin with a text, which may leave
// out the hyphens.
func idsWith(text string) (first, last ids.User) {
	digits := strings.ReplaceAll(text, "-", "")
	if digits == "" || len(digits) > 2*len(first) {
		return ids.User{}, ids.User{}
	}
	fill := func(id *ids.User, with string) error {
		_, err := hex.Decode(id[:], []byte(digits+strings.Repeat(with, 2*len(id)-len(digits))))
		return err
	}
	if fill(&first, "0") != nil || fill(&last, "f") != nil {
		return ids.User{}, ids.User{}
	}
	return first, last
}
