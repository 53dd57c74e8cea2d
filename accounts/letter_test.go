package accounts

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"countersign/ids"
	"countersign/seal"
)

// Only the exact bytes that we made are a mailed token.
func FuzzParseMailToken(f *testing.F) {
	keys, err := seal.Parse(seal.Generate())
	if err != nil {
		f.Fatal(err)
	}
	letter := ids.Letter(uuid.MustParse("0b5b1e1c-33a1-4a0f-9f6e-0d6f6f2b8f11"))
	token := MailToken(keys, letter)
	for _, s := range []string{
		token, token + "A", token[1:], token[:len(token)-1], strings.ToUpper(token), "cs_rt_" + token[6:],
		"cs_mt_" + strings.Repeat("\n", len(token)-6), token[:20] + "\r\n" + token[22:], "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := parseMailToken(keys, s)
		if (err == nil) != (s == token) {
			t.Fatalf("%q: %v", s, err)
		}
		if err == nil && id != letter || err != nil && !errors.Is(err, ErrBadToken) {
			t.Fatalf("%q: %v, %v", s, id, err)
		}
	})
}
